import {
  Kind,
  print,
  stripIgnoredCharacters,
  type FieldNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import type { TypeFamilies } from '../run/types.js';
import type { CacheRules, FieldRule, Hint, Key, TypeRule } from './rules.js';

/** How long and for whom something may be kept. `byHeader`: some of it has no hint, so only the answer's header can say. */
export interface Policy {
  /** Seconds; infinite: everything in it is up to the header. */
  readonly maxAge: number;
  readonly private: boolean;
  readonly byHeader: boolean;
}

/** A selection in one subgraph, before it is known what the object is. */
export interface Shape {
  /** What it is when the object does not say; undefined for an interface or union. */
  readonly only: string | undefined;
  of(typename: string): Fields;
}

/** A selection on objects of one type. */
export interface Fields {
  readonly type: string;
  readonly list: readonly FieldShape[];
  /** By which an object of this type is found again; undefined: it has no identity, and is part of what it is in. */
  readonly key: Key | undefined;
  /** All by which this subgraph can be asked for it. */
  readonly keys: readonly Key[];
  /** It has one, whether it is asked for or not: then it is never kept as part of another. */
  readonly keyed: boolean;
  /** Nothing but its key is asked for. */
  readonly keyOnly: boolean;
  /** Of everything in it, other entities too: what an answer that holds it may be. */
  readonly whole: Policy;
}

export interface FieldShape {
  /** In the subgraph's answer. */
  readonly key: string;
  readonly name: string;
  readonly rule: FieldRule | undefined;
  /** Under its own name it is part of the key. An object may be asked for more than the key says of it. */
  readonly inKey: boolean;
  /** The key says all of it. */
  readonly told: boolean;
  readonly policy: Policy;
  readonly below: Shape | undefined;
  readonly arguments: readonly (readonly [name: string, value: ValueNode])[];
  /** For a request that asks for it: with the keys of all that has one. */
  readonly nodes: readonly FieldNode[];
  readonly count: Count;
}

export interface Count {
  readonly field: string;
  readonly subgraph: string;
  hits: number;
  misses: number;
  stale: number;
}

/** Compiles selections of one subgraph. */
export class Shapes {
  constructor(
    private readonly subgraph: string,
    private readonly rules: CacheRules,
    private readonly families: TypeFamilies,
    private readonly count: (subgraph: string, type: string, field: string) => Count,
    /** Entities are asked for all of their keys, not only for the first. */
    private readonly everyKey = false,
  ) {}

  shape(type: string, sets: readonly SelectionSetNode[]): Shape {
    const byType = new Map<string, Fields>();
    const rule = this.rules.type(type);
    return {
      only: rule?.abstract === false ? type : undefined,
      of: (typename) => {
        let fields = byType.get(typename);
        if (!fields) {
          fields = this.#fields(typename, sets);
          // Typenames come from subgraphs: their number is not ours to trust.
          if (byType.size < 100) byType.set(typename, fields);
        }
        return fields;
      },
    };
  }

  #fields(typename: string, sets: readonly SelectionSetNode[]): Fields {
    const rule = this.rules.type(typename);
    const groups = new Map<string, FieldNode[]>();
    for (const set of sets) this.#collect(typename, set.selections, groups);
    const [key] = rule?.keys.get(this.subgraph) ?? [];
    const list = [...groups].map(([name, nodes]) => this.#field(rule, key, name, nodes));
    return {
      type: typename,
      list,
      key: key && selects(list, key) ? key : undefined,
      keys: rule?.keys.get(this.subgraph) ?? [],
      keyed: key !== undefined,
      keyOnly: list.every(({ name, told }) => told || name === '__typename'),
      whole: list.reduce((policy, field) => this.#whole(policy, field), FREE),
    };
  }

  #collect(typename: string, selections: readonly SelectionNode[], groups: Map<string, FieldNode[]>): void {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        const group = groups.get(key);
        if (group) group.push(selection);
        else groups.set(key, [selection]);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value;
        if (condition === undefined || condition === typename || this.families.of(condition).has(typename))
          this.#collect(typename, selection.selectionSet.selections, groups);
      }
    }
  }

  #field(parent: TypeRule | undefined, key: Key | undefined, responseKey: string, nodes: FieldNode[]): FieldShape {
    const [node] = nodes as [FieldNode];
    const name = node.name.value;
    const rule = parent?.fields.get(name);
    const composite = rule && this.rules.type(rule.type);
    const sets = nodes.flatMap(({ selectionSet }) => (selectionSet ? [selectionSet] : []));
    const augmented = composite ? sets.map((set) => this.#identified(rule.type, set)) : sets;
    const below = composite ? this.shape(rule.type, augmented) : undefined;
    const isRoot = parent?.name === this.rules.query;
    const own = policyUnder(isRoot ? FREE : policyOfType(parent?.hint), rule?.hint, composite?.hint, {
      composite: below !== undefined,
      isRoot,
    });
    const inKey = key?.names.has(name) === true && responseKey === name && nodes.every((one) => !one.arguments?.length);
    return {
      key: responseKey,
      name,
      rule,
      inKey,
      told: inKey && saysAll(key!.set, name, below),
      policy: rule && composite && below ? this.#inline(own, rule.type, below) : own,
      below,
      arguments: [...(node.arguments ?? [])]
        .map((argument) => [argument.name.value, argument.value] as const)
        .sort(([one], [other]) => (one < other ? -1 : 1)),
      nodes: composite
        ? nodes.map((one) =>
            one.selectionSet ? { ...one, selectionSet: this.#identified(rule.type, one.selectionSet) } : one,
          )
        : nodes,
      count: this.count(this.subgraph, parent?.name ?? '?', name),
    };
  }

  /** What a field's value holds itself, down to the next entities, is kept with it: no longer than any part of it. */
  #inline(policy: Policy, type: string, shape: Shape): Policy {
    let least = policy;
    for (const possible of this.#possible(type)) {
      const fields = shape.of(possible);
      if (fields.key) continue;
      for (const field of fields.list) {
        if (field.name === '__typename') continue;
        const parent = this.rules.type(possible);
        const composite = field.below && field.rule ? this.rules.type(field.rule.type) : undefined;
        const own = policyUnder(policy, field.rule?.hint, composite?.hint, {
          composite: field.below !== undefined,
          isRoot: false,
        });
        least = stricter(
          least,
          parent && field.below && field.rule ? this.#inline(own, field.rule.type, field.below) : own,
        );
      }
    }
    return least;
  }

  #whole(policy: Policy, field: FieldShape): Policy {
    if (field.name === '__typename' || field.told) return policy;
    let least = stricter(policy, field.policy);
    if (field.below && field.rule)
      for (const possible of this.#possible(field.rule.type)) {
        const fields = field.below.of(possible);
        if (fields.key) least = stricter(least, fields.whole);
        else for (const below of fields.list) if (below.below) least = this.#nested(least, below);
      }
    return least;
  }

  /** Entities within: the policies of what is not an entity are in the field's own already. */
  #nested(policy: Policy, field: FieldShape): Policy {
    let least = policy;
    for (const possible of this.#possible(field.rule!.type)) {
      const fields = field.below!.of(possible);
      if (fields.key) least = stricter(least, fields.whole);
      else for (const below of fields.list) if (below.below) least = this.#nested(least, below);
    }
    return least;
  }

  #possible(type: string): string[] {
    return this.rules.type(type)?.abstract === true
      ? [...this.families.of(type)].filter((one) => this.rules.type(one)?.abstract === false)
      : [type];
  }

  /** Of several the first, and of a mutation the others too that its subgraph can tell to anybody. */
  #keysOf(type: string): readonly Key[] {
    const rule = this.rules.type(type)!;
    const [first, ...others] = rule.keys.get(this.subgraph)!;
    if (!this.everyKey) return [first!];
    const isTold = (name: string): boolean => {
      const field = rule.fields.get(name);
      return field !== undefined && !field.guarded && !field.external.has(this.subgraph);
    };
    return [first!, ...others.filter(({ names }) => [...names].every(isTold)).slice(0, KEYS_MAX)];
  }

  /** The selection, and what is needed to know each entity again that it leads to. */
  #identified(type: string, set: SelectionSetNode): SelectionSetNode {
    const selections: SelectionNode[] = set.selections.map((selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT)
        return {
          ...selection,
          selectionSet: this.#identified(selection.typeCondition?.name.value ?? type, selection.selectionSet),
        };
      if (selection.kind !== Kind.FIELD || !selection.selectionSet) return selection;
      const field = this.rules.type(type)?.fields.get(selection.name.value);
      return field && this.rules.type(field.type)
        ? { ...selection, selectionSet: this.#identified(field.type, selection.selectionSet) }
        : selection;
    });
    const asked = new Set(
      selections.flatMap((one) => (one.kind === Kind.FIELD ? [one.alias?.value ?? one.name.value] : [])),
    );
    const abstract = this.rules.type(type)?.abstract === true;
    const possible = this.#possible(type);
    const keyed = possible.filter((one) => this.rules.type(one)?.keys.has(this.subgraph));
    if ((abstract || keyed.length > 0) && !asked.has('__typename')) selections.unshift(TYPENAME);
    for (const one of keyed.length > MEMBERS_MAX ? [] : keyed) {
      // What a key holds below itself is asked for beside what is asked for there already.
      const missing = this.#keysOf(one)
        .flatMap(({ set: { selections: needed } }) => needed)
        .filter((part) => part.kind !== Kind.FIELD || part.selectionSet !== undefined || !asked.has(part.name.value));
      if (missing.length === 0) continue;
      if (one === type) selections.push(...missing);
      else
        selections.push({
          kind: Kind.INLINE_FRAGMENT,
          typeCondition: { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: one } },
          selectionSet: { kind: Kind.SELECTION_SET, selections: missing },
        });
    }
    return { ...set, selections };
  }
}

