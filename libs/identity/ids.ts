import { randomBytes } from 'node:crypto';

/** How many logical shards an id can name: UUIDv7's rand_a has 12 bits. */
export const SHARDS = 4096;

export interface NewIdOptions {
  /** Milliseconds since 1970. */
  readonly now?: number;
  /** Logical shard of the owner, 0 to 4095. A thing that owns itself (a person) takes any: one is drawn. */
  readonly shard?: number;
  readonly random?: (bytes: number) => Uint8Array;
}

/**
 * UUIDv7 (RFC 9562): 48 bits of milliseconds, the owner's logical shard in rand_a's 12 bits, 62 bits by chance. So ids sort by
 * creation, and moving a shard to another database later changes no id. By our own clock, ids of one shard in one millisecond
 * are ordered too (the RFC's method 2), and a clock that is set back a little repeats its last millisecond.
 */
export function newId(options: NewIdOptions = {}): string {
  const random = options.random ?? randomBytes;
  const shard = options.shard ?? drawShard(random);
  if (!Number.isInteger(shard) || shard < 0 || shard >= SHARDS)
    throw new RangeError(`a shard is 0 to ${SHARDS - 1}; came ${shard}`);
  const bytes = random(8);
  const chance = Buffer.from(bytes).readBigUInt64BE() & CHANCE_MASK;
  if (options.now !== undefined) return uuidOf(options.now, shard, chance);
  const ms = ticks.at(Date.now());
  return uuidOf(ms, shard, ticks.after(shard, chance));
}

/** The logical shard that an id was made for. */
export function shardOf(uuid: string): number {
  return Number.parseInt(uuid.slice(15, 18), 16);
}

/** When an id was made, in milliseconds since 1970. */
export function timeOf(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

export function isId(text: string): boolean {
  return UUID_V7.test(text);
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const CHANCE_MASK = (1n << 62n) - 1n;
/** A clock that is set back by more than this is believed. */
const CLOCK_BACK_MS = 10_000;

/** The last id of each shard within the current millisecond. */
class Ticks {
  #ms = 0;
  readonly #last = new Map<number, bigint>();

  at(now: number): number {
    if (now > this.#ms || now < this.#ms - CLOCK_BACK_MS) {
      this.#ms = now;
      this.#last.clear();
    }
    return this.#ms;
  }

  after(shard: number, chance: bigint): bigint {
    const last = this.#last.get(shard);
    // A step of up to 2^32 keeps the next one unguessable; overflow would take a billion ids in one millisecond.
    const next = last === undefined ? chance >> 1n : last + 1n + (chance & 0xffff_ffffn);
    this.#last.set(shard, next);
    return next;
  }
}
const ticks = new Ticks();

function drawShard(random: (bytes: number) => Uint8Array): number {
  const [high = 0, low = 0] = random(2);
  return ((high << 8) | low) & (SHARDS - 1);
}

function uuidOf(ms: number, shard: number, chance: bigint): string {
  const time = Math.trunc(ms).toString(16).padStart(12, '0');
  const tail = ((2n << 62n) | chance).toString(16).padStart(16, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${shard.toString(16).padStart(3, '0')}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}
