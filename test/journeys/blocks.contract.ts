import { describe, expect, it } from '@jest/globals';
import { alice, bob, carol } from '../people.js';
import type { Person, World } from '../world.js';
import { act, cast, example, mutation, publish, refusals, told, type Asking } from './cast.js';

/** While a block stands between alice and bob, neither meets the other anywhere; carol and everybody else meet both. */
export function blocks(world: () => World): void {
  describe.each([
    ['alice blocks bob', 0],
    ['bob blocks alice', 1],
  ] as const)('when %s', (_, blocker) => {
    it('neither sees the other’s posts, nor the other in a list; unblocked, everything is back but the follows', async () => {
      const story = await tell(world());
      const { a, b, c } = story;
      const [by, of] = blocker === 0 ? [a, b] : [b, a];

      const before = { ofBob: await seenOf(b, story, 'a'), ofAlice: await seenOf(a, story, 'b') };
      expect(before.ofBob).toEqual(EVERYWHERE);
      expect(before.ofAlice).toEqual(EVERYWHERE);

      await act(by, 'block', of.id);
      await world().settle();
      expect(await seenOf(b, story, 'a')).toEqual(NOWHERE);
      expect(await seenOf(a, story, 'b')).toEqual(NOWHERE);
      // Control: it is the viewer that hides them, nothing is gone.
      for (const whose of ['a', 'b'] as const) {
        const anybody = { ...EVERYWHERE, timeline: false, follows: false };
        expect(await seenOf(c, story, whose)).toEqual({ ...anybody, timeline: true, follows: true });
        expect(await seenOf(world(), story, whose)).toEqual(anybody);
      }

      await act(by, 'unblock', of.id);
      await world().settle();
      const back = { ...EVERYWHERE, follows: false, timeline: false };
      expect(await seenOf(b, story, 'a')).toEqual(back);
      expect(await seenOf(a, story, 'b')).toEqual(back);
      await act(b, 'follow', a.id);
      await act(a, 'follow', b.id);
      await world().settle();
      expect(await seenOf(b, story, 'a')).toEqual(EVERYWHERE);
      expect(await seenOf(a, story, 'b')).toEqual(EVERYWHERE);
    });

    it('neither can follow, reply to or like the other, and what they were to each other has ended', async () => {
      const story = await tell(world());
      const { a, b } = story;
      const [by, of] = blocker === 0 ? [a, b] : [b, a];
      await act(by, 'block', of.id);
      await world().settle();

      for (const [who, whom, post] of [
        [a, b, story.posts.b.own],
        [b, a, story.posts.a.own],
      ] as const) {
        const follow = await who.ask(mutation('follow'), { id: whom.id });
        expect([follow.data, refusals(follow)]).toEqual([
          { follow: null },
          [who === by ? 'follow FORBIDDEN' : 'follow NOT_FOUND'],
        ]);
        for (const verb of ['likePost', 'unlikePost']) {
          const like = await who.ask(mutation(verb), { id: post });
          expect([like.data, refusals(like)]).toEqual([{ [verb]: null }, [`${verb} NOT_FOUND`]]);
        }
        const reply = await who.ask(await example('publish'), { input: { body: 'a reply', inReplyToId: post } });
        expect([reply.data, refusals(reply)]).toEqual([{ publishPost: null }, ['publishPost NOT_FOUND']]);

        const query = `query($id: ID!) { node(id: $id) { ... on User { handle displayName viewerFollows followsViewer viewerBlocks } } }`;
        expect(await told(who, query, { id: whom.id })).toEqual({
          node: {
            handle: whom.handle,
            displayName: expect.any(String),
            viewerFollows: false,
            followsViewer: false,
            viewerBlocks: who === by,
          },
        });
      }
    });
  });
}

interface Story {
  readonly a: Person;
  readonly b: Person;
  readonly c: Person;
  /** By whom, and which. */
  readonly posts: Readonly<
    Record<'a' | 'b', { readonly own: string; readonly reply: string; readonly answered: string }>
  >;
  /** A post of carol that both replied to. */
  readonly root: string;
}

