import type pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exhausted, type Deadline } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import { oneStatement } from './one-statement.js';
import { ReplicaAge } from './replica-age.js';
import { lookAtReplica, openLooks, openPool, serverOf, type Look, type Standing } from './replica-look.js';
import { SlowStatements } from './slow-statements.js';
import { isLost, messageOf, sqlState } from './trouble.js';

export interface ReplicaOptions {
  readonly service: string;
  readonly url: string;
  readonly poolMax: number;
  /** ms: one that may lack what is older is not read. */
  readonly lagMaxMs: number;
  readonly logger: Logger;
  readonly onStatement: () => void;
  /** How far the primary is, of which cluster. */
  readonly primary: () => Promise<Standing>;
}

/**
 * One replica: its connections, and whether it may be read now. It is looked at by a connection of its own, again and again; nothing waits for
 * that, and until it was found good a few times in a row it is not read.
 */
export class Replica {
  /** host:port/database */
  readonly name: string;
  readonly #options: ReplicaOptions;
  readonly #pool: pg.Pool;
  readonly #looks: pg.Pool;
  readonly #age = new ReplicaAge();
  readonly #slow: SlowStatements;
  readonly #openedMs = performance.now();
  readonly #closing = new AbortController();
  /** When the server was started that a connection leads to. */
  readonly #serverOf = new WeakMap<pg.PoolClient, string>();
  readonly #watching: Promise<void>;
  /** The same of the server that was looked at. */
  #server: string | undefined;
  /** Of the primary. */
  #cluster: string | undefined;
  #goodLooks = 0;
  #isUsed = false;
  #said: string | undefined;
  #reads = 0;

  constructor(options: ReplicaOptions) {
    const { host, pathname } = new URL(options.url);
    this.#options = options;
    this.name = `${host}${pathname}`;
    this.#pool = openPool(options.url, { max: options.poolMax }, options.onStatement);
    this.#looks = openLooks(options.url);
    this.#slow = new SlowStatements(options.logger, { service: options.service, replica: this.name });
    this.#watching = this.#watch();
  }

  /** It is used, and what it has is not older than it may be. */
  get isUsable(): boolean {
    const since = this.#age.freshAsOfMs;
    return this.#isUsed && since !== undefined && performance.now() - since <= this.#options.lagMaxMs;
  }

  /** Since when it may lack something; before anything is known, since it was opened. */
  get lagSeconds(): number {
    return (performance.now() - (this.#age.freshAsOfMs ?? this.#openedMs)) / 1_000;
  }

  /** Statements that it has answered. */
  get reads(): number {
    return this.#reads;
  }

  /** An error of any kind is nobody's answer: the primary is asked the same. */
  async query<Row>(
    text: string,
    values: readonly unknown[] | undefined,
    deadline: Deadline | undefined,
  ): Promise<Row[]> {
    try {
      const rows = await this.#slow.unlessSlow(text, (connected) =>
        oneStatement<Row>(this.#pool, text, values, deadline, (client) => {
          connected();
          return this.#check(client);
        }),
      );
      this.#reads += 1;
      return rows;
    } catch (error) {
      if (isItsOwn(error)) this.#leave(`a statement failed there: ${messageOf(error)}`);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isUsed = false;
    this.#closing.abort();
    this.#slow.close();
    await this.#watching;
    await Promise.all([this.#pool.end(), this.#looks.end()]);
  }

  /** A name may lead to another server than a moment ago, of which nothing is known. */
  async #check(client: pg.PoolClient): Promise<void> {
    let server = this.#serverOf.get(client);
    if (server === undefined) {
      server = await serverOf(client);
      this.#serverOf.set(client, server);
    }
    if (server !== this.#server) throw new AnotherServer();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    const everyMs = Math.max(LOOK_MS_MIN, this.#options.lagMaxMs / 8);
    while (!signal.aborted) {
      const reason = await this.#look().catch((error: unknown) => `it cannot be asked: ${messageOf(error)}`);
      if (signal.aborted) return;
      if (reason === undefined) this.#isGood();
      else if (reason !== UNKNOWN) this.#leave(reason);
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Why it is not to be read; undefined: it may be. */
  async #look(): Promise<string | undefined> {
    const askedMs = performance.now();
    const marked = await this.#options.primary().catch((error: unknown) => messageOf(error));
    if (typeof marked !== 'string') {
      this.#cluster = marked.cluster;
      this.#age.mark({ askedMs, at: marked.at });
    }
    const look = await lookAtReplica(this.#looks);
    const reason = this.#judge(look, typeof marked === 'string' ? marked : undefined);
    // No connection is lent from here on to one of which nothing good is known.
    this.#server = reason === undefined ? look.server : undefined;
    return reason;
  }

  #judge({ at = 0n, cluster, follows }: Look, unmarked: string | undefined): string | undefined {
    if (!follows) return 'it takes writes itself, so it is no replica';
    if (this.#cluster !== undefined && cluster !== this.#cluster) return 'it is a copy of another cluster';
    this.#age.replayed(at);
    if (this.#age.isAhead) return 'it has what the primary has not, so it followed one that was replaced';
    const since = this.#age.freshAsOfMs;
    if (performance.now() - (since ?? this.#openedMs) <= this.#options.lagMaxMs)
      return since === undefined ? UNKNOWN : undefined;
    return unmarked === undefined ? 'it lags' : `the primary cannot be asked how far it is: ${unmarked}`;
  }

  #isGood(): void {
    this.#goodLooks += 1;
    if (this.#isUsed || this.#goodLooks < GOOD_LOOKS) return;
    this.#isUsed = true;
    this.#said = undefined;
    this.#options.logger.info({ service: this.#options.service, replica: this.name }, 'A replica is read');
  }

  /** Once for each change: while it is out for one reason, nothing more is said. */
  #leave(reason: string): void {
    this.#goodLooks = 0;
    const isNew = this.#isUsed || this.#said === undefined;
    this.#isUsed = false;
    if (!isNew || this.#closing.signal.aborted) return;
    this.#said = reason;
    const { service, logger } = this.#options;
    logger.warn(
      { service, replica: this.name, reason, lagS: Math.round(this.lagSeconds * 10) / 10 },
      'A replica is not read; the primary is',
    );
  }
}

/** It, and not the statement or the crowd before it. */
function isItsOwn(error: unknown): boolean {
  if (error instanceof Exhausted) return false;
  const state = sqlState(error);
  // Canceled for what it had to replay (40001), or because it took longer than one may wait (slow-statements.ts): it goes on.
  return state === undefined ? error instanceof AnotherServer || isLost(error) : /^(?:57P|53|08|XX|58)/.test(state);
}

class AnotherServer extends Error {
  constructor() {
    super('its name leads to another server than a moment ago');
  }
}

/** It has not been asked often enough. */
const UNKNOWN = '';
/** In a row, before it is read again: one that fails now and then is not tried with every second read. */
const GOOD_LOOKS = 3;
const LOOK_MS_MIN = 25;
