import { randomBytes } from 'node:crypto';
import { CRASH_POINTS, type CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { newId } from '#libs/identity';
import { recordEvents } from '#libs/outbox';
import { Sealer, sealingKeyOf } from '#libs/sealing';
import { loadUsers } from '../../subgraphs/users/bulk.js';
import { drift, otherNotifications, type Stores } from '../faults/drift.js';
import type { Progress } from '../seed/progress.js';
import { givenMore, killOneAt, Member } from './crew.js';
import { drawer } from './draw.js';
import type { HandlersOrder } from './handlers.worker.js';
import { compare, type Entry } from './ledger.js';
import { LEDGER } from './ledgered.js';
import type { Place, Site } from './places.js';
import { eachKilled, wrong, zeros, type Figure, type Proof, type Setup } from './proof.js';
import { SERVICES, TABLES } from './sagas.worker.js';

/**
 * People publish, reply, like, follow, block and edit their profiles while the processes are killed in which users, posts and followers tell, hear and
 * fan out, by their own commands and handlers. Afterwards the events that each service heard are compared with the versions
 * that their owners have, and the read models with what they are made of.
 */
export const handlers: Proof = {
  name: 'handlers',
  hurriedAt: 'servers',
  says: 'kill -9 over the services’ own handlers: copies, timelines, notifications and counts are what their owners have',
  run: (setup) =>
    eachKilled(
      setup,
      runsAt,
      ({ plan }) => plan.kills.length,
      async (setup, { claim, place, plan, figures }, progress) => {
        const { events, counts } = await run(setup, place, plan, progress);
        const over = `${events.toLocaleString('en')} events, ${plan.kills.length} kills at ${new Set(plan.kills.map(({ point }) => point)).size} points`;
        return { claim, place: place.name, over, figures: figures(counts) };
      },
    ),
};

interface Run {
  readonly isControl?: true;
  readonly claim: string;
  readonly plan: Plan;
  readonly figures: (counts: Readonly<Record<string, number>>) => Figure[];
}

interface Plan {
  readonly kills: readonly Kill[];
  readonly size: number;
  readonly withoutInbox?: boolean;
}

type Role = HandlersOrder['roles'][number];

interface Kill {
  readonly role: Role;
  readonly point: CrashPoint;
}

const PEOPLE = 24;

function runsAt({ size, quick, whole, seed, controls }: Setup, place: Place): Run[] {
  const draw = drawer(seed);
  const all = allKills();
  // Three databases are opened again after each kill: where there is not time for all of them, the points are shared out.
  const once = [...new Set(all.map(({ point }) => point))].map((point) =>
    pick(
      all.filter((kill) => kill.point === point),
      draw,
    ),
  );
  const most = place.name === 'embedded' ? 1 : quick ? 3 : 8;
  const kills = whole ? all : Array.from({ length: most }, () => once.splice(draw(once.length), 1)[0]!);
  const of = whole ? 'every point' : 'points drawn from all';
  const guarantee: Run = {
    claim: `killed at ${of}; users, posts and followers by their own handlers`,
    plan: { kills, size: Math.max(200, Math.round(size / (whole ? 5 : 10))) },
    figures: zeros,
  };
  if (!controls) return [guarantee];
  return [
    guarantee,
    {
      isControl: true,
      claim: 'control: the same handlers without an inbox',
      plan: { withoutInbox: true, kills: [{ role: 'posts', point: 'consume:committed' }], size: 400 },
      figures: (counts) => wrong(counts, 'doubled', 'rows astray'),
    },
  ];
}

/** Every point of the steps that a role takes. */
function allKills(): Kill[] {
  const points = Object.keys(CRASH_POINTS) as CrashPoint[];
  const of = (role: Role, ...steps: string[]): Kill[] =>
    points.filter((point) => steps.includes(point.split(':')[0] ?? '')).map((point) => ({ role, point }));
  return [
    ...of('write', 'begin', 'write', 'commit'),
    ...SERVICES.flatMap((service) => of(service, 'begin', 'commit', 'relay', 'consume')),
    ...(['project:delivered', 'project:backfilled'] as const).map((point): Kill => ({ role: 'posts', point })),
  ];
}

function pick<T>(list: readonly T[], draw: (below: number) => number): T {
  return list[draw(list.length)]!;
}

async function run(setup: Setup, place: Place, { kills, size, withoutInbox = false }: Plan, progress: Progress) {
  const site = await place.prepare(TABLES);
  const members: Member[] = [];
  try {
    const people = await withStores(site, layOut);
    const draw = drawer(setup.seed);
    let target = 0;
    const hire = (...roles: Role[]): Member => {
      const order = (): HandlersOrder => ({
        site: { ...site },
        roles,
        people,
        seed: draw(1_000_000),
        target,
        withoutInbox,
      });
      const member = new Member({ job: './handlers.worker.js', order });
      members.push(member);
      return member;
    };
    // Embedded, a database is one process's; the naive way fails in one process as well.
    const everything = place.name === 'embedded' || withoutInbox ? hire('write', ...SERVICES) : undefined;
    const crew = new Map(
      (['write', ...SERVICES] as const).map((role): [Role, Member] => [role, everything ?? hire(role)]),
    );
    const writer = crew.get('write')!;
    for (const [nth, { role, point }] of kills.entries()) {
      target = Math.ceil((size * (nth + 1)) / (kills.length + 1));
      const dies = killOneAt([crew.get(role)!], point, 1 + draw(3));
      writer.tell({ target });
      await givenMore([crew.get(role)!, writer], dies, () => writer.tell({ target: (target += 12) }));
      progress.add(1, `${role}, ${point}`);
    }
    await writer.ready();
    writer.tell({ target: Math.max(target, size) });
    // Who hears is done when everybody has told, and they when all is written.
    for (let round = 0; round < 3; round++)
      await Promise.all(members.map((member) => member.answers('settled', { settle: true })));
    for (const member of members) await member.dismiss();
    progress.add(1, 'compared');
    return await withStores(site, compared);
  } finally {
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

/** They have signed up, and nobody has heard of it yet. */
async function layOut(stores: Stores): Promise<string[]> {
  const joinedAt = new Date(Date.now() - 86_400_000);
  const people = Array.from({ length: PEOPLE }, (_, nth) => newId({ now: joinedAt.getTime() + nth }));
  const rows = people.map((id, nth) => ({
    id,
    handle: `p${nth}`,
    displayName: 'p',
    bio: '',
    email: '',
    passwordHash: '',
  }));
  await loadUsers(
    stores.users,
    new Sealer([sealingKeyOf('proof', randomBytes(32))]),
    rows.map((row) => ({ ...row, joinedAt })),
  );
  await stores.users.transaction(async (tx) => {
    await tx.query('UPDATE users SET version = 1');
    await recordEvents(
      tx,
      rows.map(({ id, handle }) => ({
        type: 'user-registered' as const,
        aggregate: `user:${id}`,
        aggregateVersion: 1,
        actor: id,
        payload: { userId: id, handle },
      })),
    );
  });
  for (const service of SERVICES) await stores[service].query(LEDGER);
  return people;
}

/** Of each aggregate its last version: one event for each up to it was committed, whatever the outbox says. */
const AGGREGATES = {
  users: `SELECT 'user:' || id AS aggregate, version FROM users`,
  posts: `SELECT 'post:' || id AS aggregate, version FROM posts
    UNION ALL SELECT 'like:' || post_id || ':' || user_id, version FROM likes`,
  followers: `SELECT 'relation:' || low_id || ':' || high_id AS aggregate, version FROM relations`,
};

async function compared(stores: Stores): Promise<{ events: number; counts: Record<string, number> }> {
  const committed = { users: [] as Entry[], posts: [] as Entry[], followers: [] as Entry[] };
  for (const service of SERVICES)
    committed[service] = await stores[service].query<Entry>(
      `SELECT aggregate, generate_series(1, version) AS version FROM (${AGGREGATES[service]}) AS owned`,
    );
  const counts: Record<string, number> = {};
  for (const service of SERVICES) {
    const heard = SERVICES.filter((source) => LISTENERS[source].includes(service)).flatMap((source) =>
      // Of what users tells, an edited profile is only heard by itself.
      source === 'users' && service !== 'users'
        ? committed.users.filter(({ version }) => version === 1)
        : committed[source],
    );
    const effects = await stores[service].query<Entry>('SELECT aggregate, version FROM ledger ORDER BY nth');
    for (const [name, count] of Object.entries(compare(heard, effects))) counts[name] = (counts[name] ?? 0) + count;
  }
  const astray = [...(await drift(stores)), ...(await otherNotifications(stores))];
  counts['rows astray'] = astray.length;
  return { events: Object.values(committed).flat().length, counts };
}

/** While no worker has them: an embedded database is one process's. */
async function withStores<T>(site: Site, work: (stores: Stores) => Promise<T>): Promise<T> {
  const opened: Record<string, Database> = {};
  try {
    for (const service of SERVICES) {
      const url = site.urls?.[service];
      opened[service] = await openDatabase({ service, url, dataDir: site.dataDir, bulk: true, ...TABLES[service] });
    }
    return await work(opened as unknown as Stores);
  } finally {
    for (const database of Object.values(opened)) await database.close();
  }
}
