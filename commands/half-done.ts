import type { Database } from '#libs/database';
import { STUCK_S, stuckDeletions } from '../subgraphs/users/gauges.js';
import type { Service } from './databases.js';

export interface HalfDone {
  readonly deletion: string;
  readonly what: string;
}

interface Options {
  /** A deletion of which nothing was heard for longer does not go on by itself. */
  readonly stuckS?: number;
  /** What has just ended may be on its way to the others: it is asked again so often, `againMs` later. */
  readonly tries?: number;
  readonly againMs?: number;
}

/** Deletions of one look. */
const CHUNK = 1_000;

/**
 * Compares the three databases: deletions that do not go on; accounts that are deleted and still there in posts or followers; accounts
 * that were brought back and are still frozen there. Empty when every deletion is done everywhere, undone everywhere, or goes on.
 */
export async function halfDoneDeletions(
  databases: Readonly<Record<Service, Database>>,
  { stuckS = STUCK_S, tries = 20, againMs = 250 }: Options = {},
): Promise<HalfDone[]> {
  const stuck = await stuckDeletions(databases.users, stuckS);
  const found: HalfDone[] = stuck.map(({ id, saga, state, steps, quietS }) => ({
    deletion: id,
    what: `${saga}, ${state} and quiet for ${quietS} s${steps && `; waits for ${steps}`}`,
  }));
  for (let after = NIL; ;) {
    const ended = await databases.users.query<Ended>(
      `SELECT DISTINCT ON (user_id) id, user_id AS "userId", state FROM account_deletions
       WHERE user_id > $1 ORDER BY user_id, id DESC LIMIT ${CHUNK}`,
      [after],
    );
    const last = ended.at(-1);
    if (last === undefined) return found;
    let suspects = ended.filter(({ state }) => state === 'DONE' || state === 'REVERTED');
    let wrong = await otherwise(databases, suspects);
    for (let tried = 1; wrong.length > 0 && tried < tries; tried++) {
      await new Promise((resolve) => setTimeout(resolve, againMs));
      const ids = new Set(wrong.map(({ deletion }) => deletion));
      suspects = suspects.filter(({ id }) => ids.has(id));
      wrong = await otherwise(databases, suspects);
    }
    found.push(...wrong);
    after = last.userId;
  }
}

interface Ended {
  readonly id: string;
  readonly userId: string;
  readonly state: string;
}

async function otherwise(
  { posts, followers }: Readonly<Record<Service, Database>>,
  ended: readonly Ended[],
): Promise<HalfDone[]> {
  const of = (state: string): string[] => ended.filter((one) => one.state === state).map(({ userId }) => userId);
  const [done, back] = [of('DONE'), of('REVERTED')];
  const wrong = new Map<string, string[]>();
  const note = (rows: readonly { id: string }[], what: string): void => {
    for (const { id } of rows) wrong.set(id, [...(wrong.get(id) ?? []), what]);
  };
  note(
    await posts.query<{ id: string }>(
      `SELECT u.id FROM unnest($1::uuid[]) AS u (id)
       WHERE EXISTS (SELECT FROM people p WHERE p.id = u.id AND p.state <> 'deleted')
         OR EXISTS (SELECT FROM posts p WHERE p.author_id = u.id AND p.state = 'published')
         OR EXISTS (SELECT FROM likes l WHERE l.user_id = u.id AND l.liked)`,
      [done],
    ),
    'deleted, and still there in posts',
  );
  note(
    await followers.query<{ id: string }>(
      `SELECT u.id FROM unnest($1::uuid[]) AS u (id)
       WHERE EXISTS (SELECT FROM people p WHERE p.user_id = u.id AND p.state <> 'gone')
         OR EXISTS (SELECT FROM follows f WHERE f.follower_id = u.id) OR EXISTS (SELECT FROM follows f WHERE f.followee_id = u.id)
         OR EXISTS (SELECT FROM blocks b WHERE b.blocker_id = u.id) OR EXISTS (SELECT FROM blocks b WHERE b.blocked_id = u.id)
         OR EXISTS (SELECT FROM parted p WHERE p.owner_id = u.id)`,
      [done],
    ),
    'deleted, and still there in followers',
  );
  note(
    await posts.query<{ id: string }>(
      `SELECT u.id FROM unnest($1::uuid[]) AS u (id)
       WHERE EXISTS (SELECT FROM people p WHERE p.id = u.id AND p.state <> 'registered')
         OR EXISTS (SELECT FROM posts p WHERE p.author_id = u.id AND p.state = 'withdrawn')
         OR EXISTS (SELECT FROM likes l WHERE l.user_id = u.id AND l.withdrawn)`,
      [back],
    ),
    'brought back, and not in posts',
  );
  note(
    await followers.query<{ id: string }>(
      `SELECT u.id FROM unnest($1::uuid[]) AS u (id)
       WHERE EXISTS (SELECT FROM people p WHERE p.user_id = u.id AND p.state <> 'active')
         OR EXISTS (SELECT FROM parted p WHERE p.owner_id = u.id)`,
      [back],
    ),
    'brought back, and not in followers',
  );
  return ended.flatMap(({ id, userId }) => (wrong.get(userId) ?? []).map((what) => ({ deletion: id, what })));
}

const NIL = '00000000-0000-0000-0000-000000000000';
