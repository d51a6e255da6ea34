import { LRUCache } from 'lru-cache';
import type { Statements } from '#libs/database';
import type { Envelope, EventSource } from '#libs/events';
import type { Logger } from '#libs/telemetry';

import { lastHeard } from './inbox.js';
import { Nap } from './within.js';

/** An event that a reader has to be shown the effect of. */
export interface Awaited {
  readonly source: string;
  readonly aggregate: string;
  readonly version: number;
}

export interface Standing {
  /** Of what was asked for, what this service has not heard within the time. */
  readonly behind: readonly Awaited[];
  /** Another process has heard it, maybe just now: its caches may be dropped a moment later, so read what they are made of. */
  readonly justHeard: boolean;
}

interface Options {
  readonly database: Statements;
  readonly group: string;
  /** Whom this group hears; what others tell is not waited for. */
  readonly sources: readonly EventSource[];
  readonly logger: Logger;
  /** How long after COMMIT a process that heard an event has dropped its caches, or is dead and its successor has. */
  readonly dropsWithinMs?: number;
  /** ms, of a clock that is never set. */
  readonly now?: () => number;
}

/** Aggregates whose last heard version is remembered. */
const REMEMBERED = 50_000;
/** Aggregates of one statement. */
const ASKED_MAX = 1_000;
const PAUSES_MS = [2, 5, 10, 20, 40];
/**
 * Twice what it takes to take over the stream of a process that was killed (see redis-stream.ts). Counted from when this process has first
 * seen the version: nothing in the row tells when it was committed. `handled_at` is when its transaction began, which may be long before,
 * for it waits for locks, does the work of a hundred events, and its COMMIT may wait for a standby.
 */
const DROPS_WITHIN_MS = 5_000;

const STANDING = `
  SELECT aggregate, aggregate_version AS version, EXISTS (
    SELECT FROM drops_due AS due WHERE due.consumer = inbox.consumer AND due.aggregate = inbox.aggregate
  ) AS "dropDue" FROM inbox WHERE consumer = $1 AND aggregate = ANY($2::text[])`;

interface Waiter {
  left: Awaited[];
  justHeard: boolean;
  readonly done: (standing: Standing) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Tells a reader when this service has heard what the reader has written. The inbox is what knows, because its row moves in
 * the transaction of the effect; one statement asks it for everybody who waits. What this process has heard itself, or
 * has seen once, it asks about no more.
 */
export class CaughtUp {
  readonly #options: Options & { readonly dropsWithinMs: number; readonly now: () => number };
  readonly #sources: ReadonlySet<string>;
  /** The version whose drop is done. */
  readonly #heard = new LRUCache<string, number>({ max: REMEMBERED });
  /** The newest version that was found in the inbox, and when it was found first. */
  readonly #seen = new LRUCache<string, { version: number; atMs: number }>({ max: REMEMBERED });
  readonly #waiters = new Set<Waiter>();
  readonly #nap = new Nap();
  #asking: Promise<void> | undefined;
  #round = 0;
  #closed = false;

  constructor(options: Options) {
    this.#options = { dropsWithinMs: DROPS_WITHIN_MS, now: () => performance.now(), ...options };
    this.#sources = new Set(options.sources);
  }

  /** To be told what this process has heard: the effects are committed, and the caches dropped. */
  heard(events: readonly Envelope[]): void {
    for (const { aggregate, aggregateVersion } of events) this.#remember(aggregate, aggregateVersion);
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) this.#settle(waiter, (one) => this.#knows(one));
  }

  /** To be told what this process has written itself: it has dropped its caches before the writer is answered. */
  wrote(writes: readonly Awaited[]): void {
    for (const { aggregate, version } of writes) this.#remember(aggregate, version);
  }

  /** Resolves when all of it is heard, at the latest after `waitMs`; at once when this process knows that it is. */
  async wait(awaited: readonly Awaited[], waitMs: number): Promise<Standing> {
    const left = awaited.filter((one) => this.#sources.has(one.source) && !this.#knows(one));
    if (left.length === 0 || this.#closed) return { behind: left, justHeard: false };
    return new Promise((resolve) => {
      const waiter: Waiter = {
        left,
        justHeard: false,
        done: resolve,
        timer: setTimeout(() => this.#end(waiter), waitMs),
      };
      this.#waiters.add(waiter);
      this.#round = 0;
      this.#nap.wake();
      this.#asking ??= this.#ask();
    });
  }

  /** The last version of each of these aggregates that was heard, by whichever process. */
  lastHeard(aggregates: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return lastHeard(this.#options.database, this.#options.group, aggregates);
  }

  /** Whoever still waits is told how it stands. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiters) this.#end(waiter);
    this.#nap.wake();
    await this.#asking;
  }

  async #ask(): Promise<void> {
    while (this.#waiters.size > 0) {
      try {
        await this.#askOnce();
      } catch (error) {
        // They wait on; what is behind at their deadline is not known to have come.
        this.#options.logger.warn({ err: error }, 'The inbox could not be asked how far it is');
      }
      if (this.#waiters.size > 0) await this.#nap.take(PAUSES_MS[Math.min(this.#round++, PAUSES_MS.length - 1)] ?? 40);
    }
    this.#asking = undefined;
  }

  async #askOnce(): Promise<void> {
    const { database, group } = this.#options;
    const asked = [...new Set([...this.#waiters].flatMap(({ left }) => left.map(({ aggregate }) => aggregate)))];
    for (let from = 0; from < asked.length; from += ASKED_MAX) {
      const rows = await database.query<{ aggregate: string; version: number; dropDue: boolean }>(STANDING, [
        group,
        asked.slice(from, from + ASKED_MAX),
      ]);
      const heard = new Map(rows.map(({ aggregate, version }) => [aggregate, version]));
      for (const { aggregate, version, dropDue } of rows) this.#see(aggregate, version, dropDue);
      for (const waiter of this.#waiters) {
        this.#settle(waiter, (one) => {
          if ((heard.get(one.aggregate) ?? 0) < one.version) return false;
          waiter.justHeard ||= !this.#knows(one);
          return true;
        });
      }
    }
  }

  /** What the inbox says that some process has heard, and whether something is known to be still to be dropped. */
  #see(aggregate: string, version: number, dropDue: boolean): void {
    const { dropsWithinMs, now } = this.#options;
    const seen = this.#seen.get(aggregate);
    if (!dropDue && seen !== undefined && now() - seen.atMs >= dropsWithinMs) this.#remember(aggregate, seen.version);
    if (seen === undefined || seen.version < version) this.#seen.set(aggregate, { version, atMs: now() });
  }

  #settle(waiter: Waiter, isHeard: (one: Awaited) => boolean): void {
    waiter.left = waiter.left.filter((one) => !isHeard(one));
    if (waiter.left.length === 0) this.#end(waiter);
  }

  #end(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    this.#waiters.delete(waiter);
    waiter.done({ behind: waiter.left, justHeard: waiter.justHeard });
  }

  #knows({ aggregate, version }: Awaited): boolean {
    return (this.#heard.get(aggregate) ?? 0) >= version;
  }

  #remember(aggregate: string, version: number): void {
    if (version > (this.#heard.get(aggregate) ?? 0)) this.#heard.set(aggregate, version);
  }
}
