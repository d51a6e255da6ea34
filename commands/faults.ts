import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openDatabase, type Database } from '#libs/database';
import { createLogger } from '#libs/telemetry';
import { findPostgres } from '../test/servers/postgres.js';
import { findRedis } from '../test/servers/redis.js';
import { canMount } from '../test/servers/small-disk.js';
import { NEEDS } from '../test/servers/table.js';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { usersTables } from '../subgraphs/users/users.tables.js';
import { check, INVARIANTS, underWay, type Databases, type Violations } from './faults/checker.js';
import { brokenBars, seconds } from './faults/bars.js';
import { Crowd, type Op } from './faults/crowd.js';
import { coverageTable, howManyOf } from './faults/coverage.js';
import type { Fault, Scene } from './faults/fault.js';
import { FAULTS } from './faults/faults.js';
import { openTown, SERVICES } from './faults/town.js';
import { showProgress } from './seed/progress.js';

/** Good again: each kind of thing went well once. */
const GOOD_MS = 30_000;
/** Long enough for what a killed reader of a stream had in hand to be given to another. */
const SETTLED_MS = 60_000;
/** Nothing takes longer to be done and undone: no fault waits without end. */
const STRIKE_MS = 180_000;

const USAGE = `npm run faults [-- id …] [--ms n] [--covered]

Starts the gateway and the three services as programs of their own on a PostgreSQL and a Redis that it starts too, lets six people
publish, like, follow and read, and lets one thing after another fail. When each is healed and everything has settled, what was
told to clients is compared with what the databases have:

${Object.entries(INVARIANTS)
  .map(([id, says]) => `  ${id}  ${says}`)
  .join('\n')}

Ends with 1 when one of them is broken, when a program ended by itself, when not everything is good again ${GOOD_MS / 1_000} s after it was
healed, when not everything settles within ${SETTLED_MS / 1_000} s, when somebody is told INTERNAL_SERVER_ERROR, and when people see of a fault
what they may not: that there is one at all where nobody may notice (every one of Redis is such), or that it takes longer than it may.

${FAULTS.map(({ id, says }) => `  ${id.padEnd(14)} ${says}`).join('\n')}

  --ms       how long each lasts; 2000 where nothing is said
  --covered  prints the whole table of faults, and where each is shown
`;

const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };
/** Shorter than a fault lasts, so that whoever is stopped loses it. */
const SHORT_LEASE = { RELAY_LEASE_MS: '500' };
/** Several times what the databases take when everything is tried for some seconds each. */
const DISK_MIB = 256;
/** What is good is looked at this long before and after. */
const CALM_MS = 700;

interface Asked {
  readonly faults: readonly Fault[];
  readonly ms: number;
  readonly covered: boolean;
}

