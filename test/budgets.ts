/**
 * The most that each operation of the public graph may cost, whatever the length of its pages: subgraph calls and SQL
 * statements by service with the cache off; with the cache on and warm, SQL statements altogether and round trips to the
 * cache's store. A mutation is counted to its end: relay, inbox and effect in every service, and the 4 statements per
 * service by which the test sees that all is quiet, and one more in users. One is for the call to have written (`takeForWriting`). Raise
 * a number only with a reason.
 */
export interface Budget {
  readonly calls: { readonly users: number; readonly posts: number; readonly followers: number };
  readonly statements: { readonly users: number; readonly posts: number; readonly followers: number };
  /** Reads only. */
  readonly warm?: { readonly statements: number; readonly roundTrips: number };
}

const cost = (users: number, posts: number, followers: number) => ({ users, posts, followers });

export const BUDGETS: Readonly<Record<string, Budget>> = {
  'profile-page': { calls: cost(3, 1, 1), statements: cost(3, 3, 4), warm: { statements: 0, roundTrips: 8 } },
  'home-timeline': { calls: cost(2, 1, 1), statements: cost(2, 3, 1), warm: { statements: 1, roundTrips: 4 } },
  me: { calls: cost(1, 0, 0), statements: cost(2, 0, 0), warm: { statements: 1, roundTrips: 1 } },
  thread: { calls: cost(2, 1, 0), statements: cost(2, 3, 0), warm: { statements: 1, roundTrips: 3 } },
  people: { calls: cost(1, 0, 0), statements: cost(1, 0, 0), warm: { statements: 1, roundTrips: 0 } },
  node: { calls: cost(0, 1, 0), statements: cost(0, 2, 0), warm: { statements: 0, roundTrips: 2 } },
  nodes: { calls: cost(1, 1, 0), statements: cost(1, 3, 0), warm: { statements: 0, roundTrips: 3 } },
  'post-history': { calls: cost(0, 1, 0), statements: cost(0, 3, 0), warm: { statements: 1, roundTrips: 2 } },
  'post-as-of': { calls: cost(0, 1, 0), statements: cost(0, 3, 0), warm: { statements: 1, roundTrips: 2 } },
  notifications: { calls: cost(1, 1, 0), statements: cost(4, 2, 0), warm: { statements: 3, roundTrips: 5 } },
  'trending-posts': { calls: cost(1, 1, 0), statements: cost(1, 1, 0), warm: { statements: 1, roundTrips: 1 } },
  // It holds the list: what is told meanwhile comes later, and is not read.
  'mark-notifications-read': { calls: cost(1, 0, 0), statements: cost(9, 4, 4) },
  // posts looks once more for who has no timeline yet.
  'sign-up': { calls: cost(1, 0, 0), statements: cost(13, 10, 7) },
  'log-in': { calls: cost(1, 0, 0), statements: cost(5, 4, 4) },
  'edit-profile': { calls: cost(1, 0, 0), statements: cost(13, 6, 6) },
  publish: { calls: cost(1, 1, 0), statements: cost(9, 22, 4) },
  'edit-post': { calls: cost(0, 1, 0), statements: cost(5, 16, 4) },
  // users holds the list of whoever is told of it.
  like: { calls: cost(0, 1, 0), statements: cost(8, 17, 4) },
  unlike: { calls: cost(0, 1, 0), statements: cost(7, 17, 4) },
  'delete-post': { calls: cost(0, 1, 0), statements: cost(7, 18, 4) },
  // users forgets that it was gone.
  'restore-post': { calls: cost(0, 1, 0), statements: cost(6, 23, 4) },
  follow: { calls: cost(0, 0, 1), statements: cost(8, 14, 21) },
  unfollow: { calls: cost(0, 0, 1), statements: cost(7, 7, 21) },
  block: { calls: cost(0, 0, 1), statements: cost(6, 7, 19) },
  unblock: { calls: cost(0, 0, 1), statements: cost(6, 7, 19) },
  'account-deletion': { calls: cost(1, 0, 0), statements: cost(1, 0, 0), warm: { statements: 1, roundTrips: 0 } },
  // The whole saga, to its end, and every look of whoever waits for it.
  'delete-account': { calls: cost(1, 0, 0), statements: cost(160, 160, 140) },
};
