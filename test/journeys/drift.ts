import { drift as driftOf } from '../../commands/faults/drift.js';
import type { World } from '../world.js';

/** What is wrong between the databases of a world in which all is quiet: see commands/faults/drift.ts. Empty when nothing is. */
export function drift({ users, posts, followers }: Pick<World, 'users' | 'posts' | 'followers'>): Promise<string[]> {
  return driftOf({ users: users.database, posts: posts.database, followers: followers.database });
}
