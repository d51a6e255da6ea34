/** One operation of the public graph (`examples/<example>.graphql`) as somebody of the demo graph sends it. */
export interface Recorded {
  readonly example: string;
  /** Handle of who asks; undefined: nobody is logged in. */
  readonly viewer?: string;
  readonly variables: (demo: Demo) => Record<string, unknown>;
}

/** Ids of the demo graph; they are the same in every one. */
export interface Demo {
  /** By handle. */
  readonly people: Readonly<Record<string, string>>;
  /** A post of alice with a reply. */
  readonly thread: string;
  /** Two posts of bob. */
  readonly own: readonly [string, string];
}

/** In this order: what reads comes first, so it shows nothing but the seed. Each name is a file in every service that is asked. */
export const OPERATIONS: Readonly<Record<string, Recorded>> = {
  'profile-page': { example: 'profile-page', viewer: 'bob', variables: () => ({ handle: 'alice' }) },
  'profile-page-as-nobody': { example: 'profile-page', variables: () => ({ handle: 'alice', posts: 3 }) },
  'profile-page-as-blocked': { example: 'profile-page', viewer: 'eve', variables: () => ({ handle: 'dan' }) },
  'home-timeline': { example: 'home-timeline', viewer: 'bob', variables: () => ({ first: 10 }) },
  me: { example: 'me', viewer: 'bob', variables: () => ({}) },
  'me-as-nobody': { example: 'me', variables: () => ({}) },
  thread: { example: 'thread', viewer: 'bob', variables: ({ thread }) => ({ id: thread }) },
  people: { example: 'people', viewer: 'bob', variables: () => ({ first: 3 }) },
  node: { example: 'node', viewer: 'bob', variables: ({ thread }) => ({ id: thread }) },
  nodes: { example: 'nodes', viewer: 'bob', variables: ({ thread, people }) => ({ ids: [people['alice'], thread] }) },
  'post-history': { example: 'post-history', viewer: 'bob', variables: ({ thread }) => ({ id: thread }) },
  'post-as-of': {
    example: 'post-as-of',
    viewer: 'bob',
    variables: ({ thread }) => ({ id: thread, at: '2026-11-15T00:00:00.000Z' }),
  },
  notifications: { example: 'notifications', viewer: 'alice', variables: () => ({ first: 5 }) },
  'trending-posts': { example: 'trending-posts', viewer: 'bob', variables: () => ({ first: 5 }) },
  'account-deletion': {
    example: 'account-deletion',
    viewer: 'bob',
    variables: () => ({ id: 'deletion_01m3veg580e1cs2r068g8q5y7t' }),
  },
  'sign-up': {
    example: 'sign-up',
    variables: () => ({ input: { handle: 'zoe', email: 'z@example.org', password: 'tributary', displayName: 'Zoe' } }),
  },
  'log-in': { example: 'log-in', variables: () => ({ input: { handle: 'bob', password: 'tributary' } }) },
  'edit-profile': { example: 'edit-profile', viewer: 'bob', variables: () => ({ input: { bio: 'Rye and wheat.' } }) },
  publish: {
    example: 'publish',
    viewer: 'bob',
    variables: ({ thread }) => ({ input: { body: 'Six, and a quarter to.', inReplyToId: thread } }),
  },
  'edit-post': {
    example: 'edit-post',
    viewer: 'bob',
    variables: ({ own: [id] }) => ({ input: { id, body: 'Rye is out at eight.' } }),
  },
  like: { example: 'like', viewer: 'bob', variables: ({ own: [postId] }) => ({ postId }) },
  unlike: { example: 'unlike', viewer: 'bob', variables: ({ own: [postId] }) => ({ postId }) },
  'delete-post': { example: 'delete-post', viewer: 'bob', variables: ({ own: [, id] }) => ({ id }) },
  'restore-post': { example: 'restore-post', viewer: 'bob', variables: ({ own: [, id] }) => ({ id }) },
  follow: { example: 'follow', viewer: 'bob', variables: ({ people }) => ({ userId: people['dan'] }) },
  unfollow: { example: 'unfollow', viewer: 'bob', variables: ({ people }) => ({ userId: people['dan'] }) },
  block: { example: 'block', viewer: 'bob', variables: ({ people }) => ({ userId: people['eve'] }) },
  unblock: { example: 'unblock', viewer: 'bob', variables: ({ people }) => ({ userId: people['eve'] }) },
  'mark-notifications-read': { example: 'mark-notifications-read', viewer: 'alice', variables: () => ({}) },
  'delete-account': {
    example: 'delete-account',
    viewer: 'bob',
    variables: () => ({ input: { password: 'tributary' } }),
  },
};
