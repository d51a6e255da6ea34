import { Kind, print, type FieldNode, type SelectionSetNode } from 'graphql';
import { nameOf } from './draft.js';
import { textOfSelections } from './fetch-text.js';
import type { Joins } from './joins.js';
import type { Required } from './plan.js';
import { fieldsOn } from './selected.js';

/** What has to be had of an object before a field of it can be asked for. */
export interface Needed {
  readonly text: string;
  readonly fields: readonly FieldNode[];
  /** The same, as representations say it. */
  readonly required: readonly Required[];
}

/** What a @requires names, each field under a key that nobody else uses, so that nothing can be taken for it. */
export class Needs {
  readonly #joins: Joins;
  readonly #prefix: string;
  readonly #keys = new Map<string, string>();

  constructor(joins: Joins, query: string) {
    this.#joins = joins;
    let prefix = '_needs';
    while (query.includes(prefix)) prefix = `_${prefix}`;
    this.#prefix = prefix;
  }

  /** `place`: where the object is; the same field of it has the same key each time. */
  of(place: string, set: SelectionSetNode, type: string): Needed {
    const fields = fieldsOn(this.#joins, [set], type).map((field): FieldNode => {
      const text = `${place} ${type} ${print(field)}`;
      let key = this.#keys.get(text);
      if (key === undefined) this.#keys.set(text, (key = `${this.#prefix}${this.#keys.size}`));
      return { ...field, alias: nameOf(key) };
    });
    const required = fields.map((field): Required => ({
      kind: 'field',
      read: field.alias!.value,
      name: field.name.value,
      selections: field.selectionSet && requiredOf(field.selectionSet),
    }));
    return { text: textOfSelections(set), fields, required };
  }
}

export function requiredOf(set: SelectionSetNode): Required[] {
  return set.selections.flatMap((one): Required[] => {
    if (one.kind === Kind.INLINE_FRAGMENT)
      return [{ kind: 'type', type: one.typeCondition?.name.value ?? '', selections: requiredOf(one.selectionSet) }];
    if (one.kind !== Kind.FIELD) return [];
    const name = one.name.value;
    return [{ kind: 'field', read: name, name, selections: one.selectionSet && requiredOf(one.selectionSet) }];
  });
}
