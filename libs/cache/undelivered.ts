import type { Clock, Logger } from '#libs/telemetry';
import { prefixOf } from './keys.js';

/** Of one prefix. Beyond them only the prefix is remembered. */
const KEYS_MAX = 10_000;

interface Waiting {
  /** Undefined: there were too many to remember; only time helps this prefix. */
  keys: Set<string> | undefined;
  until: number;
}

/**
 * The drops that could not be delivered. While one waits, this process neither reads nor fills its prefix: what lies
 * there may be older than a write that was acknowledged. It ends when the drop is delivered, or when everything that was
 * kept before it has run out.
 */
export class UndeliveredDrops {
  private waiting = new Map<string, Waiting>();
  /** What is being delivered now; it blocks too. */
  private leaving = new Map<string, Waiting>();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(
    private readonly options: {
      deliver: (keys: readonly string[]) => Promise<void>;
      /** How long what is kept now may live. */
      lifetimeMs: number;
      retryMs: number;
      clock: Clock;
      logger: Logger;
    },
  ) {}

  remember(keys: readonly string[]): void {
    if (this.waiting.size + this.leaving.size === 0) {
      this.options.logger.warn(
        { keys: keys.length },
        'a drop could not be delivered; what it makes stale is read from the database',
      );
    }
    const until = this.options.clock() + this.options.lifetimeMs;
    for (const key of keys) this.add(key, until);
    this.retryLater();
  }

  blocks(prefix: string): boolean {
    if (this.waiting.size + this.leaving.size === 0) return false;
    const now = this.options.clock();
    for (const drops of [this.waiting, this.leaving]) {
      const waiting = drops.get(prefix);
      if (waiting === undefined) continue;
      if (waiting.until > now) return true;
      drops.delete(prefix);
    }
    return false;
  }

  /** Tries now what waits. */
  async retry(): Promise<void> {
    if (this.leaving.size > 0) return;
    this.leaving = this.waiting;
    this.waiting = new Map();
    const now = this.options.clock();
    const keys: string[] = [];
    for (const [prefix, waiting] of this.leaving) {
      if (waiting.until <= now) this.leaving.delete(prefix);
      else keys.push(...(waiting.keys ?? []));
    }
    let delivered = true;
    try {
      if (keys.length > 0) await this.options.deliver(keys);
    } catch {
      delivered = false;
    }
    const left = this.leaving;
    this.leaving = new Map();
    for (const [prefix, { keys: unsent, until }] of left) {
      if (unsent === undefined) this.forget(prefix, until);
      else if (!delivered) for (const key of unsent) this.add(key, until);
    }
    if (delivered && keys.length > 0)
      this.options.logger.info({ keys: keys.length }, 'the drops that waited are delivered');
    if (this.waiting.size > 0) this.retryLater();
  }

  /** One last try: nobody else knows of these drops. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    if (this.waiting.size > 0) await this.retry();
  }

  private add(key: string, until: number): void {
    const prefix = prefixOf(key);
    const waiting = this.waiting.get(prefix);
    if (waiting === undefined) {
      this.waiting.set(prefix, { keys: new Set([key]), until });
      return;
    }
    waiting.until = Math.max(waiting.until, until);
    waiting.keys?.add(key);
    if (waiting.keys !== undefined && waiting.keys.size > KEYS_MAX) waiting.keys = undefined;
  }

  private forget(prefix: string, until: number): void {
    this.waiting.set(prefix, { keys: undefined, until: Math.max(until, this.waiting.get(prefix)?.until ?? 0) });
  }

  private retryLater(): void {
    if (this.closed || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.retry();
    }, this.options.retryMs);
    this.timer.unref();
  }
}
