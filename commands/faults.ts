import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openDatabase } from '#libs/database';
import { createLogger } from '#libs/telemetry';
import { findPostgres } from '../test/servers/postgres.js';
import { findRedis } from '../test/servers/redis.js';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { usersTables } from '../subgraphs/users/users.tables.js';
import { check, INVARIANTS, underWay, type Databases, type Violations } from './faults/checker.js';
import { Crowd, type Op } from './faults/crowd.js';
import { ELSEWHERE, FAULTS, type Fault } from './faults/faults.js';
import { openTown, SERVICES, type Town } from './faults/town.js';
import { showProgress } from './seed/progress.js';

const USAGE = `npm run faults [-- id …] [--ms n]

Starts the gateway and the three services as programs of their own on a PostgreSQL and a Redis that it starts too, lets six people
publish, like, follow and read, and lets one thing after another fail. When each is healed and everything has settled, what was
told to clients is compared with what the databases have:

${Object.entries(INVARIANTS)
  .map(([id, says]) => `  ${id}  ${says}`)
  .join('\n')}

Ends with 1 when one of them is broken, or when not everything settles within a minute.

${FAULTS.map(({ id, says }) => `  ${id.padEnd(5)} ${says}`).join('\n')}

  --ms   how long each lasts; 2000 where nothing is said

Shown elsewhere, a part at a time:
${Object.entries(ELSEWHERE)
  .map(([ids, where]) => `  ${ids}: ${where}`)
  .join('\n')}
`;

const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };
const SETTLED_MS = 60_000;
/** What is good is looked at this long before and after. */
const CALM_MS = 700;

