import { Kind, type FieldNode, type SelectionNode, type SelectionSetNode } from 'graphql';
import { fieldsIn } from './fetch-text.js';
import type { Joins } from './joins.js';

/** Every field that is asked of objects of this type; one that is asked twice, once with all that is below. */
export function fieldsOn(joins: Joins, sets: readonly SelectionSetNode[], type: string): FieldNode[] {
  const byKey = new Map<string, FieldNode>();
  const walk = (set: SelectionSetNode): void => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        const there = byKey.get(key);
        const both = there?.selectionSet && selection.selectionSet;
        byKey.set(
          key,
          both
            ? {
                ...there,
                selectionSet: fieldsIn([...there.selectionSet!.selections, ...selection.selectionSet!.selections]),
              }
            : (there ?? selection),
        );
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value;
        if (condition === undefined || joins.is(type, condition)) walk(selection.selectionSet);
      }
    }
  };
  for (const set of sets) walk(set);
  return [...byKey.values()];
}

/** Different keys, whatever they are asked of. */
export function fieldCount(set: SelectionSetNode): number {
  const keys = new Set<string>();
  const walk = ({ selections }: SelectionSetNode): void => {
    for (const one of selections) {
      if (one.kind === Kind.FIELD) keys.add(one.alias?.value ?? one.name.value);
      else if (one.kind === Kind.INLINE_FRAGMENT) walk(one.selectionSet);
    }
  };
  walk(set);
  return keys.size;
}

export function asksTypename({ selections }: SelectionSetNode): boolean {
  return selections.some(
    (one) =>
      (one.kind === Kind.FIELD && one.name.value === '__typename') ||
      (one.kind === Kind.INLINE_FRAGMENT && asksTypename(one.selectionSet)),
  );
}

/** What is left of a selection when these fields of it have been had; what is below them as well. */
export function without(set: SelectionSetNode, had: ReadonlySet<FieldNode>): SelectionNode[] {
  const keys = new Set([...had].map((field) => field.alias?.value ?? field.name.value));
  return set.selections.filter((one) => one.kind !== Kind.FIELD || !keys.has(one.alias?.value ?? one.name.value));
}
