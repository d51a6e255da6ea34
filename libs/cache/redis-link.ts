import { once } from 'node:events';
import { connectRedis, isClustered, refusalOf, type Connection } from '#libs/redis';
import { currentSpan, traced, type Logger } from '#libs/telemetry';

/** How long a call may take before the caller goes on without the cache. */
export const DEADLINE_MS = 80;

/** How long calls wait, each within its deadline, for the first connection. */
const START_MS = 1_000;

const UNANSWERED_MAX = 4;

/** One connection to Redis or to a Redis Cluster, on which nothing waits long. */
export class RedisLink {
  roundTrips = 0;
  readonly client: Connection;
  readonly clustered: boolean;
  readonly #deadlineMs: number;
  /** The connection stands, or has had its time to. */
  readonly #begun: Promise<void>;
  #unanswered = 0;
  /** What it has against us, while it does not let us in. */
  #refusal: Error | undefined;

  constructor(options: { url: string; logger: Logger; deadlineMs?: number | undefined }) {
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    const client = connectRedis(
      options.url,
      {
        connectTimeout: 500,
        disconnectTimeout: 100,
        maxRetriesPerRequest: 1,
        // Behind our own deadline: the end of a command that nobody waits for any more.
        commandTimeout: 4 * this.#deadlineMs,
      },
      (says) => options.logger.warn({}, says),
    );
    // ioredis throws where nobody listens, and repeats itself at every attempt; the short circuit says it once.
    client.on('error', (error: Error) => {
      options.logger.debug({ error: error.message }, 'cache connection failed');
      if (refusalOf(error) !== undefined) this.#refusal = error;
    });
    client.on('ready', () => (this.#refusal = undefined));
    this.client = client;
    this.clustered = isClustered(options.url);
    this.#begun = new Promise((resolve) => {
      const late = setTimeout(resolve, START_MS);
      late.unref();
      client.once('ready', () => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  ready(): Promise<void> {
    return this.#begun;
  }

  async close(): Promise<void> {
    this.client.disconnect();
    if (this.client.status === 'end') return;
    // While ioredis waits to connect again it ends without a word.
    const patience = AbortSignal.timeout(500);
    await once(this.client, 'end', { signal: patience }).catch(() => {});
  }

  /** Sends every part at the same moment and waits for all of them; one that fails fails the call. */
  async send<Part>(parts: readonly Part[], one: (part: Part) => Promise<void>): Promise<void> {
    if (parts.length === 0) return;
    this.roundTrips++;
    const span = currentSpan();
    if (span === undefined) return this.#sendNow(parts, one);
    const attributes = { 'db.system.name': 'redis', 'db.operation.batch.size': parts.length };
    return traced(span, 'client', 'redis', attributes, () => this.#sendNow(parts, one));
  }

  async #sendNow<Part>(parts: readonly Part[], one: (part: Part) => Promise<void>): Promise<void> {
    const work = async (): Promise<void> => {
      // ioredis refuses commands until the connection stands. After a start the first calls wait for it instead.
      await this.#begun;
      try {
        await Promise.all(parts.map(one));
      } catch (error) {
        // Of the connection the command itself knows only that it is not there.
        throw this.#refusal ?? error;
      }
    };
    if (await within(this.#deadlineMs, work())) {
      this.#unanswered = 0;
      return;
    }
    // A connection whose other end is gone without a word would stay for a quarter of an hour, as TCP has it.
    if (++this.#unanswered >= UNANSWERED_MAX) {
      this.#unanswered = 0;
      this.client.disconnect(true);
    }
    throw new Error(`Redis did not answer within ${this.#deadlineMs} ms`);
  }
}

/**
 * Our own deadline rather than ioredis' `commandTimeout`: a reply that lies in the socket while our own event loop was
 * busy is no failure of Redis, so when time is up the loop reads its sockets once more before it gives up.
 */
async function within(deadlineMs: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => setImmediate(() => resolve(false)), deadlineMs);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
