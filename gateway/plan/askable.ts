import { Kind, print, type FieldNode, type SelectionSetNode } from 'graphql';
import type { Brought } from './brought.js';
import { fieldsNamed, type Joins } from './joins.js';
import type { Required } from './plan.js';

/**
 * Whether a plan asks subgraphs only for what they can answer, and gives them what they need for it. To ask for a field that is only
 * @external there, or for one that @requires something without that, is a mistake of a planner: the subgraph answers null, or whatever
 * its resolver makes of nothing. Both planners make it (found by test/federation/generated).
 */
export class Askable {
  readonly #joins: Joins;

  constructor(joins: Joins) {
    this.#joins = joins;
  }

  /**
   * Adds what the fetch asks of this subgraph and cannot have there. `given` of what an entity's representation is made of; absent at the
   * root.
   */
  check(
    subgraph: string,
    type: string | undefined,
    set: SelectionSetNode,
    found: Set<string>,
    { given, isOn }: { given?: Given; isOn?: IsOn | undefined } = {},
  ): void {
    this.#walk(subgraph, type, set, [], { found, given, isOn });
  }

  /** Which types an object at each place can have, by who is asked for it. Added to `types`. */
  typesAt(subgraph: string, type: string | undefined, set: SelectionSetNode, place: string, types: TypesAt): void {
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        this.typesAt(subgraph, selection.typeCondition?.name.value ?? type, selection.selectionSet, place, types);
      } else if (selection.kind === Kind.FIELD && selection.selectionSet && type !== undefined) {
        const key = selection.alias?.value ?? selection.name.value;
        const below = place === '' ? key : `${place}.${key}`;
        const known = types.get(below) ?? new Set();
        types.set(below, known);
        const declared = new Set<string>();
        for (const of of this.#typesHere(subgraph, type)) {
          const named = this.#joins.home(of, selection.name.value, subgraph)?.named;
          if (named !== undefined) declared.add(named);
        }
        for (const named of declared) {
          for (const of of this.#typesHere(subgraph, named)) {
            const isInterfaceObject = this.#joins.types.get(of)?.subgraphs.get(subgraph)?.isInterfaceObject;
            for (const one of isInterfaceObject ? this.#joins.possible(of) : [of]) known.add(one);
          }
          this.typesAt(subgraph, named, selection.selectionSet, below, types);
        }
      }
    }
  }

  #walk(
    subgraph: string,
    type: string | undefined,
    set: SelectionSetNode,
    provided: readonly SelectionSetNode[],
    checking: { readonly found: Set<string>; readonly given: Given | undefined; readonly isOn: IsOn | undefined },
  ): void {
    const { found, given, isOn } = checking;
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const inner = selection.typeCondition?.name.value ?? type;
        if (inner !== undefined && type !== undefined && !this.#overlap(subgraph, type, inner))
          found.add(`${subgraph}: ...on ${inner} within ${type}`);
        this.#walk(subgraph, inner, selection.selectionSet, provided, checking);
      } else if (selection.kind === Kind.FIELD && type !== undefined) {
        const name = selection.name.value;
        const below = provided.flatMap((one) => fieldsNamed(one, name));
        for (const of of this.#typesHere(subgraph, type)) {
          const home = this.#joins.home(of, name, subgraph);
          if (!home && name !== '__typename' && this.#joins.types.get(of)?.subgraphs.has(subgraph))
            found.add(`${subgraph}: ${of}.${name}, which is not there`);
          if (home && this.#joins.types.has(home.named) !== (selection.selectionSet !== undefined))
            found.add(`${subgraph}: ${of}.${name} without what of it`);
          if (home?.external && below.length === 0 && !this.#isInKey(of, subgraph, name))
            found.add(`${subgraph}: ${of}.${name}`);
          if (home?.label && isOn && isOn(home.label.name) !== home.label.on && !this.#isInKey(of, subgraph, name))
            found.add(`${subgraph}: ${of}.${name}, which is elsewhere now`);
          if (!home?.requires) continue;
          const lacking = home.requires.selections.filter(
            (one) =>
              one.kind !== Kind.FIELD ||
              (!this.#isInKey(of, subgraph, one.name.value) &&
                !provided.some((some) => fieldsNamed(some, one.name.value).length > 0)),
          );
          if (lacking.length > 0 && !given?.has(of, lacking))
            found.add(`${subgraph}: ${of}.${name} without what it requires`);
        }
        if (!selection.selectionSet) continue;
        const home = this.#joins.home(type, name, subgraph);
        const inner = below.flatMap(({ selectionSet }) => selectionSet ?? []);
        if (home?.provides) inner.push(home.provides);
        this.#walk(subgraph, home?.named, selection.selectionSet, inner, { ...checking, given: undefined });
      }
    }
  }

  /** What the subgraph may take an object of this type for. */
  #typesHere(subgraph: string, type: string): Iterable<string> {
    const joined = this.#joins.types.get(type);
    const isAbstract = joined && joined.kind !== 'object' && !joined.subgraphs.get(subgraph)?.isInterfaceObject;
    if (!isAbstract) return [type];
    return [...(joined.members.get(subgraph) ?? []), ...(joined.interfaceObjects.get(subgraph) ?? [])];
  }

  /** A fragment that no object can be of makes the whole request invalid there. */
  #overlap(subgraph: string, type: string, condition: string): boolean {
    if (type === condition) return true;
    const here = new Set(this.#typesHere(subgraph, type));
    return [...this.#typesHere(subgraph, condition)].some((one) => here.has(one));
  }

  #isInKey(type: string, subgraph: string, field: string): boolean {
    const joined = this.#joins.types.get(type)?.subgraphs.get(subgraph);
    return joined?.allKeys.some((key) => fieldsNamed(key, field).length > 0) ?? false;
  }
}

/** Is this label of a progressive @override on? */
export type IsOn = (label: string) => boolean;

/** `users.posts` → names of object types. */
export type TypesAt = Map<string, Set<string>>;

/** What the representations of one fetch at one place are made of. */
export class Given {
  readonly #joins: Joins;
  readonly #place: string;
  readonly #types: ReadonlySet<string>;
  readonly #requires: readonly Required[];
  readonly #brought: Brought;

  /** `brought`: what was asked so far, as `askedAs` says it. */
  constructor(
    joins: Joins,
    place: string,
    types: ReadonlySet<string>,
    requires: readonly Required[],
    brought: Brought,
  ) {
    this.#joins = joins;
    this.#place = place;
    this.#types = types;
    this.#requires = requires;
    this.#brought = brought;
  }

  /** Exactly what is required, by field and arguments? `type` is what the subgraph calls it. */
  has(type: string, selections: SelectionSetNode['selections']): boolean {
    const possible = this.#joins.possible(type);
    return [...this.#types].every(
      (one) => !possible.has(one) || this.#holds(selections, this.#requires, this.#place, new Set([one])),
    );
  }

  #holds(
    selections: SelectionSetNode['selections'],
    requires: readonly Required[],
    place: string,
    types: ReadonlySet<string>,
  ): boolean {
    return selections.every((selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const possible = this.#joins.possible(selection.typeCondition?.name.value ?? '');
        const some = selection.typeCondition ? new Set([...types].filter((type) => possible.has(type))) : types;
        return some.size === 0 || this.#holds(selection.selectionSet.selections, requires, place, some);
      }
      if (selection.kind !== Kind.FIELD || selection.name.value === '__typename') return selection.kind === Kind.FIELD;
      return [...types].every((type) => {
        const candidates = this.#on(type, requires).filter(
          (one) => one.kind === 'field' && one.name === selection.name.value,
        );
        if (candidates.length === 0) return false;
        return candidates.every((candidate) => {
          if (candidate.kind !== 'field') return false;
          const asked = this.#brought.fields(place, type, candidate.read);
          if (!asked || asked.size !== 1 || !asked.has(askedAs(selection))) return false;
          if (!selection.selectionSet) return true;
          const below = place === '' ? candidate.read : `${place}.${candidate.read}`;
          const inner = candidates.flatMap((one) => (one.kind === 'field' ? (one.selections ?? []) : []));
          return this.#holds(selection.selectionSet.selections, inner, below, this.#typesBelow(type, selection));
        });
      });
    });
  }

  #on(type: string, requires: readonly Required[]): Required[] {
    return requires.flatMap((one) => {
      if (one.kind === 'field') return [one];
      return one.type === '' || this.#joins.possible(one.type).has(type) ? this.#on(type, one.selections) : [];
    });
  }

  #typesBelow(type: string, field: FieldNode): ReadonlySet<string> {
    const homes = this.#joins.types.get(type)?.fields.get(field.name.value)?.values() ?? [];
    return new Set([...homes].flatMap(({ named }) => [...this.#joins.possible(named)]));
  }
}

/** A field with its arguments, whatever key it goes by. */
export function askedAs({ name, arguments: given = [] }: FieldNode): string {
  if (given.length === 0) return name.value;
  return `${name.value}(${given
    .map((one) => print(one))
    .sort()
    .join(', ')})`;
}
