import type { Database, Tx } from '#libs/database';
import type { Logger } from '#libs/telemetry';
import { CALLS_KEPT_MS } from './written-calls.js';

/** How long a mutation may be repeated where nothing else is said. */
export const KEEP_HOURS = 24;

/** Rows that one statement deletes. */
const BATCH = 500;
const EVERY_MS = 60_000;

/** Deletes what is older, in small statements. Several processes of a service share the work: none waits for another. */
export function forgetKeys(database: Pick<Database, 'query'>, keepMs: number): Promise<number> {
  return forget(database, { table: 'idempotency_keys', key: 'name, field' }, keepMs);
}

/** Likewise which calls have written: whatever is signed of them nobody believes any more. */
export function forgetCalls(database: Pick<Database, 'query'>): Promise<number> {
  return forget(database, { table: 'written_calls', key: 'id' }, CALLS_KEPT_MS);
}

async function forget(
  database: Pick<Database, 'query'>,
  { table, key }: { readonly table: string; readonly key: string },
  keepMs: number,
): Promise<number> {
  for (let forgotten = 0; ;) {
    const rows = await database.query(
      `DELETE FROM ${table} WHERE (${key}) IN (
         SELECT ${key} FROM ${table} WHERE at < now() - $1 * interval '1 ms'
         ORDER BY at LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
       RETURNING 1`,
      [keepMs],
    );
    forgotten += rows.length;
    if (rows.length < BATCH) return forgotten;
  }
}

/** With an account goes what it was answered. */
export async function forgetKeysOf(tx: Tx, person: string): Promise<void> {
  await tx.query('DELETE FROM idempotency_keys WHERE person = $1', [person]);
}

/** Forgets what is old, now and then, until it is closed. */
export class KeyRetention {
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;

  constructor(parts: { readonly database: Database; readonly keepMs: number; readonly logger: Logger }) {
    const { database, keepMs, logger } = parts;
    this.#timer = setInterval(() => {
      const isLeft = (table: string) => (err: unknown) =>
        logger.warn({ service: database.service, table, err }, 'What is old in it is still there; later again');
      this.#running ??= Promise.all([
        forgetKeys(database, keepMs).catch(isLeft('idempotency_keys')),
        forgetCalls(database).catch(isLeft('written_calls')),
      ])
        .then(() => {})
        .finally(() => (this.#running = undefined));
    }, EVERY_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}
