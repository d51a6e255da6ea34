import type { Cache } from '#libs/cache';
import type { Database } from '#libs/database';

/** A subgraph that was started: what the all-in-one and the tests hold in their hands. */
export interface RunningSubgraph {
  readonly name: string;
  /** http://127.0.0.1:40123/graphql */
  readonly url: string;
  readonly database: Database;
  readonly cache: Cache;
  /** Own outbox published, own subscriptions idle. */
  settle(): Promise<void>;
  close(): Promise<void>;
}
