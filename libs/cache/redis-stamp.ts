import { groupedBy } from './record-buckets.js';
import type { Stamp } from './records.js';

/** What the drops of one bucket say; text is `life floor clock`. */
export interface RedisStamp extends Stamp {
  readonly buckets: ReadonlyMap<number, string>;
}

/** Several scripts of one look may tell different states of a bucket: what the first found holds as of then. */
export function stampOf(stamps: readonly [number, string][], now: number): RedisStamp {
  const sorted = [...stamps].sort(([one], [other]) => one - other);
  const buckets = new Map(
    [...groupedBy(sorted, ([bucket]) => bucket)].map(([bucket, of]) => [
      bucket,
      earliest(of.map(([, state]) => state)),
    ]),
  );
  return { text: [...buckets].map(([bucket, state]) => `${bucket}:${state}`).join(), now, buckets };
}

/** Of one life the one with the fewest drops; of several none, which is no life's. */
export function earliest(states: readonly string[]): string {
  const lives = new Set(states.map((state) => state.slice(0, state.indexOf(' '))));
  if (lives.size !== 1) return '';
  const clockOf = (state: string): number => Number(state.slice(state.lastIndexOf(' ') + 1));
  return states.reduce((one, other) => (clockOf(other) < clockOf(one) ? other : one));
}
