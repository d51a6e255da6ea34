import {
  Kind,
  parse,
  print,
  stripIgnoredCharacters,
  visit,
  type ASTNode,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { fragmentsOf } from './root-fields.js';

/** What a fetch's operation text says, taken apart once so that it can be looked at and put together anew. */
export interface FetchText {
  readonly selectionSet: SelectionSetNode;
  /** `$first:Int` by variable name. */
  readonly variables: ReadonlyMap<string, string>;
  /** Those of the operation itself. */
  readonly directives: readonly DirectiveNode[];
}

export function readFetchText(operation: string): FetchText {
  const document = parse(operation, { noLocation: true });
  const definition = document.definitions.find(
    (one) => one.kind === Kind.OPERATION_DEFINITION,
  ) as OperationDefinitionNode;
  return {
    selectionSet: withoutSpreads(definition.selectionSet, fragmentsOf(document)),
    variables: new Map(
      (definition.variableDefinitions ?? []).map((one) => [
        one.variable.name.value,
        stripIgnoredCharacters(print(one)),
      ]),
    ),
    directives: definition.directives ?? [],
  };
}

/** `mutation($first:Int)@live`: all that stands before the selection. */
export function headOf(kind: string, variables: Iterable<string>, directives: readonly DirectiveNode[]): string {
  const declared = [...variables].join(',');
  const texts = directives.map((directive) => stripIgnoredCharacters(print(directive)));
  return `${kind}${declared && `(${declared})`}${texts.join('')}`;
}

/** `_e0: _entities(representations: $r0) { … }` of an operation, by its key in the answer. */
export function entitiesField(text: FetchText, alias: string): FieldNode {
  const field = text.selectionSet.selections.find(
    (selection): selection is FieldNode =>
      selection.kind === Kind.FIELD && (selection.alias?.value ?? selection.name.value) === alias,
  );
  if (!field?.selectionSet) throw new Error(`The planner speaks of ${alias}, but its operation has no such field.`);
  return field;
}

export function variablesIn(...nodes: readonly ASTNode[]): Set<string> {
  const names = new Set<string>();
  for (const node of nodes) visit(node, { Variable: (node) => void names.add(node.name.value) });
  return names;
}

export function textOfSelections(set: SelectionSetNode): string {
  return stripIgnoredCharacters(print(set));
}

/** Every place that the selection writes to: `''` is the root, `medias.title` a field below. */
export function placesIn(set: SelectionSetNode, base: string, places: Set<string> = new Set()): Set<string> {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      const place = join(base, selection.alias?.value ?? selection.name.value);
      places.add(place);
      if (selection.selectionSet) placesIn(selection.selectionSet, place, places);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      placesIn(selection.selectionSet, base, places);
    }
  }
  return places;
}

/** Is any of these fields asked for, under whatever key? */
export function asksForAny(set: SelectionSetNode, fields: ReadonlySet<string>): boolean {
  return set.selections.some(
    (selection) =>
      (selection.kind === Kind.FIELD && fields.has(selection.name.value)) ||
      ('selectionSet' in selection &&
        selection.selectionSet !== undefined &&
        asksForAny(selection.selectionSet, fields)),
  );
}

/** Keys at the top of a selection, whatever the type. */
export function topKeys(set: SelectionSetNode, keys: Set<string> = new Set()): Set<string> {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) keys.add(selection.alias?.value ?? selection.name.value);
    else if (selection.kind === Kind.INLINE_FRAGMENT) topKeys(selection.selectionSet, keys);
  }
  return keys;
}

export function join(base: string, key: string): string {
  return base === '' ? key : `${base}.${key}`;
}

function withoutSpreads(
  set: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): SelectionSetNode {
  if (fragments.size === 0) return set;
  const document: DocumentNode = {
    kind: Kind.DOCUMENT,
    definitions: [
      { kind: Kind.OPERATION_DEFINITION, operation: 'query', selectionSet: set } as OperationDefinitionNode,
    ],
  };
  const expanded = visit(document, {
    FragmentSpread(spread) {
      const fragment = fragments.get(spread.name.value)!;
      return {
        kind: Kind.INLINE_FRAGMENT,
        typeCondition: fragment.typeCondition,
        ...(spread.directives && { directives: spread.directives }),
        selectionSet: withoutSpreads(fragment.selectionSet, fragments),
      };
    },
  });
  return (expanded.definitions[0] as OperationDefinitionNode).selectionSet;
}

export function fieldsIn(selections: readonly SelectionNode[]): SelectionSetNode {
  return { kind: Kind.SELECTION_SET, selections };
}
