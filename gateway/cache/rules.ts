import {
  Kind,
  parse,
  type ConstDirectiveNode,
  type DirectiveNode,
  type FieldDefinitionNode,
  type SelectionSetNode,
  type TypeNode,
} from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';

/** `@cacheControl` as it stands on a type or a field; undefined is what it does not say. */
export interface Hint {
  readonly maxAge: number | undefined;
  readonly private: boolean | undefined;
  readonly inherit: boolean;
}

/** One `@key` by which a subgraph can be asked for an entity. */
export interface Key {
  readonly set: SelectionSetNode;
  /** The fields at its top. */
  readonly names: ReadonlySet<string>;
}

export interface FieldRule {
  readonly type: string;
  readonly hint: Hint | undefined;
  /** Subgraphs in which its value depends on inputs that the gateway brings (@requires). */
  readonly requires: ReadonlySet<string>;
  /** Subgraphs that can be asked by it but may not be able to tell it (@external). */
  readonly external: ReadonlySet<string>;
  /** Not everybody may be told it. */
  readonly guarded: boolean;
  readonly tags: readonly TagFormat[];
}

export interface TypeRule {
  readonly name: string;
  readonly abstract: boolean;
  readonly hint: Hint | undefined;
  readonly fields: ReadonlyMap<string, FieldRule>;
  /** By subgraph. */
  readonly keys: ReadonlyMap<string, readonly Key[]>;
  readonly tags: readonly TagFormat[];
}

/** `@cacheTag(format: "user-{$key.id}")` of one subgraph. */
export interface TagFormat {
  readonly subgraph: string;
  readonly format: string;
}

/**
 * What a supergraph says about keeping: which types have which keys where, what `@cacheControl` (carried by @composeDirective) and
 * `@cacheTag` stand on them. Read once for each supergraph.
 */
export class CacheRules {
  readonly #types = new Map<string, TypeRule>();
  readonly query: string;
  readonly mutation: string;
  readonly subgraphs: readonly string[];

  constructor(supergraph: Supergraph) {
    const reader = new Reader(supergraph);
    this.subgraphs = [...supergraph.subgraphs.keys()];
    this.query = supergraph.schema.getQueryType()?.name ?? 'Query';
    this.mutation = supergraph.schema.getMutationType()?.name ?? 'Mutation';
    for (const definition of supergraph.document.definitions) {
      const abstract =
        definition.kind === Kind.INTERFACE_TYPE_DEFINITION || definition.kind === Kind.UNION_TYPE_DEFINITION;
      if (!abstract && definition.kind !== Kind.OBJECT_TYPE_DEFINITION) continue;
      const directives = definition.directives ?? [];
      const fields = 'fields' in definition ? (definition.fields ?? []) : [];
      this.#types.set(definition.name.value, {
        name: definition.name.value,
        abstract,
        hint: reader.hintOfType(directives),
        fields: new Map(fields.map((field) => [field.name.value, reader.field(field, directives)])),
        keys: reader.keys(directives),
        tags: reader.tags(directives),
      });
    }
  }

  type(name: string): TypeRule | undefined {
    return this.#types.get(name);
  }
}

class Reader {
  readonly #join: string;
  readonly #subgraphOf: ReadonlyMap<string, string>;

  constructor({ features, subgraphs }: Supergraph) {
    this.#join = features.find(({ identity }) => identity === 'https://specs.apollo.dev/join')?.as ?? 'join';
    this.#subgraphOf = new Map([...subgraphs.values()].map(({ graph, name }) => [graph, name]));
  }

