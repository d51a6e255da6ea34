import { isReadOnly } from '#libs/database';
import { Failure } from '#libs/failure';

/** What `libs/database` says of a database that is gone, ending, or only a copy: nothing about the event that it was asked for. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Failure && error.code === 'SUBGRAPH_UNAVAILABLE';
}

/** That, or what others in it are in the way of: a lock that did not come free, a conflict, no room. A statement that takes too long is the event's own. */
export function isOfDatabase(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof Failure && error.code === 'OVERLOADED');
}

/** That the connection is gone; not that it takes no writes, which may last and does nothing to anybody. */
export function endsConnection(error: unknown): boolean {
  return isUnavailable(error) && !isReadOnly((error as Failure).cause);
}