/** Everybody follows everybody. alice and bob each have a post that carol replied to, and reply to a post of carol. */
async function tell(world: World): Promise<Story> {
  const [a, b, c] = (await cast(world, alice, bob, carol)) as [Person, Person, Person];
  for (const who of [a, b, c]) {
    for (const whom of [a, b, c]) if (who !== whom) await act(who, 'follow', whom.id);
  }
  await world.settle();
  const root = await publish(c, 'what do you think?');
  const postsOf = async (who: Person) => {
    const own = await publish(who, `a post of ${who.handle}`);
    return { own, reply: await publish(who, `a reply of ${who.handle}`, root), answered: await publish(c, 'yes', own) };
  };
  const posts = { a: await postsOf(a), b: await postsOf(b) };
  for (const { own } of Object.values(posts)) for (const who of [a, b, c]) await act(who, 'likePost', own);
  await world.settle();
  return { a, b, c, posts, root };
}

/** Each place where a post or a person can appear: is what is alice's (or bob's) there for this viewer? */
async function seenOf(viewer: Asking, { a, b, c, posts, root }: Story, whose: 'a' | 'b'): Promise<Seen> {
  const owner = whose === 'a' ? a : b;
  const { own, reply, answered } = posts[whose];
  interface Ids {
    edges: { node: { id: string } }[];
  }
  interface Answered {
    userByHandle: { posts: Ids; postCount: number };
    post: { id: string; likeCount: number } | null;
    node: { id: string } | null;
    nodes: ({ id: string } | null)[];
    thread: { replyCount: number; replies: Ids };
    answer: { inReplyTo: { id: string } | null };
    lists: { followers: Ids; following: Ids };
    between: { viewerFollows: boolean | null; followsViewer: boolean | null };
    users: Ids;
  }
  const { userByHandle, post, node, nodes, thread, answer, lists, between } = await told<Answered>(
    viewer,
    `query($handle: String!, $c: String!, $own: ID!, $root: ID!, $answered: ID!) {
      userByHandle(handle: $handle) { postCount posts { edges { node { id } } } }
      between: userByHandle(handle: $handle) { viewerFollows followsViewer }
      post(id: $own) { id likeCount } node(id: $own) { id } nodes(ids: [$own, $root]) { id }
      thread: post(id: $root) { replyCount replies { edges { node { id } } } }
      answer: post(id: $answered) { inReplyTo { id } }
      lists: userByHandle(handle: $c) { followers { edges { node { id } } } following { edges { node { id } } } } }`,
    { handle: owner.handle, c: c.handle, own, root, answered },
  );
  const ids = ({ edges }: Ids) => edges.map(({ node }) => node.id);
  // What is counted does not depend on who looks.
  expect([userByHandle.postCount, thread.replyCount, nodes[1]?.id]).toEqual([2, 2, root]);
  const home =
    'token' in viewer
      ? ids((await told<{ homeTimeline: Ids }>(viewer, '{ homeTimeline { edges { node { id } } } }')).homeTimeline)
      : [];
  if (post) expect(post.likeCount).toBe(3);
  return {
    timeline: home.includes(own) && home.includes(reply),
    profile: ids(userByHandle.posts).includes(own),
    byId: post?.id === own,
    node: node?.id === own,
    nodes: nodes[0]?.id === own,
    thread: ids(thread.replies).includes(reply),
    inReplyTo: answer.inReplyTo?.id === own,
    followers: ids(lists.followers).includes(owner.id),
    following: ids(lists.following).includes(owner.id),
    follows: between.viewerFollows === true && between.followsViewer === true,
  };
}

const EVERYWHERE = {
  timeline: true,
  profile: true,
  byId: true,
  node: true,
  nodes: true,
  thread: true,
  inReplyTo: true,
  followers: true,
  following: true,
  follows: true,
};
type Seen = typeof EVERYWHERE;
const NOWHERE: Seen = Object.fromEntries(Object.keys(EVERYWHERE).map((place) => [place, false])) as Seen;
