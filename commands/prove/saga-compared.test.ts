import { afterAll, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { embedded } from './places.js';
import { compared } from './saga-compared.js';
import { layOut, withStores, type Account, type Cast, type Plan, type Stores } from './saga-people.js';
import { mistoldIn } from './saga-told.js';
import { TABLES, type Service } from './sagas.worker.js';

/** What a deletion that is taken back may do to an account on the way, each by a statement of which $1 is the account. */
const SPOILT: readonly (readonly [what: string, service: Service, statement: string])[] = [
  ['its bio', 'users', `UPDATE users SET bio = '' WHERE id = $1`],
  ['its picture', 'users', 'UPDATE users SET avatar_url = NULL WHERE id = $1'],
  ['its password', 'users', `UPDATE users SET password_hash = 'other' WHERE id = $1`],
  ['whose its handle is', 'users', `DELETE FROM handles WHERE user_id = $1`],
  ['the words of its posts', 'posts', `UPDATE posts SET body = body || ' ' WHERE author_id = $1`],
  ['when they were written', 'posts', 'UPDATE posts SET created_at = now() WHERE author_id = $1'],
  ['what they answer', 'posts', 'UPDATE posts SET in_reply_to_id = NULL WHERE author_id = $1'],
  ['whether they are there', 'posts', `UPDATE posts SET state = 'withdrawn' WHERE author_id = $1`],
  ['how many it has', 'posts', 'UPDATE people SET post_count = 0, post_count_2 = 0 WHERE id = $1'],
  ['what it likes', 'posts', 'UPDATE likes SET liked = false WHERE user_id = $1'],
  ['whom it follows, as posts know it', 'posts', 'DELETE FROM follow_edges WHERE follower_id = $1'],
  ['who follows it', 'followers', 'DELETE FROM follows WHERE followee_id = $1'],
  ['since when', 'followers', 'UPDATE follows SET followed_at = now() WHERE followee_id = $1'],
  ['whom it blocks', 'followers', 'DELETE FROM blocks WHERE blocker_id = $1'],
  ['since when it blocks', 'followers', 'UPDATE blocks SET at = now() WHERE blocker_id = $1'],
];

/** The same of what people are told. */
const MISTOLD: readonly (readonly [how: string, statement: string])[] = [
  ['read and not any more', 'DELETE FROM notification_reads WHERE user_id = $1'],
  ['lost', 'DELETE FROM notification_facts WHERE recipient_id = $1'],
  ['told anew', 'UPDATE notification_facts SET id = gen_random_uuid() WHERE recipient_id = $1'],
  ['not in the list', 'DELETE FROM notifications WHERE recipient_id = $1'],
];

const PLAN: Plan = { saga: 'choreographed', accounts: SPOILT.length, points: [] };
const place = embedded();
afterAll(() => place.close());

it('an account that comes back is half done if anything of it is not as it was', async () => {
  await laidOut(async (stores, cast) => {
    const unnoticed: string[] = [];
    for (const [nth, [what, service, statement]] of SPOILT.entries()) {
      const account = cast.accounts[nth] as Account;
      await stores.users.query(
        `INSERT INTO account_deletions (id, user_id, saga, state) VALUES ($1, $2, 'choreographed', 'REVERTED')`,
        [newId(), account.id],
      );
      const look = () => compared(stores, { ...cast, accounts: [account] }, PLAN, undefined);
      expect(await look()).toMatchObject({ begun: 1, reverted: 1, halfDone: 0 });
      await stores[service].query(statement, [account.id]);
      if ((await look()).halfDone !== 1) unnoticed.push(what);
    }
    expect(unnoticed).toEqual([]);
  });
});

it('somebody is told wrongly if anything that they were told is not as it was', async () => {
  await laidOut(async (stores, cast) => {
    const unnoticed: string[] = [];
    let before = 0;
    for (const [nth, [how, statement]] of MISTOLD.entries()) {
      await stores.users.query(statement, [cast.accounts[nth]?.id]);
      const { left, lost, unlisted } = await mistoldIn(stores.users, cast, new Map(), undefined);
      if (left + lost + unlisted <= before) unnoticed.push(how);
      before = left + lost + unlisted;
    }
    expect(unnoticed).toEqual([]);
  });
});

async function laidOut(work: (stores: Stores, cast: Cast) => Promise<void>): Promise<void> {
  const site = await place.prepare(TABLES);
  try {
    await withStores(site, async (stores) => work(stores, await layOut(stores, PLAN)));
  } finally {
    await site.clear();
  }
}
