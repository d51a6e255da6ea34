import type { Database, Recorded, Tx } from '#libs/database';
import { Failure } from '#libs/failure';
import type { Key } from './key.js';

/** What a write answered, and by which events it is known. */
export interface Done<T> {
  readonly answer: T;
  /** Recorded by this transaction, so by this process. */
  readonly wrote: readonly Recorded[];
  /** Recorded before, by whichever process: one that was killed may not have dropped what was stale. */
  readonly found: readonly Recorded[];
  /** It was done before. */
  readonly again: boolean;
}

/**
 * One root field of a mutation that takes effect once, however often it is asked for. The key is kept in the transaction of the
 * write, with what the write answered: whatever is killed whenever, both are there or neither. What fails keeps nothing, so it may
 * be tried again with the same key.
 */
export class Once {
  readonly #key: Key;
  readonly #field: string;
  readonly #person: string | null;
  /**
   * Of the transactions of this field that went well: one, so far, of every field that we have. One that failed and is tried again is
   * still the same.
   */
  #nth = 0;

  /** `field`: by which name it is answered; an operation may have several. `person`: whose key it is. */
  constructor(key: Key, field: string, person: string | null) {
    this.#key = key;
    this.#field = field;
    this.#person = person;
  }

  /** `work` in a transaction, or what it answered when it was done before. Answers have to be JSON. */
  async transaction<T>(database: Pick<Database, 'transaction'>, work: (tx: Tx) => Promise<T>): Promise<Done<T>> {
    const done = await database.transaction(async (tx) => {
      if (!(await this.#begin(tx))) return this.#before<T>(tx);
      const answer = await work(tx);
      const [wrote, found] = [placesOf(tx.events), placesOf(tx.found)];
      // Who signs up is somebody by now, also where somebody else's log-in sent it.
      const person = tx.events.find(({ actor }) => actor !== null)?.actor ?? this.#person;
      await this.#keep(tx, JSON.stringify({ answer, wrote: [...wrote, ...found] }), person);
      return { answer, wrote, found, again: false };
    });
    this.#nth += 1;
    return done;
  }

  /** What the next transaction would answer because it was done before. */
  async done<T>(database: Pick<Database, 'query'>): Promise<Done<T> | undefined> {
    return this.#look<T>(database);
  }

  get #place(): string {
    return this.#nth === 0 ? this.#field : `${this.#field}#${this.#nth}`;
  }

  /**
   * True: nobody has done it and nobody does. The lock ends with the transaction, also with that of a process that was killed. It is
   * tried, not waited for. Where it comes free just now, this statement does not see yet what was done under it: the same row is
   * seen by its conflict, another one by #keep.
   */
  async #begin(tx: Tx): Promise<boolean> {
    const begun = await tx.query(
      `INSERT INTO idempotency_keys (name, field, payload)
       SELECT $1, $2, $3 WHERE pg_try_advisory_xact_lock(hashtextextended($1, 0))
         AND NOT EXISTS (SELECT FROM idempotency_keys WHERE name = $1 AND payload <> $3)
       ON CONFLICT DO NOTHING RETURNING 1`,
      [this.#key.name, this.#place, this.#key.payload],
    );
    return begun.length > 0;
  }

  /** Reads anew whether the key came with something else, now that nobody else has it. */
  async #keep(tx: Tx, done: string, person: string | null): Promise<void> {
    const { name, payload } = this.#key;
    const kept = await tx.query(
      `UPDATE idempotency_keys SET done = $3, person = $4 WHERE name = $1 AND field = $2
         AND NOT EXISTS (SELECT FROM idempotency_keys AS other WHERE other.name = $1 AND other.payload <> $5)
       RETURNING 1`,
      [name, this.#place, done, person, payload],
    );
    if (kept.length === 0) throw new Failure('IDEMPOTENCY_KEY_REUSED');
  }

  async #before<T>(tx: Tx): Promise<Done<T>> {
    const done = await this.#look<T>(tx);
    if (done === undefined) throw new Failure('IDEMPOTENCY_KEY_IN_USE');
    return done;
  }

  async #look<T>(database: Pick<Database, 'query'>): Promise<Done<T> | undefined> {
    const rows = await database.query<{ field: string; payload: string; done: Pick<Done<T>, 'answer' | 'wrote'> }>(
      'SELECT field, payload, done FROM idempotency_keys WHERE name = $1',
      [this.#key.name],
    );
    if (rows.some(({ payload }) => payload !== this.#key.payload)) throw new Failure('IDEMPOTENCY_KEY_REUSED');
    const row = rows.find(({ field }) => field === this.#place);
    return row && { answer: row.done.answer, wrote: [], found: row.done.wrote, again: true };
  }
}

function placesOf(events: readonly Recorded[]): Recorded[] {
  return events.map(({ source, aggregate, aggregateVersion }) => ({ source, aggregate, aggregateVersion }));
}
