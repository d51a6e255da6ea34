import fc from 'fast-check';

/** Choices that follow from a seed, drawn by fast-check: the same seed, the same world and the same questions. */
export interface Choose {
  /** 0 … count - 1 */
  below(count: number): number;
  chance(percent: number): boolean;
  one<T>(items: readonly T[]): T;
  /** In the order of the items. */
  some<T>(items: readonly T[], least: number, most?: number): T[];
}

export function chooser(seed: number): Choose {
  const [draw] = fc.sample(fc.gen(), { seed, numRuns: 1 });
  const below = (count: number) => (count <= 1 ? 0 : draw!(evenly, count));
  return {
    below,
    chance: (percent) => below(100) < percent,
    one: (items) => items[below(items.length)]!,
    some(items, least, most = items.length) {
      const wanted = Math.min(items.length, least + below(Math.max(1, most - least + 1)));
      const left = items.map((_, index) => index);
      const taken = new Set<number>();
      while (taken.size < wanted) taken.add(left.splice(below(left.length), 1)[0]!);
      return items.filter((_, index) => taken.has(index));
    },
  };
}

/** Without fast-check's preference for the ends, which would make rare things common. */
const evenly = (count: number) => fc.noBias(fc.nat(count - 1));

/** A number that follows from a text. */
export function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  h ^= h >>> 13;
  h = Math.imul(h, 0x5bd1e995);
  return (h ^ (h >>> 15)) >>> 1;
}
