import { randomUUID } from 'node:crypto';

import { LISTENERS, type DomainEvent, type EventSource } from '#libs/events';
import { refusalOf } from '#libs/redis';
import { currentSpan, Outage, traced, type Logger } from '#libs/telemetry';

import { COMMANDS, connect, ready, WAITS, type Connection } from './redis-connection.js';
import { RedisSubscription } from './redis-subscription.js';
import type { Range } from './leases.js';
import {
  LeaseLost,
  StreamLostEvents,
  StreamOfAnother,
  type Expected,
  type HandleEvents,
  type Listeners,
  type Mark,
  type Marks,
  type Stream,
  type Subscription,
} from './stream.js';

export interface RedisStreamOptions {
  readonly url: string;
  readonly logger: Logger;
  readonly listeners: Listeners;
  /** How long a group stays with the process that reads for it when that process is gone. */
  readonly leaseMs?: number;
  /** How often what every group has acknowledged is trimmed away. */
  readonly trimEveryMs?: number;
  /** For how long a group that is not of `listeners` is waited for when nobody reads for it any more. */
  readonly strangerMs?: number;
}

/** One hash tag, so that on a Redis Cluster every script finds its keys in one place. */
export const streamKey = (source: EventSource): string => `tributary:{events}:${source}`;

/** Of the range 0 of 1, which is all, without a number. */
const markKey = (source: EventSource, { nth, of }: Range): string =>
  `${streamKey(source)}:mark${of === 1 ? '' : `:${nth}/${of}`}`;

const ALL: Range = { nth: 0, of: 1 };

const XADD = { 'db.system.name': 'redis', 'db.operation.name': 'XADD' };

/**
 * Redis Streams: one stream per source. It keeps an event until all of `listeners` have acknowledged it and never trims
 * by length, which would take the payload from under a slow group. Other groups are waited for while somebody reads for them: a
 * newer program's, which the relays of before do not know. Of one that was renamed or removed nobody does.
 */
export class RedisStream implements Stream {
  readonly #options: Required<RedisStreamOptions>;
  readonly #outage: Outage;
  readonly #redis: Connection;
  readonly #subscriptions = new Set<RedisSubscription>();
  readonly #trimAt = new Map<EventSource, number>();
  readonly #toldOf = new Set<string>();

