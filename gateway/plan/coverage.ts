import { placesIn, readFetchText, entitiesField } from './fetch-text.js';
import { fetchesOf, type Path, type Plan, type Rewrite } from './plan.js';

/**
 * Places of the operation that no fetch of the plan writes to. A planner that silently leaves a field out is the worst kind
 * of wrong: the client would be told null. Some places are left out rightly, because no object of that type can be there,
 * so this is a reason to ask the other planner, not a verdict.
 */
export function uncovered(planned: string, plan: Plan): Set<string> {
  const left = placesIn(readFetchText(planned).selectionSet, '');
  for (const place of [...left]) if (place.endsWith('__typename')) left.delete(place);
  for (const fetch of fetchesOf(plan.root)) {
    const text = readFetchText(fetch.operation);
    if (fetch.kind === 'root') {
      const base = keysOf(fetch.path);
      for (const place of placesIn(text.selectionSet, base)) left.delete(place);
      for (const place of renamed(fetch.outputRewrites, base)) left.delete(place);
      continue;
    }
    for (const entities of fetch.entities) {
      const set = entitiesField(text, entities.alias).selectionSet!;
      for (const path of entities.paths) {
        const base = keysOf(path);
        for (const place of placesIn(set, base)) left.delete(place);
        for (const place of renamed(entities.outputRewrites, base)) left.delete(place);
      }
    }
  }
  return left;
}

function keysOf(path: Path): string {
  return path.flatMap((step) => (step.kind === 'key' ? [step.key] : [])).join('.');
}

/** Where renamed keys end up. */
export function renamed(rewrites: readonly Rewrite[], base: string): string[] {
  return rewrites.flatMap((rewrite) => {
    if (rewrite.kind !== 'rename') return [];
    const parents = rewrite.path.slice(0, -1).flatMap((step) => (step.kind === 'key' ? [step.key] : []));
    return [[...(base === '' ? [] : [base]), ...parents, rewrite.to].join('.')];
  });
}
