import { folded, sumOf } from './record-field.js';

/** On a cluster the records of one bucket live on one node, so that one script can carry them. */
const BUCKETS = 16;

/** An ask is up to 20 commands: a script of this many takes Redis about a millisecond. */
const ASKS_PER_SCRIPT = 300;

/** A name is a command or two. Lua itself refuses to delete more than 8,000 at once. */
export const NAMES_PER_SCRIPT = 1_000;

/**
 * Where records are: in how many buckets, under which keys, and which of them one script carries. Without a cluster there is one bucket,
 * and one script for as many as it may have.
 */
export class RecordBuckets {
  constructor(readonly clustered: boolean) {}

  get count(): number {
    return this.clustered ? BUCKETS : 1;
  }

  get all(): number[] {
    return Array.from({ length: this.count }, (_, bucket) => bucket);
  }

  of(entity: string): number {
    return this.clustered ? folded(sumOf(entity)) % BUCKETS : 0;
  }

  keyOf(bucket: number, entity: string, variant: string): string {
    return `tributary:{entity:${bucket}}:${entity}${variant === '' ? '' : `\n${variant}`}`;
  }

  /** Of its clock and of what was dropped of late. */
  stateOf(bucket: number): string[] {
    const head = `tributary:{entity:${bucket}}!`;
    return [`${head}clock`, `${head}entities`, `${head}epochs`];
  }

  /** Of what was told of late, and before. */
  toldOf(bucket: number): string[] {
    const head = `tributary:{entity:${bucket}}!told`;
    return [head, `${head}-before`];
  }

  /** By bucket, as many as one script may have; by their places. */
  parts(items: readonly { readonly entity: string }[]): { bucket: number; places: number[] }[] {
    const open = new Map<number, number[]>();
    const parts: { bucket: number; places: number[] }[] = [];
    for (const [place, { entity }] of items.entries()) {
      const bucket = this.of(entity);
      let places = open.get(bucket);
      if (places === undefined || places.length === ASKS_PER_SCRIPT) {
        places = [];
        open.set(bucket, places);
        parts.push({ bucket, places });
      }
      places.push(place);
    }
    return parts;
  }

  /** The same of names, which are a command or two each. */
  named<Item>(items: readonly Item[], nameOf: (item: Item) => string): { bucket: number; part: Item[] }[] {
    return [...groupedBy(items, (item) => this.of(nameOf(item)))].flatMap(([bucket, own]) =>
      Array.from({ length: Math.ceil(own.length / NAMES_PER_SCRIPT) }, (_, nth) => ({
        bucket,
        part: own.slice(nth * NAMES_PER_SCRIPT, (nth + 1) * NAMES_PER_SCRIPT),
      })),
    );
  }
}

export function groupedBy<Item>(items: readonly Item[], keyOf: (item: Item) => number): Map<number, Item[]> {
  const groups = new Map<number, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
