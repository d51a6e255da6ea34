import type { Database, Tx } from '#libs/database';
import { systemClock, type Clock, type Logger } from '#libs/telemetry';
import { pairOf, part } from '../relation.js';
import { lockRelations, storeChanges } from '../relation.store.js';

/**
 * Ends the follows and blocks of those who are leaving, a bounded number of relations per transaction, each with its event
 * and with the counts of the other person. Killed half way, it goes on at the next start, or where another process looks: who is leaving stands in `people`.
 */
export class Farewell {
  readonly #parts: {
    database: Pick<Database, 'query' | 'transaction'>;
    logger: Logger;
    clock: Clock;
    relationsPerStep: number;
  };
  #work: Promise<void> | undefined;
  #again = false;
  #closed = false;
  #look: NodeJS.Timeout | undefined;

  constructor(parts: {
    database: Pick<Database, 'query' | 'transaction'>;
    logger: Logger;
    clock?: Clock;
    relationsPerStep?: number;
  }) {
    this.#parts = { clock: systemClock, relationsPerStep: 200, ...parts };
  }

  /** Somebody is leaving, or was when this process started. */
  wake(): void {
    this.#again = true;
    if (!this.#closed) this.#work ??= this.#run();
  }

  /** Resolves when nobody is leaving any more, or when it will be tried again later. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#look);
    await this.#work;
  }

  async #run(): Promise<void> {
    const { database, logger } = this.#parts;
    let nextMs = LOOK_MS;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        const leaving = await database.query<{ user_id: string }>(
          `SELECT user_id FROM people WHERE state = 'leaving' LIMIT 100`,
        );
        for (const { user_id: userId } of leaving) await this.#part(userId);
        if (leaving.length > 0) this.#again = true;
      }
    } catch (error) {
      logger.error({ err: error, retryMs: RETRY_MS }, 'Could not end the follows of people whose account was deleted');
      nextMs = RETRY_MS;
    } finally {
      this.#work = undefined;
      clearTimeout(this.#look);
      if (!this.#closed) this.#look = setTimeout(() => this.wake(), nextMs).unref();
    }
  }

  async #part(userId: string): Promise<void> {
    const { database, clock, relationsPerStep } = this.#parts;
    let gone = false;
    while (!gone && !this.#closed) {
      gone = await database.transaction((tx) =>
        partStep(tx, userId, relationsPerStep, new Date(clock()).toISOString()),
      );
    }
  }
}

const RETRY_MS = 5_000;
/** For whom a process that died was about to part: one statement a minute. */
const LOOK_MS = 60_000;

/** Ends at most `relations` relations; true when there were none left, and the person is gone. */
async function partStep(tx: Tx, userId: string, relations: number, at: string): Promise<boolean> {
  const others = await tx.query<{ other_id: string }>(
    `SELECT other_id FROM (
       (SELECT followee_id AS other_id FROM follows WHERE follower_id = $1 LIMIT $2)
       UNION (SELECT follower_id FROM follows WHERE followee_id = $1 LIMIT $2)
       UNION (SELECT blocked_id FROM blocks WHERE blocker_id = $1 LIMIT $2)
       UNION (SELECT blocker_id FROM blocks WHERE blocked_id = $1 LIMIT $2)
     ) AS others LIMIT $2`,
    [userId, relations],
  );
  if (others.length === 0) {
    await tx.query(`UPDATE people SET state = 'gone' WHERE user_id = $1`, [userId]);
    return true;
  }
  const locked = await lockRelations(
    tx,
    others.map(({ other_id: otherId }) => pairOf(userId, otherId)),
  );
  const ended = locked.map((relation) => ({ relation, changes: part(relation) }));
  await storeChanges(tx, ended, { actor: null, at });
  return false;
}
