import type { Json, JsonObject } from './json.js';

/**
 * Puts what a subgraph answered into the answer built so far. Where two subgraphs both answered, what is there outweighs a
 * null, objects become one object and lists of the same length are joined item by item.
 *
 * Objects are taken over, not copied: equal representations share one answer, which is right because everything at one
 * path gets the same fields later.
 */
export function merge(target: JsonObject, source: JsonObject, abstract: ReadonlySet<unknown>): void {
  for (const key in source) {
    // Never ours (plan/normalise.ts renames it), so a subgraph made it up.
    if (key === '__proto__') continue;
    const value = source[key];
    const there: unknown = target[key];
    // What every object inherits (`constructor`) is a function, and no JSON value is one.
    if (there === undefined || there === null || typeof there === 'function') {
      if (value !== undefined) target[key] = value;
    } else if (typeof there !== 'object') {
      // An @interfaceObject answers with the name of the interface. Who knows the type better has the word.
      if (key === '__typename' && abstract.has(value)) continue;
      if (value !== undefined && value !== null) target[key] = value;
    } else if (value !== there) {
      mergeInto(there as JsonObject | Json[], value, abstract);
    }
  }
}

function mergeInto(there: JsonObject | Json[], value: Json | undefined, abstract: ReadonlySet<unknown>): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(there)) {
    if (!Array.isArray(value)) merge(there, value, abstract);
    return;
  }
  if (!Array.isArray(value) || value.length !== there.length) return;
  for (let i = 0; i < there.length; i += 1) {
    const item = there[i];
    const other = value[i];
    if (item === null || item === undefined) there[i] = other ?? null;
    else if (typeof item === 'object' && item !== other) mergeInto(item, other, abstract);
  }
}
