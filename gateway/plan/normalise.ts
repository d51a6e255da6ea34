import {
  Kind,
  print,
  stripIgnoredCharacters,
  visit,
  type ArgumentNode,
  type ASTNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { isDenied } from '../authorization/authorization.js';
import { decided, type Conditions } from './conditions.js';
import { KeyNames, unused } from './key-names.js';
import { Literals } from './literals.js';
import type { SchemaNames } from './schema-names.js';
import { VariableNames } from './variable-names.js';

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
  /** The same for names of variables. */
  readonly clientVariables: ReadonlyMap<string, string>;
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
  const variables = new VariableNames(operation.variableDefinitions ?? [], unused('_var', [taken]));
  const onTheWay = <Node extends ASTNode>(node: Node): Node => literals.lift(keys.rename(variables.rename(node)));

  const rootExpanded: OperationDefinitionNode = {
    ...included,
    selectionSet: withoutRootSpreads(included.selectionSet, definitions),
  };
  const definition = onTheWay(rootExpanded);
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const name of reachable(definition, definitions)) {
    fragments.set(name, onTheWay(definitions.get(name)!));
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
    clientVariables: variables.clientNames(),
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
export function textOf(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): string {
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

function namesIn(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): Set<string> {
  const names = new Set<string>();
  for (const node of [operation, ...fragments.values()]) visit(node, { Name: (name) => void names.add(name.value) });
  return names;
}
