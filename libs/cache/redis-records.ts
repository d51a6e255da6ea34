import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from '#libs/telemetry';
import { RecordBuckets, groupedBy, NAMES_PER_SCRIPT } from './record-buckets.js';
import { argumentsOf, fillOf } from './record-arguments.js';
import { readField, sumOf } from './record-field.js';
import { LOOK, FILL, DROP, TELL, TOLD, UNCHANGED } from './record-scripts.js';
import {
  DROPS_KEPT,
  namesOf,
  RECORD_LEASE_MS,
  TOLD_KEPT,
  TOLD_MS,
  type Ask,
  type Found,
  type Inspected,
  type Looked,
  type RecordFill,
  type RecordStore,
  type Remembered,
  type Sight,
  type Stale,
  type Stamp,
} from './records.js';
import { RedisLink } from './redis-link.js';
import { earliest, stampOf, type RedisStamp } from './redis-stamp.js';

interface Scripts {
  tributaryLookRecords(keys: number, ...rest: (string | number)[]): Promise<LookAnswer>;
  tributaryFillRecords(keys: number, ...rest: (string | number)[]): Promise<number>;
  tributaryDropRecords(keys: number, ...rest: (string | number)[]): Promise<number>;
  tributaryTell(keys: number, ...rest: (string | number)[]): Promise<number>;
  tributaryTold(keys: number, ...rest: string[]): Promise<number[]>;
  tributaryUnchanged(keys: number, ...rest: string[]): Promise<[state: string, now: number, ...same: number[]]>;
}

/** The state of the bucket, its time in ms, and for each ask the lease and the fields. */
type LookAnswer = [state: string, now: number, ...found: [lease: number, ...fields: (string | null)[]][]];

interface RedisRemembered extends Remembered {
  readonly parts: readonly {
    readonly bucket: number;
    /** When it was the last time known to be right. */
    state: string;
    readonly names: string;
    readonly nameCount: number;
  }[];
}

const LEASE = ['none', 'yours', 'another'] as const;

/** Records in Redis: one hash each, and for each bucket the clock of its drops. */
export class RedisRecords implements RecordStore {
  readonly #link: RedisLink;
  readonly #buckets: RecordBuckets;
  readonly #client: (Redis | Cluster) & Scripts;
  readonly #leaseMs: number;
  readonly #toldKept: number;

  constructor(options: {
    url: string;
    logger: Logger;
    deadlineMs?: number | undefined;
    leaseMs?: number | undefined;
    toldKept?: number | undefined;
  }) {
    this.#link = new RedisLink(options);
    this.#buckets = new RecordBuckets(this.#link.clustered);
    this.#toldKept = options.toldKept ?? TOLD_KEPT;
    this.#leaseMs = options.leaseMs ?? RECORD_LEASE_MS;
    const { client } = this.#link;
    client.defineCommand('tributaryLookRecords', { lua: LOOK });
    client.defineCommand('tributaryFillRecords', { lua: FILL });
    client.defineCommand('tributaryDropRecords', { lua: DROP });
    client.defineCommand('tributaryTell', { lua: TELL });
    client.defineCommand('tributaryTold', { lua: TOLD });
    client.defineCommand('tributaryUnchanged', { lua: UNCHANGED });
    this.#client = client as (Redis | Cluster) & Scripts;
  }

  get roundTrips(): number {
    return this.#link.roundTrips;
  }

