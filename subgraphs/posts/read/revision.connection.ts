import { connectionOf, pageArguments, type Connection } from '#libs/database';
import type { ConnectionArguments } from './post.connection.js';
import type { Revision } from './revision.queries.js';

/** A cursor of another post's history is refused. */
export function historyPage(postId: string, args: ConnectionArguments): { first: number; afterVersion: number } {
  const { first, after } = pageArguments(
    args,
    3,
    ([name, of, version]) =>
      name === 'history' && of === postId && version !== undefined && /^[1-9]\d{0,8}$/.test(version),
  );
  return { first, afterVersion: Number(after?.[2] ?? 0) };
}

export function historyConnection(postId: string, revisions: readonly Revision[], first: number): Connection<Revision> {
  return connectionOf(
    revisions,
    first,
    (revision) => ['history', postId, String(revision.version)],
    (revision) => revision,
  );
}
