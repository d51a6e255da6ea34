import { Outage, type Logger } from '#libs/telemetry';

/** So long after the last write that found no room. */
const OVER_MS = 60_000;

/**
 * Says, at most once a minute, that the disk of a database is full. Whoever writes is told OVERLOADED, for nothing of it was done and it may be
 * sent again, and by that word alone one would look for who asks too much.
 */
export class FullDisk {
  readonly #outage: Outage;

  constructor(service: string, logger: Logger) {
    this.#outage = new Outage({
      logger,
      fields: { service },
      began: 'The disk of the database is full: nothing is written until there is room on it, and reads go on',
      lasts: 'The disk of the database is still full',
      over: 'No write has found the disk of the database full for a minute',
      overMs: OVER_MS,
    });
  }

  /** A write has found no room. */
  met(error: unknown): void {
    this.#outage.failed(error);
  }

  close(): void {
    this.#outage.close();
  }
}
