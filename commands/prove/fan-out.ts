import type { Database } from '#libs/database';
import { newId } from '#libs/identity';
import * as bulk from '../../subgraphs/posts/bulk.js';
import { deliverStep, pushPost } from '../../subgraphs/posts/timeline/deliver.js';
import type { TimelineLimits } from '../../subgraphs/posts/timeline/lists.js';

/** Posts that are on their way with the one that is measured: together as many as one step serves. */
export const BESIDE = 49;
/** Each is measured so often, and the longest is told. */
export const TIMES = 5;

/** How long a post is on its way to as many followers as are pushed to at most, in ms: from being published until it is in all their lists. */
export interface FanOuts {
  readonly followers: number;
  readonly alone: number;
  /** Beside posts of authors by chance. */
  readonly besideSome: number;
  /** Beside posts of those with the most followers of all who are pushed. */
  readonly besideLongest: number;
}

/** Leaves an author of its own behind, who has that many followers. */
export async function fanOuts(
  database: Database,
  limits: TimelineLimits,
  people: readonly string[],
  draw: (below: number) => number,
): Promise<FanOuts> {
  const pushed = await database.query<{ id: string }>(
    `SELECT p.id FROM people p JOIN follow_edges f ON f.followee_id = p.id WHERE NOT p.pulled GROUP BY p.id ORDER BY count(*) DESC, p.id`,
  );
  const others = pushed.map(({ id }) => id);
  const { authorId, followers } = await somebodyFollowed(database, limits, people, draw);
  const longest = async (beside: () => readonly string[]): Promise<number> => {
    let most = 0;
    for (let nth = 0; nth < TIMES; nth++)
      most = Math.max(most, await fanOutMs(database, limits, [...beside(), authorId]));
    return most;
  };
  return {
    followers,
    alone: await longest(() => []),
    besideSome: await longest(() => Array.from({ length: BESIDE }, () => others[draw(others.length)] as string)),
    besideLongest: await longest(() => others.slice(0, BESIDE)),
  };
}

async function somebodyFollowed(
  database: Database,
  { pushMax }: TimelineLimits,
  people: readonly string[],
  draw: (below: number) => number,
): Promise<{ authorId: string; followers: number }> {
  const authorId = newId();
  const followers = new Set<string>();
  while (followers.size < Math.min(pushMax, people.length)) followers.add(people[draw(people.length)] as string);
  await bulk.loadPeople(database, [authorId]);
  await bulk.loadEdges(
    database,
    [...followers].map((followerId) => ({ followerId, followeeId: authorId })),
  );
  // Who has published nothing has nothing to be copied.
  await database.query('UPDATE follow_edges SET pushed = true WHERE followee_id = $1', [authorId]);
  return { authorId, followers: followers.size };
}

/** Of the last author's post; the others' were published before it and wait with it. Worked off as the service does: a look, then a step. */
async function fanOutMs(database: Database, limits: TimelineLimits, authorIds: readonly string[]): Promise<number> {
  const createdAt = new Date().toISOString();
  const posts = authorIds.map((authorId) => ({ id: newId(), authorId, body: 'new', createdAt, inReplyToId: null }));
  await bulk.loadPosts(database, posts);
  const measured = posts.at(-1)?.id;
  let startedAt = 0;
  for (const { id: postId, authorId } of posts) {
    startedAt = performance.now();
    await database.transaction((tx) => pushPost(tx, { postId, authorId }));
  }
  while ((await database.query('SELECT FROM timeline_work WHERE post_id = $1', [measured])).length > 0)
    await deliverStep(database, limits);
  const tookMs = performance.now() - startedAt;
  while ((await deliverStep(database, limits)).posts > 0);
  return tookMs;
}
