import { checkEnvelope, EVENT_BYTES_MAX, type Envelope } from '#libs/events';
import { Outage, type Logger } from '#libs/telemetry';

import { ready, type Connection } from './redis-connection.js';
import { TOGETHER, type HandleEvents } from './stream.js';
import { Nap, within } from './within.js';

interface Parts {
  readonly group: string;
  /** This process's name in the group. */
  readonly me: string;
  readonly key: string;
  readonly leaseMs: number;
  readonly handle: HandleEvents;
  readonly logger: Logger;
  readonly redis: Connection;
  /** A connection of its own: it blocks. */
  readonly waits: Connection;
}

type Entry = readonly [id: string, fields: readonly string[] | null];

/** Answer of TAKE: what to handle, or since which id to wait for more, or that another process reads for this group. */
type Taken = readonly ['entries', Entry[], string[]] | readonly ['empty', string] | readonly ['another'];

/**
 * One group's reading of one source. A consumer group alone would hand v1 to one process and v2 to another, which may
 * be faster; so one process at a time reads for a group, by a lease. Redis checks the lease in the same script that
 * reads: a process that slept through its lease's end can finish what it holds (the inbox makes that harmless) but is
 * given nothing new. Whoever takes over first claims all that was given out and not acknowledged, so an event is
 * always given only after everything before it.
 */
export class RedisSubscription {
  readonly #parts: Parts;
  readonly #nap = new Nap();
  readonly #running: Promise<void>;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#running = this.#run();
  }

  /** Resolves when the group, in whatever process, has acknowledged all that the stream holds. Redis may come and go meanwhile. */
  async settled(deadlineMs: number): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    const { group, key, redis } = this.#parts;
    for (;;) {
      let cause: unknown;
      const behind = await redis.eval(BEHIND, 1, key, group).catch((error: unknown) => void (cause = error));
      if (behind === 0) return;
      if (performance.now() > deadline) throw new Error(`waited in vain for group ${group} to read ${key}`, { cause });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#nap.wake();
      this.#parts.waits.disconnect();
      await this.#running;
      const { key, group, me, redis } = this.#parts;
      await redis.eval(LEAVE, 2, key, leaseKey(key, group), me).catch(() => undefined);
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    const { group, key, logger } = this.#parts;
    const outage = new Outage({
      logger,
      fields: { group, key },
      began: 'The stream cannot be read; it is tried again until it can',
      lasts: 'The stream still cannot be read',
      over: 'The stream is read again',
    });
    while (!this.#closed) {
      try {
        await this.#turn();
        failures = 0;
        outage.succeeded();
      } catch (error) {
        if (this.#closed) break;
        failures += 1;
        const pauseMs = Math.min(1_000, 25 * 2 ** Math.min(failures, 8));
        outage.failed(error);
        await this.#nap.take(pauseMs);
      }
    }
  }

  async #turn(): Promise<void> {
    const { group, handle, key, leaseMs, redis } = this.#parts;
    const taken = await this.#take();
    if (taken[0] === 'another') return this.#nap.take(leaseMs / 4);
    if (taken[0] === 'empty') return this.#waitForMoreThan(taken[1]);
    const [, entries, lost] = taken;
    for (const id of lost) this.#bury(id, 'its payload is gone');
    const events = entries.flatMap((entry) => this.#eventOf(entry));
    if (events.length > 0) await handle(events);
    if (entries.length > 0) await redis.xack(key, group, ...entries.map(([id]) => id));
  }

  async #take(): Promise<Taken> {
    const { group, key, leaseMs, me, redis } = this.#parts;
    await ready(redis);
    try {
      return (await redis.eval(TAKE, 2, key, leaseKey(key, group), group, me, leaseMs, TOGETHER)) as Taken;
    } catch (error) {
      if (!String(error).includes('NOGROUP')) throw error;
      await redis.eval(BEGIN, 1, key, group, me);
      return ['entries', [], []];
    }
  }

  async #waitForMoreThan(id: string): Promise<void> {
    const { key, leaseMs, waits } = this.#parts;
    await ready(waits);
    const blockMs = Math.max(1, Math.min(1_000, Math.floor(leaseMs / 4)));
    const more = waits.xread('COUNT', 1, 'BLOCK', blockMs, 'STREAMS', key, id);
    try {
      await within(blockMs + 1_000, more, 'XREAD to return');
    } catch (error) {
      // Redis ends the wait by itself: the other end of this connection is gone.
      if (!this.#closed) waits.disconnect(true);
      more.catch(() => undefined);
      throw error;
    }
  }

  #eventOf([id, fields]: Entry): Envelope[] {
    if (fields === null) {
      this.#bury(id, 'its payload is gone');
      return [];
    }
    try {
      const text = fields[fields.indexOf('event') + 1] ?? '';
      if (Buffer.byteLength(text) > EVENT_BYTES_MAX) throw new RangeError(`it has more than ${EVENT_BYTES_MAX} bytes`);
      return [checkEnvelope(JSON.parse(text))];
    } catch (error) {
      this.#bury(id, String(error));
      return [];
    }
  }

  /** Nobody can handle what is no event, or is gone; it is said aloud, and acknowledged. The outbox still has what was told. */
  #bury(id: string, why: string): void {
    const { group, key, logger } = this.#parts;
    logger.error({ group, key, entry: id, why }, 'A stream entry is no event and is left out');
  }
}

const leaseKey = (key: string, group: string): string => `${key}:reader:${group}`;

/** From the beginning: the inbox knows what of it was heard already. In one step with its reader, without whom nothing waits for a group that is not listed. */
const BEGIN = `
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made['err'] and not string.find(made['err'], 'BUSYGROUP', 1, true) then return made end
return redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2])`;

const TAKE = `
local stream, lease, group, me = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local reader = redis.call('GET', lease)
if reader and reader ~= me then return {'another'} end
local lost = {}
if not reader then
  local from = '0-0'
  repeat
    local claimed = redis.call('XAUTOCLAIM', stream, group, me, 0, from, 'COUNT', 1000, 'JUSTID')
    from = claimed[1]
    for _, id in ipairs(claimed[3]) do lost[#lost + 1] = id end
  until from == '0-0'
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    if info[2] ~= me then redis.call('XGROUP', 'DELCONSUMER', stream, group, info[2]) end
  end
end
redis.call('SET', lease, me, 'PX', ARGV[3])
for _, from in ipairs({'0', '>'}) do
  local read = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', ARGV[4], 'STREAMS', stream, from)
  if read and #read[1][2] > 0 then return {'entries', read[1][2], lost} end
end
if #lost > 0 then return {'entries', {}, lost} end
local info = redis.call('XINFO', 'STREAM', stream)
for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return {'empty', info[i + 1]} end end
return {'empty', '0-0'}`;

const LEAVE = `
if redis.call('GET', KEYS[2]) == ARGV[1] then return redis.call('DEL', KEYS[2]) end
return 0`;

/** 1 while the group has not been given an entry that is there, or has not acknowledged one. What was before it came may be trimmed away. */
const BEHIND = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group['name'] == ARGV[1] then
    if group['pending'] > 0 then return 1 end
    return #redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
  end
end
return 1`;
