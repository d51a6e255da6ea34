import { Kind, type DocumentNode, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';
import { cut } from './cut.js';

/** Characters. */
const PATH_MAX = 500;

/**
 * Where in an answer, as a log may say it: by the schema's names. Who writes an operation chooses its aliases, and may write into them what
 * they like, a name or an address. What the operation does not have is `?`.
 */
export function fieldPath(
  path: readonly (string | number)[],
  { definition, document }: { readonly definition: OperationDefinitionNode; readonly document: DocumentNode },
): string {
  const names: (string | number)[] = [];
  let sets: readonly SelectionSetNode[] = [definition.selectionSet];
  for (const step of path) {
    if (typeof step === 'number') {
      names.push(step);
      continue;
    }
    const found = fieldsOf(sets, document).filter(({ alias, name }) => (alias ?? name).value === step);
    names.push(found[0]?.name.value ?? '?');
    sets = found.flatMap(({ selectionSet }) => selectionSet ?? []);
  }
  return cut(names.join('.'), PATH_MAX);
}

/** Each fragment once, however often it is spread. */
function fieldsOf(sets: readonly SelectionSetNode[], document: DocumentNode) {
  const selections = sets.flatMap((set) => set.selections);
  const spread = new Set<string>();
  const fields = [];
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) fields.push(selection);
    else if (selection.kind === Kind.INLINE_FRAGMENT) selections.push(...selection.selectionSet.selections);
    else if (!spread.has(selection.name.value)) {
      spread.add(selection.name.value);
      for (const one of document.definitions)
        if (one.kind === Kind.FRAGMENT_DEFINITION && one.name.value === selection.name.value)
          selections.push(...one.selectionSet.selections);
    }
  }
  return fields;
}
