import { digitsOf, writeExactly } from './exact-numbers.js';

/** Values as `JSON.parse` makes them. */
export type Json = string | number | boolean | null | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json | undefined;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a value is, in words that say nothing of what is in it: it may be about people. */
export function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string' && digitsOf(value) === undefined) return 'a text';
  return typeof value === 'boolean' ? 'a boolean' : 'a number';
}

/**
 * Keys on the way are chosen by us (plan/normalise.ts), so a plain read is right for all but the few names that every
 * object inherits. Those can only be field names of a subgraph, and are read with care.
 */
export function reader(key: string): (object: JsonObject) => Json | undefined {
  if (key in Object.prototype) return (object) => (Object.hasOwn(object, key) ? object[key] : undefined);
  return (object) => object[key];
}

/** A short text without anything to escape is the usual case, and testing it is several times cheaper than JSON.stringify. */
export function quote(text: string): string {
  if (text.length > 64) return writeExactly(text);
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === 34 || code === 92 || (code >= 0xd800 && code <= 0xdfff)) return writeExactly(text);
  }
  return `"${text}"`;
}

/** JSON.stringify of a number, without the call. 1e999 was read as Infinity, which JSON does not know. */
export function numberText(value: number): string {
  return Number.isFinite(value) ? `${value}` : 'null';
}
