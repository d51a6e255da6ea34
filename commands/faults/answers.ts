import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { startAnswerProxy, type AnswerProxy, type Came, type Lie, type Lies } from '../../test/servers/answer-proxy.js';
import { selfSigned } from '../../test/servers/self-signed.js';
import { ROOT } from '../root.js';
import type { Bars } from './bars.js';
import type { Fault, Scene } from './fault.js';
import { MANY_ERRORS, NO_UTF8, NULLS, PROTOTYPES, PROTOTYPES_OF_ERRORS, redirects, SHAPES, STATUSES } from './lies.js';
import { isMutationBody, repeated, Told } from './told.js';
import { replaced } from './town.js';

/** What of posts is missing is told so, and nothing else is; a try that meets one before it is told to wait. */
const HOLES: Bars = {
  onlyTold: ['SUBGRAPH_BAD_RESPONSE', 'SUBGRAPH_UNAVAILABLE', 'OVERLOADED', 'IDEMPOTENCY_KEY_IN_USE'],
};
/** On a busy machine, until each lie was told. */
const TOLD_MS = 20_000;
/** What is under way when the lies end is told by then. */
const LAST_MS = 300;

/** FG: posts is asked by the gateway through a proxy that makes other answers of its real ones. */
export const ANSWERS: readonly Fault[] = [
  { ...lies('FG3', 'posts answers 500, 401, 403, 429, 204 and HTML', STATUSES), ...HOLES },
  { ...lies('FG5', 'answers of posts are no UTF-8, by two bytes', NO_UTF8), ...HOLES },
  { ...lies('FG6', 'answers of posts have sixteen other shapes', SHAPES), ...HOLES },
  { ...lies('FG7', 'answers of posts have nulls where none may be, and no errors', NULLS), ...HOLES },
  { ...lies('FG8', 'answers of posts have ten thousand errors', MANY_ERRORS), ...HOLES },
  redirected(),
  {
    ...polluted('FG11', 'answers of posts have __proto__ and constructor in every object', PROTOTYPES),
    unnoticed: true,
  },
  { ...polluted('FG11-errors', 'and so have its errors', PROTOTYPES_OF_ERRORS), ...HOLES },
  { ...raced(), onlyTold: ['SUBGRAPH_UNAVAILABLE', 'IDEMPOTENCY_KEY_IN_USE'] },
  { ...mistrusted(), onlyTold: ['SUBGRAPH_UNAVAILABLE', 'IDEMPOTENCY_KEY_IN_USE'] },
  {
    ...told('FG12-old', 'posts answers by HTTP/1.0, where each answer ends its connection', () =>
      Promise.resolve({ lies: { old: true } }),
    ),
    unnoticed: true,
  },
];

/** Of lies that are told: what else has to have come about, or may not have. A sentence for each thing that is wrong. */
type Wrong = (proxy: AnswerProxy) => readonly string[] | Promise<readonly string[]>;

interface Parts {
  readonly lies: Lies;
  readonly wrong?: Wrong;
  /** When it is over. */
  readonly close?: () => Promise<unknown>;
}

function lies(id: string, says: string, answers: readonly Lie[]): Fault {
  return told(id, says, () => Promise.resolve({ lies: { answers } }));
}

/** `open`: before anybody is at work. */
function told(id: string, says: string, open: (scene: Scene) => Promise<Parts>): Fault {
  let proxy: AnswerProxy;
  let real: number;
  let parts: Parts;
  return {
    id,
    says,
    async prepare(scene) {
      const { posts } = scene.town.proxies.service;
      parts = await open(scene);
      real = posts.target;
      proxy = await startAnswerProxy({ port: real });
      posts.moveTo(proxy.port);
    },
    strike: (scene) => lie(id, scene, proxy, parts.lies, parts.wrong),
    async tidy({ town, listen }) {
      listen(undefined);
      town.proxies.service.posts.moveTo(real);
      await proxy.close();
      await parts.close?.();
    },
  };
}

/** Until every lie was told, and for as long as the row lasts; then looks at what people were told, and at what came to posts. */
async function lie(id: string, { ms, listen }: Scene, proxy: AnswerProxy, lies: Lies, wrong?: Wrong): Promise<void> {
  const heard = new Told();
  listen(heard.hear);
  proxy.tell(lies);
  await sleep(ms);
  const ways = lies.answers?.length ?? 0;
  const missing = (): number => ways - Object.keys(proxy.told).length;
  for (const until = performance.now() + TOLD_MS; missing() > 0 && performance.now() < until;) await sleep(20);
  const { came, told: times } = proxy;
  const found = missing() > 0 ? [`${missing()} of ${ways} ways to answer wrongly did not come about`] : [];
  found.push(...((await wrong?.(proxy)) ?? []));
  proxy.tell({});
  await sleep(LAST_MS);
  listen(undefined);
  const again = repeated(came);
  process.stderr.write(
    `${id}: ${came.length} calls came to posts, ${times.reduce((sum, n) => sum + n, 0)} of them were answered otherwise, in ${ways} ways; ` +
      `sent once more: ${again.queries} queries, ${again.mutations} mutations; people heard ${heard.answers} answers\n`,
  );
  found.push(...heard.violations());
  if (!came.some(({ body }) => isMutationBody(body))) found.push('no mutation was among what came');
  if (again.mutations > 0) found.push(`${again.mutations} mutations were sent again`);
  if (again.queriesMore > 0) found.push(`${again.queriesMore} queries were sent more than twice`);
  if (found.length > 0) throw new Error(found.join('\n'));
}

