import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import type { Logger } from '#libs/telemetry';
import { hashTagOf } from './keys.js';
import { VALUE_LENGTH_MAX, type CacheStore, type Fill, type Slot } from './store.js';

/** A script blocks the whole of Redis while it runs: a thousand GETs are about half a millisecond. */
const KEYS_PER_SCRIPT = 1_000;

/** How long a call may take before the caller goes on without the cache. */
export const DEADLINE_MS = 80;

/**
 * `V<json>` is a value, `L<token>` a lease. KEYS; ARGV: token, leaseMs, longest value.
 *
 * The first line writes nothing (an empty SETRANGE), but Redis refuses it wherever it would refuse a drop: on a
 * read-only replica, or after a failed save. What cannot be dropped may not be read. When Redis is only full, drops
 * still work: what is kept is served, nothing is leased.
 */
const GET_OR_LEASE = `
local writable = redis.pcall('SETRANGE', KEYS[1], 0, '')
local full = false
if type(writable) == 'table' and writable.err then
  full = string.find(writable.err, 'OOM', 1, true) ~= nil
  if not full and not string.find(writable.err, 'WRONGTYPE', 1, true) then return redis.error_reply(writable.err) end
end
local slots = {}
for at, key in ipairs(KEYS) do
  local kept = redis.pcall('GET', key)
  if type(kept) == 'string' then
    local mark = string.sub(kept, 1, 1)
    if #kept > tonumber(ARGV[3]) or (mark ~= 'V' and mark ~= 'L') then kept = 'X' end
  elseif kept then
    kept = 'X'
  end
  if kept == 'X' then redis.call('DEL', key) kept = false end
  if kept then
    slots[at] = kept
  elseif full then
    slots[at] = ''
  else
    local leased = redis.pcall('SET', key, 'L' .. ARGV[1], 'PX', ARGV[2])
    if leased.err then slots[at] = '' else slots[at] = 'L' .. ARGV[1] end
  end
end
return slots`;

/** KEYS; ARGV: for each key its token, its lifetime and 'V<json>', or '' to give the lease back. */
const FILL = `
for at, key in ipairs(KEYS) do
  local token, ttl, value = ARGV[3 * at - 2], ARGV[3 * at - 1], ARGV[3 * at]
  if redis.pcall('GET', key) == 'L' .. token then
    local kept = value ~= '' and redis.pcall('SET', key, value, 'PX', ttl)
    if not kept or kept.err then redis.call('DEL', key) end
  end
end
return 0`;

/** How long calls wait, each within its deadline, for the first connection. */
const START_MS = 1_000;

const UNANSWERED_MAX = 4;

/** UTF-8 needs at most three bytes for one UTF-16 unit. */
const VALUE_BYTES_MAX = 3 * VALUE_LENGTH_MAX + 1;

interface Scripts {
  tributaryGetOrLease(count: number, ...rest: (string | number)[]): Promise<string[]>;
  tributaryFill(count: number, ...rest: (string | number)[]): Promise<number>;
}

/** Redis, or Redis Cluster when the address says `?cluster=true` (the node it names is only where to begin). */
export class RedisStore implements CacheStore {
  roundTrips = 0;
  private readonly client: (Redis | Cluster) & Scripts;
  private readonly clustered: boolean;
  private readonly deadlineMs: number;
  private readonly process = randomUUID();
  /** The connection stands, or has had its time to. */
  private readonly begun: Promise<void>;
  private leases = 0;
  private unanswered = 0;

