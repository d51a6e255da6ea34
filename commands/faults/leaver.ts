import { randomUUID } from 'node:crypto';
import type { Database } from '#libs/database';
import { parseGlobalId } from '#libs/identity';
import type { Stores } from './drift.js';
import { asks, signedUp, SOAK_PASSWORD, type Person } from './never-asked.js';
import type { Town } from './town.js';

/** An account that follows two and has published. */
export interface Leaver {
  readonly person: Person;
  readonly id: string;
}

const POSTS = 3;

export async function leaver(town: Pick<Town, 'graphql'>): Promise<Leaver> {
  const name = randomUUID().slice(0, 6);
  const people = await Promise.all(['l', 'f', 'g'].map((kind) => signedUp(town, `${kind}_${name}`)));
  const [person, ...others] = people as [Person, Person, Person];
  const say = (query: string, variables: object): Promise<unknown> => asks(town, query, variables, person.token);
  for (const { id } of others) await say('mutation($id: ID!) { follow(userId: $id) { id } }', { id });
  for (let nth = 0; nth < POSTS; nth += 1)
    await say('mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }', {
      input: { body: `leaves ${name} ${nth}` },
    });
  return { person, id: parseGlobalId('user', person.id) };
}

export async function deletes(town: Pick<Town, 'graphql'>, { person }: Leaver): Promise<void> {
  const query = 'mutation($input: DeleteAccountInput!) { deleteAccount(input: $input) { id state } }';
  await asks(town, query, { input: { password: SOAK_PASSWORD } }, person.token);
}

/** What the three services have of somebody. */
export async function leftOf({ users, posts, followers }: Stores, id: string): Promise<object> {
  const one = async (database: Database, text: string): Promise<object> =>
    (await database.query<object>(text, [id]))[0] ?? {};
  return {
    ...(await one(
      users,
      `SELECT deleted_at IS NOT NULL AS gone, frozen_at IS NOT NULL AND deleted_at IS NULL AS frozen, email <> '' AS named FROM users WHERE id = $1`,
    )),
    ...(await one(
      posts,
      `SELECT count(*) FILTER (WHERE state = 'published' AND body <> '')::int AS posts FROM posts WHERE author_id = $1`,
    )),
    ...(await one(followers, 'SELECT count(*)::int AS follows FROM follows WHERE follower_id = $1')),
    ...(await one(
      users,
      `SELECT count(*) FILTER (WHERE type = 'account-frozen')::int AS freezes, count(*) FILTER (WHERE type = 'account-thawed')::int AS thaws,
         count(*) FILTER (WHERE type = 'user-deleted')::int AS ends FROM outbox WHERE aggregate = 'user:' || $1`,
    )),
  };
}

/** After a deletion; and after one that went back. */
export const GONE = { gone: true, frozen: false, named: false, posts: 0, follows: 0, freezes: 1, thaws: 0, ends: 1 };
export const BACK = {
  gone: false,
  frozen: false,
  named: true,
  posts: POSTS,
  follows: 2,
  freezes: 1,
  thaws: 1,
  ends: 0,
};