/** Of another host, by its port: nobody has any business there. */
function redirected(): Fault {
  const row = told(
    'FG10',
    'posts answers with redirects: 301, 302, 303, 307 and 308, to its own host, another one and a file',
    async () => {
      let hits = 0;
      const elsewhere = createServer((_request, response) => response.end('{"data":null}')).on(
        'connection',
        () => (hits += 1),
      );
      await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
      const { port } = elsewhere.address() as AddressInfo;
      const own = 'again-and-again';
      return {
        lies: { answers: redirects(`http://127.0.0.1:${port}/graphql`, own) },
        wrong: ({ paths }) => [
          ...(hits > 0 ? [`${hits} connections came to where a redirect leads`] : []),
          ...(paths.some((path) => path.includes(own)) ? ['a redirect within posts was followed'] : []),
        ],
        close: () => new Promise((resolve) => elsewhere.close(resolve)),
      };
    },
  );
  return { ...row, ...HOLES };
}

/** That nothing of it has got into what every object has, the gateway itself is asked. */
function polluted(id: string, says: string, answers: readonly Lie[]): Fault {
  const preload = pathToFileURL(join(ROOT, 'dist/commands/faults/tells-pollution.js')).href;
  return told(id, says, async ({ town }) => {
    await replaced(town, 'gateway', { NODE_OPTIONS: `--import ${preload}` });
    return {
      lies: { answers },
      wrong: async () => {
        const from = town.logOf('gateway').length;
        town.signal('gateway', 'SIGUSR2');
        let says: string | undefined;
        for (
          const until = performance.now() + TOLD_MS;
          says === undefined && performance.now() < until;
          await sleep(20)
        )
          says = /^polluted: (.*)$/m.exec(town.logOf('gateway').slice(from))?.[1];
        return says === 'nothing'
          ? []
          : [`every object of the gateway has ${says ?? 'who knows what: it did not say'}`];
      },
      close: () => replaced(town, 'gateway'),
    };
  });
}

/** As of a server that closes a kept connection just as somebody writes into it, which is no reason to ask it anything else twice. */
const RACE_EVERY = 16;

function raced(): Fault {
  return told('FG12', 'posts resets every sixteenth call that comes on a connection which was used before', () => {
    const lost = { queries: 0, mutations: 0 };
    let used = 0;
    const resets = ({ body, nthOnConnection }: Came): boolean => {
      if (nthOnConnection === 1 || (used += 1) % RACE_EVERY !== 0) return false;
      lost[isMutationBody(body) ? 'mutations' : 'queries'] += 1;
      return true;
    };
    const wrong: Wrong = async () => {
      for (const until = performance.now() + TOLD_MS; lost.queries * lost.mutations === 0 && performance.now() < until;)
        await sleep(20);
      // Who met the last one asks again while it is counted.
      await sleep(LAST_MS);
      process.stderr.write(`FG12: ${lost.queries} queries and ${lost.mutations} mutations met a reset\n`);
      return lost.queries * lost.mutations === 0 ? ['no query or no mutation met a reset'] : [];
    };
    return Promise.resolve({ lies: { resets }, wrong });
  });
}

/** The gateway trusts the one that posts shows first, and not the one that it shows then. */
function mistrusted(): Fault {
  let proxy: AnswerProxy;
  let folder: string;
  let trusted: ReturnType<typeof selfSigned>;
  return {
    id: 'FG12-cert',
    says: 'posts shows a certificate that nobody vouches for, where it had shown a good one',
    onlyTold: ['SUBGRAPH_UNAVAILABLE', 'IDEMPOTENCY_KEY_IN_USE'],
    async prepare({ town }) {
      folder = mkdtempSync(join(tmpdir(), 'tributary-faults-'));
      trusted = selfSigned('localhost');
      const SUBGRAPH_TLS_CA = join(folder, 'ca.pem');
      writeFileSync(SUBGRAPH_TLS_CA, trusted.cert);
      proxy = await startAnswerProxy({ port: town.proxies.service.posts.target, tls: trusted });
      await replaced(town, 'gateway', {
        SUBGRAPH_URL_POSTS: `https://localhost:${proxy.port}/graphql`,
        SUBGRAPH_TLS_CA,
      });
    },
    async strike({ ms, listen }) {
      const heard = new Told();
      listen(heard.hear);
      proxy.show(selfSigned('localhost'));
      proxy.tell({});
      await sleep(ms);
      const came = proxy.came.length;
      const refused = proxy.refused;
      proxy.show(trusted);
      await sleep(LAST_MS);
      listen(undefined);
      process.stderr.write(`FG12-cert: ${refused} connections were not made, ${came} calls came\n`);
      const found = heard.violations();
      if (came > 0) found.push(`${came} calls were sent to whom nobody vouches for`);
      if (refused === 0) found.push('nobody was shown the certificate');
      if (found.length > 0) throw new Error(found.join('\n'));
    },
    async tidy({ town, listen }) {
      listen(undefined);
      await replaced(town, 'gateway');
      await proxy.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
