import { Kind, valueFromASTUntyped, type ConstDirectiveNode } from 'graphql';
import type { Weights } from '../http/cost.js';
import type { ListSize, ListSizes } from '../http/page-sizes.js';
import type { Supergraph } from './supergraph.js';

type Linked = Pick<Supergraph, 'document' | 'features'>;
type Directed = { readonly directives?: readonly ConstDirectiveNode[] | undefined };

/** What `@listSize` of the cost spec says in a supergraph; nothing where that is not linked. */
export function listSizesOf(supergraph: Linked): ListSizes {
  const sizes = new Map<string, ListSize>();
  const name = nameOf(supergraph, 'listSize');
  if (name === undefined) return sizes;
  for (const type of supergraph.document.definitions) {
    if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
    for (const field of type.fields ?? []) {
      const directive = found(field, name);
      if (directive) sizes.set(`${type.name.value}.${field.name.value}`, listSizeOf(directive));
    }
  }
  return sizes;
}

/** What `@cost` says, by coordinate: `User`, `User.posts`, `User.posts(first:)`, `SearchInput.text`. */
export function weightsOf(supergraph: Linked): Weights {
  const weights = new Map<string, number>();
  const name = nameOf(supergraph, 'cost');
  if (name === undefined) return weights;
  const weigh = (coordinate: string, node: Directed): void => {
    const directive = found(node, name);
    // The composed spec has an Int, IBM's a text: "5.0".
    const weight = directive && Number(argumentOf(directive, 'weight'));
    if (weight !== undefined && Number.isFinite(weight)) weights.set(coordinate, weight);
  };
  for (const type of supergraph.document.definitions) {
    if (!('name' in type) || type.name === undefined) continue;
    const { value: typeName } = type.name;
    weigh(typeName, type as Directed);
    if (type.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION)
      for (const field of type.fields ?? []) weigh(`${typeName}.${field.name.value}`, field);
    if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
    for (const field of type.fields ?? []) {
      weigh(`${typeName}.${field.name.value}`, field);
      for (const argument of field.arguments ?? [])
        weigh(`${typeName}.${field.name.value}(${argument.name.value}:)`, argument);
    }
  }
  return weights;
}

/** As the supergraph calls it: imported, renamed, or with its prefix. */
function nameOf({ features }: Linked, directive: 'cost' | 'listSize'): string | undefined {
  const feature = features.find(({ identity }) => identity === 'https://specs.apollo.dev/cost');
  if (!feature) return undefined;
  const imported = feature.imports.get(`@${directive}`)?.replace('@', '');
  // A spec's directive of its own name needs no prefix.
  return imported ?? (directive === 'cost' ? feature.as : `${feature.as}__${directive}`);
}

function found(node: Directed, directive: string): ConstDirectiveNode | undefined {
  return node.directives?.find(({ name }) => name.value === directive);
}

function listSizeOf(directive: ConstDirectiveNode): ListSize {
  const assumed = argumentOf(directive, 'assumedSize');
  return {
    slicingArguments: textsOf(directive, 'slicingArguments'),
    sizedFields: textsOf(directive, 'sizedFields'),
    assumedSize: typeof assumed === 'number' ? assumed : undefined,
    requiresOne: argumentOf(directive, 'requireOneSlicingArgument') !== false,
  };
}

function textsOf(directive: ConstDirectiveNode, name: string): string[] {
  const value = argumentOf(directive, name);
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function argumentOf(directive: ConstDirectiveNode, name: string): unknown {
  const argument = directive.arguments?.find((one) => one.name.value === name);
  return argument && valueFromASTUntyped(argument.value);
}
