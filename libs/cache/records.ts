/**
 * Records of entities: each holds fields that were loaded at different times by different readers. Two stores pass one contract
 * (`records.contract.ts`): memory, for a single process, and Redis.
 *
 * What keeps an old value out is a clock that counts drops. A look tells how far it has come; who then loads and fills hands that
 * stamp back, and a field whose entity, epoch or tag was dropped since is refused. So it matters neither how slow the load was nor
 * whether the record existed when it was dropped: also an entity that was only found inside another's answer is safe to keep.
 */
export interface RecordStore {
  /** One answer per ask, in order, all of one moment. */
  look(asks: readonly Ask[], token: string): Promise<Looked>;
  /** A stamp that also covers entities that nobody has asked for yet. Before a load whose answer may hold any. */
  cover(stamp: Stamp): Promise<Stamp>;
  fill(fills: readonly RecordFill[], stamp: Stamp): Promise<void>;
  /** Resolves when nobody can read them any more, nor fill what was loaded before. */
  drop(stale: Stale): Promise<void>;
  /** For `unchanged`: what was found with these looks. Asks nothing. */
  remember(sights: readonly Sight[]): Remembered;
  /** Of each: was nothing dropped since that would have ended any of it? All of one moment, ms on the store's clock. */
  unchanged(remembered: readonly Remembered[]): Promise<{ readonly now: number; readonly same: readonly boolean[] }>;
  /** The highest version of each name because of which something was dropped; undefined: none, or too long ago. */
  told(names: readonly string[]): Promise<(number | undefined)[]>;
  /** What is kept of an entity for everybody, whether it may still be shown or not: for people who look. */
  inspect(entity: string): Promise<Inspected[]>;
  /** Resolves when it can be asked, at the latest after a second. */
  ready(): Promise<void>;
  close(): Promise<void>;
  /** Calls that went to the store. Parts that are sent at the same moment to several nodes count as one. */
  readonly roundTrips: number;
}

export interface Ask {
  readonly entity: string;
  /** Whose fields: '' for those that are everybody's. Ends with the entity like those. */
  readonly variant: string;
  /** What else ends it. */
  readonly epochs: readonly string[];
  /** One that begins with `!` need not be there: it is no reason to load anything. */
  readonly fields: readonly string[];
  /** Says whether what is missing or stale is the caller's to load, or is being loaded by another. */
  readonly lease: boolean;
}

export interface Looked {
  readonly stamp: Stamp;
  readonly found: readonly Found[];
}

/** How many drops there had been, and when, on the store's clock. Opaque: only its store can read it. */
export interface Stamp {
  /** Equal for two moments between which nothing was dropped. */
  readonly text: string;
  /** ms */
  readonly now: number;
}

export interface Found {
  readonly fields: readonly (KeptField | undefined)[];
  /** `none`: nothing is missing, or nothing can be kept. */
  readonly lease: 'yours' | 'another' | 'none';
}

/** What was found at one moment, by the names of the drops that end it. */
export interface Sight {
  readonly stamp: Stamp;
  readonly entities: readonly string[];
  /** Tags too. */
  readonly epochs: readonly string[];
}

/** Opaque: only its store can read it, and may change it. */
export interface Remembered {
  /** About, in memory. */
  readonly bytes: number;
}

export interface KeptField {
  /** JSON, shared: not to be changed. */
  readonly value: unknown;
  readonly loadedAt: number;
  /** ms on the store's clock. Until then it is fresh; */
  readonly freshUntil: number;
  /** until then it may be shown while it is loaded anew; */
  readonly revalidateUntil: number;
  /** until then it may be shown when loading fails. */
  readonly errorUntil: number;
  /** Names of drops that end this field. */
  readonly tags: readonly string[];
}

export interface RecordFill {
  readonly entity: string;
  readonly variant: string;
  readonly epochs: readonly string[];
  readonly fields: readonly FieldFill[];
}

export interface FieldFill {
  readonly name: string;
  /** JSON */
  readonly value: unknown;
  /** Names of drops that end this field. */
  readonly tags: readonly string[];
  readonly freshMs: number;
  /** After it is no longer fresh. */
  readonly revalidateMs: number;
  readonly errorMs: number;
}

export interface Inspected {
  readonly field: string;
  readonly value: unknown;
  readonly ageMs: number;
  readonly freshForMs: number;
  /** How many drops there had been when it was loaded. */
  readonly version: number;
  readonly tags: readonly string[];
}

export interface Stale {
  readonly entities?: readonly string[];
  /** Epochs and tags. */
  readonly epochs?: readonly string[];
  /** Because of which writes: noted when all of it is dropped, for `told`. */
  readonly told?: readonly Told[];
}

export interface Told {
  readonly name: string;
  readonly version: number;
}

/**
 * How long it is known what was told: a minute longer than a token lives, where nobody has changed that. Of a write that is older, who
 * carries it is shown nothing kept by a subgraph that has a copy.
 */
export const TOLD_MS = 360_000;

/**
 * How many names of them Redis holds, whoever writes how much: three for each write (0.1 kB each). Beyond them the oldest are forgotten as if
 * they were older.
 */
export const TOLD_KEPT = 100_000;

/** A load that outlives its lease still answers its callers, and fills; only others no longer wait for it. */
export const RECORD_LEASE_MS = 2_000;

/** Drops that are remembered one by one. Whatever was loaded before the oldest of them is refused. */
export const DROPS_KEPT = 20_000;

/** Each name once. */
export function namesOf(sights: readonly Sight[]): [entities: string[], epochs: string[]] {
  return [
    [...new Set(sights.flatMap(({ entities }) => entities))],
    [...new Set(sights.flatMap(({ epochs }) => epochs))],
  ];
}
