import type { Database } from '#libs/database';
import type { DomainEvent, EventSource } from '#libs/events';
import type { Logger } from '#libs/telemetry';

import { RANGE, type Lease, type Range } from './leases.js';
import { publishAgain } from './retention.js';
import { StreamLostEvents, type Mark, type Stream } from './stream.js';

/** How often an idle relay looks whether the stream still has what it was given. */
const LOOK_EVERY_MS = 1_000;

/**
 * One range of one source's aggregates, as long as this relay has the lease: publishes it, and knows what the stream has of it.
 *
 * It notices a stream that lost what it took (FLUSHALL, a restart without its file, a failover to a replica that was behind),
 * and has everything that the outbox retains of the range published again; the inboxes let each effect happen once.
 *
 * It has to be noticed before anything newer is published: to a group that never heard of an aggregate, a later event
 * would be the beginning, and the lost ones, coming after it, would count as heard. So beside the stream is a mark for each range:
 * which life of the stream this is, the highest outbox position it was given, the highest token that came, and the batch that
 * was added last. `publish` compares it with what this relay knows in the same script that adds, and a stream without it takes
 * nothing until all is unpublished again; from a relay whose token is not the highest it takes nothing at all.
 *
 * A relay that was killed, or has slept, between adding a batch and marking it leaves the batch to its successor, which
 * marks what the mark says was added, instead of adding it once more. By their ids: a new PostgreSQL, or one of an older day, gives
 * the same positions to other events. It is known by a mark that is higher than any position it has given, under which a
 * stream that lost events would look whole; so that is a loss too.
 */
export class Continuity {
  readonly #database: Database;
  readonly #stream: Stream;
  readonly #logger: Logger;
  readonly #lease: Lease;
  #known: Mark | undefined;
  #lookAt = 0;

  constructor(parts: { database: Database; stream: Stream; logger: Logger; lease: Lease }) {
    this.#database = parts.database;
    this.#stream = parts.stream;
    this.#logger = parts.logger;
    this.#lease = parts.lease;
  }

  get token(): number {
    return this.#lease.token;
  }

  get range(): Range {
    return this.#lease.range;
  }

  /** Before anything is read: nobody with a lower token publishes from here on. False: there is something to publish again. */
  async take(): Promise<boolean> {
    if (this.#stream.marks === undefined || this.#known !== undefined) return true;
    const { mark, last } = await this.#stream.marks.take(this.#source, this.#lease);
    if (mark !== undefined && last.token > this.#lease.again) {
      await this.#database.query(
        `UPDATE outbox SET published_at = now() FROM unnest($1::bigint[], $2::uuid[]) AS told (position, id)
         WHERE published_at IS NULL AND outbox.position = told.position AND outbox.id = told.id`,
        [last.positions, last.ids],
      );
    }
    return this.#look();
  }

  /** Publishes; false when the stream has lost events: what is to be published has to be asked for anew. */
  async publish(events: readonly DomainEvent[], positions: readonly number[]): Promise<boolean> {
    const known = this.#known;
    if (this.#stream.marks === undefined) await this.#stream.publish(events);
    else if (known === undefined) return false;
    else {
      try {
        await this.#stream.publish(events, { ...known, ...this.#lease, positions });
      } catch (error) {
        if (error instanceof StreamLostEvents) {
          await this.#look();
          return false;
        }
        // It may have been taken, and only the answer was lost: asked of the stream before anything is added again.
        this.#known = undefined;
        throw error;
      }
      this.#known = { life: known.life, highest: Math.max(known.highest, ...positions) };
    }
    return true;
  }

  /**
   * For an idle relay: asks the stream, not the database, and at most once a second. False: there is something to publish again. What was
   * published last is trimmed here: nobody publishes behind it.
   */
  async holds(): Promise<boolean> {
    if (this.#stream.marks === undefined || performance.now() < this.#lookAt) return true;
    this.#lookAt = performance.now() + LOOK_EVERY_MS;
    const holds = await this.#look();
    await this.#stream.trim?.(this.#source);
    return holds;
  }

  get #source(): EventSource {
    return this.#database.service as EventSource;
  }

  async #look(): Promise<boolean> {
    const { marks } = this.#stream;
    if (marks === undefined) return true;
    const { range } = this.#lease;
    const found = await marks.read(this.#source, range);
    const outbox = this.#known === undefined ? await this.#outbox() : undefined;
    const known = this.#known ?? { life: found?.life, highest: outbox?.published ?? 0 };
    const isOlder = outbox !== undefined && found !== undefined && found.highest > outbox.given;
    if (found !== undefined && found.life === known.life && found.highest >= known.highest && !isOlder) {
      this.#known = found;
      return true;
    }
    // A lease ends with it: what was added and not marked by now will not be.
    const count = await publishAgain(this.#database, undefined, range);
    if (count > 0)
      this.#logger.warn(
        { source: this.#source, range, count },
        isOlder
          ? 'The stream was told more than this database has; what is retained is published again'
          : 'The stream has lost events; what is retained is published again',
      );
    // Another relay's life is taken as it is: all that this one may have told the lost one is unpublished now.
    const another = found !== undefined && found.life !== known.life;
    this.#known = another ? found : await marks.begin(this.#source, range, found);
    return false;
  }

  /** Once per lease: the highest position that relays before this one have published, and the last that was given to anything. */
  async #outbox(): Promise<{ published: number; given: number }> {
    const { nth, of } = this.#lease.range;
    const [row] = await this.#database.query<{ published: string | null; given: string | null }>(
      `SELECT max(position)::text AS published,
         pg_sequence_last_value(pg_get_serial_sequence('outbox', 'position'))::text AS given
       FROM outbox WHERE published_at IS NOT NULL ${of === 1 ? '' : `AND ${RANGE('$2')} = $1`}`,
      of === 1 ? [] : [nth, of],
    );
    return { published: Number(row?.published ?? 0), given: Number(row?.given ?? 0) };
  }
}
