import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { tell, type RedisServer } from '../test/servers/redis.js';
import { flat, mb, type Sample } from './faults/flat.js';
import { askedWrongly, isTooOften, signedUp, type Person } from './faults/never-asked.js';
import { openTown, SERVICES, type ProgramName, type Town } from './faults/town.js';
import { machine } from './machine.js';
import { ROOT } from './root.js';
import { showProgress } from './seed/progress.js';

/** Until then caches fill up and the collector finds its pace: so many operations before time is taken, and this share of the time. */
const FILL = 800;
const WARM_UP = 0.4;

const SMALL = { seconds: 120, operations: 0, rate: 0, light: 0, reloads: 100, reconnects: 1_000 };
const LARGE = { ...SMALL, seconds: 1_800, operations: 1_000_000, light: 31 };

const USAGE = `npm run soak [-- --seconds n --operations n --rate n --light n --reloads n --reconnects n --large --preload file --save]

Starts the gateway and the three services on a PostgreSQL and a Redis of their own, with the entity cache on, and keeps them busy:
operations that were never asked before, every fourth of them no valid one, every eighth a mutation by somebody who is logged in;
changed supergraphs, Redis connections that are cut. Goes on for so many seconds, and until all that was asked for is done. Ends with 1 when
a program keeps more and more memory or handles, when an operation was answered wrongly, when a supergraph was not served or nobody
connected again, or when a program ended.

What a program keeps is looked at after its garbage was collected, and once its caches are full: for that they are made small
(DOCUMENT_CACHE_BYTES, PLAN_CACHE_BYTES, ENTITY_CACHE_ANSWERS_BYTES; DATABASE_POOL_MAX of the services), and the first ${FILL} operations and
${WARM_UP * 100} % of the time are not looked at.

  --seconds     120 where nothing is said
  --operations  ends no sooner than after so many; 0 where nothing is said
  --rate        no more than so many a second; 0, as many as it can, where nothing is said. Beside others that need the processors:
                the gateway sheds nothing for it, and half of what services are asked may have to be asked again, alone 1 %
  --light       after each of these so many that are as new to the gateway's caches, but that it answers by itself; 0 where nothing
                is said. With them a million is done in half an hour on two cores
  --reloads     100 where nothing is said, evenly over the seconds
  --reconnects  1000 where nothing is said, evenly over the seconds
  --large       ${LARGE.seconds} s, ${LARGE.operations.toLocaleString('en')} operations, ${LARGE.light} of ${LARGE.light + 1} of them light, ${LARGE.reloads} reloads, ${LARGE.reconnects.toLocaleString('en')} reconnects: before a release, by hand
  --preload     a module that the gateway loads first: with one that leaks it shows that leaks are found
  --save        writes what it printed to docs/measured/soak.md
`;

/** With the connections of a pool fewer than the handles that may come: these are no leak, whenever they are opened. */
const CLIENTS = 8;
const SMALL_POOL = { DATABASE_POOL_MAX: '4' };
const PROGRAMS: readonly ProgramName[] = ['gateway', ...SERVICES];
/** So often each would be looked at if it were from the beginning. */
const SAMPLES = 20;
/** So often it looks whether it is time. */
const PACE_MS = 20;
/** Three for each third that is compared: it goes on until then, where each takes long. */
const SAMPLES_MIN = 9;
/** A program that says nothing for so long has ended. */
const SAYS_MS = 30_000;
/** So small that they are full after a few hundred operations. */
const MB = 1024 * 1024;
const SMALL_DOCUMENTS = { DOCUMENT_CACHE_BYTES: String(MB) };
const SMALL_CACHES = {
  ...SMALL_DOCUMENTS,
  PLAN_CACHE_BYTES: String(2 * MB),
  ENTITY_CACHE_ANSWERS_BYTES: String(MB),
};

interface Asked {
  readonly seconds: number;
  readonly operations: number;
  readonly rate: number;
  readonly light: number;
  readonly reloads: number;
  readonly reconnects: number;
  readonly preload: string | undefined;
  readonly save: boolean;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  // What was cut off again and again may not keep this process when all is said.
  process.exit(await soak(asked));
}