  field(node: FieldDefinitionNode, ofType: readonly ConstDirectiveNode[]): FieldRule {
    const [requires, external, graphs] = [new Set<string>(), new Set<string>(), new Set<string>()];
    const directives = node.directives ?? [];
    for (const directive of directives) {
      const graph = this.#graph(directive);
      if (directive.name.value !== `${this.#join}__field` || !graph) continue;
      if (text(directive, 'requires')) requires.add(graph);
      if (flag(directive, 'external') === true) external.add(graph);
      else graphs.add(graph);
    }
    return {
      type: namedType(node.type),
      // Without a word of its own it is every subgraph's that has the type.
      hint: hintAmong(graphs.size > 0 ? graphs : this.#graphsOf(ofType), hintOf(directives)),
      requires,
      external,
      guarded: directives.some(({ name }) => GUARDS.has(name.value)),
      tags: this.tags(directives),
    };
  }

  hintOfType(directives: readonly ConstDirectiveNode[]): Hint | undefined {
    return hintAmong(this.#graphsOf(directives), hintOf(directives));
  }

  #graphsOf(directives: readonly ConstDirectiveNode[]): Set<string> {
    return new Set(
      directives.flatMap((one) => (one.name.value === `${this.#join}__type` ? (this.#graph(one) ?? []) : [])),
    );
  }

  keys(directives: readonly ConstDirectiveNode[]): Map<string, Key[]> {
    const keys = new Map<string, Key[]>();
    for (const directive of directives) {
      if (directive.name.value !== `${this.#join}__type`) continue;
      const graph = this.#graph(directive);
      const key = text(directive, 'key');
      if (graph === undefined || key === undefined || flag(directive, 'resolvable') === false) continue;
      const there = keys.get(graph) ?? [];
      there.push(keyOf(key));
      keys.set(graph, there);
    }
    return keys;
  }

  /** Composition carries it as `@join__directive(graphs: [A], name: "federation__cacheTag", args: { format: "…" })`. */
  tags(directives: readonly ConstDirectiveNode[]): TagFormat[] {
    return directives.flatMap((directive) => {
      if (directive.name.value !== `${this.#join}__directive`) return [];
      if (!/(^|__)cacheTag$/.test(text(directive, 'name') ?? '')) return [];
      const args = value(directive, 'args');
      const graphs = value(directive, 'graphs');
      if (args?.kind !== Kind.OBJECT || graphs?.kind !== Kind.LIST) return [];
      const format = args.fields.find((field) => field.name.value === 'format')?.value;
      if (format?.kind !== Kind.STRING) return [];
      return graphs.values.flatMap((graph) => {
        const subgraph = graph.kind === Kind.ENUM ? this.#subgraphOf.get(graph.value) : undefined;
        return subgraph === undefined ? [] : [{ subgraph, format: format.value }];
      });
    });
  }

  #graph(directive: DirectiveNode): string | undefined {
    const graph = value(directive, 'graph');
    return graph?.kind === Kind.ENUM ? this.#subgraphOf.get(graph.value) : undefined;
  }
}

function keyOf(fields: string): Key {
  const document = parse(`{${fields}}`, { noLocation: true });
  const [operation] = document.definitions;
  const set = (operation as { selectionSet: SelectionSetNode }).selectionSet;
  const names = new Set(set.selections.flatMap((one) => (one.kind === Kind.FIELD ? [one.name.value] : [])));
  return { set, names };
}

const GUARDS: ReadonlySet<string> = new Set(['authenticated', 'requiresScopes', 'policy']);

/**
 * Composition writes what any subgraph said as if all had said it. What allows something counts only where there is nobody else: of a
 * service that says nothing nothing is kept for everybody. PRIVATE only takes away, so it counts whoever said it.
 */
function hintAmong(graphs: ReadonlySet<string>, hint: Hint | undefined): Hint | undefined {
  return hint && hint !== NOT_KEPT && graphs.size > 1 ? { ...hint, maxAge: undefined, inherit: false } : hint;
}

/** Of what is neither for everybody nor for one person nobody knows here whom it may be shown to. */
const NOT_KEPT: Hint = { maxAge: 0, private: true, inherit: false };

function hintOf(directives: readonly ConstDirectiveNode[]): Hint | undefined {
  const directive = directives.find((one) => one.name.value === 'cacheControl');
  if (directive === undefined) return undefined;
  const maxAge = value(directive, 'maxAge');
  const scope = value(directive, 'scope');
  if (scope?.kind === Kind.ENUM && scope.value !== 'PRIVATE' && scope.value !== 'PUBLIC') return NOT_KEPT;
  return {
    maxAge: maxAge?.kind === Kind.INT ? Number(maxAge.value) : undefined,
    private: scope?.kind === Kind.ENUM ? scope.value === 'PRIVATE' : undefined,
    inherit: flag(directive, 'inheritMaxAge') === true,
  };
}

function namedType(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : namedType(type.type);
}

function value(directive: DirectiveNode, name: string) {
  return directive.arguments?.find((argument) => argument.name.value === name)?.value;
}

function text(directive: DirectiveNode, name: string): string | undefined {
  const found = value(directive, name);
  return found?.kind === Kind.STRING ? found.value : undefined;
}

function flag(directive: DirectiveNode, name: string): boolean | undefined {
  const found = value(directive, name);
  return found?.kind === Kind.BOOLEAN ? found.value : undefined;
}
