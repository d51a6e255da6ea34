import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { CrashPoint } from '#libs/crash-point';
import { withRedis } from '../../test/servers/with-redis.js';
import { ROOT } from '../root.js';
import type { Fault, Scene } from './fault.js';
import { BACK, deletes, GONE, leaver, leftOf, type Leaver } from './leaver.js';
import { keyOf } from './stream.js';
import { replaced, type ProgramName, type Town } from './town.js';

/** FP: whole programs, killed where an event or a deletion is halfway. */
export const KILL_POINTS: readonly Fault[] = [
  killedWithEvents(
    'FP5',
    'kill -9 of posts between a COMMIT and its relay, which nobody has woken, and started again',
    'write:recorded>commit:after',
    'untold',
  ),
  killedWithEvents(
    'FP6',
    'kill -9 of posts with events in the hands of its relay, before it tells them, and started again',
    'relay:read',
    'untold',
  ),
  killedWithEvents(
    'FP7',
    'kill -9 of posts with events that its relay has told and not marked, and started again',
    'relay:published',
    'told',
  ),
  deleted(),
  undone(),
];

/** What a program that was killed had leased is its successor's soon. */
const SOON = { RELAY_LEASE_MS: '500' };

/** A point, or one behind another. */
type Place = CrashPoint | `${CrashPoint}>${CrashPoint}`;

/** Besides others that a program is started with. */
function killsAt(place: Place, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const preload = pathToFileURL(join(ROOT, 'dist/commands/faults/kills-at.js')).href;
  return { ...SOON, NODE_OPTIONS: `--import ${preload}`, KILLS_AT: place, ...more };
}

/** On a busy machine. */
const ENDS_MS = 30_000;

async function killed(town: Town, name: ProgramName, place: Place): Promise<void> {
  const clock = new AbortController();
  const late = sleep(ENDS_MS, 'nothing', { signal: clock.signal });
  late.catch(() => {});
  const how = await Promise.race([town.ended(name), late]);
  clock.abort();
  if (how !== 'SIGKILL') throw new Error(`${name} ended by ${how}, and not at ${place}`);
}

/** Another transaction may end between the two of a place, or Redis may have refused what was told: then it is done again. */
const TRIES_MAX = 5;

/** Of what waited when it died some is on the stream already, or nothing is. */
function killedWithEvents(id: string, says: string, place: Place, came: 'told' | 'untold'): Fault {
  return {
    id,
    says,
    async prepare({ town }) {
      await replaced(town, 'posts', killsAt(place));
    },
    strike: ({ town, databases }) =>
      watched(town, async (entries) => {
        let waiting: string[] = [];
        let before: string[] = [];
        const told = (): string[] => waiting.filter((event) => before.includes(event));
        const isIt = (): boolean => waiting.length > 0 && told().length > 0 === (came === 'told');
        for (let tries = 1; tries <= TRIES_MAX && !isIt(); tries += 1) {
          if (tries > 1) await town.restart('posts', killsAt(place));
          town.signal('posts', 'SIGUSR2');
          await killed(town, 'posts', place);
          [waiting, before] = [await untold(databases), await entries()];
        }
        const from = performance.now();
        await town.restart('posts');
        if (!isIt())
          throw new Error(
            `when posts died ${waiting.length} events waited, ${told().length} of them on the stream, ${TRIES_MAX} times`,
          );
        const readyMs = performance.now() - from;
        const left = async (): Promise<boolean> => {
          const now = new Set(await untold(databases));
          return waiting.some((event) => now.has(event));
        };
        for (const until = performance.now() + ENDS_MS; await left(); await sleep(10))
          if (performance.now() > until) throw new Error(`not all was told ${ENDS_MS / 1_000} s after posts was ready`);
        const toldMs = performance.now() - from;
        const all = await entries();
        const times = waiting.map((event) => all.filter((one) => one === event).length);
        process.stderr.write(
          `${id}: ${waiting.length} events waited, ${told().length} of them on the stream; ` +
            `ready after ${(readyMs / 1_000).toFixed(2)} s, all told after ${(toldMs / 1_000).toFixed(2)} s, ` +
            `${times.filter((n) => n > 1).length} told twice\n`,
        );
        if (times.includes(0))
          throw new Error(`${times.filter((n) => n === 0).length} events are marked and were never on the stream`);
      }),
  };
}

/** Ids of events of posts that are not marked as told, the oldest first. */
async function untold(databases: Scene['databases']): Promise<string[]> {
  const rows = await databases.posts.query<{ id: string }>(
    'SELECT id FROM outbox WHERE published_at IS NULL ORDER BY position',
  );
  return rows.map(({ id }) => id);
}

const WATCH = 'faults';

/** `entries`: ids of the events that came on the stream of posts. A group that somebody reads for is waited for: nothing is trimmed. */
function watched(town: Town, work: (entries: () => Promise<string[]>) => Promise<void>): Promise<void> {
  const key = keyOf('posts');
  return withRedis(town.redis.port, async (redis) => {
    await redis.xgroup('CREATE', key, WATCH, '$', 'MKSTREAM');
    try {
      await redis.xgroup('CREATECONSUMER', key, WATCH, WATCH);
      await work(async () => {
        const found = await redis.xrange(key, '-', '+');
        return found.map(
          ([, fields]) => (JSON.parse(fields[fields.indexOf('event') + 1] ?? '{}') as { id: string }).id,
        );
      });
    } finally {
      await redis.xgroup('DESTROY', key, WATCH);
    }
  });
}

