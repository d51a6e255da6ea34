import { randomUUID } from 'node:crypto';

import { LISTENERS, type DomainEvent, type EventSource } from '#libs/events';
import type { Logger } from '#libs/telemetry';

import { COMMANDS, connect, ready, WAITS, type Connection } from './redis-connection.js';
import { RedisSubscription } from './redis-subscription.js';
import type { HandleEvents, Listeners, Stream, Subscription } from './stream.js';

export interface RedisStreamOptions {
  readonly url: string;
  readonly logger: Logger;
  readonly listeners: Listeners;
  /** How long a group stays with the process that reads for it when that process is gone. */
  readonly leaseMs?: number;
  /** How often what every group has acknowledged is trimmed away. */
  readonly trimEveryMs?: number;
}

/** One hash tag, so that on a Redis Cluster every script finds its keys in one place. */
export const streamKey = (source: EventSource): string => `tributary:{events}:${source}`;

/**
 * Redis Streams: one stream per source. It keeps an event until all of `listeners` have acknowledged it and never trims
 * by length, which would take the payload from under a slow group.
 */
export class RedisStream implements Stream {
  readonly #options: Required<RedisStreamOptions>;
  readonly #redis: Connection;
  readonly #subscriptions = new Set<RedisSubscription>();
  readonly #trimAt = new Map<EventSource, number>();

  constructor(options: RedisStreamOptions) {
    this.#options = { leaseMs: 2_000, trimEveryMs: 10_000, ...options };
    this.#redis = connect(options.url, COMMANDS, options.logger);
  }

  async publish(events: readonly DomainEvent[]): Promise<void> {
    await ready(this.#redis);
    for (const source of new Set(events.map((event) => event.source))) {
      const adding = this.#redis.multi();
      // All or none: were the first refused and the second taken, they would be heard in the wrong order.
      for (const event of events) {
        if (event.source === source) adding.xadd(streamKey(source), '*', 'event', JSON.stringify(event));
      }
      const answers = await adding.exec();
      const refused = answers?.find(([error]) => error !== null)?.[0];
      if (answers === null || refused) throw refused ?? new Error('Redis took none of the events');
      await this.#trim(source);
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
          waits: connect(url, WAITS, logger),
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

  async close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((part) => part.close()));
    this.#redis.disconnect();
  }

  /** Forgets what every group has acknowledged; nothing while a listener has not yet made its group. */
  async #trim(source: EventSource): Promise<void> {
    const now = performance.now();
    if (now < (this.#trimAt.get(source) ?? 0)) return;
    this.#trimAt.set(source, now + this.#options.trimEveryMs);
    const needed = this.#options.listeners[source] ?? LISTENERS[source];
    try {
      await this.#redis.eval(TRIM, 1, streamKey(source), ...needed);
    } catch (error) {
      this.#options.logger.warn({ source, err: error }, 'The stream could not be trimmed');
    }
  }
}

/** Up to the oldest id that some group still needs: its oldest pending one, or the last that it was given. Nobody listens: all but the last. */
const TRIM = `
local missing = {}
for _, name in ipairs(ARGV) do missing[name] = true end
local oldest = nil
local function parts(id) local ms, n = string.match(id, '^(%d+)-(%d+)$'); return tonumber(ms), tonumber(n) end
local function before(a, b)
  local am, an = parts(a); local bm, bn = parts(b)
  return am < bm or (am == bm and an < bn)
end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  missing[group['name']] = nil
  local needs = group['last-delivered-id']
  if group['pending'] > 0 then needs = redis.call('XPENDING', KEYS[1], group['name'])[2] end
  if oldest == nil or before(needs, oldest) then oldest = needs end
end
if next(missing) ~= nil then return 0 end
if oldest == nil then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then oldest = info[i + 1] end end
end
return redis.call('XTRIM', KEYS[1], 'MINID', oldest)`;
