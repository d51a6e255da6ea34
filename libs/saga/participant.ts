import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import type { Logger } from '#libs/telemetry';
import type { Outcome, Part, StepOf } from './part.js';

interface Options<Step extends string> {
  readonly database: Pick<Database, 'query' | 'transaction'>;
  readonly steps: Readonly<Record<Step, StepOf<Step>>>;
  /** Tells the others how a step ended, in the transaction in which it did; `version` is that of the service's own aggregate for it. */
  readonly tell: (tx: Tx, part: Part<Step>, version: number, outcome: Outcome) => Promise<void>;
  readonly logger: Logger;
  /** Pauses before a slice that failed is tried again; after the last one the step gives up, where it can be undone. */
  readonly pausesMs?: readonly number[];
  /** How often somebody looks for work that a process has left which died. */
  readonly lookMs?: number;
  /** How soon it is looked again where another process is at all there is to do. */
  readonly heldMs?: number;
}

interface Row<Step extends string> extends Part<Step> {
  readonly failing: Step | null;
  readonly tries: number;
  readonly version: number;
}

/** Deletions that one look works on, a slice of each in turn. */
const TOGETHER = 20;

/**
 * Works off what a deletion asks of this service: a slice per transaction, the longest waiting deletion first, and a pause as
 * long as the slice took, so that on the one connection of an embedded database others come in between. What is left to
 * do stands in the table: a process that dies leaves it to the next look, of whatever process.
 */
export class Participant<Step extends string> {
  readonly #options: Required<Options<Step>>;
  #working: Promise<void> | undefined;
  #again = false;
  #closed = false;
  /** Nothing was left at the last look, and nobody has called since. */
  #quiet = false;
  #look: NodeJS.Timeout | undefined;

  constructor(options: Options<Step>) {
    const { pausesMs = [100, 400, 1_600, 6_400], lookMs = 60_000, heldMs = 500 } = options;
    this.#options = { ...options, pausesMs, lookMs, heldMs };
  }