interface Line {
  readonly fault: Fault;
  readonly ops: readonly Op[];
  readonly violations: Violations | undefined;
  readonly longestMs: number;
  readonly recoverMs: number;
  readonly settledMs: number;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else if (findPostgres() === undefined || findRedis() === undefined) {
  process.stderr.write(
    'npm run faults starts a PostgreSQL and a Redis of its own; their programs are not on this machine.\n',
  );
  process.exitCode = 2;
} else {
  process.exitCode = await strikeAll(asked);
}

async function strikeAll({ faults, ms }: { faults: readonly Fault[]; ms: number }): Promise<number> {
  const progress = showProgress(faults.length, process.stderr, 'faults');
  const town = await openTown();
  const opened: Partial<Record<(typeof SERVICES)[number], Databases['users']>> = {};
  const lines: Line[] = [];
  const broken: string[] = [];
  // Whoever is told to end says what it has seen until then.
  process.once('SIGTERM', () => {
    console.log(table(lines));
    console.error('✗ it was told to end before it had tried everything');
    process.exit(1);
  });
  try {
    for (const service of SERVICES)
      opened[service] = await openDatabase({
        service,
        url: town.databaseUrls[service],
        dataDir: '',
        poolMax: 2,
        bulk: true,
        logger: createLogger('faults', 'error'),
        ...TABLES[service],
      });
    const databases = opened as Databases;
    const crowd = new Crowd(town.graphql);
    await crowd.gather();
    await settled(databases);
    for (const fault of faults) {
      progress.add(0, `${fault.id} ${fault.says}`);
      try {
        lines.push(await struck(fault, town, crowd, databases, ms));
      } catch (error) {
        broken.push(`${fault.id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        await crowd.stop();
      }
      progress.add(1, fault.id);
    }
  } finally {
    progress.stop();
    for (const database of Object.values(opened)) await database.close();
    await town.close();
  }
  console.log(table(lines));
  const wrong = lines.filter(({ violations }) => violations === undefined || sum(violations) > 0);
  for (const { fault, violations } of wrong)
    broken.push(
      violations === undefined
        ? `${fault.id}: not everything had settled ${SETTLED_MS / 1_000} s after it was healed`
        : `${fault.id}: ${Object.entries(violations)
            .filter(([, n]) => n > 0)
            .map(([id, n]) => `${id} (${INVARIANTS[id as keyof Violations]}) broken ${n} times`)
            .join(', ')}`,
    );
  for (const line of broken) console.error(`✗ ${line}`);
  return broken.length > 0 ? 1 : 0;
}

async function struck(fault: Fault, town: Town, crowd: Crowd, databases: Databases, ms: number): Promise<Line> {
  crowd.forget();
  crowd.start();
  await sleep(CALM_MS);
  const began = performance.now();
  await fault.strike(town, ms);
  const healed = performance.now();
  // Until each kind went well once more, and a while longer.
  const deadline = healed + SETTLED_MS;
  const again = (kind: Op['kind']): Op | undefined =>
    crowd.ops.find((op) => op.kind === kind && op.outcome === 'ok' && op.at > healed);
  while (!(again('publish') && again('read')) && performance.now() < deadline) await sleep(20);
  const recovered = Math.max(again('publish')?.at ?? deadline, again('read')?.at ?? deadline) - healed;
  await sleep(CALM_MS);
  await crowd.stop();
  const ops = [...crowd.ops];
  const stopped = performance.now();
  const isSettled = await settled(databases);
  return {
    fault,
    ops,
    violations: isSettled ? await check(databases, crowd) : undefined,
    longestMs: Math.max(longestGap(ops, 'publish', began - CALM_MS), longestGap(ops, 'read', began - CALM_MS)),
    recoverMs: recovered,
    settledMs: performance.now() - stopped,
  };
}

async function settled(databases: Databases): Promise<boolean> {
  const deadline = performance.now() + SETTLED_MS;
  for (let quiet = 0; quiet < 3;) {
    if (performance.now() > deadline) return false;
    quiet = (await underWay(databases)) === 0 ? quiet + 1 : 0;
    await sleep(150);
  }
  return true;
}

/** The longest time in which nothing of a kind went well. */
function longestGap(ops: readonly Op[], kind: Op['kind'], from: number): number {
  let last = from;
  let longest = 0;
  for (const op of ops) {
    if (op.kind !== kind || op.outcome !== 'ok') continue;
    longest = Math.max(longest, op.at - last);
    last = op.at;
  }
  return longest;
}

function table(lines: readonly Line[]): string {
  const rows = lines.map(({ fault, ops, violations, longestMs, recoverMs, settledMs }) => {
    const count = (outcome: Op['outcome']): string =>
      ops.filter((op) => op.outcome === outcome).length.toLocaleString('en');
    return [
      fault.id,
      fault.says,
      ops.length.toLocaleString('en'),
      `${count('ok')}/${count('fail')}/${count('info')}`,
      violations === undefined ? 'not settled' : String(sum(violations)),
      seconds(longestMs),
      seconds(recoverMs),
      seconds(settledMs),
    ];
  });
  const head = ['fault', 'what', 'ops', 'ok/fail/info', 'violations', 'longest without', 'good again', 'settled after'];
  const widths = head.map((_, nth) => Math.max(...[head, ...rows].map((row) => row[nth]!.length)));
  const print = (row: readonly string[]): string =>
    `| ${row.map((cell, nth) => cell.padEnd(widths[nth]!)).join(' | ')} |`;
  return [print(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(print)].join('\n');
}

function sum(violations: Violations): number {
  return Object.values(violations).reduce((all, n) => all + n, 0);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

function read(args: string[]): { faults: readonly Fault[]; ms: number } | undefined {
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { ms: { type: 'string', default: '2000' } },
    });
    const unknown = positionals.find((id) => !FAULTS.some((fault) => fault.id === id));
    if (unknown !== undefined)
      throw new RangeError(`a fault is one of ${FAULTS.map(({ id }) => id).join(', ')}; came ${unknown}`);
    const ms = Number(values.ms);
    if (!Number.isInteger(ms) || ms < 100 || ms > 600_000)
      throw new RangeError(`--ms takes a whole number from 100 to 600000; came ${values.ms}`);
    return { faults: FAULTS.filter(({ id }) => positionals.length === 0 || positionals.includes(id)), ms };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}
