import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { PASSWORD } from '../people.js';
import { startWorld, type World } from '../world.js';
import { example, told, type Asking } from './cast.js';

/** What somebody who pastes `examples/*.graphql` into the playground after a first start sees. */
interface Shown {
  /** Handle of who asks; undefined: nobody is logged in. */
  readonly as?: string;
  readonly with: (demo: Demo) => Record<string, unknown>;
  readonly shows: (demo: Demo) => unknown;
}

interface Demo {
  /** Ids by handle. */
  readonly people: Readonly<Record<string, string>>;
  /** The newest post of each person, by handle. */
  readonly newest: Readonly<Record<string, string>>;
  /** A post of alice to which bob replied. */
  readonly hello: string;
}

const SOME_ID = expect.stringMatching(/^(user|post)_[0-9a-hjkmnp-tv-z]{26}$/) as unknown;
const INSTANT = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown;
const TOKEN = expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as unknown;
const CURSOR = expect.stringMatching(/^[\w-]+$/) as unknown;

/** In this order: each sees what the ones before it did. */
const EXAMPLES: Readonly<Record<string, Shown>> = {
  'profile-page': {
    as: 'bob',
    with: () => ({ handle: 'alice' }),
    shows: ({ people }) => ({
      userByHandle: {
        id: people['alice'],
        handle: 'alice',
        displayName: 'Alice',
        bio: 'Keeps a lock on the upper canal.',
        avatarUrl: null,
        joinedAt: INSTANT,
        followerCount: 4,
        followingCount: 2,
        postCount: 24,
        viewerFollows: true,
        followsViewer: true,
        posts: {
          edges: Array.from({ length: 20 }, () => ({
            node: {
              id: SOME_ID,
              body: expect.any(String) as unknown,
              createdAt: INSTANT,
              editedAt: null,
              likeCount: expect.any(Number) as unknown,
              replyCount: expect.any(Number) as unknown,
              viewerHasLiked: expect.any(Boolean) as unknown,
              author: { id: people['alice'], handle: 'alice', displayName: 'Alice' },
            },
          })),
          pageInfo: { endCursor: CURSOR, hasNextPage: true },
        },
        followers: {
          edges: [
            ['eve', 'Eve', 1],
            ['dan', 'Dan', 0],
            ['carol', 'Carol', 2],
            ['bob', 'Bob', 1],
          ].map(([handle = '', displayName, followerCount]) => ({
            node: { id: people[handle], handle, displayName, followerCount },
          })),
        },
      },
    }),
  },
  'home-timeline': {
    as: 'bob',
    with: () => ({ first: 2 }),
    shows: ({ people, newest }) => ({
      homeTimeline: {
        edges: [
          {
            cursor: CURSOR,
            node: {
              id: newest['alice'],
              body: 'The log of October: 143 boats, 2 herons, 1 bell rope.',
              createdAt: INSTANT,
              likeCount: 2,
              replyCount: 0,
              author: { id: people['alice'], handle: 'alice', displayName: 'Alice', viewerFollows: true },
              inReplyTo: null,
            },
          },
          { cursor: CURSOR, node: expect.objectContaining({ replyCount: 0 }) as unknown },
        ],
        pageInfo: { endCursor: CURSOR, hasNextPage: true },
      },
    }),
  },
  me: {
    as: 'carol',
    with: () => ({}),
    shows: ({ people }) => ({
      me: { id: people['carol'], handle: 'carol', email: 'carol@example.org', displayName: 'Carol' },
    }),
  },
  thread: {
    with: ({ hello }) => ({ id: hello }),
    shows: ({ hello }) => ({
      post: {
        id: hello,
        body: 'Hello. I keep the upper lock, and from today its log is public.',
        author: { handle: 'alice' },
        replies: {
          edges: [
            {
              node: {
                id: SOME_ID,
                body: 'Welcome, upper lock! The bakery below you opens at six.',
                author: { handle: 'bob' },
              },
            },
          ],
        },
      },
    }),
  },
  people: {
    with: () => ({}),
    shows: ({ people }) => ({
      users: {
        edges: ['alice', 'bob', 'carol', 'dan', 'eve'].map((handle) => ({ node: { id: people[handle], handle } })),
        pageInfo: { endCursor: CURSOR, hasNextPage: false },
      },
    }),
  },
  node: {
    with: ({ people }) => ({ id: people['eve'] }),
    shows: ({ people }) => ({ node: { __typename: 'User', id: people['eve'], handle: 'eve' } }),
  },
  nodes: {
    with: ({ people, hello }) => ({ ids: [hello, people['dan'], hello] }),
    shows: ({ people, hello }) => {
      const post = { __typename: 'Post', id: hello, body: expect.stringMatching(/^Hello/) as unknown };
      return { nodes: [post, { __typename: 'User', id: people['dan'], handle: 'dan' }, post] };
    },
  },
  'post-history': {
    with: ({ hello }) => ({ id: hello }),
    shows: ({ hello }) => ({
      post: {
        id: hello,
        version: 1,
        history: {
          edges: [
            {
              node: {
                version: 1,
                change: 'PUBLISHED',
                at: INSTANT,
                body: 'Hello. I keep the upper lock, and from today its log is public.',
                basedOn: null,
              },
            },
          ],
          pageInfo: { endCursor: CURSOR, hasNextPage: false },
        },
      },
    }),
  },
  'post-as-of': {
    with: ({ hello }) => ({ id: hello, at: '2026-09-01T00:00:00.000Z' }),
    shows: ({ hello }) => ({
      post: { id: hello, body: 'Hello. I keep the upper lock, and from today its log is public.', asOf: null },
    }),
  },
  'sign-up': {
    with: () => ({ input: { handle: 'Zoe', email: 'zoe@example.org', password: PASSWORD, displayName: 'Zoë' } }),
    shows: () => ({ signUp: { token: TOKEN, user: { id: SOME_ID, handle: 'zoe' } } }),
  },
  'log-in': {
    with: () => ({ input: { handle: 'alice', password: PASSWORD } }),
    shows: ({ people }) => ({ logIn: { token: TOKEN, user: { id: people['alice'], handle: 'alice' } } }),
  },
  'edit-profile': {
    as: 'alice',
    with: () => ({ input: { bio: 'Keeps two locks.' } }),
    shows: ({ people }) => ({
      editProfile: { id: people['alice'], handle: 'alice', displayName: 'Alice', bio: 'Keeps two locks.' },
    }),
  },
  publish: {
    as: 'alice',
    with: () => ({ input: { body: 'The second lock is open. 🛶' } }),
    shows: () => ({
      publishPost: { id: SOME_ID, body: 'The second lock is open. 🛶', author: { handle: 'alice', postCount: 25 } },
    }),
  },
  'edit-post': {
    as: 'alice',
    with: ({ newest }) => ({ input: { id: newest['alice'], body: 'The log of October: 144 boats.' } }),
    shows: ({ newest }) => ({
      editPost: { id: newest['alice'], body: 'The log of October: 144 boats.', editedAt: INSTANT },
    }),
  },
  like: {
    as: 'dan',
    with: ({ newest }) => ({ postId: newest['alice'] }),
    shows: ({ newest }) => ({ likePost: { id: newest['alice'], likeCount: 3, viewerHasLiked: true } }),
  },
  unlike: {
    as: 'dan',
    with: ({ newest }) => ({ postId: newest['alice'] }),
    shows: ({ newest }) => ({ unlikePost: { id: newest['alice'], likeCount: 2, viewerHasLiked: false } }),
  },
  'delete-post': {
    as: 'alice',
    with: ({ newest }) => ({ id: newest['alice'] }),
    shows: ({ newest }) => ({ deletePost: { id: newest['alice'] } }),
  },
  'restore-post': {
    as: 'alice',
    with: ({ newest }) => ({ id: newest['alice'] }),
    // Published, edited, deleted, restored: as it was when it was deleted.
    shows: ({ newest }) => ({
      restorePost: { id: newest['alice'], body: 'The log of October: 144 boats.', version: 4 },
    }),
  },
  follow: {
    as: 'dan',
    with: ({ people }) => ({ userId: people['bob'] }),
    shows: ({ people }) => ({ follow: { id: people['bob'], followerCount: 2, viewerFollows: true } }),
  },
  unfollow: {
    as: 'dan',
    with: ({ people }) => ({ userId: people['bob'] }),
    shows: ({ people }) => ({ unfollow: { id: people['bob'], followerCount: 1, viewerFollows: false } }),
  },
  block: {
    as: 'bob',
    with: ({ people }) => ({ userId: people['eve'] }),
    shows: ({ people }) => ({ block: { id: people['eve'] } }),
  },
  unblock: {
    as: 'bob',
    with: ({ people }) => ({ userId: people['eve'] }),
    shows: ({ people }) => ({ unblock: { id: people['eve'], viewerBlocks: false } }),
  },
  'account-deletion': {
    as: 'eve',
    // Of no deletion that there is.
    with: () => ({ id: 'deletion_01m3veg580e1cs2r068g8q5y7t' }),
    shows: () => ({ accountDeletion: null }),
  },
  // What dan's follow and the like above left; the unfollow and the unlike took them back.
  notifications: {
    as: 'alice',
    with: () => ({}),
    shows: () => ({
      unreadNotificationCount: expect.any(Number) as unknown,
      notifications: expect.any(Object) as unknown,
    }),
  },
  'mark-notifications-read': {
    as: 'alice',
    with: () => ({}),
    shows: () => ({ markNotificationsRead: { unreadNotificationCount: 0 } }),
  },
  'trending-posts': {
    with: () => ({}),
    shows: () => ({
      trendingPosts: { asOf: INSTANT, edges: expect.any(Array) as unknown, pageInfo: expect.any(Object) as unknown },
    }),
  },
  'delete-account': {
    as: 'eve',
    with: () => ({ input: { password: PASSWORD } }),
    shows: () => ({
      deleteAccount: { id: expect.any(String) as unknown, state: expect.stringMatching(/^(RUNNING|DONE)$/) as unknown },
    }),
  },
};

