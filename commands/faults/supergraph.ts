import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freePort } from '../../test/servers/free-port.js';
import { ROOT } from '../root.js';
import { asks, signedUp } from './never-asked.js';
import type { Fault, Scene } from './fault.js';
import { Told } from './told.js';
import { replaced, type Town } from './town.js';

const SDL = join(ROOT, 'schema/supergraph.graphql');

/** FX1 and FX2: what the gateway knows of its services is not, or not any more, what there is. */
export const SUPERGRAPH: readonly Fault[] = [
  fileSpoilt(),
  serverAway(),
  deployed(
    'FX2',
    'posts is deployed without a field that its gateway asks for',
    '  body: String! @cacheControl(maxAge: 60)\n=>',
  ),
  deployed(
    'FX2-argument',
    'posts is deployed with a new argument that has to be given, which its gateway does not know',
    'postCount: Int @=>postCount(of: Int!): Int @',
  ),
];

const POLL_MS = '100';
/** On a busy machine. */
const SEEN_MS = 20_000;

interface Spoilt {
  readonly what: string;
  spoil(): void;
  mend(): void;
}

/** The gateway takes its supergraph from `address`, and tells its figures at `metrics`. */
async function reloading(town: Town, address: string): Promise<{ metrics: string }> {
  const port = await freePort();
  await replaced(town, 'gateway', { SUPERGRAPH: address, SUPERGRAPH_POLL_MS: POLL_MS, METRICS_PORT: String(port) });
  return { metrics: `http://127.0.0.1:${port}/metrics` };
}

/** Each of them in its turn, and mended again. The figures that an alert is about have to tell it, and nothing else. */
async function spoiltAll(id: string, { ms }: Scene, metrics: string, all: readonly Spoilt[]): Promise<void> {
  const took: string[] = [];
  for (const { what, spoil, mend } of all) {
    try {
      spoil();
      const toldMs = await untilServed(metrics, 0, `told that it is refused: ${what}`);
      await sleep(ms / all.length);
      if ((await figure(metrics, 'tributary_supergraph_missing')) !== 0) throw new Error(`${what}: none is served`);
      if ((await figure(metrics, 'tributary_supergraph_served')) !== 0) throw new Error(`${what}: it is forgotten`);
      took.push(`${what}: told after ${toldMs.toFixed(0)} ms`);
    } finally {
      mend();
    }
    took[took.length - 1] += `, good after ${(await untilServed(metrics, 1, `good again: ${what}`)).toFixed(0)} ms`;
  }
  process.stderr.write(`${id}: ${took.join('; ')}\n`);
}

/** How long it took, ms. */
async function untilServed(metrics: string, value: 0 | 1, what: string): Promise<number> {
  const began = performance.now();
  while ((await figure(metrics, 'tributary_supergraph_served')) !== value) {
    if (performance.now() > began + SEEN_MS) throw new Error(`the gateway has not in ${SEEN_MS / 1_000} s ${what}`);
    await sleep(20);
  }
  return performance.now() - began;
}