  /** Work was begun, or may have been left by a process before this one. */
  wake(): void {
    this.#again = true;
    this.#quiet = false;
    if (!this.#closed) this.#working ??= this.#run();
  }

  /** Resolves when nothing is left to do; rejects after `deadlineMs`. */
  async settled(deadlineMs = 10_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      if (this.#quiet) return;
      this.wake();
      await this.#working;
      const [left] = await this.#options.database.query(
        `SELECT FROM deletion_parts WHERE state = 'working' AND due_at < now() + interval '10 s' LIMIT 1`,
      );
      if (left === undefined) return;
      if (performance.now() > deadline) throw new Error('waited in vain for the steps of deletions');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#look);
    await this.#working;
  }

  async #run(): Promise<void> {
    const { database, heldMs, logger, lookMs } = this.#options;
    let nextMs = lookMs;
    try {
      let isHeld = false;
      while (!this.#closed) {
        this.#again = false;
        const due = await database.query<{ id: string }>(
          `SELECT deletion_id AS id FROM deletion_parts WHERE state = 'working' AND due_at <= now() ORDER BY due_at LIMIT $1`,
          [TOGETHER],
        );
        let did = 0;
        for (const { id } of due) if (!this.#closed && (await this.#slice(id))) did += 1;
        isHeld = due.length > 0 && did === 0;
        if (did === 0 && !this.#again) break;
      }
      nextMs = await this.#nextDueMs();
      // Another process is at a slice, which may take seconds; when it dies, what it holds is free and nobody tells.
      if (isHeld) nextMs = Math.max(nextMs, heldMs);
    } catch (error) {
      logger.error({ err: error }, 'The steps of deletions cannot be worked off; it is tried again');
    } finally {
      this.#working = undefined;
      clearTimeout(this.#look);
      if (!this.#closed) this.#look = setTimeout(() => this.wake(), nextMs).unref();
    }
  }

  async #nextDueMs(): Promise<number> {
    const [next] = await this.#options.database.query<{ ms: number | null }>(
      `SELECT (extract(epoch FROM min(due_at) - now()) * 1000)::float8 AS ms FROM deletion_parts WHERE state = 'working'`,
    );
    this.#quiet = (next?.ms ?? null) === null && !this.#again;
    return Math.min(this.#options.lookMs, Math.max(5, next?.ms ?? this.#options.lookMs));
  }

  /** False: another process is at it, or was. */
  async #slice(id: string): Promise<boolean> {
    const { database, steps } = this.#options;
    const began = performance.now();
    let step: Step | undefined;
    let isMine = true;
    try {
      await database.transaction(async (tx) => {
        const [row] = await tx.query<Row<Step>>(
          `${SELECT} WHERE deletion_id = $1 AND state = 'working' FOR UPDATE SKIP LOCKED`,
          [id],
        );
        step = row?.step;
        isMine = row !== undefined;
        if (row === undefined) return;
        const cursor = await steps[row.step].slice(tx, row);
        crashPoint('saga:slice');
        if (cursor === undefined) await this.#end(tx, row);
        else {
          await tx.query(
            'UPDATE deletion_parts SET cursor = $2, slices = slices + 1, tries = 0, due_at = now() WHERE deletion_id = $1',
            [id, cursor],
          );
        }
      });
      crashPoint('saga:sliced');
    } catch (error) {
      await this.#failed(id, step, error);
    }
    // As long again as it took: the connection is for others too.
    await new Promise((resolve) => setTimeout(resolve, Math.min(50, performance.now() - began)));
    return isMine;
  }

  /** A step that was undone because it gave up is told as the one that failed. */
  async #end(tx: Tx, { failing, ...row }: Row<Step>): Promise<void> {
    const outcome: Outcome = failing === null ? 'done' : 'failed';
    const version = await nextVersion(tx, row.deletionId, outcome);
    await this.#options.tell(tx, failing === null ? row : { ...row, step: failing }, version, outcome);
    crashPoint('saga:told');
  }

  /**
   * One statement, and only while it is still at the step that failed: what was begun meanwhile (an erasure, say) is not turned into
   * the undoing of what it replaced. `step`: undefined where the database did not even tell it.
   */
  async #failed(id: string, step: Step | undefined, error: unknown): Promise<void> {
    const { database, logger, pausesMs, steps } = this.#options;
    const reason = String(error instanceof Error ? error.message : error).slice(0, 500);
    const undo = step === undefined ? undefined : steps[step].undo;
    const [row] = await database.query<Row<Step>>(
      `UPDATE deletion_parts SET reason = $2, step = CASE WHEN ${GIVES_UP} THEN $5 ELSE step END,
         failing = CASE WHEN ${GIVES_UP} THEN step ELSE failing END, cursor = CASE WHEN ${GIVES_UP} THEN '' ELSE cursor END,
         tries = CASE WHEN ${GIVES_UP} THEN 0 ELSE tries + 1 END,
         due_at = CASE WHEN ${GIVES_UP} THEN now()
           ELSE now() + coalesce(($3::int[])[tries + 1], ($3::int[])[cardinality($3::int[])]) * interval '1 ms' END
       WHERE deletion_id = $1 AND state = 'working' AND ($4::text IS NULL OR step = $4)
       RETURNING ${COLUMNS}`,
      [id, reason, pausesMs, step ?? null, undo ?? null],
    );
    if (row === undefined) return;
    const givesUp = step !== undefined && row.step !== step;
    logger[givesUp ? 'error' : 'warn'](
      { deletion: id, step, tries: row.tries, err: error },
      givesUp
        ? 'A step of a deletion gives up; what it did is undone'
        : 'A step of a deletion failed; it is tried again',
    );
  }
}

/** Works off what is left, and from then on what these events bring, when they are committed. */
export function startParticipant<Step extends string>(
  options: Options<Step> & { readonly database: Pick<Database, 'afterCommit'> },
): Participant<Step> {
  const participant = new Participant(options);
  options.database.afterCommit(async (events) => {
    if (events.some(({ type }) => WAKES.has(type))) participant.wake();
  });
  participant.wake();
  return participant;
}

/** What begins a step. */
const WAKES: ReadonlySet<string> = new Set(['account-frozen', 'account-thawed', 'user-deleted', 'deletion-step-asked']);

