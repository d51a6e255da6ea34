import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openTown, SERVICES, type ProgramName, type Town } from './faults/town.js';
import { ROOT } from './root.js';
import { showProgress } from './seed/progress.js';

const USAGE = `npm run soak [-- --seconds n --operations n --reloads n --reconnects n]

Starts the gateway and the three services on a PostgreSQL and a Redis of their own and keeps them busy: operations that were never
asked before, changed supergraphs, Redis connections that are cut. Whatever is not asked for is done as often as the seconds allow.
Ends with 1 when a program keeps more and more memory or handles, when an operation was answered wrongly, or when a program ended.

  --seconds     120 where nothing is said
  --operations  ends no sooner than after so many; 0 where nothing is said
  --reloads     100 where nothing is said, evenly over the seconds
  --reconnects  1000 where nothing is said, evenly over the seconds
`;

const CLIENTS = 16;
const PROGRAMS: readonly ProgramName[] = ['gateway', ...SERVICES];
const SAMPLE_MS = 500;
/** Memory grows at first, until caches are full and the collector has found its pace. */
const WARM_UP = 0.4;
/** Flat: what the last fifth has more than the first fifth after the warm-up is less than this share and these bytes together. */
const GROWTH_MAX = 0.1;
const GROWTH_BYTES_MAX = 32 * 1024 * 1024;
const HANDLES_MAX = 16;

interface Asked {
  readonly seconds: number;
  readonly operations: number;
  readonly reloads: number;
  readonly reconnects: number;
}

interface Sample {
  readonly rss: number;
  readonly handles: number;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await soak(asked);
}

async function soak(size: Asked): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-soak-'));
  const supergraph = join(folder, 'supergraph.graphql');
  const sdl = readFileSync(join(ROOT, 'schema/supergraph.graphql'), 'utf8');
  writeFileSync(supergraph, sdl);
  const town = await openTown({
    gateway: {
      SUPERGRAPH: supergraph,
      SUPERGRAPH_POLL_MS: '100',
      // On a busy machine everything is slow, and nothing wrong.
      SUBGRAPH_TIMEOUT_MS: '20000',
      REQUEST_TIMEOUT_MS: '30000',
    },
  });
  const progress = showProgress(size.seconds, process.stderr, 's');
  const samples = new Map<ProgramName, Sample[]>(PROGRAMS.map((name) => [name, []]));
  const done = { operations: 0, wrong: 0, reloads: 0, reconnects: 0 };
  let example = '';
  try {
    const began = performance.now();
    const endAt = began + size.seconds * 1_000;
    const goesOn = (): boolean => performance.now() < endAt || done.operations < size.operations;
    const evenly = async (times: number, what: (nth: number) => void): Promise<void> => {
      for (let nth = 0; nth < times && goesOn(); nth += 1) {
        what(nth);
        await sleep(Math.max(0, began + ((nth + 1) * size.seconds * 1_000) / times - performance.now()));
      }
    };
    const client = async (): Promise<void> => {
      while (goesOn()) {
        const nth = (done.operations += 1);
        const wrong = await askedWrongly(town, nth);
        if (wrong === undefined) continue;
        done.wrong += 1;
        example ||= wrong;
      }
    };
    const watch = async (): Promise<void> => {
      for (let second = 0; goesOn();) {
        for (const name of PROGRAMS) samples.get(name)!.push(sampleOf(town.pidOf(name)));
        await sleep(SAMPLE_MS);
        const passed = Math.min(size.seconds, Math.floor((performance.now() - began) / 1_000));
        progress.add(passed - second, `${done.operations.toLocaleString('en')} operations`);
        second = passed;
      }
    };
    await Promise.all([
      watch(),
      evenly(size.reloads, (nth) => {
        writeFileSync(`${supergraph}.new`, `${sdl}\n# ${nth}\n`);
        renameSync(`${supergraph}.new`, supergraph);
        done.reloads += 1;
      }),
      evenly(size.reconnects, () => {
        town.proxies.redis.set({ down: true });
        town.proxies.redis.set({});
        done.reconnects += 1;
      }),
      ...Array.from({ length: CLIENTS }, client),
    ]);
  } finally {
    progress.stop();
    await town.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const count = (n: number): string => n.toLocaleString('en');
  console.log(
    `${count(done.operations)} distinct operations, ${count(done.reloads)} supergraphs, Redis cut off ${count(done.reconnects)} times, in ${size.seconds} s or more\n`,
  );
  const broken: string[] = [];
  console.log('| program   | memory after warm-up | at the end | handles after warm-up | at the end |');
  console.log('|-----------|---------------------:|-----------:|----------------------:|-----------:|');
  for (const name of PROGRAMS) {
    const all = samples.get(name)!;
    const warm = all.slice(Math.floor(all.length * WARM_UP));
    const fifth = Math.max(1, Math.floor(warm.length / 5));
    const [first, last] = [warm.slice(0, fifth), warm.slice(-fifth)].map((some) => ({
      rss: median(some.map(({ rss }) => rss)),
      handles: median(some.map(({ handles }) => handles)),
    })) as [Sample, Sample];
    console.log(
      `| ${name.padEnd(9)} | ${mb(first.rss).padStart(20)} | ${mb(last.rss).padStart(10)} | ${String(first.handles).padStart(21)} | ${String(last.handles).padStart(10)} |`,
    );
    if (last.rss > first.rss * (1 + GROWTH_MAX) + GROWTH_BYTES_MAX)
      broken.push(`${name} keeps more and more memory: ${mb(first.rss)} after the warm-up, ${mb(last.rss)} at the end`);
    if (last.handles > first.handles + HANDLES_MAX)
      broken.push(`${name} keeps more and more handles: ${first.handles}, then ${last.handles}`);
  }
  if (done.wrong > 0) broken.push(`${count(done.wrong)} operations were answered wrongly, the first: ${example}`);
  if (done.operations < size.operations) broken.push(`only ${count(done.operations)} operations were asked`);
  for (const line of broken) console.error(`✗ ${line}`);
  return broken.length > 0 ? 1 : 0;
}

/** An operation that was never asked before: its name, an alias and a variable are its number. What is wrong with the answer. */
async function askedWrongly(town: Town, nth: number): Promise<string | undefined> {
  const query = `query Soak${nth}($handle: String!) { a${nth}: userByHandle(handle: $handle) { id followerCount postCount } users(first: 2) { edges { node { handle b${nth}: displayName } } } }`;
  try {
    const response = await fetch(town.graphql, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: { handle: `nobody_${nth}` } }),
      signal: AbortSignal.timeout(30_000),
    });
    const told = await response.text();
    return told === `{"data":{"a${nth}":null,"users":{"edges":[]}}}`
      ? undefined
      : `${response.status} ${told.slice(0, 300)}`;
  } catch (error) {
    return String(error);
  }
}

/** As Linux tells it. */
function sampleOf(pid: number): Sample {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return { rss: pages * 4096, handles: readdirSync(`/proc/${pid}/fd`).length };
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}

function mb(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MB`;
}

function read(args: string[]): Asked | undefined {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({
      args,
      options: { seconds: text, operations: text, reloads: text, reconnects: text },
    });
    return {
      seconds: whole('--seconds', values.seconds ?? '120', 5, 86_400),
      operations: whole('--operations', values.operations ?? '0', 0, 1_000_000_000),
      reloads: whole('--reloads', values.reloads ?? '100', 0, 1_000_000),
      reconnects: whole('--reconnects', values.reconnects ?? '1000', 0, 1_000_000),
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new RangeError(`${name} takes a whole number from ${min} to ${max}; came ${text}`);
  return value;
}
