import {
  Kind,
  TypeInfo,
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isSpecifiedScalarType,
  print,
  stripIgnoredCharacters,
  visit,
  visitWithTypeInfo,
  type ArgumentNode,
  type ASTNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLInputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
  type VariableDefinitionNode,
} from 'graphql';
import { isDenied } from '../authorization/authorization.js';
import type { SchemaNames } from './schema-names.js';

/**
 * An operation as it is planned and compiled: only what runs, with inline literals lifted to variables (so that texts
 * which differ in literals share one plan) and with response keys renamed where the client's key could be mistaken for
 * something else on the way.
 */
export interface NormalOperation {
  /** Unique for everything below but the literals' values: the key of plan and compiled operation. */
  readonly key: string;
  readonly definition: OperationDefinitionNode;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  /** For the planner: without introspection. Absent when nothing is left to fetch. */
  readonly planned: string | undefined;
  /** For graphql-js: only introspection. Absent when there is none. */
  readonly introspection: DocumentNode | undefined;
  /** Response key on the way → the client's. Keys that are not in here are the client's own. */
  readonly clientKeys: ReadonlyMap<string, string>;
  /** Lifted literals as JSON text by variable name. */
  readonly literals: ReadonlyMap<string, string>;
}

export function normalise(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  schema: GraphQLSchema,
  names: SchemaNames,
  conditions: Conditions = {},
  mark: <Node extends ASTNode>(node: Node) => Node = (node) => node,
): NormalOperation {
  const definitions = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION)
      definitions.set(definition.name.value, mark(decided(definition, conditions)));
  }
  const included = mark(decided(operation, conditions));
  const taken = namesIn(operation, definitions);
  const keys = new KeyNames(names, taken);
  const literals = new Literals(schema, names, taken);

  const rootExpanded: OperationDefinitionNode = {
    ...included,
    selectionSet: withoutRootSpreads(included.selectionSet, definitions),
  };
  const definition = literals.lift(keys.rename(rootExpanded));
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const name of reachable(definition, definitions)) {
    fragments.set(name, literals.lift(keys.rename(definitions.get(name)!)));
  }
  const whole: OperationDefinitionNode = {
    ...definition,
    variableDefinitions: [...(definition.variableDefinitions ?? []), ...literals.definitions()],
  };

  const plain = <Node extends ASTNode>(node: Node): Node =>
    withDirectiveDefaults(withoutDenied(node), schema, names.linked);
  const planned = plannable(split(plain(whole), false));
  const plainFragments = new Map([...fragments].map(([name, fragment]) => [name, plannable(plain(fragment))]));
  const asked = split(whole, true);
  const clientKeys = keys.clientKeys();
  return {
    key: `${textOf(whole, fragments)}\n${JSON.stringify([...clientKeys])}`,
    definition: whole,
    fragments,
    planned: planned && textOf(planned, plainFragments),
    introspection: asked && {
      kind: Kind.DOCUMENT,
      definitions: [withUsedVariables(asked, fragments), ...used(asked, fragments)],
    },
    clientKeys,
    literals: literals.values(),
  };
}

/** What is denied (`@__denied`) stays in the answer, as null with an error, and is not planned. */
function withoutDenied<Node extends ASTNode>(node: Node): Node {
  return visit(node, {
    Field: (field) => (isDenied(field) ? null : undefined),
    InlineFragment: { leave: ({ selectionSet }) => (selectionSet.selections.length === 0 ? null : undefined) },
  }) as Node;
}

/**
 * A subgraph may know a client's directive without the default that another one gives it. Those of a linked spec stay here: Apollo's
 * planner does not know them in operations.
 */