export interface Begun {
  /** It is under way, and slices were done since this was last told: the version of the event that tells it again. */
  readonly goesOn?: number;
  /** It came too late, and is nothing. */
  readonly late?: true;
}

interface Beginning<Step> {
  readonly last: Step;
  /** The caller tells `goesOn` to whoever asked. If it does not, no version may be spent on it: whoever hears would wait for it for ever. */
  readonly tells: boolean;
  /** What undoes the step. A deletion that has come there begins it no more: it was asked before anybody heard that it had failed. */
  readonly undo?: Step | undefined;
}

/**
 * Begins a step in the transaction that hears of it; the caller wakes the participant after COMMIT. What is under way goes on,
 * what is done is told again, and whatever an earlier deletion of the same account was still undoing is this one's now. What comes
 * late is nothing: a step of a deletion that another followed, one from before the erasure (`last`) that was begun, or one that was undone.
 */
export async function beginStep<Step extends string>(
  tx: Tx,
  { deletionId, userId, saga, step, last, tells, undo }: Omit<Part<Step>, 'cursor'> & Beginning<Step>,
): Promise<Begun> {
  // Whoever begins another step for the same account is waited for, and then seen.
  await tx.query('SELECT FROM deletion_parts WHERE user_id = $1 ORDER BY deletion_id FOR UPDATE', [userId]);
  const [later] = await tx.query(
    `SELECT FROM deletion_parts WHERE user_id = $1 AND $4::text <> $3
       AND (deletion_id > $2 OR step = $3 OR (deletion_id = $2 AND step = $5 AND failing IS NULL)) LIMIT 1`,
    [userId, deletionId, last, step, undo ?? null],
  );
  if (later !== undefined) return { late: true };
  await tx.query(
    `UPDATE deletion_parts SET state = 'done' WHERE user_id = $1 AND deletion_id <> $2 AND state = 'working'`,
    [userId, deletionId],
  );
  const [told] = await tx.query<{ version: number }>(
    `UPDATE deletion_parts SET version = version + 1, slices_told = slices
     WHERE $3 AND deletion_id = $1 AND state = 'working' AND $2::text IN (step, failing) AND slices > slices_told
     RETURNING version`,
    [deletionId, step, tells],
  );
  await tx.query(
    `INSERT INTO deletion_parts (deletion_id, user_id, saga, step, state) VALUES ($1, $2, $3, $4, 'working')
     ON CONFLICT (deletion_id) DO UPDATE SET state = 'working', due_at = now(), tries = 0,
       step = excluded.step, failing = NULL, slices_told = deletion_parts.slices,
       cursor = CASE WHEN deletion_parts.step = excluded.step THEN deletion_parts.cursor ELSE '' END
     -- A step that is being undone because it gave up goes on being undone.
     WHERE NOT (deletion_parts.state = 'working' AND deletion_parts.failing IS NOT DISTINCT FROM excluded.step)`,
    [deletionId, userId, saga, step],
  );
  return told === undefined ? {} : { goesOn: told.version };
}

/** The deletion that this account is in, as far as it is known here. */
export async function partOf<Step extends string>(tx: Tx, userId: string): Promise<Part<Step> | undefined> {
  const [row] = await tx.query<Part<Step>>(`${SELECT} WHERE user_id = $1 ORDER BY deletion_id DESC LIMIT 1`, [userId]);
  return row;
}

async function nextVersion(tx: Tx, deletionId: string, outcome: Outcome): Promise<number> {
  const [row] = await tx.query<{ version: number }>(
    `UPDATE deletion_parts SET state = $2, version = version + 1, failing = NULL, cursor = '', tries = 0
     WHERE deletion_id = $1 RETURNING version`,
    [deletionId, outcome],
  );
  if (row === undefined) throw new Error(`deletion ${deletionId} is gone`);
  return row.version;
}

/** Of `#failed`: it was the last try, and there is a way back. */
const GIVES_UP = `(tries >= cardinality($3::int[]) AND $5::text IS NOT NULL)`;
const COLUMNS = `deletion_id AS "deletionId", user_id AS "userId", saga, step, cursor, failing, tries, version`;
const SELECT = `SELECT ${COLUMNS} FROM deletion_parts`;