async function soak(size: Asked): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-soak-'));
  const supergraph = join(folder, 'supergraph.graphql');
  const sdl = readFileSync(join(ROOT, 'schema/supergraph.graphql'), 'utf8');
  writeFileSync(supergraph, sdl);
  const preload = [pathToFileURL(join(ROOT, 'dist/commands/faults/tells-memory.js')).href];
  const options = (more: readonly string[] = []): string =>
    [...preload, ...more].map((url) => `--import=${url}`).join(' ');
  // So that what it has started ends too.
  process.once('SIGTERM', () => process.exit(143));
  const town = await openTown(({ redisUrl }) => ({
    ...Object.fromEntries(
      SERVICES.map((name) => [
        name,
        { NODE_OPTIONS: options(), ENTITY_CACHE: 'on', ...SMALL_DOCUMENTS, ...SMALL_POOL },
      ]),
    ),
    gateway: {
      NODE_OPTIONS: options(size.preload === undefined ? [] : [pathToFileURL(size.preload).href]),
      ...SMALL_CACHES,
      ENTITY_CACHE: 'on',
      REDIS_URL: redisUrl,
      SUPERGRAPH: supergraph,
      SUPERGRAPH_POLL_MS: '100',
      // On a busy machine everything is slow, and nothing wrong.
      SUBGRAPH_TIMEOUT_MS: '20000',
      REQUEST_TIMEOUT_MS: '30000',
      // Beside others it would refuse what it is asked while these have the processors.
      ...(size.rate > 0 ? { OVERLOAD_MS: '0' } : {}),
    },
  }));
  const progress = showProgress(size.seconds, process.stderr, 's');
  const samples = new Map<ProgramName, Sample[]>(PROGRAMS.map((name) => [name, []]));
  const done = { operations: 0, wrong: 0, again: 0, reloads: 0, reconnects: 0, looks: 0 };
  // What the programs made of it.
  const seen = { served: 0, connected: 0 };
  let example = '';
  let ended = '';
  let tookMs = 0;
  try {
    const people: Person[] = [];
    for (let nth = 0; nth < CLIENTS; nth += 1) people.push(await signedUp(town, `soak_${nth}`));
    const first = performance.now();
    let began = Number.NaN;
    /**
     * How much is over, 1 is all: of the time, or of the operations where these are behind. Reloads, cuts and looks keep to it, so that on a
     * busy machine all of it takes longer, and the last third is like the first.
     */
    const passed = (): number => {
      const time = (performance.now() - began) / 1_000 / size.seconds;
      return Math.min(time, size.operations > 0 ? done.operations / size.operations : time);
    };
    const goesOn = (): boolean =>
      !(
        passed() >= 1 &&
        done.reloads >= size.reloads &&
        done.reconnects >= size.reconnects &&
        done.looks >= SAMPLES_MIN
      );
    const evenly = async (times: number, what: (nth: number) => unknown): Promise<void> => {
      for (let nth = 0; nth < times; nth += 1) {
        while (passed() < nth / times) await sleep(PACE_MS);
        await what(nth);
      }
    };
    const watch = async (): Promise<void> => {
      for (let second = 0; goesOn();) {
        const now = passed();
        if (now >= WARM_UP) {
          for (const name of PROGRAMS) samples.get(name)!.push(await sampleOf(town, name));
          done.looks += 1;
        }
        const until = Math.floor(Math.min(1, now) * size.seconds);
        progress.add(until - second, `${done.operations.toLocaleString('en')} operations`);
        second = until;
        while (goesOn() && passed() < now + 1 / SAMPLES) await sleep(PACE_MS);
      }
    };
    const client = async (me: Person): Promise<void> => {
      while (goesOn()) {
        const nth = (done.operations += 1);
        if (size.rate > 0) await sleep(Math.max(0, first + (nth * 1_000) / size.rate - performance.now()));
        const wrong = await askedWrongly(town, me, nth, size.light, () => (done.again += 1));
        if (wrong === undefined) continue;
        done.wrong += 1;
        example ||= [wrong, ...loggedOf(town, wrong)].join('\n');
      }
    };
    const clients = people.map(client);
    while (done.operations < FILL) await sleep(20);
    const connectedBefore = await connectionsOf(town.redis);
    began = performance.now();
    await Promise.all([
      watch(),
      evenly(size.reloads, async (nth) => {
        writeFileSync(`${supergraph}.new`, `${sdl}\n# ${nth}\n`);
        renameSync(`${supergraph}.new`, supergraph);
        done.reloads += 1;
        for (const until = performance.now() + SAYS_MS; seen.served < done.reloads && performance.now() < until;) {
          await sleep(100);
          seen.served = town.logOf('gateway').split('Switched to a new supergraph').length - 1;
        }
        if (seen.served < done.reloads)
          throw new Error(`a changed supergraph was not served within ${SAYS_MS / 1_000} s`);
      }),
      evenly(size.reconnects, () => {
        town.proxies.redis.set({ down: true });
        town.proxies.redis.set({});
        done.reconnects += 1;
      }),
      ...clients,
    ]);
    tookMs = performance.now() - began;
    seen.connected = (await connectionsOf(town.redis)) - connectedBefore;
  } catch (error) {
    ended = error instanceof Error ? error.message : String(error);
  } finally {
    progress.stop();
    await town.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const count = (n: number): string => n.toLocaleString('en');
  const broken: string[] = ended === '' ? [] : [ended];
  const lines = [
    `${count(done.operations)} distinct operations${size.light > 0 ? `, ${size.light} of ${size.light + 1} light` : ''}, ${count(done.wrong)} of them answered wrongly, ${count(done.again)} asked again because a service was busy, in ${Math.round(tookMs / 1_000)} s; ${count(seen.served)} of ${count(done.reloads)} supergraphs served; Redis cut off ${count(done.reconnects)} times and connected to ${count(seen.connected)} times`,
    '',
    '| program   | live after warm-up | at the end | beside V8’s heap | at the end |      rss | at the end | handles | at the end |',
    '|-----------|-------------------:|-----------:|-----------------:|-----------:|---------:|-----------:|--------:|-----------:|',
  ];
  for (const name of PROGRAMS) {
    const { first, last, grows } = flat(samples.get(name)!);
    const cells = (['live', 'native', 'rss'] as const).flatMap((what) => [mb(first[what]), mb(last[what])]);
    cells.push(String(first.handles), String(last.handles));
    const widths = [18, 10, 16, 10, 8, 10, 7, 10];
    lines.push(`| ${name.padEnd(9)} | ${cells.map((cell, nth) => cell.padStart(widths[nth]!)).join(' | ')} |`);
    broken.push(...grows.map((what) => `${name} keeps ${what}`));
  }
  console.log(lines.join('\n'));
  if (size.save) keep(lines);
  if (done.wrong > 0) broken.push(`${count(done.wrong)} operations were answered wrongly, the first: ${example}`);
  if (isTooOften(done.again, { ...size, operations: done.operations }))
    broken.push(`${count(done.again)} times a service could not answer, of ${count(done.operations)} operations`);
  if (ended === '' && seen.connected < done.reconnects)
    broken.push(
      `Redis was connected to ${count(seen.connected)} times only, and cut off ${count(done.reconnects)} times`,
    );
  for (const line of broken) console.error(`✗ ${line}`);
  return broken.length > 0 ? 1 : 0;
}

