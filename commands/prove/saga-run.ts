import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import type { Progress } from '../seed/progress.js';
import { freezeOneAt, killOneAt, Member } from './crew.js';
import { drawer } from './draw.js';
import type { Place } from './places.js';
import type { Setup } from './proof.js';
import { Bystanders } from './saga-bystanders.js';
import { compared, type Outcome } from './saga-compared.js';
import { layOut, withStores, type Plan } from './saga-people.js';
import { SERVICES, TABLES, type SagasOrder, type Service } from './sagas.worker.js';

export async function run(setup: Setup, place: Place, plan: Plan, progress: Progress): Promise<Outcome> {
  const site = await place.prepare(TABLES);
  const members: Member[] = [];
  let bystanders: Bystanders | undefined;
  try {
    const cast = await withStores(site, (stores) => layOut(stores, plan));
    const draw = drawer(setup.seed);
    const hire = (services: readonly Service[]): Member => {
      const order = (): SagasOrder => ({
        site: { urls: site.urls, redisUrl: site.redisUrl, dataDir: site.dataDir } as SagasOrder['site'],
        services,
        saga: plan.saga,
        seed: draw(1_000_000),
        ...(plan.naive ? { naive: true } : {}),
        ...(plan.calm ? { calm: true } : {}),
        ...(plan.stale ? { stale: true } : {}),
      });
      const member = new Member({ job: './sagas.worker.js', order });
      members.push(member);
      return member;
    };
    // Embedded, a database is one process's; the naive way is one process everywhere.
    if (place.name === 'embedded' || plan.naive) hire(SERVICES);
    else for (const service of SERVICES) hire([service]);

    if (site.urls !== undefined && !plan.naive && !plan.calm && plan.pausedMs === undefined) {
      // Embedded, a database is one process's, which is killed.
      bystanders = await Bystanders.of(site.urls, cast);
      bystanders.begin();
    }
    const { pausedMs } = plan;
    const coordinators = pausedMs === undefined ? [] : [members[0]!, hire(['users'])];
    for (const point of pausedMs === undefined ? [] : plan.points) {
      const pause = async (): Promise<void> => {
        const users = await openDatabase({ service: 'users', url: site.urls?.['users'], bulk: true, ...TABLES.users });
        try {
          const before = await shownBy(users, plan);
          const frozen = await freezeOneAt(coordinators, point);
          await sleep(pausedMs!);
          await takenOver(users, plan, plan.stale ? before : await shownBy(users, plan));
          frozen.signal('SIGCONT');
        } finally {
          await users.close();
        }
      };
      await keepDeleting(pause(), members, cast.accounts.length);
      progress.add(1, point);
    }
    for (const point of pausedMs === undefined ? plan.points : []) {
      const dies = killOneAt(members, point, 1 + draw(plan.naive ? 1 : 3));
      await keepDeleting(dies, members, cast.accounts.length);
      progress.add(1, point);
    }
    await Promise.all(members.map((member) => member.answers('over', { target: plan.accounts, last: true })));
    const acted = await bystanders?.finish();
    // What the last step told is on its way to the others, and may tell something itself.
    for (let round = 0; round < SETTLE_ROUNDS; round++)
      await Promise.all(members.map((member) => member.answers('settled', { settle: true })));
    for (const member of members) await member.dismiss();
    progress.add(1, 'compared');
    return await withStores(site, (stores) => compared(stores, cast, plan, acted));
  } finally {
    await bystanders?.close();
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

/** By then the other has something to show, also where it had to wait until PostgreSQL ended the transaction of whoever is frozen (5 s). */
const TAKEN_OVER_MS_MAX = 20_000;

/** Until the other has heard something, or, where it has no inbox, has gone past the point of no return. */
async function takenOver(users: Database, plan: Plan, was: number): Promise<void> {
  for (const end = performance.now() + TAKEN_OVER_MS_MAX; performance.now() < end; await sleep(50))
    if ((await shownBy(users, plan)) > was) return;
  throw new Error(`Nobody took over from whoever was paused within ${TAKEN_OVER_MS_MAX / 1_000} s`);
}

async function shownBy(users: Database, { stale }: Plan): Promise<number> {
  const [row] = await users.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM ${stale ? `outbox WHERE type = 'user-deleted'` : 'inbox'}`,
  );
  return row?.count ?? 0;
}

const SETTLE_ROUNDS = 4;

/** Until the one that is to die has come to its point, there is always another account to delete. */
async function keepDeleting(dies: Promise<void>, members: readonly Member[], target: number): Promise<void> {
  await Promise.all(members.map((member) => member.ready()));
  for (const member of members) member.tell({ target });
  await dies;
  for (const member of members) member.tell({ target: 0 });
}
