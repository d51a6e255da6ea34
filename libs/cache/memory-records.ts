import { LRUCache } from 'lru-cache';
import type { Clock } from '#libs/telemetry';
import {
  DROPS_KEPT,
  namesOf,
  RECORD_LEASE_MS,
  TOLD_MS,
  type Ask,
  type Found,
  type Inspected,
  type KeptField,
  type Looked,
  type RecordFill,
  type RecordStore,
  type Remembered,
  type Sight,
  type Stale,
  type Stamp,
} from './records.js';

interface Field extends KeptField {
  /** How many drops there had been when its load began. */
  readonly at: number;
  readonly bytes: number;
}

interface Kept {
  readonly fields: Map<string, Field>;
  bytes: number;
  lease: { token: string; until: number } | undefined;
}

const RECORD_BYTES = 300;
const FIELD_BYTES = 150;
const NAME_BYTES = 24;
/** Arguments come from clients: a record may not grow by asking for ever more pages. */
const FIELDS_MAX = 200;

/** The records of a process that is alone; the least recently used make room. */
export class MemoryRecords implements RecordStore {
  roundTrips = 0;
  readonly #records: LRUCache<string, Kept>;
  readonly #now: Clock;
  #drops = 0;
  readonly #told = new LRUCache<string, { version: number; until: number }>({ max: DROPS_KEPT });
  readonly #entities = new Drops();
  readonly #epochs = new Drops();

  constructor(options: { bytesMax: number; clock: Clock }) {
    this.#now = options.clock;
    this.#records = new LRUCache({ maxSize: options.bytesMax, sizeCalculation: (kept) => kept.bytes });
  }

  get bytes(): number {
    return this.#records.calculatedSize;
  }

