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
  /** For DRAIN_MS it goes on answering and is not ready; after that nobody asks it who could ask another one. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