it('every file of examples/ is one of these', async () => {
  const files = (await readdir(join(ROOT, 'examples'))).filter((file) => file.endsWith('.graphql'));
  expect(Object.keys(EXAMPLES).sort()).toEqual(files.map((file) => file.replace('.graphql', '')).sort());
});

describe.each(['apollo', 'tributary'])('in the demo graph, by the engine %s', (engine) => {
  let world: World;
  let demo: Demo;
  const loggedIn = new Map<string, Asking>();

  beforeAll(async () => {
    world = await startWorld({ SEED: 'demo', ENGINE: engine });
    demo = await demoOf(world);
    for (const handle of Object.keys(demo.people)) {
      type Session = { logIn: { token: string } };
      const input = { handle, password: PASSWORD };
      const { logIn } = await told<Session>(world, await example('log-in'), { input });
      const headers = { authorization: `Bearer ${logIn.token}` };
      loggedIn.set(handle, { ask: (query, variables) => world.ask(query, variables, headers) });
    }
  }, 180_000);
  afterAll(() => world?.close());

  it.each(Object.keys(EXAMPLES))('%s', async (name) => {
    const { as, with: variables, shows } = EXAMPLES[name] as Shown;
    const who = as === undefined ? world : (loggedIn.get(as) as Asking);
    expect(await told(who, await example(name), variables(demo))).toEqual(shows(demo));
    await world.settle();
  });
});

async function demoOf(world: World): Promise<Demo> {
  interface Everybody {
    users: {
      edges: { node: { id: string; handle: string; posts: { edges: { node: { id: string; body: string } }[] } } }[];
    };
  }
  const { users } = await told<Everybody>(
    world,
    '{ users { edges { node { id handle posts(first: 100) { edges { node { id body } } } } } } }',
  );
  const people = users.edges.map(({ node }) => node);
  const written = people.flatMap(({ posts }) => posts.edges.map(({ node }) => node));
  return {
    people: Object.fromEntries(people.map(({ handle, id }) => [handle, id])),
    newest: Object.fromEntries(people.map(({ handle, posts }) => [handle, posts.edges[0]?.node.id ?? ''])),
    hello: written.find(({ body }) => body.startsWith('Hello.'))?.id ?? '',
  };
}