/** Of a union with more entities only those are kept by themselves whose key the operation asks for. */
const MEMBERS_MAX = 16;

const KEYS_MAX = 8;

const TYPENAME: FieldNode = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } };

/** `... on User{name posts(first:$first){…}}` */
export function textOf(fields: Fields, which: (index: number) => boolean): string {
  const selections = fields.list.flatMap((field, index) => (which(index) ? field.nodes : []));
  const set: SelectionSetNode = {
    kind: Kind.SELECTION_SET,
    selections: selections.length > 0 ? selections : [TYPENAME],
  };
  return `...on ${fields.type}${stripIgnoredCharacters(print(set))}`;
}

const FREE: Policy = { maxAge: Number.POSITIVE_INFINITY, private: false, byHeader: false };

function policyOfType(hint: Hint | undefined): Policy {
  return {
    maxAge: hint?.maxAge ?? Number.POSITIVE_INFINITY,
    private: hint?.private ?? false,
    byHeader: hint?.maxAge === undefined,
  };
}

/**
 * As Apollo Server has it: a field's hint outweighs that of the type it returns; a root field and one that returns an object have
 * a hint of their own or are not kept; what else has none is as its parent.
 */
function policyUnder(
  parent: Policy,
  field: Hint | undefined,
  type: Hint | undefined,
  is: { composite: boolean; isRoot: boolean },
): Policy {
  const maxAge = field?.maxAge ?? (field?.inherit ? undefined : type?.maxAge);
  const inherits = (field?.inherit ?? false) || (field?.maxAge === undefined && (type?.inherit ?? false));
  const isPrivate = parent.private || (field?.private ?? type?.private ?? false);
  if (maxAge !== undefined) return { maxAge, private: isPrivate, byHeader: false };
  if ((is.composite || is.isRoot) && !inherits)
    return { maxAge: Number.POSITIVE_INFINITY, private: isPrivate, byHeader: true };
  return { ...parent, private: isPrivate };
}

export function stricter(one: Policy, other: Policy): Policy {
  return {
    maxAge: Math.min(one.maxAge, other.maxAge),
    private: one.private || other.private,
    byHeader: one.byHeader || other.byHeader,
  };
}

function selects(list: readonly FieldShape[], key: Key): boolean {
  return [...key.names].every((name) => list.some((field) => field.inKey && field.name === name));
}

/** What type an object within is, nobody has to say where it can only be one. */
function saysAll(key: SelectionSetNode | undefined, name: string, below: Shape | undefined): boolean {
  const node = key?.selections.find((one) => one.kind === Kind.FIELD && one.name.value === name);
  if (node?.kind !== Kind.FIELD) return false;
  if (!below) return true;
  if (below.only === undefined) return false;
  return below.of(below.only).list.every((field) => {
    if (field.name === '__typename') return true;
    const own = field.key === field.name && field.arguments.length === 0;
    return own && saysAll(node.selectionSet, field.name, field.below);
  });
}
