import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { alice, bob, carol, dan, eve, PASSWORD } from '../people.js';
import { SEED } from '../seed.js';
import type { Person, World } from '../world.js';
import { cast } from './cast.js';
import { drift } from './drift.js';

/** Whatever five people do to each other, one after the other and at once: every count is COUNT(*), every copy is a copy. */
export function counts(world: () => World, { runs }: { readonly runs: number }): void {
  it('are exact after any mutations of five people, also at once, and no copy differs', async () => {
    const codes = new Set<string>();
    const mutations = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(ACT, { minLength: 1, maxLength: 8 }), { minLength: 8, maxLength: 12 }),
        async (rounds) => {
          const people = await cast(world(), alice, bob, carol, dan, eve);
          const posts: string[] = [];
          for (const acts of rounds) {
            // The acts of a round run side by side, the rounds one after the other.
            await Promise.all(
              acts.map(async (act) => {
                const answer = await send(act, people, posts);
                for (const { extensions } of answer.errors) codes.add(extensions.code);
                for (const [field, value] of Object.entries(answer.data ?? {}))
                  if (value !== null) mutations.add(field);
                const published = answer.data?.['publishPost'] as { id: string } | null | undefined;
                if (published) posts.push(published.id);
              }),
            );
          }
          await world().settle();
          expect(await drift(world())).toEqual([]);
        },
      ),
      // Of what runs side by side the order is not the seed's. One story is always told, so that every mutation is at work.
      { seed: SEED, numRuns: runs, endOnFailure: true, examples: [[ONE_OF_EACH]] },
    );
    // What was refused was refused for a reason that a client may have; and every mutation was at work.
    const reasons = ['CONFLICT', 'FORBIDDEN', 'NOT_FOUND', 'UNAUTHENTICATED', 'ACCOUNT_FROZEN', 'BAD_USER_INPUT'];
    expect([...codes].filter((code) => !reasons.includes(code))).toEqual([]);
    expect([...mutations].sort()).toEqual(MUTATIONS.toSorted());
  }, 120_000);

  it('control: a like whose count is not in its transaction is seen', async () => {
    const { database } = world().posts;
    const [post] = await database.query<{ id: string }>(
      `UPDATE posts SET like_count = like_count + 1 WHERE id = (SELECT max(id::text)::uuid FROM posts) RETURNING id`,
    );
    expect(await drift(world())).toEqual([expect.stringContaining(`likeCount of ${post?.id}`)]);
    await database.query('UPDATE posts SET like_count = like_count - 1 WHERE id = $1', [post?.id]);
  });

  it('control: a follow that posts has not heard of is seen', async () => {
    const { database } = world().posts;
    const [lost] = await database.query<{ line: string }>(
      `DELETE FROM follow_edges WHERE (follower_id, followee_id) IN (SELECT follower_id, followee_id FROM follow_edges LIMIT 1)
       RETURNING follower_id || ' → ' || followee_id AS line`,
    );
    expect(await drift(world())).toEqual([`follows in posts lack ${lost?.line}`]);
    await database.query('INSERT INTO follow_edges VALUES ($1, $2)', (lost?.line ?? '').split(' → '));
  });
}

const MUTATIONS = [
  'publishPost',
  'editPost',
  'deletePost',
  'likePost',
  'unlikePost',
  'follow',
  'unfollow',
  'block',
  'unblock',
  'editProfile',
  'deleteAccount',
];

interface Act {
  readonly verb: string;
  readonly who: number;
  /** The other person, or the post: an index into those there are. */
  readonly what: number;
}

const ACT: fc.Arbitrary<Act> = fc.record({
  verb: fc.oneof(
    { weight: 6, arbitrary: fc.constant('publishPost') },
    { weight: 5, arbitrary: fc.constantFrom('likePost', 'follow') },
    { weight: 4, arbitrary: fc.constantFrom('reply', 'unlikePost', 'unfollow', 'deletePost', 'editPost') },
    { weight: 2, arbitrary: fc.constantFrom('block', 'unblock', 'editProfile') },
    { weight: 1, arbitrary: fc.constantFrom('deleteAccount', 'publishPost') },
  ),
  who: fc.nat(4),
  what: fc.nat(20),
});

/** Each alone, and such that it is done: Alice's post, and Bob's of it; what Carol does to both; who goes in the end. */
const ONE_OF_EACH: Act[][] = [
  [{ verb: 'publishPost', who: 0, what: 0 }],
  [{ verb: 'reply', who: 1, what: 0 }],
  [{ verb: 'likePost', who: 2, what: 0 }],
  [{ verb: 'unlikePost', who: 2, what: 0 }],
  [{ verb: 'editPost', who: 0, what: 0 }],
  [{ verb: 'follow', who: 2, what: 0 }],
  [{ verb: 'unfollow', who: 2, what: 0 }],
  [{ verb: 'block', who: 2, what: 1 }],
  [{ verb: 'unblock', who: 2, what: 1 }],
  // This one stays.
  [{ verb: 'follow', who: 1, what: 3 }],
  [{ verb: 'editProfile', who: 3, what: 0 }],
  [{ verb: 'deletePost', who: 0, what: 0 }],
  [{ verb: 'deleteAccount', who: 4, what: 0 }],
];

function send(
  { verb, who, what }: Act,
  people: readonly Person[],
  posts: readonly string[],
): ReturnType<Person['ask']> {
  const person = people[who] as Person;
  const userId = people[what % people.length]?.id;
  const postId = posts[what % Math.max(1, posts.length)] ?? 'post_none';
  switch (verb) {
    case 'publishPost':
    case 'reply': {
      const input = { body: `${verb} ${what}`, inReplyToId: verb === 'reply' ? postId : null };
      return person.ask('mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }', { input });
    }
    case 'editPost':
      return person.ask('mutation($input: EditPostInput!) { editPost(input: $input) { id } }', {
        input: { id: postId, body: `edited ${what}` },
      });
    case 'editProfile':
      return person.ask('mutation($input: EditProfileInput!) { editProfile(input: $input) { id } }', {
        input: { bio: `bio ${what}` },
      });
    case 'deleteAccount':
      return person.ask('mutation($input: DeleteAccountInput!) { deleteAccount(input: $input) { id } }', {
        input: { password: PASSWORD },
      });
    case 'deletePost':
      return person.ask('mutation($id: ID!) { deletePost(id: $id) { id } }', { id: postId });
    case 'likePost':
    case 'unlikePost':
      return person.ask(`mutation($id: ID!) { ${verb}(postId: $id) { id } }`, { id: postId });
    default:
      return person.ask(`mutation($id: ID!) { ${verb}(userId: $id) { id } }`, { id: userId });
  }
}
