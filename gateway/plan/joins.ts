import {
  Kind,
  parse,
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldNode,
  type SelectionSetNode,
  type TypeNode,
} from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';

/** Who has what of the supergraph's types, as the join directives say (https://specs.apollo.dev/join). Subgraphs by their own names. */
export class Joins {
  readonly types: ReadonlyMap<string, JoinedType>;
  readonly #possible = new Map<string, ReadonlySet<string>>();

  constructor(supergraph: Supergraph) {
    this.types = typesOf(supergraph);
  }

  home(type: string, field: string, subgraph: string): Home | undefined {
    return this.types.get(type)?.fields.get(field)?.get(subgraph);
  }

  /** Is every object of the type one of `condition`, too? */
  is(type: string, condition: string): boolean {
    if (type === condition || this.possible(condition).has(type)) return true;
    return this.types.get(type)?.interfaces.has(condition) ?? false;
  }

  /** Object types that are of this type, wherever. */
  possible(type: string): ReadonlySet<string> {
    let possible = this.#possible.get(type);
    if (!possible) {
      const joined = this.types.get(type);
      const isObject = !joined || joined.kind === 'object';
      possible = new Set(isObject ? [type] : [...joined.members.values()].flatMap((members) => [...members]));
      if (joined) this.#possible.set(type, possible);
    }
    return possible;
  }
}

export interface JoinedType {
  readonly kind: 'object' | 'interface' | 'union';
  readonly subgraphs: Map<string, TypeHome>;
  readonly fields: Map<string, Map<string, Home>>;
  /** Of an interface or union: the object types that it can be, by subgraph. */
  readonly members: Map<string, Set<string>>;
  /** Of an interface: the interface objects that implement it, by subgraph. There they are objects. */
  readonly interfaceObjects: Map<string, Set<string>>;
  readonly interfaces: Set<string>;
}

/** A type in one subgraph. */
export interface TypeHome {
  /** By which it can be asked about. */
  readonly keys: SelectionSetNode[];
  /** Those by which it cannot, too. */
  readonly allKeys: SelectionSetNode[];
  readonly isInterfaceObject: boolean;
}

/** A field in one subgraph. */
export interface Home {
  /** As that subgraph declares it: `[Post!]!` */
  readonly type: string;
  readonly named: string;
  readonly lists: number;
  /** Known there by name only, unless it is provided on the way. */
  readonly external: boolean;
  /** Another subgraph has it now. */
  readonly overridden: boolean;
  /** Here while the label is on, or while it is off. */
  readonly label: { readonly name: string; readonly on: boolean } | undefined;
  readonly requires: SelectionSetNode | undefined;
  readonly provides: SelectionSetNode | undefined;
  /** It takes values from further up (@fromContext). */
  readonly contextual: boolean;
}

function typesOf({ document, features, subgraphs }: Supergraph): Map<string, JoinedType> {
  const join = features.find(({ identity }) => identity === 'https://specs.apollo.dev/join');
  const prefix = join?.as ?? 'join';
  const names = new Map([...subgraphs.values()].map(({ name, graph }) => [graph, name]));
  const types = new Map<string, JoinedType>();
  const applied = (node: { directives?: readonly ConstDirectiveNode[] | undefined }, name: string) =>
    (node.directives ?? []).filter((directive) => directive.name.value === `${prefix}__${name}`);
  const subgraphOf = (directive: ConstDirectiveNode) => names.get(argument(directive, 'graph') ?? '');

  for (const definition of compositesOf(document)) {
    const name = definition.name.value;
    const type: JoinedType = {
      kind: KINDS[definition.kind],
      subgraphs: new Map(),
      fields: new Map(),
      members: types.get(name)?.members ?? new Map(),
      interfaceObjects: types.get(name)?.interfaceObjects ?? new Map(),
      interfaces: new Set(),
    };
    types.set(name, type);
    for (const directive of applied(definition, 'type')) {
      const subgraph = subgraphOf(directive);
      if (subgraph === undefined) continue;
      const here = type.subgraphs.get(subgraph) ?? {
        keys: [],
        allKeys: [],
        isInterfaceObject: argument(directive, 'isInterfaceObject') === 'true',
      };
      type.subgraphs.set(subgraph, here);
      const key = argument(directive, 'key');
      if (key === undefined) continue;
      here.allKeys.push(fieldSet(key));
      if (argument(directive, 'resolvable') !== 'false') here.keys.push(fieldSet(key));
    }
    // Federation 1 says where a type is only where it has a key, and nothing of members.
    if (type.subgraphs.size === 0)
      for (const subgraph of names.values())
        type.subgraphs.set(subgraph, { keys: [], allKeys: [], isInterfaceObject: false });
    if (definition.kind === Kind.UNION_TYPE_DEFINITION) {
      const members = applied(definition, 'unionMember');
      for (const directive of members) add(type.members, subgraphOf(directive), argument(directive, 'member')!);
      if (members.length === 0)
        for (const subgraph of type.subgraphs.keys())
          for (const member of definition.types ?? []) add(type.members, subgraph, member.name.value);
      continue;
    }

    for (const field of definition.fields ?? []) {
      const homes = new Map<string, Home>();
      type.fields.set(field.name.value, homes);
      const joined = applied(field, 'field');
      if (joined.length === 0)
        for (const subgraph of type.subgraphs.keys()) homes.set(subgraph, homeOf(field.type, undefined));
      for (const directive of joined) {
        const subgraph = subgraphOf(directive);
        if (subgraph !== undefined) homes.set(subgraph, homeOf(field.type, directive));
      }
      // Federation 1 names the owner of a field, and not who knows it by name, for a key or because it is provided.
      if (join?.version === 'v0.1')
        for (const subgraph of type.subgraphs.keys())
          if (!homes.has(subgraph)) homes.set(subgraph, { ...homeOf(field.type, undefined), external: true });
    }
    const implemented = applied(definition, 'implements').map(
      (directive) => [argument(directive, 'interface')!, subgraphOf(directive)] as const,
    );
    if (implemented.length === 0)
      for (const parent of definition.interfaces ?? [])
        for (const subgraph of type.subgraphs.keys()) implemented.push([parent.name.value, subgraph]);
    for (const [parent, subgraph] of implemented) {
      type.interfaces.add(parent);
      const isInterfaceObject = subgraph !== undefined && type.subgraphs.get(subgraph)?.isInterfaceObject;
      if (type.kind !== 'object' && !isInterfaceObject) continue;
      const known = types.get(parent) ?? EMPTY();
      types.set(parent, known);
      add(isInterfaceObject ? known.interfaceObjects : known.members, subgraph, name);
    }
  }
  return types;
}