async function figure(metrics: string, name: string): Promise<number | undefined> {
  const text = await fetch(metrics, { signal: AbortSignal.timeout(5_000) }).then((answer) => answer.text());
  const value = new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

function fileSpoilt(): Fault {
  let folder: string;
  let metrics: string;
  return {
    id: 'FX1',
    says: 'the file of the supergraph is cut, empty, no supergraph, or away, and good again each time',
    unnoticed: true,
    async prepare({ town }) {
      folder = mkdtempSync(join(tmpdir(), 'tributary-faults-'));
      copyFileSync(SDL, join(folder, 'supergraph.graphql'));
      ({ metrics } = await reloading(town, join(folder, 'supergraph.graphql')));
    },
    strike(scene) {
      const file = join(folder, 'supergraph.graphql');
      const good = readFileSync(SDL, 'utf8');
      const mend = (): void => {
        writeFileSync(`${file}.new`, good);
        renameSync(`${file}.new`, file);
      };
      const written = (what: string, text: string): Spoilt => ({ what, spoil: () => writeFileSync(file, text), mend });
      return spoiltAll('FX1', scene, metrics, [
        written('cut', good.slice(0, good.length / 2)),
        written('empty', ''),
        written('another schema', 'type Query { nothing: Int }'),
        written('a service that nobody can be asked', good.replaceAll(/url: "[^"]*"/g, 'url: "ftp://posts"')),
        { what: 'away', spoil: () => renameSync(file, `${file}.away`), mend: () => renameSync(`${file}.away`, file) },
      ]);
    },
    async tidy({ town }) {
      await replaced(town, 'gateway');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As a registry: it says by an ETag whether there is a newer one. */
function serverAway(): Fault {
  let good = '';
  let says: { status: number; text: string } | undefined;
  let close: () => Promise<unknown>;
  let metrics: string;
  return {
    id: 'FX1-url',
    says: 'the server of the supergraph hangs up, answers 500, or something else, and is there again with the one of before',
    unnoticed: true,
    async prepare({ town }) {
      good = readFileSync(SDL, 'utf8');
      says = { status: 200, text: good };
      const server = createServer((request, response) => {
        if (says === undefined) return void request.socket.destroy();
        const { status, text } = says;
        const etag = `"${text.length}"`;
        if (status === 200 && request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
        response.writeHead(status, { etag }).end(text);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
      ({ metrics } = await reloading(town, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
    },
    strike(scene) {
      const mend = (): void => void (says = { status: 200, text: good });
      return spoiltAll('FX1-url', scene, metrics, [
        { what: 'hangs up', spoil: () => void (says = undefined), mend },
        { what: '500', spoil: () => void (says = { status: 500, text: 'no' }), mend },
        { what: 'no supergraph', spoil: () => void (says = { status: 200, text: '<html>' }), mend },
      ]);
    },
    async tidy({ town }) {
      await replaced(town, 'gateway');
      await close();
    },
  };
}

/** What it lacks is told as its part that is missing; nobody is refused anything else, and people go on writing to it. */
function deployed(id: string, says: string, other: string): Fault {
  const preload = pathToFileURL(join(ROOT, 'dist/commands/faults/other-schema.js')).href;
  return {
    id,
    says,
    onlyTold: ['SUBGRAPH_UNAVAILABLE', 'SUBGRAPH_BAD_RESPONSE', 'OVERLOADED', 'IDEMPOTENCY_KEY_IN_USE'],
    async strike({ town, ms, listen }) {
      const me = await signedUp(town, `x_${Math.random().toString(36).slice(2, 10)}`);
      await replaced(town, 'posts', { NODE_OPTIONS: `--import ${preload}`, OTHER_SCHEMA: other });
      const heard = new Told();
      const holes = { asked: 0, told: 0 };
      listen((answer) => {
        heard.hear(answer);
        if (!answer.text.includes('"userByHandle"')) return;
        holes.asked += 1;
        if (answer.text.includes('"errors"')) holes.told += 1;
      });
      let written = 0;
      const publish = (): Promise<unknown> => asks(town, PUBLISH, { input: { body: `${id} ${written}` } }, me.token);
      try {
        // Until the gateway knows that posts is there again.
        for (const until = performance.now() + SEEN_MS; ; await sleep(50)) {
          const isThere = await publish().then(
            () => true,
            () => false,
          );
          if (isThere) break;
          if (performance.now() > until) throw new Error(`nobody could write in ${SEEN_MS / 1_000} s`);
        }
        for (const end = performance.now() + ms; performance.now() < end || written < 3; written += 1) {
          await publish();
          // What it does not lack is answered whole.
          await asks(town, '{ me { id handle posts(first: 1) { edges { node { id } } } } }', {}, me.token);
          await sleep(100);
        }
      } finally {
        listen(undefined);
        await replaced(town, 'posts');
      }
      process.stderr.write(
        `${id}: of ${holes.asked} pages that ask for the field ${holes.told} say that a part is missing; ${written} posts were written meanwhile\n`,
      );
      const found = heard.violations();
      if (holes.told === 0) found.push('nobody missed anything, so it did not come about');
      if (found.length > 0) throw new Error(found.join('\n'));
    },
    tidy: ({ listen }) => Promise.resolve(listen(undefined)),
  };
}

const PUBLISH = 'mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }';
