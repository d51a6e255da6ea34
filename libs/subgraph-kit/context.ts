import type { Write } from '#libs/consistency';
import { Failure, type Deadline } from '#libs/failure';
import type { Key, Once } from '#libs/idempotency';

/** One per request; loaders hang on it in a WeakMap. */
export interface RequestContext {
  /** uuid of the person who asks, as the gateway asserted it; null for nobody. */
  readonly viewer: string | null;
  readonly requestId: string;
  /** Of the gateway's trace, for the log; absent: it does not trace. */
  readonly traceId?: string | undefined;
  /** Which client of the gateway's it comes from, and by which log-in; told with mutations only. */
  readonly client?: string | undefined;
  readonly session?: string | undefined;
  /** Until when the gateway waits for the answer; absent: it has not said. */
  readonly deadline?: Deadline | undefined;
  /** By which name what this call writes is written once, also where it is asked again; absent: its gateway is of before, and gives it none. */
  readonly call?: string | undefined;
  /** The call has written here, so it can do so nowhere else (`takeForWriting`). */
  writes?: boolean;
  /** By which a mutation may be repeated; absent: the client has not said that it may. */
  readonly key?: Key | undefined;
  /** Of the root field that is resolved now, where there is a key. */
  once?: Once | undefined;
  /** What this reader has written lately and has to be shown, wherever it was written; mostly nothing. */
  readonly upTo: readonly Write[];
  /**
   * True: what is kept of this service's own data (caches, read models that follow its events) may be older than what the
   * reader has written, or the reader has asked for nothing that is kept (`Cache-Control: no-cache`); so read what they are made of.
   */
  fresh: boolean;
  /**
   * True: the reader has asked for nothing that is kept, and is to be shown nothing older than before, whoever wrote it: so what is read is the
   * rows themselves, and no list of a person's that follows them, not even one that mostly is ahead of a cache.
   */
  readonly monotonic?: boolean | undefined;
  /**
   * True: it is a query of somebody who has written nothing lately and may be shown what everybody was shown a moment ago, so what is read for
   * this request alone may come from a replica of the database (`Database.reader`). Where nothing is said the primary is read.
   */
  mayLag?: boolean;
  /** Some of it came from a replica, so it may be kept by nobody. */
  lagged?: boolean;
  /** Kinds of aggregates of which the copy here is behind what this reader has written, after all waiting. */
  behind?: ReadonlySet<string> | undefined;
  /** What this request has written so far; told to the gateway. */
  readonly wrote: Write[];
  /** What it has found written as it asked; told to the gateway as well. Another process may have written it, and this one's caches know nothing of it. */
  readonly found: Write[];
}

/** The person who asks, where a field needs one. */
export function requireViewer(context: RequestContext): string {
  if (context.viewer === null) throw new Failure('UNAUTHENTICATED');
  return context.viewer;
}