  async look(asks: readonly Ask[], token: string): Promise<Looked> {
    const found: Found[] = asks.map(() => NOTHING);
    const stamps: [number, string][] = [];
    let now = 0;
    await this.#link.send(this.#buckets.parts(asks), async ({ bucket, places }) => {
      const part = places.map((place) => asks[place]!);
      const keys = part.map((ask) => this.#buckets.keyOf(bucket, ask.entity, ask.variant));
      const [state, at, ...answers] = await this.#client.tributaryLookRecords(
        3 + keys.length,
        ...this.#buckets.stateOf(bucket),
        ...keys,
        randomUUID(),
        token,
        this.#leaseMs,
        ...argumentsOf(part),
      );
      stamps.push([bucket, state]);
      now = now === 0 ? at : Math.min(now, at);
      for (const [index, place] of places.entries()) {
        const [lease, ...texts] = answers[index]!;
        const { fields } = asks[place]!;
        const sum = sumOf(`${keys[index]!}\n`);
        found[place] = {
          lease: LEASE[lease] ?? 'none',
          fields: fields.map((name, nth) => readField(texts[nth], sum, name)),
        };
      }
    });
    return { stamp: stampOf(stamps, now), found };
  }

  async cover(stamp: Stamp): Promise<Stamp> {
    if (!this.#buckets.clustered) return stamp;
    const { buckets, now } = stamp as RedisStamp;
    const stamps = [...buckets];
    const missing = this.#buckets.all.filter((bucket) => !buckets.has(bucket));
    await this.#link.send(missing, async (bucket) => {
      const keys = this.#buckets.stateOf(bucket);
      const [state] = await this.#client.tributaryLookRecords(3, ...keys, randomUUID(), '', RECORD_LEASE_MS, 0);
      stamps.push([bucket, state]);
    });
    return stampOf(stamps, now);
  }

  async fill(fills: readonly RecordFill[], stamp: Stamp): Promise<void> {
    const { buckets, now } = stamp as RedisStamp;
    await this.#link.send(this.#buckets.parts(fills), async ({ bucket, places }) => {
      const state = buckets.get(bucket);
      if (state === undefined) return;
      const part = places.map((place) => fills[place]!);
      const keys = part.map((fill) => this.#buckets.keyOf(bucket, fill.entity, fill.variant));
      await this.#client.tributaryFillRecords(
        3 + keys.length,
        ...this.#buckets.stateOf(bucket),
        ...keys,
        state,
        ...part.flatMap((fill, index) => fillOf(fill, keys[index]!, state, now)),
      );
    });
  }

  async drop({ entities = [], epochs = [], told = [] }: Stale): Promise<void> {
    const byBucket = groupedBy(entities, (entity) => this.#buckets.of(entity));
    // An epoch may end records in every bucket.
    if (epochs.length > 0) for (const bucket of this.#buckets.all) if (!byBucket.has(bucket)) byBucket.set(bucket, []);
    // One turn after the other, so that each has its own deadline: a drop of whatever size comes to its end.
    for (let from = 0, last = longestOf(byBucket); from < last; from += NAMES_PER_SCRIPT) {
      const turn = [...byBucket].filter(([, own]) => from === 0 || from < own.length);
      await this.#link.send(turn, async ([bucket, own]) => {
        const part = own.slice(from, from + NAMES_PER_SCRIPT);
        const ended = from === 0 ? epochs : [];
        const keys = part.map((entity) => this.#buckets.keyOf(bucket, entity, ''));
        await this.#client.tributaryDropRecords(
          3 + keys.length,
          ...this.#buckets.stateOf(bucket),
          ...keys,
          randomUUID(),
          DROPS_KEPT,
          ended.length,
          ...ended,
          ...part,
        );
      });
    }
    // Only now: whoever finds it may rely on all of the above.
    await this.#link.send(
      this.#buckets.named(told, ({ name }) => name),
      async ({ bucket, part }) => {
        const names = part.flatMap(({ name, version }) => [name, version]);
        await this.#client.tributaryTell(2, ...this.#buckets.toldOf(bucket), this.#toldMax, TOLD_MS, ...names);
      },
    );
  }

  remember(sights: readonly Sight[]): RedisRemembered {
    const [entities, epochs] = namesOf(sights);
    let bytes = 100;
    // An epoch's drop is told to every bucket, so each of these can be asked for all of them.
    const parts = [...groupedBy(entities, (entity) => this.#buckets.of(entity))].map(([bucket, own]) => {
      const states = sights.flatMap(({ stamp }) => (stamp as RedisStamp).buckets.get(bucket) ?? []);
      const names = JSON.stringify([own, epochs]);
      bytes += 200 + names.length;
      return { bucket, state: earliest(states), names, nameCount: own.length + epochs.length };
    });
    return { parts, bytes };
  }

  async unchanged(remembered: readonly Remembered[]): Promise<{ now: number; same: boolean[] }> {
    // A hot page is asked about by many in one turn.
    const changed = new Set<Remembered>();
    const scripts = scriptsFor(new Set(remembered as readonly RedisRemembered[]));
    let now = 0;
    await this.#link.send(scripts, async ({ bucket, asked }) => {
      const [state, at, ...answers] = await this.#client.tributaryUnchanged(
        3,
        ...this.#buckets.stateOf(bucket),
        randomUUID(),
        ...asked.flatMap(({ part }) => [part.state, part.names]),
      );
      now = now === 0 ? at : Math.min(now, at);
      for (const [place, { part, of }] of asked.entries()) {
        if (answers[place] === 1) part.state = state;
        else changed.add(of);
      }
    });
    return { now, same: remembered.map((one) => !changed.has(one)) };
  }

  async told(names: readonly string[]): Promise<(number | undefined)[]> {
    const versions = new Map<string, number>();
    await this.#link.send(
      this.#buckets.named(names, (name) => name),
      async ({ bucket, part }) => {
        const found = await this.#client.tributaryTold(2, ...this.#buckets.toldOf(bucket), ...part);
        for (const [nth, version] of found.entries()) if (version > 0) versions.set(part[nth]!, version);
      },
    );
    return names.map((name) => versions.get(name));
  }

  async inspect(entity: string): Promise<Inspected[]> {
    const key = this.#buckets.keyOf(this.#buckets.of(entity), entity, '');
    let kept: Record<string, string> = {};
    await this.#link.send([key], async () => {
      kept = await this.#client.hgetall(key);
    });
    const now = Date.now();
    return Object.entries(kept).flatMap(([field, text]) => {
      const read = readField(text, sumOf(`${key}\n`), field);
      if (field.startsWith('!l') || !read) return [];
      const [version] = text.split(';', 1);
      return [
        {
          field,
          value: read.value,
          ageMs: now - read.loadedAt,
          freshForMs: read.freshUntil - now,
          version: Number(version),
          tags: read.tags,
        },
      ];
    });
  }

  ready(): Promise<void> {
    return this.#link.ready();
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  /** Of each of the two of a bucket. */
  get #toldMax(): number {
    return Math.ceil(this.#toldKept / 2 / this.#buckets.count);
  }
}

function longestOf(byBucket: ReadonlyMap<number, readonly string[]>): number {
  // An epoch alone is a drop, too.
  return byBucket.size === 0 ? 0 : Math.max(1, ...[...byBucket.values()].map(({ length }) => length));
}

interface UnchangedScript {
  readonly bucket: number;
  readonly asked: { readonly part: RedisRemembered['parts'][number]; readonly of: RedisRemembered }[];
  nameCount: number;
}

function scriptsFor(remembered: ReadonlySet<RedisRemembered>): UnchangedScript[] {
  const open = new Map<number, UnchangedScript>();
  const scripts: UnchangedScript[] = [];
  for (const of of remembered)
    for (const part of of.parts) {
      let script = open.get(part.bucket);
      if (!script || script.nameCount + part.nameCount > NAMES_PER_SCRIPT) {
        script = { bucket: part.bucket, asked: [], nameCount: 0 };
        open.set(part.bucket, script);
        scripts.push(script);
      }
      script.asked.push({ part, of });
      script.nameCount += part.nameCount;
    }
  return scripts;
}

const NOTHING: Found = { fields: [], lease: 'none' };
