import { entityNames as nameOf } from '#libs/cache';
import type { JsonObject } from '../run/json.js';
import type { CacheRules, TagFormat } from './rules.js';
import type { FieldShape } from './shape.js';
import { valueText } from './values.js';

/** The tags that `@cacheTag(format:)` gives: `user-{$key.id}` on an entity, `by-{$args.handle}` on a root field. */
export function tagsFor(
  rules: CacheRules,
  subgraph: string,
  type: string,
  field: FieldShape,
  key: JsonObject,
  variable: (name: string) => string | undefined,
): string[] {
  const given = (name: string): unknown => {
    const value = field.arguments.find(([argument]) => argument === name)?.[1];
    const text = value && valueText(value, variable);
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      return text; // an enum
    }
  };
  const rule = rules.type(type);
  const all: readonly TagFormat[] = [...(rule?.tags ?? []), ...(field.rule?.tags ?? [])];
  return all.flatMap(({ subgraph: of, format }) => {
    if (of !== subgraph) return [];
    let known = true;
    const tag = format.replaceAll(/\{\$(key|args)\.([\w.]+)\}/g, (_, from: string, path: string) => {
      const [first = '', ...rest] = path.split('.');
      let value: unknown = from === 'key' ? key[first] : given(first);
      for (const name of rest)
        value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
      if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') known = false;
      return String(value);
    });
    return known ? [nameOf.tag(tag)] : [];
  });
}
