import { Kind, valueFromASTUntyped, type ConstDirectiveNode } from 'graphql';
import type { ListSizes, ListSize } from '../http/items.js';
import type { Supergraph } from './supergraph.js';

/** What `@listSize` of the cost spec says in a supergraph; none that does not link it. Arguments inside of inputs are not looked at. */
export function listSizesOf({ document, features }: Pick<Supergraph, 'document' | 'features'>): ListSizes {
  const sizes = new Map<string, ListSize>();
  const cost = features.find(({ identity }) => identity === 'https://specs.apollo.dev/cost');
  if (!cost) return sizes;
  const directiveName = cost.imports.get('@listSize')?.replace('@', '') ?? `${cost.as}__listSize`;
  for (const type of document.definitions) {
    if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
    for (const field of type.fields ?? []) {
      const directive = field.directives?.find(({ name }) => name.value === directiveName);
      if (directive) sizes.set(`${type.name.value}.${field.name.value}`, listSizeOf(directive));
    }
  }
  return sizes;
}

function listSizeOf(directive: ConstDirectiveNode): ListSize {
  const valueOf = (name: string): unknown => {
    const argument = directive.arguments?.find((one) => one.name.value === name);
    return argument && valueFromASTUntyped(argument.value);
  };
  const slicing = valueOf('slicingArguments');
  const assumed = valueOf('assumedSize');
  return {
    slicingArguments: Array.isArray(slicing) ? slicing.filter((name) => typeof name === 'string') : [],
    assumedSize: typeof assumed === 'number' ? assumed : undefined,
  };
}
