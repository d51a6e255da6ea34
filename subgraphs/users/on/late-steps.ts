import type { Database } from '#libs/database';
import type { Logger } from '#libs/telemetry';
import { WAY, type StepName, type StepState } from '../deletion.js';
import { advance, ask, lockDeletion, setState, type Patience } from '../deletion.store.js';

interface Parts extends Patience {
  readonly database: Pick<Database, 'query' | 'transaction' | 'afterCommit'>;
  readonly logger: Logger;
}

/** For what a process that died was waiting for. */
const LOOK_MS = 60_000;

/**
 * The clock of orchestrated deletions: asks again for what was not answered in time, and after the last try turns the deletion
 * round, where there is a way back. Everything else happens where an answer is heard, so a process that dies here delays no more
 * than the next look.
 */
export class LateSteps {
  readonly #parts: Parts;
  #timer: NodeJS.Timeout | undefined;
  #at = 0;
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    parts.database.afterCommit(async (events) => {
      if (events.some(({ type }) => type === 'deletion-step-asked' || type === 'user-deleted')) this.#soon();
    });
    this.#soon();
  }

  /** One look; answers how many were late. */
  async look(): Promise<number> {
    const { database, logger } = this.#parts;
    const late = await database.query<{ id: string; name: StepName }>(
      `SELECT deletion_id AS id, name FROM account_deletion_steps WHERE due_at <= now() ORDER BY due_at LIMIT 100`,
    );
    for (const { id, name } of late) {
      if (this.#closed) break;
      await this.#late(id, name).catch((error: unknown) =>
        logger.error({ err: error, deletion: id, step: name }, 'A late step could not be asked for again'),
      );
    }
    return late.length;
  }

  async settled(): Promise<void> {
    await this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #soon(): void {
    this.#in(this.#soonMs());
  }

  #soonMs(): number {
    return Math.min(LOOK_MS, this.#parts.stepTimeoutMs + 10);
  }

  /** Never later than it was to be already: where many deletions begin, each of them would put the look off. */
  #in(ms: number): void {
    if (this.#closed) return;
    const at = performance.now() + ms;
    if (this.#timer !== undefined && this.#at <= at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#looking = this.#lookAndPlan().then(
        (nextMs) => this.#in(nextMs),
        (error: unknown) => {
          this.#parts.logger.warn({ err: error }, 'Late steps of deletions could not be looked for');
          this.#soon();
        },
      );
    }, ms).unref();
  }

  /** Answers when to look again: a step that goes on is due later than it was when it was asked for. */
  async #lookAndPlan(): Promise<number> {
    await this.look();
    const [next] = await this.#parts.database.query<{ ms: number | null }>(
      `SELECT (extract(epoch FROM min(due_at) - now()) * 1000)::float8 AS ms FROM account_deletion_steps WHERE due_at IS NOT NULL`,
    );
    const dueMs = next?.ms ?? LOOK_MS;
    return dueMs > 0 ? Math.min(LOOK_MS, dueMs + 10) : this.#soonMs();
  }

  async #late(id: string, name: StepName): Promise<void> {
    const { database, logger, triesMax } = this.#parts;
    await database.transaction(async (tx) => {
      const deletion = await lockDeletion(tx, id);
      const [step] = await tx.query<{ state: StepState; tries: number }>(
        'SELECT state, tries FROM account_deletion_steps WHERE deletion_id = $1 AND name = $2 AND due_at <= now()',
        [id, name],
      );
      const way = WAY.find((one) => one.name === name);
      if (deletion === undefined || step === undefined || way === undefined) return;
      const back = step.state === 'UNDOING';
      const again = back ? way.undo : way.ask;
      if (again === undefined) return;
      if (back || way.undo === undefined || step.tries < triesMax) {
        logger.warn(
          { deletion: id, step: name, tries: step.tries },
          'A step of a deletion is late; it is asked for again',
        );
        await ask(tx, deletion, name, again, this.#parts);
        return;
      }
      logger.error({ deletion: id, step: name }, 'A step of a deletion was never answered; all is brought back');
      await tx.query('UPDATE account_deletion_steps SET due_at = NULL WHERE deletion_id = $1 AND name = $2', [
        id,
        name,
      ]);
      await setState(tx, id, 'COMPENSATING');
      await advance(tx, { ...deletion, state: 'COMPENSATING' }, this.#parts);
    });
  }
}