function keep(lines: readonly string[]): void {
  const folder = join(ROOT, 'docs/measured');
  mkdirSync(folder, { recursive: true });
  const command = ['npm run soak', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
  const note = `${command} · ${new Date().toISOString().slice(0, 10)} · ${machine()}`;
  writeFileSync(join(folder, 'soak.md'), `# soak\n\n\`${note}\`\n\n${lines.join('\n')}\n`);
}

/** Connections that this Redis ever had. */
async function connectionsOf({ port }: RedisServer): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await tell(port, 'INFO stats'))?.[1]);
}

/** What it says when it is asked, and of its handles what Linux says. */
async function sampleOf(town: Town, name: ProgramName): Promise<Sample> {
  const told = (): RegExpMatchArray[] => [...town.logOf(name).matchAll(/^live (\d+) native (\d+) rss (\d+)$/gm)];
  const before = told().length;
  town.signal(name, 'SIGUSR2');
  const deadline = performance.now() + SAYS_MS;
  while (told().length === before) {
    if (performance.now() > deadline) throw new Error(`${name} has ended, or hangs: ${town.logOf(name).slice(-1_000)}`);
    await sleep(10);
  }
  const [, live, native, rss] = told().at(-1)!.map(Number) as [number, number, number, number];
  return { live, native, rss, handles: readdirSync(`/proc/${town.pidOf(name)}/fd`).length };
}

/** What the programs wrote down of an answer. */
function loggedOf(town: Town, answer: string): string[] {
  const id = /"requestId":"([^"]+)"/.exec(answer)?.[1];
  const lines = PROGRAMS.flatMap((name) => town.logOf(name).split('\n'));
  return lines.filter((line) => id !== undefined && line.includes(id));
}

function read(args: string[]): Asked | undefined {
  try {
    const text = { type: 'string' } as const;
    const large = { type: 'boolean', default: false } as const;
    const save = { type: 'boolean', default: false } as const;
    const counts = { seconds: text, operations: text, rate: text, light: text, reloads: text, reconnects: text };
    const { values } = parseArgs({ args, options: { ...counts, preload: text, large, save } });
    const size = values.large ? LARGE : SMALL;
    const number = (name: keyof typeof SMALL, min: number, max: number): number =>
      whole(`--${name}`, values[name] ?? String(size[name]), min, max);
    return {
      seconds: number('seconds', 5, 86_400),
      operations: number('operations', 0, 1_000_000_000),
      rate: number('rate', 0, 1_000_000),
      light: number('light', 0, 1_000),
      reloads: number('reloads', 0, 1_000_000),
      reconnects: number('reconnects', 0, 1_000_000),
      preload: values.preload,
      save: values.save,
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