function withDirectiveDefaults<Node extends ASTNode>(
  node: Node,
  schema: GraphQLSchema,
  linked: ReadonlySet<string>,
): Node {
  return visit(node, {
    Directive(directive) {
      if (linked.has(directive.name.value)) return null;
      const defaults = (schema.getDirective(directive.name.value)?.args ?? []).flatMap((argument): ArgumentNode[] => {
        const given = directive.arguments?.some(({ name }) => name.value === argument.name);
        const value = given ? undefined : argument.astNode?.defaultValue;
        return value ? [{ kind: Kind.ARGUMENT, name: { kind: Kind.NAME, value: argument.name }, value }] : [];
      });
      if (defaults.length === 0) return undefined;
      return { ...directive, arguments: [...(directive.arguments ?? []), ...defaults] };
    },
  }) as Node;
}

/**
 * The type is asked for under its own name only: that is where everything looks for it, whatever the client calls it. Where
 * nothing is left to select, planners still want to see something.
 */
function plannable<Node extends ASTNode | undefined>(node: Node): Node {
  return (
    node &&
    (visit(node, {
      Field: ({ alias, ...field }) => (alias && field.name.value === '__typename' ? field : undefined),
      SelectionSet: { leave: (set) => (set.selections.length === 0 ? { ...set, selections: [TYPENAME] } : undefined) },
    }) as Node)
  );
}

const TYPENAME: FieldNode = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } };

/** Variables that the planned part does not use are not declared in it, and names are dropped: they change no plan. */
function textOf(operation: OperationDefinitionNode, fragments: ReadonlyMap<string, FragmentDefinitionNode>): string {
  const { name: _name, ...nameless } = withUsedVariables(operation, fragments);
  return stripIgnoredCharacters(
    print({ kind: Kind.DOCUMENT, definitions: [nameless as OperationDefinitionNode, ...used(operation, fragments)] }),
  );
}

function used(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): FragmentDefinitionNode[] {
  return [...reachable(operation, fragments)].map((name) => fragments.get(name)!);
}

function withUsedVariables(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): OperationDefinitionNode {
  const names = new Set<string>();
  const note = { Variable: (node: { name: { value: string } }) => void names.add(node.name.value) };
  visit(operation.selectionSet, note);
  for (const directive of operation.directives ?? []) visit(directive, note);
  for (const fragment of used(operation, fragments)) visit(fragment.selectionSet, note);
  return {
    ...operation,
    variableDefinitions: (operation.variableDefinitions ?? []).filter(({ variable }) => names.has(variable.name.value)),
  };
}

function reachable(
  node: ASTNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  found = new Set<string>(),
): Set<string> {
  visit(node, {
    FragmentSpread(spread) {
      const name = spread.name.value;
      const fragment = fragments.get(name);
      if (found.has(name) || !fragment) return;
      found.add(name);
      reachable(fragment, fragments, found);
    },
  });
  return found;
}

/** Root fields in named fragments become inline, so that introspection among them can be told apart. */
function withoutRootSpreads(
  selectionSet: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): SelectionSetNode {
  const selections = selectionSet.selections.map((selection): SelectionNode => {
    if (selection.kind === Kind.FIELD) return selection;
    if (selection.kind === Kind.INLINE_FRAGMENT)
      return { ...selection, selectionSet: withoutRootSpreads(selection.selectionSet, fragments) };
    const fragment = fragments.get(selection.name.value)!;
    return {
      kind: Kind.INLINE_FRAGMENT,
      typeCondition: fragment.typeCondition,
      ...(selection.directives && { directives: selection.directives }),
      selectionSet: withoutRootSpreads(fragment.selectionSet, fragments),
    };
  });
  return { ...selectionSet, selections };
}

/** `__schema` and `__type` are answered here, a root `__typename` is a constant; everything else is planned. */
function split(operation: OperationDefinitionNode, introspection: boolean): OperationDefinitionNode | undefined {
  const keep = (set: SelectionSetNode): SelectionSetNode | undefined => {
    const selections = set.selections.flatMap((selection): SelectionNode[] => {
      if (selection.kind === Kind.FIELD) {
        const name = selection.name.value;
        const ours = name === '__schema' || name === '__type';
        return (introspection ? ours : !ours && name !== '__typename') ? [selection] : [];
      }
      if (selection.kind !== Kind.INLINE_FRAGMENT) return [];
      const inner = keep(selection.selectionSet);
      return inner ? [{ ...selection, selectionSet: inner }] : [];
    });
    return selections.length > 0 ? { ...set, selections } : undefined;
  };
  const selectionSet = keep(operation.selectionSet);
  return selectionSet && { ...operation, selectionSet };
}