const KINDS = {
  [Kind.OBJECT_TYPE_DEFINITION]: 'object',
  [Kind.INTERFACE_TYPE_DEFINITION]: 'interface',
  [Kind.UNION_TYPE_DEFINITION]: 'union',
} as const;

const EMPTY = (): JoinedType => ({
  kind: 'interface',
  subgraphs: new Map(),
  fields: new Map(),
  members: new Map(),
  interfaceObjects: new Map(),
  interfaces: new Set(),
});

function compositesOf({ definitions }: DocumentNode) {
  return definitions.flatMap((one) =>
    one.kind === Kind.OBJECT_TYPE_DEFINITION ||
    one.kind === Kind.INTERFACE_TYPE_DEFINITION ||
    one.kind === Kind.UNION_TYPE_DEFINITION
      ? [one]
      : [],
  );
}

function homeOf(type: TypeNode, directive: ConstDirectiveNode | undefined): Home {
  const of = (name: string) => directive && argument(directive, name);
  const own = of('type') ?? textOf(type);
  const label = of('overrideLabel');
  const requires = of('requires');
  const provides = of('provides');
  return {
    type: own,
    named: own.replaceAll(/[[\]!\s]/g, ''),
    lists: own.split('[').length - 1,
    external: of('external') === 'true',
    overridden: of('usedOverridden') === 'true',
    label: label === undefined ? undefined : { name: label, on: of('override') !== undefined },
    requires: requires === undefined ? undefined : fieldSet(requires),
    provides: provides === undefined ? undefined : fieldSet(provides),
    contextual: directive?.arguments?.some(({ name }) => name.value === 'contextArguments') ?? false,
  };
}

function add(members: Map<string, Set<string>>, subgraph: string | undefined, type: string): void {
  if (subgraph === undefined) return;
  const known = members.get(subgraph);
  if (known) known.add(type);
  else members.set(subgraph, new Set([type]));
}

/** `id organisation { id }` → its selections. */
export function fieldSet(text: string): SelectionSetNode {
  const [definition] = parse(`{${text}}`, { noLocation: true }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`${text} is no field set.`);
  return definition.selectionSet;
}

/** Fields of a field set by name, whatever type they are on. */
export function fieldsNamed(set: SelectionSetNode, name: string): FieldNode[] {
  return set.selections.flatMap((one) => {
    if (one.kind === Kind.FIELD) return one.name.value === name ? [one] : [];
    return one.kind === Kind.INLINE_FRAGMENT ? fieldsNamed(one.selectionSet, name) : [];
  });
}

function argument(directive: ConstDirectiveNode, name: string): string | undefined {
  const value = directive.arguments?.find((one) => one.name.value === name)?.value;
  return value && 'value' in value ? String(value.value) : undefined;
}

function textOf(type: TypeNode): string {
  if (type.kind === Kind.NAMED_TYPE) return type.name.value;
  return type.kind === Kind.LIST_TYPE ? `[${textOf(type.type)}]` : `${textOf(type.type)}!`;
}
