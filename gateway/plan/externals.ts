import {
  Kind,
  getNamedType,
  isCompositeType,
  parse,
  visit,
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';

/**
 * Which fields a subgraph only knows by name: @external there, part of no key of it, and not @provided on the way. To ask for
 * one is a mistake of a planner: the subgraph answers null, or whatever its resolver makes of nothing. Found with @apollo/query-planner
 * 2.14.4, which takes a field that @requires names in that subgraph for one that can be asked there.
 */
export class Externals {
  readonly #whole: GraphQLSchema;
  /** `SUBGRAPH Type.field` */
  readonly #external = new Set<string>();
  readonly #provides = new Map<string, SelectionSetNode>();
  /** Subgraph by its name → as the supergraph's enum has it. */
  readonly #graphs = new Map<string, string>();

  constructor(document: DocumentNode, whole: GraphQLSchema) {
    this.#whole = whole;
    visit(document, {
      EnumValueDefinition: ({ name, directives }) => {
        const graph = directives?.find((one) => one.name.value === 'join__graph');
        if (graph) this.#graphs.set(text(graph, 'name')!, name.value);
      },
    });
    for (const type of document.definitions) {
      if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
      const keys = (type.directives ?? []).filter((one) => one.name.value === 'join__type');
      for (const field of type.fields ?? []) this.#note(type.name.value, field, keys);
    }
  }

  /** Adds what the fetch asks of this subgraph and cannot have there. */
  asked(subgraph: string, kind: 'query' | 'mutation', set: SelectionSetNode, found: Set<string>): void {
    const graph = this.#graphs.get(subgraph);
    if (graph === undefined || this.#external.size === 0) return;
    const root = kind === 'query' ? this.#whole.getQueryType() : this.#whole.getMutationType();
    this.#walk(graph, subgraph, root?.name, set, [], found);
  }

  #note(type: string, field: FieldDefinitionNode, keys: readonly ConstDirectiveNode[]): void {
    for (const directive of field.directives ?? []) {
      if (directive.name.value !== 'join__field') continue;
      const graph = text(directive, 'graph');
      if (graph === undefined) continue;
      const place = `${graph} ${type}.${field.name.value}`;
      const provides = text(directive, 'provides');
      if (provides !== undefined) this.#provides.set(place, selectionsOf(provides));
      const external = directive.arguments?.some(
        ({ name, value }) => name.value === 'external' && value.kind === Kind.BOOLEAN && value.value,
      );
      const inKey = keys.some(
        (key) => text(key, 'graph') === graph && new RegExp(`\\b${field.name.value}\\b`).test(text(key, 'key') ?? ''),
      );
      if (external && !inKey) this.#external.add(place);
    }
  }

  #walk(
    graph: string,
    subgraph: string,
    type: string | undefined,
    set: SelectionSetNode,
    provided: readonly SelectionSetNode[],
    found: Set<string>,
  ): void {
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const inner = selection.typeCondition?.name.value ?? type;
        this.#walk(graph, subgraph, inner, selection.selectionSet, provided, found);
      } else if (selection.kind === Kind.FIELD) {
        const name = selection.name.value;
        const below = provided.flatMap((one) => fieldsNamed(one, name));
        const place = `${graph} ${type}.${name}`;
        if (this.#external.has(place) && below.length === 0) found.add(`${subgraph}: ${type}.${name}`);
        if (!selection.selectionSet) continue;
        const ownProvides = this.#provides.get(place);
        const inner = below.flatMap(({ selectionSet }) => (selectionSet ? [selectionSet] : []));
        if (ownProvides) inner.push(ownProvides);
        this.#walk(graph, subgraph, this.#typeOf(type, name), selection.selectionSet, inner, found);
      }
    }
  }

  #typeOf(type: string | undefined, field: string): string | undefined {
    const parent = type === undefined ? undefined : this.#whole.getType(type);
    const definition = parent && 'getFields' in parent ? parent.getFields()[field] : undefined;
    const inner = definition && getNamedType(definition.type);
    return isCompositeType(inner) ? inner.name : undefined;
  }
}

/** Fields of a @provides by name, whatever type they are on. */
function fieldsNamed(set: SelectionSetNode, name: string): { selectionSet?: SelectionSetNode | undefined }[] {
  return set.selections.flatMap((one) => {
    if (one.kind === Kind.FIELD) return one.name.value === name ? [one] : [];
    return one.kind === Kind.INLINE_FRAGMENT ? fieldsNamed(one.selectionSet, name) : [];
  });
}

function selectionsOf(fields: string): SelectionSetNode {
  const [definition] = parse(`{${fields}}`, { noLocation: true }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`${fields} is no field set.`);
  return definition.selectionSet;
}

function text(directive: ConstDirectiveNode, name: string): string | undefined {
  const value = directive.arguments?.find((one) => one.name.value === name)?.value;
  return value && (value.kind === Kind.STRING || value.kind === Kind.ENUM) ? value.value : undefined;
}