  constructor(options: { url: string; logger: Logger; deadlineMs?: number }) {
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    const { client, clustered } = connect(options.url, this.deadlineMs);
    client.defineCommand('tributaryGetOrLease', { lua: GET_OR_LEASE });
    client.defineCommand('tributaryFill', { lua: FILL });
    // ioredis throws where nobody listens, and repeats itself at every attempt; the short circuit says it once.
    client.on('error', (error: Error) => options.logger.debug({ error: error.message }, 'cache connection failed'));
    this.client = client as (Redis | Cluster) & Scripts;
    this.clustered = clustered;
    this.begun = new Promise((resolve) => {
      const late = setTimeout(resolve, START_MS);
      late.unref();
      client.once('ready', () => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  async getOrLease(keys: readonly string[], leaseMs: number): Promise<Slot[]> {
    const token = `${this.process}.${++this.leases}`;
    const slots: Slot[] = keys.map(() => ({ kind: 'full' }));
    await this.send(keys, async (places) => {
      const part = places.map((place) => keys[place]!);
      const answers = await this.client.tributaryGetOrLease(part.length, ...part, token, leaseMs, VALUE_BYTES_MAX);
      for (const [at, place] of places.entries()) slots[place] = slotOf(answers[at], token);
    });
    return slots;
  }

  async fill(entries: readonly Fill[]): Promise<void> {
    const keys = entries.map((entry) => entry.key);
    await this.send(keys, async (places) => {
      const part = places.map((place) => entries[place]!);
      await this.client.tributaryFill(part.length, ...part.map((entry) => entry.key), ...part.flatMap(fillOf));
    });
  }

  async drop(keys: readonly string[]): Promise<void> {
    await this.send(keys, async (places) => {
      await this.client.del(places.map((place) => keys[place]!));
    });
  }

  ready(): Promise<void> {
    return this.begun;
  }

  async close(): Promise<void> {
    this.client.disconnect();
    if (this.client.status === 'end') return;
    // While ioredis waits to connect again it ends without a word.
    const patience = AbortSignal.timeout(500);
    await once(this.client, 'end', { signal: patience }).catch(() => {});
  }

  /** Sends every part at the same moment and waits for all of them; one that fails fails the call. */
  private async send(keys: readonly string[], part: (places: readonly number[]) => Promise<void>): Promise<void> {
    if (keys.length === 0) return;
    this.roundTrips++;
    const work = async (): Promise<void> => {
      // ioredis refuses commands until the connection stands. After a start the first calls wait for it instead.
      await this.begun;
      await Promise.all(partsOf(keys, this.clustered).map(part));
    };
    if (await within(this.deadlineMs, work())) {
      this.unanswered = 0;
      return;
    }
    // A connection whose other end is gone without a word would stay for a quarter of an hour, as TCP has it.
    if (++this.unanswered >= UNANSWERED_MAX) {
      this.unanswered = 0;
      this.client.disconnect(true);
    }
    throw new Error(`Redis did not answer within ${this.deadlineMs} ms`);
  }
}

/** Places in `keys`, at most a thousand together; on a cluster only keys of one hash tag go together. */
function partsOf(keys: readonly string[], clustered: boolean): number[][] {
  const open = new Map<string, number[]>();
  const parts: number[][] = [];
  for (const [place, key] of keys.entries()) {
    const tag = clustered ? hashTagOf(key) : '';
    let part = open.get(tag);
    if (part === undefined || part.length === KEYS_PER_SCRIPT) {
      part = [];
      open.set(tag, part);
      parts.push(part);
    }
    part.push(place);
  }
  return parts;
}

function slotOf(answer: string | undefined, token: string): Slot {
  if (answer === undefined || answer === '') return { kind: 'full' };
  const rest = answer.slice(1);
  if (answer.startsWith('V')) return { kind: 'kept', text: rest };
  return rest === token ? { kind: 'leased', token } : { kind: 'awaited', token: rest };
}

function fillOf({ token, value, ttlMs }: Fill): (string | number)[] {
  const keep = value !== null && value.length <= VALUE_LENGTH_MAX && ttlMs >= 1;
  return [token, Math.max(1, Math.floor(ttlMs)), keep ? `V${value}` : ''];
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

/** ioredis' defaults make a request wait ten seconds for a Redis that is down, and queue without bound meanwhile. */
const PATIENCE = {
  connectTimeout: 500,
  disconnectTimeout: 100,
  maxRetriesPerRequest: 1,
  autoResendUnfulfilledCommands: false,
  reconnectOnError: (error: Error): boolean => error.message.includes('READONLY'),
} satisfies RedisOptions;

function connect(address: string, deadlineMs: number): { client: Redis | Cluster; clustered: boolean } {
  const url = new URL(address);
  const clustered = url.searchParams.get('cluster') === 'true';
  url.searchParams.delete('cluster');
  // Behind our own deadline: the end of a command that nobody waits for any more.
  const commandTimeout = 4 * deadlineMs;
  const again = (times: number): number => Math.min(50 * times, 1_000);
  if (!clustered) {
    const client = new Redis(url.href, {
      ...PATIENCE,
      commandTimeout,
      enableOfflineQueue: false,
      retryStrategy: again,
    });
    return { client, clustered };
  }
  const redisOptions: NonNullable<ClusterOptions['redisOptions']> = {
    ...PATIENCE,
    commandTimeout,
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
  const client = new Cluster([{ host: url.hostname, port: Number(url.port || 6379) }], {
    redisOptions,
    enableOfflineQueue: false,
    clusterRetryStrategy: again,
    maxRedirections: 4,
    retryDelayOnFailover: 20,
    retryDelayOnClusterDown: 20,
    retryDelayOnTryAgain: 20,
    slotsRefreshTimeout: 500,
  });
  return { client, clustered };
}
