import { expect, it } from '@jest/globals';
import { alice, bob, carol, PASSWORD } from '../people.js';
import type { Person, World } from '../world.js';
import { act, cast, example, mutation, publish, refusals, told } from './cast.js';
import { drift } from './drift.js';

/** Somebody leaves. */
export function farewell(world: () => World): void {
  it('a deleted account is gone from everywhere, and everything that is left counts right', async () => {
    const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Person, Person, Person];
    for (const [who, whom] of [
      [a, b],
      [b, a],
      [c, b],
      [a, c],
    ] as const)
      await act(who, 'follow', whom.id);
    await act(c, 'block', a.id);
    await world().settle();
    const root = await publish(b, 'a post');
    await act(a, 'likePost', root);
    const reply = await publish(a, 'a reply of somebody who will leave', root);
    const answer = await publish(b, 'an answer to it', reply);
    const own = await publish(a, 'a post of somebody who will leave');
    await act(b, 'likePost', own);
    await world().settle();

    const look = async (who: Person) =>
      told<Record<string, unknown>>(
        who,
        `query($a: String!, $b: String!, $aId: ID!, $own: ID!, $root: ID!, $answer: ID!) {
          userByHandle(handle: $a) { id } node(id: $aId) { id } nodes(ids: [$aId, $own]) { id } post(id: $own) { id }
          thread: post(id: $root) { likeCount replyCount replies { edges { node { id } } } }
          answer: post(id: $answer) { body inReplyTo { id } }
          b: userByHandle(handle: $b) { postCount followerCount followingCount
            followers { edges { node { id } } } following { edges { node { id } } } }
          homeTimeline { edges { node { id } } } }`,
        { a: a.handle, b: b.handle, aId: a.id, own, root, answer },
      );
    const nodes = (...ids: string[]) => ({ edges: ids.map((id) => ({ node: { id } })) });
    expect(await look(b)).toEqual({
      userByHandle: { id: a.id },
      node: { id: a.id },
      nodes: [{ id: a.id }, { id: own }],
      post: { id: own },
      thread: { likeCount: 1, replyCount: 1, replies: nodes(reply) },
      answer: { body: 'an answer to it', inReplyTo: { id: reply } },
      b: { postCount: 2, followerCount: 2, followingCount: 1, followers: nodes(c.id, a.id), following: nodes(a.id) },
      homeTimeline: nodes(own, answer, reply, root),
    });

    const input = { input: { password: PASSWORD } };
    const wrong = await a.ask(await example('delete-account'), { input: { password: 'not alice’s' } });
    expect(refusals(wrong)).toEqual([
      expect.stringMatching(/^deleteAccount (UNAUTHENTICATED|FORBIDDEN|BAD_USER_INPUT)$/),
    ]);
    expect(await told(a, await example('delete-account'), input)).toEqual({
      deleteAccount: { id: expect.any(String), state: expect.stringMatching(/^(RUNNING|DONE)$/) },
    });
    await world().settle();

    expect(await look(b)).toEqual({
      userByHandle: null,
      node: null,
      nodes: [null, null],
      post: null,
      thread: { likeCount: 0, replyCount: 0, replies: nodes() },
      answer: { body: 'an answer to it', inReplyTo: null },
      b: { postCount: 2, followerCount: 1, followingCount: 0, followers: nodes(c.id), following: nodes() },
      homeTimeline: nodes(answer, root),
    });
    expect(await drift(world())).toEqual([]);
    const everybody = await everybodyIn(world());
    expect([everybody.includes(a.id), everybody.includes(b.id)]).toEqual([false, true]);
  });

  it('nobody gets the handle again, nobody logs in by it, and its token does nothing', async () => {
    const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
    const id = await publish(b, 'a post');
    await told(a, await example('delete-account'), { input: { password: PASSWORD } });
    const dead = async (...codes: string[]) => {
      const again = await world().ask(await example('sign-up'), {
        input: { handle: a.handle.toUpperCase(), email: 'x@example.org', password: PASSWORD, displayName: 'Not Alice' },
      });
      expect([again.data, refusals(again)]).toEqual([{ signUp: null }, ['signUp CONFLICT']]);
      const rename = await b.ask(await example('edit-profile'), { input: { handle: a.handle } });
      expect(refusals(rename)).toEqual(['editProfile CONFLICT']);
      const logIn = await world().ask(await example('log-in'), { input: { handle: a.handle, password: PASSWORD } });
      expect(codes.map((code) => `logIn ${code}`)).toContain(refusals(logIn)[0]);
    };
    await dead('ACCOUNT_FROZEN', 'UNAUTHENTICATED');
    await world().settle();
    await dead('UNAUTHENTICATED');

    expect(await told(a, await example('me'))).toEqual({ me: null });
    const home = await a.ask(await example('home-timeline'));
    expect([home.data, refusals(home)]).toEqual([{ homeTimeline: null }, ['homeTimeline UNAUTHENTICATED']]);
    const writes: (readonly [string, string, Record<string, unknown>])[] = [
      ['publishPost', await example('publish'), { input: { body: 'from beyond' } }],
      ['editProfile', await example('edit-profile'), { input: { bio: 'from beyond' } }],
      ['deleteAccount', await example('delete-account'), { input: { password: PASSWORD } }],
      ...['follow', 'unfollow', 'block', 'unblock'].map((verb) => [verb, mutation(verb), { id: b.id }] as const),
      ...['likePost', 'unlikePost', 'deletePost'].map((verb) => [verb, mutation(verb), { id }] as const),
    ];
    for (const [field, query, variables] of writes) {
      const answer = await a.ask(query, variables);
      expect([answer.data, refusals(answer)]).toEqual([{ [field]: null }, [`${field} UNAUTHENTICATED`]]);
    }
    expect(await drift(world())).toEqual([]);
  });
}

async function everybodyIn(world: World): Promise<string[]> {
  interface Page {
    users: { edges: { node: { id: string } }[]; pageInfo: { endCursor: string | null; hasNextPage: boolean } };
  }
  const ids: string[] = [];
  for (let after: string | null = null, more = true; more;) {
    const { users }: Page = await told<Page>(world, await example('people'), { first: 100, after });
    ids.push(...users.edges.map(({ node }) => node.id));
    ({ endCursor: after, hasNextPage: more } = users.pageInfo);
  }
  return ids;
}