  async look(asks: readonly Ask[], token: string): Promise<Looked> {
    this.roundTrips++;
    const now = this.#now();
    const found = asks.map((ask) => this.#find(ask, token, now));
    return { stamp: this.#stamp(now), found };
  }

  async cover(stamp: Stamp): Promise<Stamp> {
    return stamp;
  }

  async fill(fills: readonly RecordFill[], stamp: Stamp): Promise<void> {
    this.roundTrips++;
    const { at } = stamp as MemoryStamp;
    for (const fill of fills) this.#fill(fill, at, stamp.now);
  }

  async drop({ entities = [], epochs = [], told = [] }: Stale): Promise<void> {
    this.roundTrips++;
    this.#drops += 1;
    for (const entity of entities) {
      this.#entities.add(entity, this.#drops);
      this.#records.delete(keyOf(entity, ''));
    }
    for (const epoch of epochs) this.#epochs.add(epoch, this.#drops);
    for (const { name, version } of told)
      this.#told.set(name, {
        version: Math.max(version, this.#told.get(name)?.version ?? 0),
        until: this.#now() + TOLD_MS,
      });
  }

  remember(sights: readonly Sight[]): MemoryRemembered {
    const [entities, epochs] = namesOf(sights);
    const at = Math.min(...sights.map(({ stamp }) => (stamp as MemoryStamp).at));
    const bytes = [...entities, ...epochs].reduce((sum, name) => sum + NAME_BYTES + 2 * name.length, RECORD_BYTES);
    return { at, entities, epochs, bytes };
  }

  async unchanged(remembered: readonly Remembered[]): Promise<{ now: number; same: boolean[] }> {
    this.roundTrips++;
    const same = (remembered as readonly MemoryRemembered[]).map((one) => {
      if (one.at === this.#drops) return true;
      if (this.#entities.ofAny(one.entities) > one.at || this.#epochs.ofAny(one.epochs) > one.at) return false;
      one.at = this.#drops;
      return true;
    });
    return { now: this.#now(), same };
  }

  async told(names: readonly string[]): Promise<(number | undefined)[]> {
    const now = this.#now();
    return names.map((name) => {
      const told = this.#told.get(name);
      return told !== undefined && told.until > now ? told.version : undefined;
    });
  }

  async inspect(entity: string): Promise<Inspected[]> {
    const now = this.#now();
    return [...(this.#records.peek(keyOf(entity, ''))?.fields ?? [])].map(([field, kept]) => ({
      field,
      value: kept.value,
      ageMs: now - kept.loadedAt,
      freshForMs: kept.freshUntil - now,
      version: kept.at,
      tags: kept.tags,
    }));
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    this.#records.clear();
  }

  #stamp(now: number): MemoryStamp {
    return { text: String(this.#drops), now, at: this.#drops };
  }

  #find({ entity, variant, epochs, fields, lease }: Ask, token: string, now: number): Found {
    const key = keyOf(entity, variant);
    const kept = this.#records.get(key);
    // What every field of it has to be newer than. A record of everybody's went with its drop.
    const since = Math.max(variant === '' ? 0 : this.#entities.of(entity), this.#epochs.ofAny(epochs));
    let whole = true;
    const found = fields.map((name): KeptField | undefined => {
      const field = kept?.fields.get(name);
      const shown =
        field !== undefined &&
        field.at >= since &&
        Math.max(field.revalidateUntil, field.errorUntil) > now &&
        (field.tags.length === 0 || this.#epochs.ofAny(field.tags) <= field.at);
      if (!name.startsWith('!')) whole &&= shown && field.freshUntil > now;
      return shown ? field : undefined;
    });
    if (whole || !lease) return { fields: found, lease: 'none' };
    if (kept?.lease && kept.lease.until > now && kept.lease.token !== token) return { fields: found, lease: 'another' };
    const held = { token, until: now + RECORD_LEASE_MS };
    if (kept) kept.lease = held;
    else this.#records.set(key, { fields: new Map(), bytes: sizeOfRecord(key), lease: held });
    return { fields: found, lease: 'yours' };
  }

  #fill({ entity, variant, epochs, fields }: RecordFill, at: number, loadedAt: number): void {
    const key = keyOf(entity, variant);
    const kept = this.#records.peek(key) ?? { fields: new Map(), bytes: sizeOfRecord(key), lease: undefined };
    kept.lease = undefined;
    if (at >= Math.max(this.#entities.of(entity), this.#epochs.ofAny(epochs))) {
      for (const { name, value, tags, freshMs, revalidateMs, errorMs } of fields) {
        if (this.#epochs.ofAny(tags) > at) continue;
        const before = kept.fields.get(name);
        if (before !== undefined && before.at > at) continue;
        const freshUntil = loadedAt + freshMs;
        const bytes = FIELD_BYTES + 2 * name.length + sizeOf(value);
        kept.fields.delete(name);
        kept.fields.set(name, {
          value,
          at,
          tags,
          bytes,
          loadedAt,
          freshUntil,
          revalidateUntil: freshUntil + revalidateMs,
          errorUntil: freshUntil + errorMs,
        });
        kept.bytes += bytes - (before?.bytes ?? 0);
      }
      for (const [name, { bytes }] of kept.fields) {
        if (kept.fields.size <= FIELDS_MAX) break;
        kept.fields.delete(name);
        kept.bytes -= bytes;
      }
    }
    if (kept.fields.size === 0) this.#records.delete(key);
    // A size that has changed is counted only when the entry is another one.
    else this.#records.set(key, { ...kept });
  }
}

interface MemoryStamp extends Stamp {
  readonly at: number;
}

interface MemoryRemembered extends Remembered {
  /** How many drops there had been when it was the last time known to be right. */
  at: number;
  readonly entities: readonly string[];
  readonly epochs: readonly string[];
}

function keyOf(entity: string, variant: string): string {
  return variant === '' ? entity : `${entity}\n${variant}`;
}

function sizeOfRecord(key: string): number {
  return RECORD_BYTES + 2 * key.length;
}

/** Bytes of a JSON value in memory, about. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 16 + 2 * value.length;
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 32;
  if (Array.isArray(value)) for (const item of value) bytes += 8 + sizeOf(item);
  else for (const key in value) bytes += 16 + sizeOf((value as Record<string, unknown>)[key]);
  return bytes;
}

/** When each was dropped last. Beyond the newest only the oldest time is known, and holds for all. */
class Drops {
  readonly #last = new Map<string, number>();
  #floor = 0;

  add(name: string, at: number): void {
    this.#last.delete(name);
    this.#last.set(name, at);
    if (this.#last.size <= DROPS_KEPT) return;
    const [oldest, floor] = this.#last.entries().next().value!;
    this.#last.delete(oldest);
    this.#floor = floor;
  }

  of(name: string): number {
    return this.#last.get(name) ?? this.#floor;
  }

  ofAny(names: readonly string[]): number {
    let latest = 0;
    for (const name of names) latest = Math.max(latest, this.of(name));
    return latest;
  }
}
