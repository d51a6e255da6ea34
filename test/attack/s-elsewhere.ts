import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { attacks, query, type Attack, type Message, type Stage } from './attack.js';

/** Where the supergraph of `guarded` says that the second service is. */
const addressIn = (sdl: string): string => /name: "scores", url: "([^"]*)"/.exec(sdl)![1]!;

const pointedAt = (sdl: string, address: string): string => sdl.replaceAll(addressIn(sdl), address);

/** What the gateway says of itself; no GraphQL, so nothing is held to its checks. */
async function health({ urls }: Stage): Promise<Record<string, unknown>> {
  const response = await fetch(new URL('/health/ready', urls.guarded));
  return (await response.json()) as Record<string, unknown>;
}

/** The file says so; until the gateway has it, or has said that it has not. */
async function serve(stage: Stage, sdl: string, is: (said: Record<string, unknown>) => boolean): Promise<string> {
  await writeFile(stage.cast.guarded.file, sdl);
  const end = performance.now() + 30_000;
  for (;;) {
    const said = await health(stage);
    if (is(said)) return JSON.stringify(said);
    if (performance.now() > end) throw new Error(`half a minute later it says ${JSON.stringify(said)}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}

/** As it was: what was served is served again, whatever became of what was offered instead. */
async function restore(stage: Stage, supergraph: unknown): Promise<void> {
  await serve(
    stage,
    stage.cast.guarded.sdl,
    (said) => said['newest'] === undefined && said['supergraph'] === supergraph && said['status'] === 'ready',
  );
}

/** Addresses that a supergraph may not name where only 127.0.0.1 is to be asked. */
const ADDRESSES = [
  'http://169.254.169.254/latest/meta-data/',
  'http://2852039166/',
  'http://[::ffff:169.254.169.254]/',
  'http://[fe80::1]:4002/',
  'file:///etc/passwd',
  'gopher://127.0.0.1/',
  'http://user:s3cret@127.0.0.1/graphql',
  'http://127.0.0.1.evil.example/graphql',
  'http://10.0.0.7:4002/graphql',
  'http://127.0.0.1:1/graphql,http://169.254.169.254/latest',
  'unix:///run/docker.sock',
  'posts.internal:4002',
  'nowhere',
  '',
];

const RANK: Message = { body: query('{somebody{name rank}}') };

/** The service is asked where it was. */
const refused: readonly Attack[] = ADDRESSES.flatMap((address) =>
  attacks(
    'guarded',
    { [`S26 after a supergraph that names ${address || 'nothing'}`]: [RANK, 200, { says: /"rank":1/ }] },
    {
      async scene(stage) {
        const { supergraph } = await health(stage);
        const said = await serve(
          stage,
          pointedAt(stage.cast.guarded.sdl, address),
          ({ newest }) => newest !== undefined,
        );
        for (const part of address.split(/[/@,:]+/).filter((one) => one.length > 6))
          if (said.includes(part)) stage.found(`whoever asks for its health is told ${part}: ${said}`);
        return () => restore(stage, supergraph);
      },
    },
  ),
);

/** A server of this process, who attacks: what has come to it. */
async function listening(answer: RequestListener): Promise<{ url: string; came: () => number; close: () => void }> {
  let bytes = 0;
  const server = createServer(answer);
  server.on('connection', (socket) => socket.on('data', (chunk: Buffer) => (bytes += chunk.length)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    came: () => bytes,
    close: () => server.close().closeAllConnections(),
  };
}

/** Answers what a service that is there answers, and what it is asked for with a redirect. */
function redirecting(status: number, location: (target: string) => string): NonNullable<Attack['scene']> {
  return async (stage) => {
    const { supergraph } = await health(stage);
    const target = await listening((_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"_entities":[{"rank":666666}]}}'),
    );
    const service = await listening((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        if (body.includes('rank')) response.writeHead(status, { location: location(target.url) }).end();
        else response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"__typename":"Query"}}');
      });
    });
    const sdl = pointedAt(stage.cast.guarded.sdl, service.url);
    await serve(stage, sdl, (said) => said['supergraph'] !== supergraph && said['status'] === 'ready');
    return async () => {
      if (target.came() > 0) stage.found(`${target.came()} bytes were sent to where it was redirected`);
      await restore(stage, supergraph);
      for (const server of [target, service]) server.close();
    };
  };
}

const HOLE = { code: 'SUBGRAPH_BAD_RESPONSE', ran: true, says: /"rank":null/, hides: /666666/ };
const REDIRECTS: readonly (readonly [string, number, (target: string) => string])[] = [
  ...[301, 302, 303, 307, 308].map(
    (status) => [`${status} to another port`, status, (target: string) => target] as const,
  ),
  ['307 to a file', 307, () => 'file:///etc/passwd'],
  ['307 to where clouds keep their secrets', 307, () => 'http://169.254.169.254/latest/meta-data/'],
  ['307 to itself', 307, () => '/graphql?again'],
];

const redirected: readonly Attack[] = REDIRECTS.flatMap(([what, status, location]) =>
  attacks(
    'guarded',
    { [`S26 a service that answers ${what}`]: [RANK, 200, HOLE] },
    { scene: redirecting(status, location) },
  ),
);

export const elsewhere: readonly Attack[] = [...refused, ...redirected];
