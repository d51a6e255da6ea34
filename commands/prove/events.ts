import { CRASH_POINTS, type CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { givenMore, killOneAt, Member } from './crew.js';
import { drawer } from './draw.js';
import { RANGES, type FactsOrder } from './facts.worker.js';
import { compare, type Entry } from './ledger.js';
import { LEDGER } from './ledgered.js';
import { OUTBOX, type Place, type Site } from './places.js';
import { eachKilled, wrong, zeros, type Figure, type Proof, type Setup } from './proof.js';
import type { Progress } from '../seed/progress.js';

/**
 * Facts are written while the processes that write, carry and hear them are killed at every point of the event path, and
 * events come late, twice and in the wrong order; then the facts that were committed are compared with the effects.
 */
export const events: Proof = {
  name: 'events',
  says: 'kill -9 at every point of write, relay and consume: every event takes effect once, in order',
  run: (setup) =>
    eachKilled(
      setup,
      runsAt,
      ({ plan }) => plan.kills.length,
      async (setup, { claim, place, plan, figures }, progress) => {
        const counts = await run(setup, place, plan, progress);
        const over = `${counts.facts.toLocaleString('en')} events, ${plan.kills.length} kills at ${pointsOf(plan)} points`;
        return { claim, place: place.name, over, figures: figures(counts.compared) };
      },
    ),
};

interface Run {
  readonly isControl?: true;
  readonly claim: string;
  readonly plan: Plan;
  readonly figures: (counts: ReturnType<typeof compare>) => Figure[];
}

function runsAt({ size, quick, whole, seed, controls }: Setup, place: Place): Run[] {
  const every = allKills(quick);
  // Embedded, where a start opens two databases, some of the points are taken, drawn by the seed, unless all of it is asked for.
  const some = !whole && place.name === 'embedded' ? shuffled(every, drawer(seed)).slice(0, quick ? 4 : 6) : every;
  const all: Run = {
    claim: `killed at ${some === every ? 'every point' : 'points drawn from all'}; ${RANGES} ranges; late, doubled, shuffled events`,
    plan: { kills: some, size },
    figures: zeros,
  };
  if (!controls) return [all];
  const few = Math.min(size, quick ? 600 : 2_000);
  return [
    all,
    {
      isControl: true,
      claim: 'control: told after COMMIT, no outbox',
      plan: { without: 'outbox', kills: [{ role: 'write', point: 'commit:after' }], size: few },
      figures: (counts) => wrong(counts, 'lost'),
    },
    {
      isControl: true,
      claim: 'control: heard without an inbox',
      plan: { without: 'inbox', kills: [{ role: 'hear', point: 'consume:committed' }], size: few },
      figures: (counts) => wrong(counts, 'doubled', 'reordered'),
    },
  ];
}

type Role = FactsOrder['roles'][number];

const STEPS: Readonly<Record<string, readonly Role[]>> = {
  begin: ['write', 'relay', 'hear'],
  write: ['write'],
  commit: ['write', 'relay', 'hear'],
  relay: ['relay'],
  consume: ['hear'],
};

interface Kill {
  readonly role: Role;
  /** Absent: wherever it is. */
  readonly point?: CrashPoint;
}

/** Every point of these steps, each for every role that passes it, and each role once wherever it is; or every point once. */
function allKills(eachOnce: boolean): Kill[] {
  const kills: Kill[] = eachOnce ? [] : [{ role: 'write' }, { role: 'relay' }, { role: 'hear' }];
  for (const point of Object.keys(CRASH_POINTS) as CrashPoint[]) {
    const roles = STEPS[point.split(':')[0] ?? ''] ?? [];
    for (const role of eachOnce ? roles.slice(0, 1) : roles) kills.push({ role, point });
  }
  return kills;
}

function pointsOf({ kills }: Plan): number {
  return new Set(kills.flatMap(({ point = [] }) => point)).size;
}

interface Plan {
  readonly kills: readonly Kill[];
  readonly size: number;
  readonly without?: 'outbox' | 'inbox';
}

async function run(setup: Setup, place: Place, plan: Plan, progress: Progress) {
  const site = await place.prepare({ users: OUTBOX, posts: OUTBOX });
  const members: Member[] = [];
  try {
    await withStores(site, layOut);
    const draw = drawer(setup.seed);
    let target = 0;
    const hire = (...roles: Role[]): Member => {
      const order = (): FactsOrder => ({
        site: { ...site },
        roles,
        seed: draw(1_000_000),
        target,
        ...(plan.without === undefined ? {} : { without: plan.without }),
      });
      const member = new Member({ job: './facts.worker.js', order });
      members.push(member);
      return member;
    };
    const crew: Record<Role, Member[]> =
      place.name === 'embedded' ? allInOne(hire('write', 'relay', 'hear')) : ofTheirOwn(hire, plan);

    for (const [nth, { role, point }] of shuffled(plan.kills, draw).entries()) {
      target = Math.ceil((plan.size * (nth + 1)) / (plan.kills.length + 1));
      const those = crew[role];
      // Armed first: what is written next is what it is killed over.
      const dies = point === undefined ? those[draw(those.length)]!.kill() : killOneAt(those, point, 1 + draw(3));
      const tell = (): void => crew.write.forEach((writer) => writer.tell({ target }));
      tell();
      await givenMore([...those, ...crew.write], dies, () => {
        target += 20;
        tell();
      });
      progress.add(1, point ?? 'anywhere');
    }
    target = Math.max(target, plan.size);
    for (const writer of crew.write) {
      await writer.ready();
      writer.tell({ target });
    }
    for (const member of new Set([...crew.write, ...crew.relay, ...crew.hear])) await member.dismiss();
    progress.add(1, 'compared');
    let [facts, effects] = [[], []] as [Entry[], Entry[]];
    await withStores(site, async (users, posts) => {
      facts = await users.query<Entry>('SELECT aggregate, version FROM facts');
      effects = await posts.query<Entry>('SELECT aggregate, version FROM ledger ORDER BY nth');
    });
    return { facts: facts.length, compared: compare(facts, effects) };
  } finally {
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

function allInOne(member: Member): Record<Role, Member[]> {
  return { write: [member], relay: [member], hear: [member] };
}

/** Three relays that share the ranges and two that hear, as when a service runs three times. The naive ways fail with one of each. */
function ofTheirOwn(hire: (...roles: Role[]) => Member, { without }: Plan): Record<Role, Member[]> {
  if (without === 'outbox') return { write: [hire('write')], relay: [], hear: [hire('hear')] };
  if (without === 'inbox') return { write: [hire('write')], relay: [hire('relay')], hear: [hire('hear')] };
  return {
    write: [hire('write')],
    relay: [hire('relay'), hire('relay'), hire('relay')],
    hear: [hire('hear'), hire('hear')],
  };
}

function shuffled<T>(list: readonly T[], draw: (below: number) => number): T[] {
  const rest = [...list];
  return Array.from({ length: rest.length }, () => rest.splice(draw(rest.length), 1)[0]!);
}

async function layOut(users: Database, posts: Database): Promise<void> {
  await users.query('CREATE TABLE facts (aggregate text NOT NULL, version int NOT NULL)');
  await users.query('CREATE TABLE persons (nth int PRIMARY KEY, version int NOT NULL)');
  await users.query('INSERT INTO persons SELECT nth, 0 FROM generate_series(0, 59) AS nth');
  await posts.query(LEDGER);
}

/** While no worker has them: an embedded database is one process's. */
async function withStores(site: Site, work: (users: Database, posts: Database) => Promise<void>): Promise<void> {
  const open = (service: string) =>
    openDatabase({ service, url: site.urls?.[service], dataDir: site.dataDir, bulk: true, ...OUTBOX });
  const [users, posts] = [await open('users'), await open('posts')];
  try {
    await work(users, posts);
  } finally {
    await users.close();
    await posts.close();
  }
}
