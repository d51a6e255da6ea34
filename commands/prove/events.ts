import { CRASH_POINTS, type CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { outboxMigrations } from '#libs/outbox';
import { killOneAt, Member } from './crew.js';
import { drawer } from './draw.js';
import type { FactsOrder } from './facts.worker.js';
import { compare, type Entry } from './ledger.js';
import type { Place, Site } from './places.js';
import { wrong, zeros, type Proof, type Row, type Setup } from './proof.js';

/**
 * Facts are written while the processes that write, carry and hear them are killed at every point of the event path, and
 * events come late, twice and in the wrong order; then the facts that were committed are compared with the effects.
 */
export const events: Proof = {
  name: 'events',
  says: 'kill -9 at every point of write, relay and consume: every event takes effect once, in order',
  run: async (setup) => {
    const rows: Row[] = [];
    for (const place of setup.places) {
      rows.push(await killed(setup, place));
      rows.push(await withoutOutbox(setup, place), await withoutInbox(setup, place));
    }
    return rows;
  },
};

type Role = FactsOrder['roles'][number];

const STEPS: Readonly<Record<string, readonly Role[]>> = {
  write: ['write'],
  commit: ['write', 'hear'],
  relay: ['relay'],
  consume: ['hear'],
};

interface Kill {
  readonly role: Role;
  /** Absent: wherever it is. */
  readonly point?: CrashPoint;
}

/** Every point of these steps, each for every role that passes it, and each role once wherever it is. */
function allKills(): Kill[] {
  const kills: Kill[] = [{ role: 'write' }, { role: 'relay' }, { role: 'hear' }];
  for (const point of Object.keys(CRASH_POINTS) as CrashPoint[]) {
    for (const role of STEPS[point.split(':')[0] ?? ''] ?? []) kills.push({ role, point });
  }
  return kills;
}

async function killed(setup: Setup, place: Place): Promise<Row> {
  const { kills, ...counts } = await run(setup, place, { kills: allKills(), size: setup.size });
  return {
    claim: 'killed at every point; late, doubled, shuffled events',
    place: place.name,
    over: `${setup.size.toLocaleString('en')} events, ${kills} kills at ${new Set(allKills().map(({ point }) => point)).size - 1} points`,
    figures: zeros(counts),
  };
}

async function withoutOutbox(setup: Setup, place: Place): Promise<Row> {
  const size = Math.min(setup.size, 600);
  const without = { without: 'outbox', kills: [{ role: 'write', point: 'commit:after' }], size } as const;
  const { kills, ...counts } = await run(setup, place, without);
  return {
    claim: 'control: told after COMMIT, no outbox',
    place: place.name,
    over: `${size} events, ${kills} kill`,
    figures: wrong(counts, 'lost'),
  };
}

async function withoutInbox(setup: Setup, place: Place): Promise<Row> {
  const size = Math.min(setup.size, 600);
  const without = { without: 'inbox', kills: [{ role: 'hear', point: 'consume:committed' }], size } as const;
  const { kills, ...counts } = await run(setup, place, without);
  return {
    claim: 'control: heard without an inbox',
    place: place.name,
    over: `${size} events, ${kills} kill`,
    figures: wrong(counts, 'doubled', 'reordered'),
  };
}

interface Plan {
  readonly kills: readonly Kill[];
  readonly size: number;
  readonly without?: 'outbox' | 'inbox';
}

async function run(setup: Setup, place: Place, plan: Plan) {
  const site = await place.prepare(['users', 'posts']);
  const members: Member[] = [];
  const progress = setup.progress(plan.kills.length + 1, 'kills');
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
      for (const writer of crew.write) writer.tell({ target });
      await keepWriting(dies, crew.write, () => (target += 20));
      progress.add(1, point ?? 'anywhere');
    }
    target = Math.max(target, plan.size);
    for (const writer of crew.write) {
      await writer.ready();
      writer.tell({ target });
    }
    for (const member of new Set([...crew.write, ...crew.relay, ...crew.hear])) await member.dismiss();
    progress.add(1, 'compared');
    let counts = compare([], []);
    await withStores(site, async (users, posts) => {
      const committed = await users.query<Entry>('SELECT aggregate, version FROM facts');
      counts = compare(committed, await posts.query<Entry>('SELECT aggregate, version FROM ledger ORDER BY nth'));
    });
    return { kills: plan.kills.length, ...counts };
  } finally {
    progress.stop();
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

function allInOne(member: Member): Record<Role, Member[]> {
  return { write: [member], relay: [member], hear: [member] };
}

/** Two relays and two that hear, as when a service runs twice. */
function ofTheirOwn(hire: (...roles: Role[]) => Member, { without }: Plan): Record<Role, Member[]> {
  return {
    write: [hire('write')],
    relay: without === 'outbox' ? [] : [hire('relay'), hire('relay')],
    hear: [hire('hear'), hire('hear')],
  };
}

/** Until the one that is to die has come to its point, there is always something more to write. */
async function keepWriting(dies: Promise<void>, writers: readonly Member[], raise: () => number): Promise<void> {
  const more = setInterval(() => {
    const target = raise();
    for (const writer of writers) writer.tell({ target });
  }, 100);
  try {
    await dies;
  } finally {
    clearInterval(more);
  }
}

function shuffled<T>(list: readonly T[], draw: (below: number) => number): T[] {
  const rest = [...list];
  return Array.from({ length: rest.length }, () => rest.splice(draw(rest.length), 1)[0]!);
}

async function layOut(users: Database, posts: Database): Promise<void> {
  await users.query('CREATE TABLE facts (aggregate text NOT NULL, version int NOT NULL)');
  await users.query('CREATE TABLE persons (nth int PRIMARY KEY, version int NOT NULL)');
  await users.query('INSERT INTO persons SELECT nth, 0 FROM generate_series(0, 59) AS nth');
  await posts.query(
    'CREATE TABLE ledger (nth bigint GENERATED ALWAYS AS IDENTITY, aggregate text NOT NULL, version int NOT NULL)',
  );
}

/** While no worker has them: an embedded database is one process's. */
async function withStores(site: Site, work: (users: Database, posts: Database) => Promise<void>): Promise<void> {
  const open = (service: string) =>
    openDatabase({
      service,
      url: site.urls?.[service],
      dataDir: site.dataDir,
      entities: [],
      migrations: outboxMigrations,
      bulk: true,
    });
  const [users, posts] = [await open('users'), await open('posts')];
  try {
    await work(users, posts);
  } finally {
    await users.close();
    await posts.close();
  }
}