export type Conditions = Readonly<Record<string, boolean>>;

/** Variables whose values decide what is asked at all. */
export function conditionVariables(document: DocumentNode): string[] {
  const names = new Set<string>();
  visit(document, {
    Directive(directive) {
      if (directive.name.value !== 'skip' && directive.name.value !== 'include') return;
      for (const { value } of directive.arguments ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names].sort();
}

/**
 * `@skip` and `@include` decided: what is not asked is gone before anybody plans. Both planners get fields wrong that one
 * selection asks for on a condition and a @requires needs without (found by test/federation/generated).
 */
function decided<Node extends ASTNode>(node: Node, conditions: Conditions): Node {
  const decide = <Selection extends SelectionNode>(selection: Selection): Selection | null | undefined => {
    const directives = selection.directives ?? [];
    const rest = directives.filter(({ name }) => name.value !== 'skip' && name.value !== 'include');
    if (rest.length === directives.length) return undefined;
    const out = directives.some((directive) => {
      const value = directive.arguments?.find(({ name }) => name.value === 'if')?.value;
      const truth =
        value?.kind === Kind.VARIABLE
          ? conditions[value.name.value] === true
          : value?.kind === Kind.BOOLEAN && value.value;
      return directive.name.value === 'skip' ? truth : directive.name.value === 'include' && !truth;
    });
    return out ? null : { ...selection, directives: rest };
  };
  return visit(node, { Field: decide, InlineFragment: decide, FragmentSpread: decide }) as Node;
}

function namesIn(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): Set<string> {
  const names = new Set<string>();
  for (const node of [operation, ...fragments.values()]) visit(node, { Name: (name) => void names.add(name.value) });
  return names;
}

/**
 * Response keys that would be dangerous or ambiguous between here and the subgraphs get a neutral name on the way:
 * - names that every JavaScript object has (`__proto__`, `constructor`), so that no code downstream has to think of them;
 * - an alias that is the name of another field (`id: title`), because the planner asks for keys by their plain names;
 * - a plain field with arguments that somebody's @key or @requires asks for with other arguments, or with none, or the other way
 *   round.
 */
class KeyNames {
  readonly #names: SchemaNames;
  readonly #onTheWay = new Map<string, string>();
  readonly #prefix: string;

  constructor(names: SchemaNames, taken: ReadonlySet<string>) {
    this.#names = names;
    this.#prefix = unused('_key', [taken, names.fields]);
  }

  rename<Node extends ASTNode>(node: Node): Node {
    return visit(node, {
      Field: (field: FieldNode) => {
        const key = field.alias?.value ?? field.name.value;
        if (!this.#ambiguous(field, key)) return undefined;
        let name = this.#onTheWay.get(key);
        if (name === undefined) {
          name = `${this.#prefix}${this.#onTheWay.size}`;
          this.#onTheWay.set(key, name);
        }
        return { ...field, alias: { kind: Kind.NAME, value: name } };
      },
    }) as Node;
  }

  clientKeys(): Map<string, string> {
    return new Map([...this.#onTheWay].map(([client, onTheWay]) => [onTheWay, client]));
  }

  #ambiguous(field: FieldNode, key: string): boolean {
    if (field.name.value.startsWith('__')) return false;
    if (key in Object.prototype || key === '__typename') return true;
    if (field.alias && key !== field.name.value && this.#names.required.has(key)) return true;
    const given = (field.arguments?.length ?? 0) > 0;
    return given ? this.#names.required.has(key) : this.#names.requiredWithArguments.has(key);
  }
}

/** Literals in field arguments become variables. Those in directives and in defaults stay: planners read them. */
class Literals {
  readonly #schema: GraphQLSchema;
  readonly #names: SchemaNames;
  readonly #prefix: string;
  readonly #byValue = new Map<string, { name: string; type: GraphQLInputType; json: string }>();

  constructor(schema: GraphQLSchema, names: SchemaNames, taken: ReadonlySet<string>) {
    this.#schema = schema;
    this.#names = names;
    this.#prefix = unused('_lit', [taken]);
  }

  lift<Node extends ASTNode>(node: Node): Node {
    const types = new TypeInfo(this.#schema);
    return visit(
      node,
      visitWithTypeInfo(types, {
        Directive: () => false,
        VariableDefinition: () => false,
        Argument: (argument) => {
          const definition = types.getFieldDef();
          const type = types.getArgument()?.type;
          if (!type || !definition || definition.name.startsWith('__') || !isCompositeType(types.getParentType()))
            return false;
          // What @requires writes with arguments must stay comparable, text against text.
          if (this.#names.requiredWithArguments.has(definition.name)) return false;
          const json = jsonOf(argument.value, type);
          if (json === undefined) return false;
          const key = `${String(type)} ${json}`;
          let literal = this.#byValue.get(key);
          if (!literal) {
            literal = { name: `${this.#prefix}${this.#byValue.size}`, type, json };
            this.#byValue.set(key, literal);
          }
          return { ...argument, value: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: literal.name } } };
        },
      }),
    ) as Node;
  }

  definitions(): VariableDefinitionNode[] {
    return [...this.#byValue.values()].map(({ name, type }) => ({
      kind: Kind.VARIABLE_DEFINITION,
      variable: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: name } },
      type: typeNode(type),
    }));
  }

  values(): Map<string, string> {
    return new Map([...this.#byValue.values()].map(({ name, json }) => [name, json]));
  }
}

/** The literal as the JSON text of a variable of that type; digits stay digits. Undefined when it must stay where it is. */
export function jsonOf(value: ValueNode, type: GraphQLInputType): string | undefined {
  const named = getNamedType(type);
  switch (value.kind) {
    case Kind.NULL:
      return 'null';
    case Kind.BOOLEAN:
      return String(value.value);
    case Kind.INT:
      // A long id written as a number would lose digits as a JSON number.
      return named.name === 'ID' || named.name === 'String' ? JSON.stringify(value.value) : value.value;
    case Kind.FLOAT:
      return value.value;
    case Kind.STRING:
      return JSON.stringify(value.value);
    case Kind.ENUM:
      return isEnumType(named) ? JSON.stringify(value.value) : undefined;
    case Kind.LIST: {
      const items = value.values.map((item) => jsonOf(item, type));
      return items.includes(undefined) ? undefined : `[${items.join(',')}]`;
    }
    case Kind.OBJECT: {
      if (!isInputObjectType(named) && isSpecifiedScalarType(named)) return undefined;
      const fields: string[] = [];
      for (const field of value.fields) {
        const fieldType = isInputObjectType(named) ? named.getFields()[field.name.value]?.type : type;
        const json = fieldType && jsonOf(field.value, fieldType);
        if (json === undefined) return undefined;
        fields.push(`${JSON.stringify(field.name.value)}:${json}`);
      }
      return `{${fields.join(',')}}`;
    }
    default:
      return undefined;
  }
}

function typeNode(type: GraphQLInputType): VariableDefinitionNode['type'] {
  if ('ofType' in type) {
    const inner = typeNode(type.ofType as GraphQLInputType);
    if (String(type).endsWith('!') && inner.kind !== Kind.NON_NULL_TYPE)
      return { kind: Kind.NON_NULL_TYPE, type: inner };
    return { kind: Kind.LIST_TYPE, type: inner };
  }
  return { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: type.name } };
}

/** A prefix that nothing in the sets starts with. */
function unused(wanted: string, sets: readonly ReadonlySet<string>[]): string {
  let prefix = wanted;
  while (sets.some((set) => [...set].some((name) => name.startsWith(prefix)))) prefix = `_${prefix}`;
  return prefix;
}
