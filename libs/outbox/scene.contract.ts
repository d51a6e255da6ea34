import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openDatabase, type Database, type Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { newId } from '#libs/identity';
import { silent } from '#libs/telemetry';

import { outboxMigrations, recordEvents } from './index.js';

/** Two services for the tests of the event path: `users` tells, `posts` hears and writes down in `ledger` what took effect. */
export interface Scene {
  readonly users: Database;
  readonly posts: Database;
  /** The ledger: `<aggregate number>:<version>` in the order of the effects. */
  effects(): Promise<string[]>;
  /** Nothing was told or heard. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

const LEDGER = `CREATE TABLE IF NOT EXISTS ledger
  (nth bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL, aggregate text NOT NULL, version int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`;

export async function openScene(urls?: { users: string; posts: string }): Promise<Scene> {
  const dataDir = await mkdtemp(join(tmpdir(), 'outbox-'));
  const open = (service: 'users' | 'posts') =>
    openDatabase({
      service,
      url: urls?.[service],
      dataDir,
      entities: [],
      migrations: [...outboxMigrations],
      logger: silent,
    });
  const [users, posts] = [await open('users'), await open('posts')];
  await posts.query(LEDGER);
  return {
    users,
    posts,
    effects: async () => {
      const rows = await posts.query<{ aggregate: string; version: number }>('SELECT * FROM ledger ORDER BY nth');
      return rows.map((row) => `${Number(row.aggregate.slice(-12))}:${row.version}`);
    },
    empty: async () => {
      await users.query('TRUNCATE outbox, inbox, quarantine, drops_due');
      await posts.query('TRUNCATE inbox, quarantine, drops_due, ledger');
    },
    close: async () => {
      await users.close();
      await posts.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The nth person. */
export const person = (nth: number): string => `00000000-0000-7000-8000-${String(nth).padStart(12, '0')}`;

/** Facts of persons in one transaction: `[person, version]`. */
export async function tell(
  database: Database,
  facts: readonly (readonly [nth: number, version: number])[],
): Promise<void> {
  await database.transaction((tx) => record(tx, facts));
}

export async function record(tx: Tx, facts: readonly (readonly [nth: number, version: number])[]): Promise<void> {
  await recordEvents(
    tx,
    facts.map(([nth, version]) => ({
      type: 'profile-edited' as const,
      aggregate: `user:${person(nth)}`,
      aggregateVersion: version,
      actor: person(nth),
      payload: { userId: person(nth), handle: `h${version}`, previousHandle: `h${version - 1}` },
    })),
  );
}

/** The same fact as it travels, without an outbox. */
export function event(nth: number, version: number): DomainEvent<'profile-edited'> {
  return {
    id: newId(),
    type: 'profile-edited',
    version: 1,
    source: 'users',
    aggregate: `user:${person(nth)}`,
    aggregateVersion: version,
    at: new Date().toISOString(),
    actor: person(nth),
    payload: { userId: person(nth), handle: `h${version}`, previousHandle: `h${version - 1}` },
  };
}

/** The effect: one line in the ledger. */
export async function enter(tx: Tx, event: DomainEvent): Promise<void> {
  await tx.query('INSERT INTO ledger (event_id, aggregate, version) VALUES ($1, $2, $3)', [
    event.id,
    event.aggregate,
    event.aggregateVersion,
  ]);
}
