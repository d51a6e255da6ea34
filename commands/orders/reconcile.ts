import { parseArgs } from 'node:util';
import type { Database } from '#libs/database';
import { outboxGauges } from '#libs/outbox';
import { reconcile, rowsOf, type Counted, type Drift } from '#libs/read-model';
import { eraseLeftBehind } from '#libs/saga';
import { readGauges, type Gauge } from '#libs/telemetry';
import { figure } from '../figure.js';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { followersGauges } from '../../subgraphs/followers/gauges.js';
import { followsLeftBehind } from '../../subgraphs/followers/on/dissolve-follows.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { postsGauges } from '../../subgraphs/posts/gauges.js';
import { postsLeftBehind } from '../../subgraphs/posts/on/erase-posts.js';
import { usersGauges } from '../../subgraphs/users/gauges.js';
import { usersLeftBehind } from '../../subgraphs/users/on/erase-account.js';
import { SERVICES, type Service } from '../databases.js';
import { halfDoneDeletions } from '../half-done.js';
import type { Order, Screen, Work } from './order.js';

const USAGE = `npm run reconcile [-- --mend]

Compares every count that is kept beside its rows (likes, replies, posts, followers, following) with COUNT(*), looks for deletions of
accounts that are half done and for what older versions left of those that are gone (likes, follows, pairs, lists, notifications), and shows what tells whether
events flow and read models follow. Ends with 1 when a count is wrong or something was left, which --mend corrects and erases, or when a
deletion is half done. Stopped while it mends, it does what is left when it is called again.

On the databases that npm start would use, also while it runs: USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL, or
DATABASE_URL; or embedded under DATA_DIR, where npm start does it itself if it runs.
`;

const COUNTED: Readonly<Record<Service, readonly Counted[]>> = {
  users: [],
  posts: postsCounted,
  followers: followersCounted,
};
const GAUGES: Readonly<Record<Service, (database: Database) => Gauge[]>> = {
  users: (database) => [...outboxGauges(database), ...usersGauges(database)],
  posts: (database) => [...outboxGauges(database), ...postsGauges(database)],
  followers: (database) => [...outboxGauges(database), ...followersGauges(database)],
};
/** Wrong counts that are shown one by one. */
const SHOWN_MAX = 20;

export const reconcileOrder: Order = {
  name: 'reconcile',
  usage: USAGE,
  read(args) {
    const { mend } = parseArgs({ args, options: { mend: { type: 'boolean', default: false } } }).values;
    return { services: SERVICES, run: (work) => reconcileAll(mend, work) };
  },
};

async function reconcileAll(mending: boolean, { databases, screen, rest, sliceMs }: Work): Promise<number> {
  const jobs = SERVICES.flatMap((service) =>
    COUNTED[service].map((counted) => ({ service, database: databases[service] as Database, counted })),
  );
  const totals = await Promise.all(jobs.map(({ database, counted }) => rowsOf(database, counted)));
  const progress = screen.progress(
    Math.max(
      1,
      totals.reduce((sum, rows) => sum + rows, 0),
    ),
  );
  const lines: string[][] = [];
  const wrong: (Drift & { service: string })[] = [];
  try {
    for (const [nth, { service, database, counted }] of jobs.entries()) {
      const onStep = (rows: number): Promise<void> => {
        progress.add(rows, `${service}: ${counted.table}`);
        return rest();
      };
      const drift = await reconcile(database, counted, { mend: mending, onStep, stepMs: sliceMs });
      wrong.push(...drift.map((one) => ({ service, ...one })));
      for (const count of Object.keys(counted.counts)) {
        const differ = drift.filter((one) => one.count === count);
        lines.push([`${service} ${count}`, figure(totals[nth] ?? 0), figure(differ.length), figure(sumOf(differ))]);
      }
    }
  } finally {
    progress.stop();
  }
  print(screen, ['count', 'rows', 'wrong', 'drift'], lines);
  for (const { service, count, key, says, counted } of wrong.slice(0, SHOWN_MAX))
    screen.say(`  ${service} ${count} of ${key}: says ${says}, counted ${counted}${mending ? '; mended' : ''}`);
  const left = await leftBehind(databases as Readonly<Record<Service, Database>>, mending, screen);
  const halfDone = await halfDoneDeletions(databases as Readonly<Record<Service, Database>>);
  for (const { deletion, what } of halfDone.slice(0, SHOWN_MAX)) screen.say(`  deletion ${deletion}: ${what}`);
  const gauges: Gauge[] = SERVICES.flatMap((service) => GAUGES[service](databases[service] as Database));
  const drifting: Gauge = {
    name: 'tributary_count_drift',
    help: 'Counts that are not the number of their rows. Must be 0.',
    read: async () => wrong.length,
  };
  const halves: Gauge = {
    name: 'tributary_half_done_sagas',
    help: 'Deletions that are stuck, or ended otherwise in posts or followers than in users. Must be 0.',
    read: async () => halfDone.length,
  };
  const readings = await readGauges([...gauges, drifting, halves]);
  screen.say('');
  print(
    screen,
    ['gauge', 'of', 'value', 'what it tells'],
    readings.map(({ gauge, value }) => [
      gauge.name,
      Object.values(gauge.labels ?? {}).join(' '),
      Number.isInteger(value) ? String(value) : value.toFixed(1),
      gauge.help,
    ]),
  );
  const isWrong = wrong.length > 0 && !mending;
  if (isWrong) screen.warn(`\n${figure(wrong.length)} counts are wrong; npm run reconcile -- --mend corrects them.`);
  if (left > 0 && !mending)
    screen.warn(`\n${figure(left)} accounts that are gone have left something; npm run reconcile -- --mend erases it.`);
  if (halfDone.length > 0) {
    screen.warn(
      `\n${figure(halfDone.length)} deletions are half done. What is stuck goes on when its service runs and its step can be done: deletion_parts says what fails.`,
    );
  }
  return isWrong || (left > 0 && !mending) || halfDone.length > 0 ? 1 : 0;
}

/** In how many accounts that are gone there was something left, those of each service together. */
async function leftBehind(
  { users, posts, followers }: Readonly<Record<Service, Database>>,
  mending: boolean,
  screen: Screen,
): Promise<number> {
  const accounts = {
    users: await eraseLeftBehind(users, usersLeftBehind, { mend: mending }),
    posts: await eraseLeftBehind(posts, postsLeftBehind, { mend: mending }),
    followers: await eraseLeftBehind(followers, followsLeftBehind, { mend: mending }),
  };
  for (const [service, count] of Object.entries(accounts))
    if (count > 0)
      screen.say(
        `  ${service}: ${figure(count)} accounts that are gone had left something${mending ? '; erased' : ''}`,
      );
  return accounts.users + accounts.posts + accounts.followers;
}

function sumOf(drift: readonly Drift[]): number {
  return drift.reduce((sum, { says, counted }) => sum + Math.abs(says - counted), 0);
}

function print(screen: Screen, head: string[], rows: readonly string[][]): void {
  const widths = head.map((_, nth) => Math.max(...[head, ...rows].map((row) => row[nth]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, nth) => cell.padEnd(widths[nth] ?? 0))
      .join('  ')
      .trimEnd();
  for (const row of [head, ...rows]) screen.say(line(row));
}
