import type { Rewrite, RewriteStep } from '../plan/plan.js';
import { reader, type Json, type JsonObject } from './json.js';
import type { TypeFamilies } from './types.js';

/** Changes what a subgraph answered before it joins the answer: keys that the planner renamed to keep two fields apart. */
export type OutputRewriter = (data: JsonObject) => void;

export function outputRewriter(rewrites: readonly Rewrite[], families: TypeFamilies): OutputRewriter | undefined {
  if (rewrites.length === 0) return undefined;
  const changes = rewrites.map((rewrite) => {
    const last = rewrite.path.at(-1);
    if (last?.kind !== 'key') throw new Error('The planner wants to rewrite something that is no field.');
    const read = reader(last.key);
    const change = (object: JsonObject) => {
      if (rewrite.kind === 'set') {
        object[last.key] = rewrite.value as Json;
        return;
      }
      const value = read(object);
      if (value === undefined) return;
      object[rewrite.to] = value;
      delete object[last.key];
    };
    return (data: JsonObject) => at(rewrite.path.slice(0, -1), data, families, change);
  });
  return (data) => {
    for (const change of changes) change(data);
  };
}

/** Calls `change` for every object at the path. */
export function at(
  path: readonly RewriteStep[],
  value: Json | undefined,
  families: TypeFamilies,
  change: (object: JsonObject) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) at(path, item, families, change);
    return;
  }
  const [first, ...rest] = path;
  if (!first) {
    change(value);
  } else if (first.kind === 'key') {
    at(rest, reader(first.key)(value), families, change);
  } else {
    const typename = value['__typename'];
    if (typeof typename !== 'string' || families.ofAny(first.types).has(typename)) at(rest, value, families, change);
  }
}
