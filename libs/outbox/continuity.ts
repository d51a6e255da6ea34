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
 * which life of the stream this is, the highest outbox position it was given, how many batches, the highest token that came, and
 * the batch that was added last. `publish` compares it with what this relay knows in the same script that adds, and a stream without
 * it takes nothing until all is unpublished again; from a relay whose token is not the highest it takes nothing at all.
 *
 * The batches are counted here and in the lease, by the statement that marks. The highest position alone would not do: what a slow
 * transaction tells has a lower one than what was published before it, and a stream that lost it would look whole.
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
  /** Of the life that was last known, also where #known has to be asked for anew. */
  #life: string | undefined;
  /** As the lease has it. */
  #marked = 0;
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

  /** With what was published: what the lease is to say when it is marked. Undefined: nobody counts. */
  get batches(): number | undefined {
    return this.#known?.batches;
  }

  /** Before anything is read: nobody with a lower token publishes from here on. False: leases are to be asked for anew. */
  async take(): Promise<boolean> {
    if (this.#stream.marks === undefined || this.#known !== undefined) return true;
    const { mark, last } = await this.#stream.marks.take(this.#source, this.#lease);
    // One batch more than was marked is the last, whose relay could not. The lease is asked again, for it may have been told to publish
    // all again since it was taken: then what was added is told once more with the rest, and is counted only.
    const [lease] = await this.#database.query<{ batches: string }>(
      `WITH lease AS (SELECT token, again, batches FROM relay_leases WHERE token = $1 FOR NO KEY UPDATE),
       counted AS (
         UPDATE relay_leases SET batches = $2 FROM lease WHERE relay_leases.token = lease.token AND lease.batches + 1 = $2
         RETURNING relay_leases.batches),
       marked AS (
         UPDATE outbox SET published_at = now()
         FROM unnest($3::bigint[], $4::uuid[]) AS told (position, id) JOIN lease ON lease.again < $5
         WHERE published_at IS NULL AND outbox.position = told.position AND outbox.id = told.id)
       SELECT coalesce(counted.batches, lease.batches)::text AS batches FROM lease LEFT JOIN counted ON true`,
      [this.token, mark?.batches ?? 0, ...(mark === undefined ? [[], []] : [last.positions, last.ids]), last.token],
    );
    if (lease === undefined) return false;
    this.#marked = Number(lease.batches);
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
        // It may have been taken, and only the answer was lost: asked of the stream before anything is added again. One that was
        // taken after that was asked is why the next is refused; it is not lost.
        this.#known = undefined;
        if (!(error instanceof StreamLostEvents)) throw error;
        await this.take();
        return false;
      }
      this.#known = {
        life: known.life,
        highest: Math.max(known.highest, ...positions),
        batches: known.batches + 1,
      };
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
    const found = await marks.read(this.#source, this.#lease);
    const outbox = this.#known === undefined ? await this.#outbox() : undefined;
    const known = this.#known ?? {
      life: this.#life ?? found?.life,
      highest: outbox?.published ?? 0,
      batches: this.#marked,
    };
    const isOlder = outbox !== undefined && found !== undefined && found.highest > outbox.given;
    const isWhole =
      found !== undefined &&
      found.life === known.life &&
      found.highest >= known.highest &&
      found.batches === known.batches;
    if (isWhole && !isOlder) {
      this.#known = found;
      this.#life = found.life;
      return true;
    }
    // A lease ends with it: what was added and not marked by now will not be.
    // Another relay's life is taken as it is: all that this one may have told the lost one is unpublished then. So is its number of
    // batches, by the lease: whoever has the range next would take the other one's for another loss.
    const another = found !== undefined && found.life !== known.life;
    const count = await publishAgain(this.#database, undefined, range, another ? found.batches : undefined);
    if (count > 0)
      this.#logger.warn(
        { source: this.#source, range, count },
        isOlder
          ? 'The stream was told more than this database has; what is retained is published again'
          : 'The stream has lost events; what is retained is published again',
      );
    this.#known = another ? found : await marks.begin(this.#source, range, found, known.batches);
    this.#life = this.#known.life;
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
