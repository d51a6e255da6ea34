import { describe, expect, it } from '@jest/globals';
import { openCache, type Aside, type Cache } from '#libs/cache';
import { RelationCache } from '../../subgraphs/followers/relation.cache.js';
import { PostCache } from '../../subgraphs/posts/post.cache.js';
import { UserCache } from '../../subgraphs/users/user.cache.js';

const at = '2026-01-01T00:00:00.000Z';
const post = {
  id: 'p',
  authorId: 'u',
  body: 'one',
  createdAt: at,
  editedAt: null,
  inReplyToId: null,
  version: 1,
  state: 'published',
  likeCount: 0,
  replyCount: 0,
} as const;
const person = { id: 'u', handle: 'u', displayName: 'U', bio: '', avatarUrl: null, joinedAt: at };

/** What each service keeps, and one value of it as it is. */
const KEPT: Readonly<Record<string, (cache: Cache) => readonly [Aside<unknown>, unknown]>> = {
  posts: (cache) => [new PostCache(cache).posts, post],
  'people, as posts knows them': (cache) => [new PostCache(cache).people, { postCount: 1 }],
  'the newest posts of somebody': (cache) => [new PostCache(cache).newest, ['p']],
  blocks: (cache) => [new PostCache(cache).blocks, true],
  likes: (cache) => [new PostCache(cache).likes, true],
  people: (cache) => [new UserCache(cache).byId, person],
  handles: (cache) => [new UserCache(cache).byHandle, 'u'],
  'counts of followers': (cache) => [new RelationCache(cache).counts, { followers: 1, following: 2 }],
  'the newest followers': (cache) => [new RelationCache(cache).newest.followers, [['u', at]]],
  'the newest who are followed': (cache) => [new RelationCache(cache).newest.following, [['u', at]]],
  relations: (cache) => [new RelationCache(cache).edges, { follows: true, followed: false, blocks: false }],
  'who is hidden': (cache) => [new RelationCache(cache).hidden, ['u']],
};

const OTHERS: readonly unknown[] = [{}, [7], 7, false, { ...post, body: null }, { ...person, bio: 7 }, [['u']], 'x'];

/** What is answered where `other` is kept in the place of `value`. */
async function answered(
  aside: Aside<unknown>,
  value: unknown,
  other: unknown,
): Promise<{ first: unknown; kept: unknown }> {
  const load = async (): Promise<Map<string, unknown>> => new Map([['1', value]]);
  // Whoever loads first keeps it, and nobody looks at what was loaded.
  await aside.getMany(['1'], async () => new Map([['1', other]])).catch(() => undefined);
  const answer = async (): Promise<unknown> => (await aside.getMany(['1'], load)).get('1');
  return { first: await answer(), kept: await answer() };
}

describe('what a service keeps in its cache', () => {
  it.each(Object.keys(KEPT))('%s: what is none of these counts as not kept, and is thrown away', async (name) => {
    for (const other of OTHERS.filter((one) => name !== 'handles' || typeof one !== 'string')) {
      const cache = openCache({ redisUrl: undefined, mode: 'on' });
      const [aside, value] = KEPT[name]!(cache);
      expect({ other, ...(await answered(aside, value, other)) }).toEqual({ other, first: value, kept: value });
      await cache.close();
    }
  });

  it('control: where nobody says what it is, whatever is kept there is answered', async () => {
    const cache = openCache({ redisUrl: undefined, mode: 'on' });
    const aside: Aside<unknown> = cache.aside({ prefix: 'anything', ttlMs: 60_000 });
    for (const other of OTHERS.slice(0, 1)) expect((await answered(aside, post, other)).first).toEqual(other);
    await cache.close();
  });
});
