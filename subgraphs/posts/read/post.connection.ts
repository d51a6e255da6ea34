import { connectionOf, pageArguments, type Connection } from '#libs/database';
import { isId } from '#libs/identity';
import type { CountedPost } from '../post.js';

export interface ConnectionArguments {
  readonly first?: number | null;
  readonly after?: string | null;
}

/** A list of posts: what it is called in its cursors, and whose it is. A cursor of another list is refused. */
export interface List {
  readonly name: 'posts' | 'replies' | 'home';
  readonly of: string;
}

export function pageOf(list: List, args: ConnectionArguments): { first: number; after: string | undefined } {
  const { first, after } = pageArguments(
    args,
    3,
    ([name, of, id]) => name === list.name && of === list.of && id !== undefined && isId(id),
  );
  return { first, after: after?.[2] };
}

export function postConnection(list: List, posts: readonly CountedPost[], first: number): Connection<CountedPost> {
  return connectionOf(
    posts,
    first,
    (post) => [list.name, list.of, post.id],
    (post) => post,
  );
}
