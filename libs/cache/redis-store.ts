import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from '#libs/telemetry';
import { hashTagOf } from './keys.js';
import { RedisLink } from './redis-link.js';
import { VALUE_LENGTH_MAX, type CacheStore, type Fill, type Slot } from './store.js';
import { WRITABLE } from './writable.js';

/** A script blocks the whole of Redis while it runs: a thousand GETs are about half a millisecond. */
const KEYS_PER_SCRIPT = 1_000;
const LIFE_LENGTH = 16;

/**
 * What is kept begins with the life in which it was: the server's replication id, which is another after every failover and restart. Then
 * drops may have been lost that were acknowledged, so what was kept before counts for nothing, nor is a lease of before good for anything.
 * Where nobody may ask for that id there is one life, and only the lifetime of a value ends what a failover brings back.
 */
const LIFE = `
local told = redis.pcall('INFO', 'replication')
local life = type(told) == 'string' and string.match(told, 'master_replid:(%w+)') or '-'
life = string.sub(life, 1, ${LIFE_LENGTH}) .. ' '
local function ofThisLife(kept)
  return string.sub(kept, 1, #life) == life and string.sub(kept, #life + 1) or ''
end
`;

/**
 * Behind its life `V<json>` is a value, `L<token>` a lease. KEYS; ARGV: token, leaseMs, longest value.
 * When Redis is only full, what is kept is served, and nothing is leased.
 */
const GET_OR_LEASE = `${LIFE}${WRITABLE}local slots = {}
for at, key in ipairs(KEYS) do
  local kept = redis.pcall('GET', key)
  if type(kept) == 'string' then
    kept = ofThisLife(kept)
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
    local leased = redis.pcall('SET', key, life .. 'L' .. ARGV[1], 'PX', ARGV[2])
    if leased.err then slots[at] = '' else slots[at] = 'L' .. ARGV[1] end
  end
end
return slots`;

/** KEYS; ARGV: for each key its token, its lifetime and 'V<json>', or '' to give the lease back. */
const FILL = `${LIFE}
for at, key in ipairs(KEYS) do
  local token, ttl, value = ARGV[3 * at - 2], ARGV[3 * at - 1], ARGV[3 * at]
  if redis.pcall('GET', key) == life .. 'L' .. token then
    local kept = value ~= '' and redis.pcall('SET', key, life .. value, 'PX', ttl)
    if not kept or kept.err then redis.call('DEL', key) end
  end
end
return 0`;

/** UTF-8 needs at most three bytes for one UTF-16 unit. */
const VALUE_BYTES_MAX = 3 * VALUE_LENGTH_MAX + 1;

interface Scripts {
  tributaryGetOrLease(count: number, ...rest: (string | number)[]): Promise<string[]>;
  tributaryFill(count: number, ...rest: (string | number)[]): Promise<number>;
}

/** Redis, or Redis Cluster when the address says `?cluster=true` (the node it names is only where to begin). */
export class RedisStore implements CacheStore {
  private readonly link: RedisLink;
  private readonly client: (Redis | Cluster) & Scripts;
  private readonly process = randomUUID();
  private leases = 0;

  constructor(options: { url: string; logger: Logger; deadlineMs?: number }) {
    this.link = new RedisLink(options);
    const { client } = this.link;
    client.defineCommand('tributaryGetOrLease', { lua: GET_OR_LEASE });
    client.defineCommand('tributaryFill', { lua: FILL });
    this.client = client as (Redis | Cluster) & Scripts;
  }

  get roundTrips(): number {
    return this.link.roundTrips;
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
    return this.link.ready();
  }

  close(): Promise<void> {
    return this.link.close();
  }

  private send(keys: readonly string[], part: (places: readonly number[]) => Promise<void>): Promise<void> {
    return this.link.send(partsOf(keys, this.link.clustered), part);
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
