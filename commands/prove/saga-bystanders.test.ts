import { afterAll, expect, it } from '@jest/globals';
import type { Database } from '#libs/database';
import { Failure } from '#libs/failure';
import { newId } from '#libs/identity';
import { embedded } from './places.js';
import { Bystanders, KINDS } from './saga-bystanders.js';
import { miscountedIn } from './saga-counted.js';
import { layOut, withStores, type Plan, type Stores } from './saga-people.js';
import { TABLES } from './sagas.worker.js';

const PLAN: Plan = { saga: 'choreographed', accounts: 10, points: [] };
/** Of each store: more than all acts together, so that each is done once at least without an answer. */
const UNANSWERED = 20;

const place = embedded();
afterAll(() => place.close());

it('an act that is done and not answered is done once, and known', async () => {
  const site = await place.prepare(TABLES);
  try {
    await withStores(site, async (stores) => {
      const cast = await layOut(stores, PLAN);
      const back = cast.accounts.filter(({ fails }) => fails !== false).map(({ id }) => id);
      await stores.users.query(
        `INSERT INTO account_deletions (id, user_id, saga, state)
         SELECT id, user_id, 'choreographed', 'REVERTED' FROM unnest($1::uuid[], $2::uuid[]) AS d (id, user_id)`,
        [back.map(() => newId()), back],
      );
      const { users, posts, followers } = stores;
      const bystanders = new Bystanders(
        { users: forgetful(users), posts: forgetful(posts), followers: forgetful(followers) } satisfies Stores,
        cast,
      );
      bystanders.begin();
      const { of, refused, meanwhile } = await bystanders.finish();
      expect({ refused, meanwhile }).toEqual({ refused: 0, meanwhile: 0 });
      expect(new Set([...of.values()].flatMap((acts) => Object.keys(acts)))).toEqual(new Set(KINDS));
      const replies = await posts.query<{ id: string }>(`SELECT id FROM posts WHERE in_reply_to_id = ANY($1::uuid[])`, [
        cast.accounts.map((account) => account.posts.at(-1)),
      ]);
      expect(new Set(replies.map(({ id }) => id))).toEqual(new Set([...of.values()].map(({ replied }) => replied)));
      expect(await miscountedIn(stores)).toEqual({ likes: 0, replies: 0, posts: 0, followers: 0, following: 0 });
    });
  } finally {
    await site.clear();
  }
});

/** A store that does what it is asked for, and says so only after a while. It stays open. */
function forgetful(store: Database): Database {
  let calls = 0;
  const unanswered = async <T>(work: Promise<T>): Promise<T> => {
    const answer = await work;
    calls += 1;
    if (calls <= UNANSWERED) throw new Failure('SUBGRAPH_TIMEOUT');
    return answer;
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'query') return (...given: Parameters<Database['query']>) => unanswered(target.query(...given));
      if (name === 'transaction')
        return (...given: Parameters<Database['transaction']>) => unanswered(target.transaction(...given));
      return name === 'close' ? async () => {} : (Reflect.get(target, name) as unknown);
    },
  });
}
