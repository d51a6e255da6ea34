import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#libs/telemetry';
import { ServedSupergraph, type Serving } from './served.js';
import { fileSource, urlSource } from './source.js';

/** A supergraph server that says by an ETag whether there is a newer one, and can be away. */
const said = { sdl: 'first', isAway: false };
let server: Server;
let served: ServedSupergraph;
afterEach(async () => {
  await served.close();
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
});

async function start({ isAway = false, waitsSaidMs }: { isAway?: boolean; waitsSaidMs?: number } = {}): Promise<{
  logged: string[];
  fields: object[];
}> {
  Object.assign(said, { sdl: 'first', isAway });
  server = createServer((request, response) => {
    const etag = `"${said.sdl}"`;
    if (said.isAway) response.writeHead(503).end();
    else if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(said.sdl);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const logged: string[] = [];
  const fields: object[] = [];
  const log = (more: object, message: string): void => {
    logged.push(message);
    fields.push(more);
  };
  served = new ServedSupergraph({
    source: urlSource(`http://u:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`),
    build: async (sdl) => {
      if (sdl.startsWith('bad')) throw new Error(`${sdl} is no supergraph`);
      const engine = { about: {}, close: () => Promise.resolve() };
      return { supergraph: { id: sdl, subgraphs: new Map() }, engine, documents: {} } as unknown as Serving;
    },
    pollMs: 600_000,
    ...(waitsSaidMs === undefined ? {} : { waitsSaidMs }),
    logger: { debug: log, info: log, warn: log, error: log } as unknown as Logger,
  });
  await served.start();
  return { logged, fields };
}

const now = async (): Promise<[string | undefined, string | undefined]> => {
  await served.refresh();
  return [served.current?.supergraph.id, served.trouble];
};

describe('the supergraph that is served', () => {
  it('is no trouble any more when where it comes from was away, and is back with the same one', async () => {
    const { logged } = await start();
    said.isAway = true;
    expect(await now()).toEqual(['first', expect.stringContaining('503')]);
    said.isAway = false;
    expect(await now()).toEqual(['first', undefined]);
    expect(await now()).toEqual(['first', undefined]);
    // Said once each.
    expect(logged.slice(1)).toEqual([
      'The new supergraph cannot be served; the last good one stays',
      'The supergraph can be read again',
    ]);
  });

  it('is said to be missing again and again while nobody is answered for it (a minute by itself), and never where it is with a password', async () => {
    const WAITS = 'There is no supergraph to serve yet; trying again';
    const { logged, fields } = await start({ isAway: true, waitsSaidMs: 0 });
    await now();
    expect(await now()).toEqual([
      undefined,
      expect.stringMatching(/^http:\/\/\*\*\*@127\.0\.0\.1:\d+ answered with status 503\.$/),
    ]);
    expect(logged).toEqual([WAITS, WAITS, WAITS]);
    expect(JSON.stringify(fields)).not.toContain('hunter2');
    said.isAway = false;
    expect(await now()).toEqual(['first', undefined]);
    said.isAway = true;
    await now();
    await now();
    // What answers somebody is said once, however long it stays.
    expect(logged.slice(3)).toEqual([
      'Serving the supergraph',
      'The new supergraph cannot be served; the last good one stays',
    ]);
  });

  it('is said to be missing once within that time (control)', async () => {
    const { logged } = await start({ isAway: true });
    await now();
    await now();
    expect(logged).toEqual(['There is no supergraph to serve yet; trying again']);
  });

  it.each([
    [
      'an address where nobody is',
      urlSource('http://u:hunter2@127.0.0.1:1/x?token=hunter2'),
      'http://***@127.0.0.1:1/x?*** cannot be fetched (ECONNREFUSED).',
    ],
    [
      'a file that is not there',
      fileSource('/nowhere/supergraph.graphql'),
      'SUPERGRAPH takes a file; this is one which is not there.',
    ],
    ['a folder', fileSource('/'), 'SUPERGRAPH takes a file; this is one which is a folder.'],
  ])('of %s it is one sentence why it cannot be read', async (_what, source, says) => {
    await start();
    await expect(source.read(AbortSignal.timeout(10_000))).rejects.toThrow(says);
    expect(source.from).not.toContain('hunter2');
  });

  it('stays in trouble (control) while the newest one is refused, also after where it comes from was away', async () => {
    await start();
    said.sdl = 'bad';
    const refused = ['first', 'bad is no supergraph'];
    expect(await now()).toEqual(refused);
    expect(await now()).toEqual(refused);
    said.isAway = true;
    expect(await now()).toEqual(['first', expect.stringContaining('503')]);
    said.isAway = false;
    expect(await now()).toEqual(refused);
    said.sdl = 'second';
    expect(await now()).toEqual(['second', undefined]);
    expect(await now()).toEqual(['second', undefined]);
  });
});
