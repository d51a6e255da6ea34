import type { Database } from '#libs/database';
import type { DomainEvent, EventSource } from '#libs/events';
import type { Logger } from '#libs/telemetry';

import { publishAgain } from './retention.js';
import { StreamLostEvents, type Mark, type Stream } from './stream.js';

/** How often an idle relay looks whether the stream still has what it was given. */
const LOOK_EVERY_MS = 1_000;

/**
 * Notices a stream that lost what it took (FLUSHALL, a restart without its file, a failover to a replica that was behind),
 * and has everything that the outbox retains published again; the inboxes let each effect happen once.
 *
 * It has to be noticed before anything newer is published: to a group that never heard of an aggregate, a later event
 * would be the beginning, and the lost ones, coming after it, would count as heard. So beside the stream is a mark: which
 * life of the stream this is, and the highest outbox position it was given. `publish` compares it with what this relay
 * knows in the same script that adds, and a stream without it takes nothing until all is unpublished again.
 *
 * Every relay that meets another life than the one it knew unpublishes for itself: what it published into the lost one and
 * had not marked yet, it marks before it looks.
 */
export class Continuity {
  readonly #database: Database;
  readonly #stream: Stream;
  readonly #logger: Logger;
  #known: Mark | undefined;
  #lookAt = 0;

  constructor({ database, stream, logger }: { database: Database; stream: Stream; logger: Logger }) {
    this.#database = database;
    this.#stream = stream;
    this.#logger = logger;
  }

  /** Publishes; false when the stream has lost events: what is to be published has to be asked for anew. */
  async publish(events: readonly DomainEvent[], highest: number): Promise<boolean> {
    if (this.#stream.marks === undefined) {
      await this.#stream.publish(events);
      return true;
    }
    if (this.#known === undefined && !(await this.#look())) return false;
    const known = this.#known;
    if (known === undefined) return false;
    try {
      await this.#stream.publish(events, { ...known, next: highest });
    } catch (error) {
      if (!(error instanceof StreamLostEvents)) throw error;
      await this.#look();
      return false;
    }
    this.#known = { life: known.life, highest: Math.max(known.highest, highest) };
    return true;
  }

  /** For an idle relay: asks the stream, not the database, and at most once a second. False: there is something to publish again. */
  async holds(): Promise<boolean> {
    if (this.#stream.marks === undefined || performance.now() < this.#lookAt) return true;
    this.#lookAt = performance.now() + LOOK_EVERY_MS;
    return this.#look();
  }

  async #look(): Promise<boolean> {
    const { marks } = this.#stream;
    if (marks === undefined) return true;
    const source = this.#database.service as EventSource;
    const found = await marks.read(source);
    const known = this.#known ?? { life: found?.life, highest: await this.#highestPublished() };
    if (found !== undefined && found.life === known.life && found.highest >= known.highest) {
      this.#known = found;
      return true;
    }
    const count = await publishAgain(this.#database);
    if (count > 0)
      this.#logger.warn({ source, count }, 'The stream has lost events; what is retained is published again');
    // Another relay's life is taken as it is: all that this one may have told the lost one is unpublished now.
    const another = found !== undefined && found.life !== known.life;
    this.#known = another ? found : await marks.begin(source, found);
    return false;
  }

  /** Once per process: what a relay before this one has published. */
  async #highestPublished(): Promise<number> {
    const [row] = await this.#database.query<{ highest: string | null }>(
      'SELECT max(position)::text AS highest FROM outbox WHERE published_at IS NOT NULL',
    );
    return Number(row?.highest ?? 0);
  }
}
