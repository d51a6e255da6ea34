/** One committed fact, or one effect in the order of the effects. */
export interface Entry {
  readonly aggregate: string;
  readonly version: number;
}

/**
 * Compares what was committed with what took effect. lost: committed, without effect; doubled: took effect again; reordered:
 * took effect for the first time after a later version of its aggregate; invented: took effect and was never committed.
 */
export function compare(committed: readonly Entry[], effects: readonly Entry[]) {
  const facts = new Set(committed.map(keyOf));
  const seen = new Set<string>();
  const last = new Map<string, number>();
  const counts = { lost: 0, doubled: 0, reordered: 0, invented: 0 };
  for (const effect of effects) {
    const key = keyOf(effect);
    const before = last.get(effect.aggregate) ?? 0;
    if (seen.has(key)) counts.doubled += 1;
    else if (effect.version < before) counts.reordered += 1;
    if (!seen.has(key) && !facts.has(key)) counts.invented += 1;
    seen.add(key);
    last.set(effect.aggregate, Math.max(before, effect.version));
  }
  counts.lost = [...facts].filter((key) => !seen.has(key)).length;
  return counts;
}

function keyOf({ aggregate, version }: Entry): string {
  return `${aggregate} ${version}`;
}
