import { readFile } from 'node:fs/promises';
import { Dispatcher } from 'undici';
import { Outage, type Logger } from '#libs/telemetry';
import { certificatesOf, dispatcherWith, NAMES, readTls, tried, type SubgraphTls, type TlsPaths } from './tls.js';

/** Certificates of an hour are renewed long before it is over. */
const LOOK_MS = 10_000;

/** Of the certificate of a file that expires first. `at`: ms since 1970; `lifetimeMs`: how long it is good altogether. */
export interface Expiry {
  readonly file: 'ca' | 'cert';
  readonly at: number;
  readonly lifetimeMs: number;
}

/**
 * The files of SUBGRAPH_TLS_CA, _CERT and _KEY, looked at again while a gateway runs: what issues certificates of days or hours writes new
 * ones into the same files. A file that cannot be read or is not whole, or a key that is not (yet) that of the certificate, changes nothing: what was read
 * before is used on, and the log says so. They are read, not watched, for a secret that is mounted is changed by a link three folders up.
 */
export class TlsFiles {
  readonly #paths: TlsPaths;
  readonly #listeners: ((tls: SubgraphTls) => void)[] = [];
  readonly #trouble: Outage;
  readonly #timer: NodeJS.Timeout | undefined;
  #now: SubgraphTls;
  /** Of `#now`: figures are asked for again and again, and are no place to find a file wrong. */
  #expiries: readonly Expiry[];

  /** Throws where they cannot be used at all. */
  constructor(paths: TlsPaths, { logger, lookMs = LOOK_MS }: { logger: Logger; lookMs?: number }) {
    this.#paths = paths;
    this.#now = readTls(paths);
    this.#expiries = expiriesOf(this.#now);
    this.#trouble = new Outage({
      logger,
      fields: {},
      began: 'The files of SUBGRAPH_TLS_* cannot be used as they are now; those that were read before are',
      lasts: 'The files of SUBGRAPH_TLS_* still cannot be used; those that were read before are',
      over: 'The files of SUBGRAPH_TLS_* can be used again',
    });
    if (Object.keys(this.#now).length > 0) this.#timer = setInterval(() => void this.look(), lookMs).unref();
  }

  get now(): SubgraphTls {
    return this.#now;
  }

  /** `listener` is told of what is to be used for new connections. */
  onRenewed(listener: (tls: SubgraphTls) => void): void {
    this.#listeners.push(listener);
  }

  async look(): Promise<void> {
    try {
      const tls: SubgraphTls = {};
      for (const name of NAMES) if (this.#paths[name] !== undefined) tls[name] = await readFile(this.#paths[name]);
      const same = NAMES.every((name) => String(tls[name]) === String(this.#now[name]));
      if (!same) [this.#expiries, this.#now] = [expiriesOf(tried(tls)), tls];
      this.#trouble.succeeded();
      if (!same) for (const listener of this.#listeners) listener(tls);
    } catch (error) {
      this.#trouble.failed(error);
    }
  }

  /** When what is used expires, ms since 1970; of several certificates in a file the first to do so. */
  expiries(): readonly Expiry[] {
    return this.#expiries;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function expiriesOf(tls: SubgraphTls): Expiry[] {
  return (['ca', 'cert'] as const).flatMap((file) => {
    const held = tls[file];
    if (held === undefined) return [];
    const [first] = certificatesOf(held)
      .map(({ validFrom, validTo }) => ({ from: Date.parse(validFrom), at: Date.parse(validTo) }))
      .toSorted((one, other) => one.at - other.at);
    return first === undefined ? [] : [{ file, at: first.at, lifetimeMs: first.at - first.from }];
  });
}

/** `dispatcherWith`, with what the files hold at the time: what is under way ends on the connections that it has. */
export function renewedDispatcher(files: TlsFiles): Dispatcher | undefined {
  const first = dispatcherWith(files.now);
  if (first === undefined) return undefined;
  const renewed = new Renewed(first);
  files.onRenewed((tls) => renewed.renew(dispatcherWith(tls)!));
  return renewed;
}

class Renewed extends Dispatcher {
  #now: Dispatcher;

  constructor(first: Dispatcher) {
    super();
    this.#now = first;
  }

  renew(next: Dispatcher): void {
    const before = this.#now;
    this.#now = next;
    void before.close();
  }

  override dispatch(...what: Parameters<Dispatcher['dispatch']>): boolean {
    return this.#now.dispatch(...what);
  }

  override close(): Promise<void>;
  override close(done: () => void): void;
  override close(done?: () => void): Promise<void> | void {
    return done === undefined ? this.#now.close() : this.#now.close(done);
  }

  override destroy(...how: unknown[]): Promise<void> {
    return (this.#now.destroy as (...how: unknown[]) => Promise<void>)(...how);
  }
}