  constructor(options: RedisStreamOptions) {
    this.#options = { leaseMs: 2_000, trimEveryMs: 10_000, strangerMs: 3_600_000, ...options };
    this.#outage = new Outage({
      logger: options.logger,
      fields: {},
      began: 'Redis is not reachable; events wait in the outbox',
      lasts: 'Redis is still not reachable',
      over: 'Redis is reachable again',
      otherwise: (error) => {
        const refusal = refusalOf(error);
        return refusal && `${refusal}; meanwhile events wait in the outbox`;
      },
    });
    this.#redis = connect(options.url, COMMANDS, this.#outage, options.logger);
  }

  async publish(events: readonly DomainEvent[], expected?: Expected): Promise<void> {
    await ready(this.#redis);
    const { life = '', highest = 0, batches = 0, token = 0, range = ALL, positions = [] } = expected ?? {};
    const next = Math.max(0, ...positions);
    for (const source of new Set(events.map((event) => event.source))) {
      // All or none: were the first refused and the second taken, they would be heard in the wrong order.
      const mine = events.filter((event) => event.source === source);
      const texts = mine.map((event) => JSON.stringify(event));
      const ids = mine.map(({ id }) => id).join(',');
      const keys = [streamKey(source), markKey(source, range)];
      const known = [life, highest, next, token, positions.join(','), ids, batches];
      const added = await traced(currentSpan(), 'client', 'XADD', XADD, () =>
        this.#redis.eval(ADD, 2, ...keys, ...known, ...texts),
      );
      if (Number(added) < 0) throw new LeaseLost(source, -Number(added));
      if (added !== texts.length) throw new StreamLostEvents(`the stream of ${source} is not the one it was`);
      await this.trim(source);
    }
  }

  subscribe(group: string, sources: readonly EventSource[], handle: HandleEvents): Subscription {
    const { url, logger, leaseMs } = this.#options;
    const me = `${group}:${process.pid}:${randomUUID().slice(0, 8)}`;
    const parts = sources.map(
      (source) =>
        new RedisSubscription({
          group,
          me,
          key: streamKey(source),
          leaseMs,
          handle,
          logger,
          redis: this.#redis,
          waits: connect(url, WAITS, this.#outage, logger),
        }),
    );
    for (const part of parts) this.#subscriptions.add(part);
    return {
      settled: async (deadlineMs = 10_000) => {
        await Promise.all(parts.map((part) => part.settled(deadlineMs)));
      },
      close: async () => {
        await Promise.all(parts.map((part) => part.close()));
        for (const part of parts) this.#subscriptions.delete(part);
      },
    };
  }

  async own(source: EventSource, database: string): Promise<void> {
    await ready(this.#redis);
    const key = `${streamKey(source)}:database`;
    const owner = await this.#redis.eval(OWN, 1, key, database);
    if (owner === database) return;
    const { host, pathname } = new URL(this.#options.url);
    throw new StreamOfAnother(source, `${host}${pathname}`);
  }

  async unheardMs(source: EventSource, group: string): Promise<number> {
    await ready(this.#redis);
    return Number(await this.#redis.eval(UNHEARD, 1, streamKey(source), group));
  }

  async kept(source: EventSource): Promise<number> {
    await ready(this.#redis);
    return this.#redis.xlen(streamKey(source));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((part) => part.close()));
    this.#redis.disconnect();
  }

  readonly marks: Marks = {
    take: async (source, { range, token, former }) => {
      await ready(this.#redis);
      const keys = [range, ...former].map((one) => markKey(source, one));
      const taken = (await this.#redis.eval(TAKE_RANGE, keys.length, ...keys, token)) as (string | null)[] | number;
      if (typeof taken === 'number') throw new LeaseLost(source, taken);
      const [life, highest, batches, lastToken, last, lastIds] = taken;
      return {
        mark: markOf([life, highest, batches]),
        last: { token: Number(lastToken ?? 0), positions: listOf(last).map(Number), ids: listOf(lastIds) },
      };
    },
    read: async (source, { range, token }) => {
      await ready(this.#redis);
      const fields = await this.#redis.hmget(markKey(source, range), ...MARK, 'token');
      const seen = Number(fields.pop() ?? 0);
      if (seen > token) throw new LeaseLost(source, seen);
      return markOf(fields);
    },
    begin: async (source, range, found, batches) => {
      const seen = [found?.life ?? '', found?.highest ?? ''];
      const key = markKey(source, range);
      const now = (await this.#redis.eval(BEGIN, 1, key, ...seen, randomUUID(), batches)) as (string | null)[];
      const mark = markOf(now);
      if (mark === undefined) throw new Error(`Redis has no mark of ${source}`);
      return mark;
    },
  };

  /** Forgets what every group has acknowledged; nothing while a listener has not yet made its group. */
  async trim(source: EventSource): Promise<void> {
    const now = performance.now();
    const { listeners, logger, strangerMs, trimEveryMs } = this.#options;
    if (now < (this.#trimAt.get(source) ?? 0)) return;
    this.#trimAt.set(source, now + trimEveryMs);
    const needed = listeners[source] ?? LISTENERS[source];
    try {
      const left = (await this.#redis.eval(TRIM, 1, streamKey(source), strangerMs, ...needed)) as string[];
      for (const group of left) this.#tellOf(source, group);
    } catch (error) {
      logger.warn({ source, err: error }, 'The stream could not be trimmed');
    }
  }

  #tellOf(source: EventSource, group: string): void {
    const named = `${source} ${group}`;
    if (this.#toldOf.has(named)) return;
    this.#toldOf.add(named);
    const remove = `XGROUP DESTROY ${streamKey(source)} ${group}`;
    this.#options.logger.warn(
      { source, group, remove },
      'A group that no service is of, and for which nobody reads, is in Redis; the stream does not wait for it',
    );
  }
}

function listOf(text: string | null | undefined): string[] {
  return (text ?? '').split(',').filter(Boolean);
}

const MARK = ['life', 'highest', 'batches'] as const;

/** A program that counted no batches left none. */
function markOf([life, highest, batches]: readonly (string | null | undefined)[]): Mark | undefined {
  return life ? { life, highest: Number(highest), batches: Number(batches ?? 0) } : undefined;
}

/** Whoever comes first to a Redis that has nothing. */
const OWN = `
redis.call('SETNX', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])`;

/**
 * Redis refuses a script's first write or none (full, replica), so the events are added together. 0: not the stream that is
 * expected; negative: the higher token that has come.
 */
const ADD = `
local life, highest, next, token = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if life ~= '' then
  local mark = redis.call('HMGET', KEYS[2], 'life', 'highest', 'token', 'batches')
  if mark[3] and tonumber(mark[3]) > token then return -tonumber(mark[3]) end
  if mark[1] ~= life or tonumber(mark[2]) < highest then return 0 end
  if tonumber(mark[4] or '0') ~= tonumber(ARGV[7]) then return 0 end
  if next < tonumber(mark[2]) then next = tonumber(mark[2]) end
  redis.call('HSET', KEYS[2], 'highest', next, 'token', token, 'last-token', token, 'last', ARGV[5], 'last-ids', ARGV[6])
  redis.call('HINCRBY', KEYS[2], 'batches', 1)
end
for i = 8, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
return #ARGV - 7`;

/**
 * What was added last is kept until the next batch, so whoever takes over can mark what its predecessor could not. Behind the first
 * key are those of former divisions: their relays are refused too.
 */
const TAKE_RANGE = `
local token = redis.call('HGET', KEYS[1], 'token')
if token and tonumber(token) > tonumber(ARGV[1]) then return tonumber(token) end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
for i = 2, #KEYS do
  local former = redis.call('HGET', KEYS[i], 'token')
  if not former or tonumber(former) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[i], 'token', ARGV[1]) end
end
return redis.call('HMGET', KEYS[1], 'life', 'highest', 'batches', 'last-token', 'last', 'last-ids')`;

const BEGIN = `
local mark = redis.call('HMGET', KEYS[1], 'life', 'highest')
if (mark[1] or '') == ARGV[1] and (mark[2] or '') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'life', ARGV[3], 'highest', 0, 'batches', ARGV[4])
  redis.call('HDEL', KEYS[1], 'last-token', 'last', 'last-ids')
end
return redis.call('HMGET', KEYS[1], 'life', 'highest', 'batches')`;

/**
 * An id begins with the time at which Redis took the event: of the oldest that is pending, else of the first behind what the group was
 * given; of the first of all, where it never came.
 */
const UNHEARD = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local from, oldest = '-', nil
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group['name'] == ARGV[1] then
    from = '(' .. group['last-delivered-id']
    if group['pending'] > 0 then oldest = redis.call('XPENDING', KEYS[1], ARGV[1])[2] end
  end
end
if oldest == nil then
  local first = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1]
  if first == nil then return 0 end
  oldest = first[1]
end
local now = redis.call('TIME')
return math.max(0, now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(oldest, '^%d+')))`;

/**
 * Up to the oldest id that some group still needs: its oldest pending one, or the next behind the last that it was given; so nothing is
 * left when all have heard all. Nobody listens: all. Answers the groups that it did not wait for.
 */
const TRIM = `
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local isListener, missing, left = {}, {}, {}
for i = 2, #ARGV do isListener[ARGV[i]], missing[ARGV[i]] = true, true end
local oldest = nil
local function parts(id) local ms, n = string.match(id, '^(%d+)-(%d+)$'); return tonumber(ms), tonumber(n) end
local function after(id) local ms, n = parts(id); return string.format('%.0f-%.0f', ms, n + 1) end
local function before(a, b)
  local am, an = parts(a); local bm, bn = parts(b)
  return am < bm or (am == bm and an < bn)
end
local function isRead(name)
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], name)) do
    local reader = {}
    for i = 1, #info, 2 do reader[info[i]] = info[i + 1] end
    if reader['idle'] < tonumber(ARGV[1]) then return true end
  end
  return false
end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  local name = group['name']
  missing[name] = nil
  if isListener[name] or isRead(name) then
    local needs = after(group['last-delivered-id'])
    if group['pending'] > 0 then needs = redis.call('XPENDING', KEYS[1], name)[2] end
    if oldest == nil or before(needs, oldest) then oldest = needs end
  else left[#left + 1] = name end
end
if next(missing) ~= nil then return left end
if oldest == nil then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then oldest = after(info[i + 1]) end end
end
redis.call('XTRIM', KEYS[1], 'MINID', oldest)
return left`;
