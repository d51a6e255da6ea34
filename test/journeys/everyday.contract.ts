import { describe, expect, it } from '@jest/globals';
import { globalId, newId } from '#libs/identity';
import { alice, bob, carol, PASSWORD } from '../people.js';
import type { World } from '../world.js';
import { act, cast, example, mutation, publish, refusals, told, type List } from './cast.js';

/** What people do on an ordinary day, through the gateway. */
export function everyday(world: () => World): void {
  describe('the home timeline', () => {
    interface Home {
      homeTimeline: List<{ id: string; body: string; author: { handle: string; viewerFollows: boolean } }>;
    }

    it('has a new post of somebody I follow, newest first, and of nobody else', async () => {
      const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Who, Who, Who];
      await act(b, 'follow', a.id);
      await world().settle();
      const first = await publish(a, 'the first');
      await publish(c, 'of somebody whom bob does not follow');
      const own = await publish(b, 'my own');
      const last = await publish(a, 'the last');
      await world().settle();

      const home = async (variables: Record<string, unknown> = {}) =>
        (await told<Home>(b, await example('home-timeline'), variables)).homeTimeline;
      const { edges, pageInfo } = await home();
      expect(edges.map(({ node }) => node.id)).toEqual([last, own, first]);
      expect(edges[0]?.node.author).toMatchObject({ handle: a.handle, viewerFollows: true });
      expect(pageInfo.hasNextPage).toBe(false);

      const page = await home({ first: 2 });
      expect(page.edges.map(({ node }) => node.id)).toEqual([last, own]);
      const next = await home({ first: 2, after: page.pageInfo.endCursor });
      expect(next.edges.map(({ node }) => node.id)).toEqual([first]);
      expect((await told<Home>(c, await example('home-timeline'))).homeTimeline.edges).toHaveLength(1);
    });

    it('no longer has the posts of somebody whom I stopped following', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Who, Who];
      await act(b, 'follow', a.id);
      await publish(a, 'a post');
      await world().settle();
      await act(b, 'unfollow', a.id);
      await world().settle();
      expect((await told<Home>(b, await example('home-timeline'))).homeTimeline.edges).toEqual([]);
    });
  });

  it('shows what I wrote to me at once, wherever it is counted', async () => {
    const [a, b] = (await cast(world(), alice, bob)) as [Who, Who];
    const page = async (who: Who, handle: string) =>
      (await told<{ userByHandle: Profile }>(who, await example('profile-page'), { handle })).userByHandle;
    expect(await page(b, a.handle)).toMatchObject({ postCount: 0, followerCount: 0, viewerFollows: false });

    const id = await publish(a, 'a post');
    expect(await page(a, a.handle)).toMatchObject({ postCount: 1, posts: { edges: [{ node: { id, likeCount: 0 } }] } });
    await act(b, 'follow', a.id);
    await act(b, 'likePost', id);
    const reply = await publish(b, 'a reply', id);
    const edited = { input: { id, body: 'a better post' } };
    await told(a, await example('edit-post'), edited);
    expect(await page(b, a.handle)).toMatchObject({
      followerCount: 1,
      viewerFollows: true,
      followers: { edges: [{ node: { id: b.id } }] },
      posts: { edges: [{ node: { body: 'a better post', likeCount: 1, replyCount: 1, viewerHasLiked: true } }] },
    });

    await told(a, await example('edit-profile'), { input: { displayName: 'Alice L.', handle: `${a.handle}_l` } });
    expect(await page(a, `${a.handle}_l`)).toMatchObject({ displayName: 'Alice L.', followsViewer: false });
    expect(await page(a, a.handle)).toBeNull();

    await act(b, 'deletePost', reply);
    await act(b, 'unlikePost', id);
    await act(b, 'unfollow', a.id);
    expect(await page(b, `${a.handle}_l`)).toMatchObject({
      followerCount: 0,
      posts: { edges: [{ node: { likeCount: 0, replyCount: 0, viewerHasLiked: false } }] },
    });
  });

  describe('a person who signed up a moment ago', () => {
    it('can be followed, and can publish, before anybody has heard of them', async () => {
      const [b] = (await cast(world(), bob)) as [Who];
      const card = { ...alice, handle: `new_${b.handle}` };
      const fresh = await world().signUp(card);
      type Follow = { follow: object };
      expect((await told<Follow>(b, await example('follow'), { userId: fresh.id })).follow).toEqual({
        id: fresh.id,
        followerCount: 1,
        viewerFollows: true,
      });
      const another = await world().signUp({ ...card, handle: `newer_${b.handle}` });
      const input = { input: { body: 'hello' } };
      expect(await told(another, await example('publish'), input)).toMatchObject({
        publishPost: { author: { handle: another.handle, postCount: 1 } },
      });
      await world().settle();
    });

    it('is not the same as nobody: that is NOT_FOUND, whatever the age of the id', async () => {
      const [b] = (await cast(world(), bob)) as [Who];
      for (const now of [Date.now() - 60_000, Date.now()]) {
        for (const verb of ['follow', 'unfollow', 'block', 'unblock']) {
          const answer = await b.ask(mutation(verb), { id: globalId('user', newId({ now })) });
          expect([answer.data, refusals(answer)]).toEqual([{ [verb]: null }, [`${verb} NOT_FOUND`]]);
        }
      }
    });
  });

  it('of several mutations in one document, the one that fails leaves the others', async () => {
    const [a, b] = (await cast(world(), alice, bob)) as [Who, Who];
    const nobody = globalId('user', newId({ now: 0 }));
    const answer = await b.ask(
      `mutation($a: ID!, $nobody: ID!, $post: ID!) {
        first: follow(userId: $a) { viewerFollows }
        second: follow(userId: $nobody) { viewerFollows }
        third: publishPost(input: { body: "after a failure" }) { author { postCount } }
        fourth: likePost(postId: $post) { likeCount }
        fifth: publishPost(input: { body: "" }) { id }
        sixth: editProfile(input: { bio: "by the river" }) { bio }
      }`,
      { a: a.id, nobody, post: globalId('post', newId({ now: 0 })) },
    );
    expect(answer.data).toEqual({
      first: { viewerFollows: true },
      second: null,
      third: { author: { postCount: 1 } },
      fourth: null,
      fifth: null,
      sixth: { bio: 'by the river' },
    });
    expect(refusals(answer).sort()).toEqual(['fifth BAD_USER_INPUT', 'fourth NOT_FOUND', 'second NOT_FOUND']);
  });

  describe('nobody who is logged in', () => {
    it('gets null, without an error, for what is about the viewer', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Who, Who];
      await publish(a, 'a post');
      await act(b, 'follow', a.id);
      const { userByHandle, me } = await told<{ userByHandle: object; me: unknown }>(
        world(),
        `query($handle: String!) { me { id } userByHandle(handle: $handle) {
          email viewerFollows followsViewer viewerBlocks followerCount
          posts { edges { node { body viewerHasLiked author { viewerFollows } } } }
          followers { edges { node { handle viewerFollows email } } } } }`,
        { handle: a.handle },
      );
      expect(me).toBeNull();
      expect(userByHandle).toEqual({
        email: null,
        viewerFollows: null,
        followsViewer: null,
        viewerBlocks: null,
        followerCount: 1,
        posts: { edges: [{ node: { body: 'a post', viewerHasLiked: null, author: { viewerFollows: null } } }] },
        followers: { edges: [{ node: { handle: b.handle, viewerFollows: null, email: null } }] },
      });
    });

    it('is UNAUTHENTICATED for the home timeline and for every mutation, and changes nothing', async () => {
      const [a] = (await cast(world(), alice)) as [Who];
      const id = await publish(a, 'a post');
      const home = await world().ask(await example('home-timeline'));
      expect([home.data, refusals(home)]).toEqual([{ homeTimeline: null }, ['homeTimeline UNAUTHENTICATED']]);
      const answer = await world().ask(
        `mutation($a: ID!, $id: ID!) {
          publishPost(input: { body: "x" }) { id } editPost(input: { id: $id, body: "x" }) { id } deletePost(id: $id) { id }
          likePost(postId: $id) { id } unlikePost(postId: $id) { id }
          follow(userId: $a) { id } unfollow(userId: $a) { id } block(userId: $a) { id } unblock(userId: $a) { id }
          editProfile(input: { bio: "x" }) { id } deleteAccount(input: { password: "${PASSWORD}" }) { id }
        }`,
        { a: a.id, id },
      );
      const fields = Object.keys(answer.data ?? {});
      expect(fields).toHaveLength(11);
      expect(refusals(answer).sort()).toEqual(fields.map((field) => `${field} UNAUTHENTICATED`).sort());
      expect(await told(world(), '{ users(first: 1) { edges { node { id } } } }')).toBeDefined();
      expect(await told(world(), 'query($id: ID!) { post(id: $id) { body likeCount } }', { id })).toEqual({
        post: { body: 'a post', likeCount: 0 },
      });
    });

    it('and nobody but its owner is shown an e-mail address', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Who, Who];
      const query = 'query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { email } } }';
      expect(await told(a, query, { ids: [a.id, b.id] })).toEqual({
        nodes: [{ email: alice.email }, { email: null }],
      });
    });
  });

  it('what another service adds, what may be gone and every mutation may be null; so one hole leaves the rest', async () => {
    interface Type {
      fields: { name: string; type: { kind: string } }[];
    }
    const types = await told<Record<string, Type>>(
      world(),
      `{ ${['Mutation', 'User', 'Post', 'PostEdge', 'UserEdge', 'FollowerEdge', 'FollowingEdge']
        .map((name) => `${name}: __type(name: "${name}") { fields { name type { kind } } }`)
        .join(' ')} }`,
    );
    const never = Object.entries(types).flatMap(([type, { fields }]) =>
      fields.filter(({ type: { kind } }) => kind === 'NON_NULL').map(({ name }) => `${type}.${name}`),
    );
    expect(never.sort()).toEqual([
      'FollowerEdge.cursor',
      'FollowerEdge.followedAt',
      'FollowingEdge.cursor',
      'FollowingEdge.followedAt',
      'Post.body',
      'Post.createdAt',
      'Post.id',
      'Post.likeCount',
      'Post.replies',
      'Post.replyCount',
      'Post.version',
      'PostEdge.cursor',
      'User.bio',
      'User.displayName',
      'User.handle',
      'User.id',
      'User.joinedAt',
      'UserEdge.cursor',
    ]);
  });
}

type Who = Awaited<ReturnType<World['signUp']>>;

interface Profile {
  readonly postCount: number;
  readonly followerCount: number;
}
