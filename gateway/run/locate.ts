import type { Path } from '../plan/plan.js';
import { reader, type Json, type JsonObject } from './json.js';
import type { TypeFamilies } from './types.js';

/** Where in the answer entities are: compiled once, walked when their fetch is ready. */
export interface Locator {
  readonly path: Path;
  /** Objects at the path, in order of appearance. The same object may appear twice. */
  find(root: JsonObject, found: JsonObject[]): void;
  /** The same walk, telling response paths: only when an error needs one. */
  findPaths(root: JsonObject): { object: JsonObject; path: (string | number)[]; above: JsonObject[] }[];
  /** The keys of the path, lists and type conditions left out. */
  readonly keys: readonly string[];
}

type Step = {
  read: ((object: JsonObject) => Json | undefined) | undefined;
  key: string;
  types: ReadonlySet<string> | undefined;
};

export function locator(path: Path, families: TypeFamilies): Locator {
  const steps = path.flatMap((step): Step[] => {
    if (step.kind === 'key') return [{ read: reader(step.key), key: step.key, types: undefined }];
    // Lists are recognised by the value, so `@` says nothing that the walk does not see.
    return step.kind === 'types' ? [{ read: undefined, key: '', types: families.ofAny(step.types) }] : [];
  });
  return {
    path,
    keys: path.flatMap((step) => (step.kind === 'key' ? [step.key] : [])),
    find: (root, found) => walk(root, steps, 0, found),
    findPaths(root) {
      const found: { object: JsonObject; path: (string | number)[]; above: JsonObject[] }[] = [];
      walkPaths(root, steps, 0, [], [], (object, at, above) =>
        found.push({ object, path: [...at], above: [...above] }),
      );
      return found;
    },
  };
}

function walk(value: Json | undefined, steps: readonly Step[], from: number, found: JsonObject[]): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) walk(item, steps, from, found);
    return;
  }
  const step = steps[from];
  if (!step) found.push(value);
  else if (step.read) walk(step.read(value), steps, from + 1, found);
  else if (fits(value, step.types!)) walk(value, steps, from + 1, found);
}

function walkPaths(
  value: Json | undefined,
  steps: readonly Step[],
  from: number,
  at: (string | number)[],
  above: JsonObject[],
  tell: (object: JsonObject, at: (string | number)[], above: JsonObject[]) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      at.push(index);
      walkPaths(item, steps, from, at, above, tell);
      at.pop();
    });
    return;
  }
  const step = steps[from];
  if (!step) {
    tell(value, at, above);
  } else if (step.read) {
    at.push(step.key);
    above.push(value);
    walkPaths(step.read(value), steps, from + 1, at, above, tell);
    above.pop();
    at.pop();
  } else if (fits(value, step.types!)) {
    walkPaths(value, steps, from + 1, at, above, tell);
  }
}

function fits(object: JsonObject, types: ReadonlySet<string>): boolean {
  const typename = object['__typename'];
  return typeof typename !== 'string' || types.has(typename);
}