/** No deletion takes longer, whoever is killed. */
const STUCK_MS = 60_000;

async function untilState({ users }: Scene['databases'], { id }: Leaver, state: 'DONE' | 'REVERTED'): Promise<void> {
  for (const until = performance.now() + STUCK_MS; ; await sleep(20)) {
    const rows = await users.query<{ state: string }>('SELECT state FROM account_deletions WHERE user_id = $1', [id]);
    if (rows.length === 1 && rows[0]!.state === state) return;
    if (performance.now() > until)
      throw new Error(
        `the deletion is ${rows.map((row) => row.state).join()}, not ${state}, after ${STUCK_MS / 1_000} s`,
      );
  }
}

/** When nothing is under way any more; what the last step leaves to others comes a moment later. */
async function untilLeft(scene: Scene, who: Leaver, what: object): Promise<void> {
  const want = JSON.stringify(what);
  for (const until = performance.now() + ENDS_MS; ; await sleep(50)) {
    const left = JSON.stringify(await leftOf(scene.databases, who.id));
    if (left === want) return;
    if (performance.now() > until) throw new Error(`of the account there is ${left}, which has to be ${want}`);
  }
}

/** Killed at each of these places in turn; each time it is started again it is to be killed at the next. */
async function killedInTurn(town: Town, places: readonly Place[]): Promise<void> {
  for (const [nth, place] of places.entries()) {
    await killed(town, 'users', place);
    const next = places[nth + 1];
    // It may die before it is ready.
    const started = town.restart('users', next === undefined ? SOON : killsAt(next, { KILLS_ARMED: '1' }));
    if (next === undefined) await started;
    else await started.catch(() => {});
  }
}

function deleted(): Fault {
  let who: Leaver;
  const places: readonly Place[] = ['saga:heard>consume:committed', 'saga:erased', 'saga:erased>consume:committed'];
  return {
    id: 'FP9',
    says: 'kill -9 of users, which leads the deletion of an account: after a step, at the erasure, and after it',
    async prepare({ town }) {
      who = await leaver(town);
      await replaced(town, 'users', killsAt(places[0]!, { KILLS_ARMED: '1' }));
    },
    async strike(scene) {
      const began = performance.now();
      // Whoever dies at the first place may not have answered yet; that it was begun is seen by its state.
      await deletes(scene.town, who).catch(() => {});
      await killedInTurn(scene.town, places);
      await untilState(scene.databases, who, 'DONE');
      await untilLeft(scene, who, GONE);
      process.stderr.write(
        `FP9: users was killed ${places.length} times, and the account was gone ${((performance.now() - began) / 1_000).toFixed(2)} s after it was asked for\n`,
      );
    },
  };
}

/** A step that cannot be done, and a coordinator whose patience is at its end. */
function undone(): Fault {
  let who: Leaver;
  const places: readonly Place[] = ['saga:heard', 'saga:heard>consume:committed'];
  return {
    id: 'FP9-undone',
    says: 'the same of a deletion that has to go back: after a step, at a compensation, and after it',
    async prepare({ town, databases: { followers } }) {
      who = await leaver(town);
      await followers.query(
        `CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF OLD.follower_id = '${who.id}' THEN RAISE EXCEPTION 'stays'; END IF; RETURN OLD; END $$`,
      );
      await followers.query('CREATE TRIGGER stays BEFORE DELETE ON follows FOR EACH ROW EXECUTE FUNCTION stays()');
      await replaced(town, 'users', SOON);
    },
    async strike(scene) {
      const { town, databases } = scene;
      const began = performance.now();
      await deletes(town, who);
      const step = `account_deletion_steps WHERE name = 'DISSOLVE_FOLLOWS' AND deletion_id = (SELECT id FROM account_deletions WHERE user_id = $1)`;
      for (const until = performance.now() + STUCK_MS; ; await sleep(20)) {
        const [row] = await databases.users.query<{ state: string }>(`SELECT state FROM ${step}`, [who.id]);
        if (row?.state === 'RUNNING') break;
        if (performance.now() > until) throw new Error(`DISSOLVE_FOLLOWS is ${row?.state ?? 'not there'}`);
      }
      town.signal('users', 'SIGKILL');
      await town.ended('users');
      // It was asked for often enough, and its time is up.
      await databases.users.query(
        `UPDATE account_deletion_steps SET tries = 1000, due_at = now() WHERE name = 'DISSOLVE_FOLLOWS'
         AND deletion_id = (SELECT id FROM account_deletions WHERE user_id = $1)`,
        [who.id],
      );
      await town.restart('users', killsAt(places[0]!, { KILLS_ARMED: '1' })).catch(() => {});
      await killedInTurn(town, places);
      await untilState(databases, who, 'REVERTED');
      await untilLeft(scene, who, BACK);
      process.stderr.write(
        `FP9-undone: users was killed ${places.length + 1} times, and the account was back ${((performance.now() - began) / 1_000).toFixed(2)} s after it was asked for\n`,
      );
    },
    async tidy({ databases: { followers } }) {
      await followers.query('DROP TRIGGER stays ON follows');
      await followers.query('DROP FUNCTION stays');
    },
  };
}