interface Line {
  readonly fault: Fault;
  readonly ops: readonly Op[];
  readonly broken: readonly string[];
  readonly longestMs: number;
  readonly recoverMs: number;
  readonly settledMs: number;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else if (asked.covered) {
  console.log(coverageTable());
} else if (findPostgres() === undefined || findRedis() === undefined) {
  process.stderr.write(
    'npm run faults starts a PostgreSQL and a Redis of its own; their programs are not on this machine.\n',
  );
  process.exitCode = 2;
} else {
  // What was cut off, stopped and half open here may not keep this process when all is said.
  process.exit(await strikeAll(asked));
}

async function strikeAll({ faults: all, ms, covered }: Asked): Promise<number> {
  const faults = all.filter(({ lacks }) => lacks?.() === undefined);
  const leftOut = all
    .filter((fault) => !faults.includes(fault))
    .map(({ id, lacks }) => `${id} did not run: it takes ${lacks?.()}`);
  if (faults.length === 0) {
    for (const line of leftOut) console.error(line);
    return 2;
  }
  const fillsDisk = faults.some((fault) => fault.fillsDisk);
  if (fillsDisk && !canMount()) {
    const left = all.filter((fault) => !fault.fillsDisk);
    const ids = faults.filter((fault) => fault.fillsDisk).map(({ id }) => id);
    process.stderr.write(`${ids.join(', ')} is left out: ${NEEDS.mount.get}\n`);
    return left.length === 0 ? 2 : strikeAll({ faults: left, ms, covered });
  }
  const progress = showProgress(faults.length, process.stderr, 'faults');
  const lines: Line[] = [];
  // Whoever is told to end says what it has seen until then.
  process.once('SIGTERM', () => {
    console.log(table(lines));
    console.error('✗ it was told to end before it had tried everything');
    process.exit(1);
  });
  const town = await openTown(() => ({ posts: SHORT_LEASE, followers: SHORT_LEASE }), {
    diskMib: fillsDisk ? DISK_MIB : undefined,
  });
  const opened: Record<string, Database> = {};
  let ended = '';
  try {
    const open = async (service: keyof Databases): Promise<void> => {
      const tables = service === 'admin' ? { entities: [], migrations: [] } : TABLES[service];
      const url = town.databaseUrls[service];
      const logger = createLogger('faults', 'fatal');
      opened[service] = await openDatabase({ service, url, dataDir: '', poolMax: 2, bulk: true, logger, ...tables });
    };
    await Promise.all([...SERVICES, 'admin' as const].map(open));
    const crowd = new Crowd(town.graphql);
    const acknowledged = (): string[] =>
      crowd.ops.flatMap(({ kind, outcome, body }) => (kind === 'publish' && outcome === 'ok' && body ? [body] : []));
    const listen: Scene['listen'] = (hear) => void (crowd.heard = hear);
    const scene: Scene = { town, databases: opened as unknown as Databases, ms, acknowledged, listen };
    await crowd.gather();
    await settled(scene.databases);
    for (const fault of faults) {
      progress.add(0, `${fault.id} ${fault.says}`);
      lines.push(await struck(fault, scene, crowd));
      progress.add(1, fault.id);
    }
  } catch (error) {
    // What is left could only fail as well.
    ended = error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    progress.stop();
    await Promise.allSettled(Object.values(opened).map((database) => within(10_000, database.close())));
    await town.close();
  }
  console.log(table(lines));
  for (const line of leftOut) console.error(line);
  for (const { fault, broken } of lines) for (const line of broken) console.error(`✗ ${fault.id}: ${line}`);
  if (ended !== '') console.error(`✗ it ended before it had tried everything: ${ended}`);
  return ended !== '' || lines.some(({ broken }) => broken.length > 0) ? 1 : 0;
}

async function struck(fault: Fault, scene: Scene, crowd: Crowd): Promise<Line> {
  const { town, databases } = scene;
  const broken: string[] = [];
  crowd.forget();
  if (fault.prepare !== undefined) await within(STRIKE_MS, fault.prepare(scene));
  const from = performance.now();
  crowd.start();
  await sleep(CALM_MS);
  const began = performance.now();
  try {
    await within(STRIKE_MS, fault.strike(scene));
  } catch (error) {
    broken.push(`it could not be done or undone: ${error instanceof Error ? error.message : String(error)}`);
  }
  const healed = performance.now();
  // Until each kind went well once more, and a while longer.
  const deadline = healed + GOOD_MS;
  const again = (kind: Op['kind']): Op | undefined =>
    crowd.ops.find((op) => op.kind === kind && op.outcome === 'ok' && op.at > healed);
  while (!(again('publish') && again('read')) && performance.now() < deadline) await sleep(20);
  const recovered = Math.max(again('publish')?.at ?? deadline, again('read')?.at ?? deadline);
  if (recovered === deadline) broken.push(`nothing went well in ${GOOD_MS / 1_000} s after it was healed`);
  await sleep(CALM_MS);
  await crowd.stop();
  const stopped = performance.now();
  const ops = [...crowd.ops];
  const longestMs = Math.max(longestGap(ops, 'publish', from, stopped), longestGap(ops, 'read', from, stopped));
  const recoverMs = recovered - healed;
  const calmMs = typical(ops.filter(({ at }) => at <= began));
  const typicalMs = typical(ops.filter(({ at }) => at > began && at <= healed));
  broken.push(...brokenBars(fault, { ops, ms: scene.ms, calmMs, typicalMs, longestMs, recoverMs }));
  for (const name of await town.revive())
    broken.push(`${name} ended by itself. It logged:\n${town.logOf(name).slice(-2_000)}`);
  if (!(await settled(databases)))
    broken.push(`not everything had settled ${SETTLED_MS / 1_000} s after the last was asked`);
  broken.push(...brokenOf(await within(60_000, check(databases, crowd))));
  const settledMs = performance.now() - stopped;
  if (fault.tidy !== undefined) await within(STRIKE_MS, fault.tidy(scene));
  return { fault, ops, broken, longestMs, recoverMs, settledMs };
}

function brokenOf(violations: Violations): string[] {
  return Object.entries(violations)
    .filter(([, n]) => n > 0)
    .map(([id, n]) => `${id} (${INVARIANTS[id as keyof Violations]}) broken ${n} times`);
}

async function settled(databases: Databases): Promise<boolean> {
  const deadline = performance.now() + SETTLED_MS;
  for (let quiet = 0; quiet < 3;) {
    if (performance.now() > deadline) return false;
    // Our own connections may just have been cut, too.
    const left = await within(10_000, underWay(databases)).catch(() => 1);
    quiet = left === 0 ? quiet + 1 : 0;
    await sleep(150);
  }
  return true;
}

async function within<T>(ms: number, what: Promise<T>): Promise<T> {
  const clock = new AbortController();
  const late = sleep(ms, undefined, { signal: clock.signal }).then(() => {
    throw new Error(`it took longer than ${ms / 1_000} s`);
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clock.abort();
    late.catch(() => {});
  }
}

function typical(ops: readonly Op[]): number {
  const took = ops.map(({ requestMs }) => requestMs).sort((one, other) => one - other);
  return took[Math.floor(took.length / 2)] ?? 0;
}

/** The longest time in which nothing of a kind went well. */
function longestGap(ops: readonly Op[], kind: Op['kind'], from: number, to: number): number {
  let last = from;
  let longest = 0;
  for (const op of ops) {
    if (op.kind !== kind || op.outcome !== 'ok') continue;
    longest = Math.max(longest, op.at - last);
    last = op.at;
  }
  return Math.max(longest, to - last);
}

function table(lines: readonly Line[]): string {
  const rows = lines.map(({ fault, ops, broken, longestMs, recoverMs, settledMs }) => {
    const count = (outcome: Op['outcome']): string =>
      ops.filter((op) => op.outcome === outcome).length.toLocaleString('en');
    return [
      fault.id,
      fault.says,
      ops.length.toLocaleString('en'),
      `${count('ok')}/${count('fail')}/${count('info')}`,
      String(broken.length),
      seconds(longestMs),
      seconds(recoverMs),
      seconds(settledMs),
    ];
  });
  const head = ['fault', 'what', 'ops', 'ok/fail/info', 'violations', 'longest without', 'good again', 'settled after'];
  const widths = head.map((_, nth) => Math.max(...[head, ...rows].map((row) => row[nth]!.length)));
  const print = (row: readonly string[]): string =>
    `| ${row.map((cell, nth) => cell.padEnd(widths[nth]!)).join(' | ')} |`;
  const all = [print(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(print)];
  return [...all, howManyOf(lines.map(({ fault }) => fault.id))].join('\n');
}

function read(args: string[]): Asked | undefined {
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { ms: { type: 'string', default: '2000' }, covered: { type: 'boolean', default: false } },
    });
    const unknown = positionals.find((id) => !FAULTS.some((fault) => fault.id === id));
    if (unknown !== undefined)
      throw new RangeError(`a fault is one of ${FAULTS.map(({ id }) => id).join(', ')}; came ${unknown}`);
    const ms = Number(values.ms);
    if (!Number.isInteger(ms) || ms < 100 || ms > 600_000)
      throw new RangeError(`--ms takes a whole number from 100 to 600000; came ${values.ms}`);
    return {
      faults: FAULTS.filter(({ id, control }) => (positionals.length === 0 ? !control : positionals.includes(id))),
      ms,
      covered: values.covered,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}
