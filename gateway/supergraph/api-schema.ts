import {
  buildASTSchema,
  isSpecifiedDirective,
  visit,
  GraphQLDirective,
  type ASTNode,
  type DefinitionNode,
  type DirectiveDefinitionNode,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import type { Feature } from './supergraph.js';

/**
 * Supergraph → what clients see. Done here on the AST and not by `@apollo/federation-internals`, so that a gateway whose
 * engine does not need Apollo's code does not load it. Composition has already refused supergraphs in which something
 * visible names something inaccessible, so taking the marked elements away leaves a whole schema.
 */
export function apiSchema(document: DocumentNode, features: readonly Feature[]): GraphQLSchema {
  const machinery = machineryNames(features);
  const inaccessible = inaccessibleName(features);
  const hidden = (node: ASTNode): boolean =>
    'directives' in node && (node.directives ?? []).some((directive) => directive.name.value === inaccessible);
  const gone = new Set(
    document.definitions
      .filter((definition) => nameOf(definition) !== undefined && hidden(definition))
      .map((definition) => nameOf(definition)!),
  );
  const kept = document.definitions.filter((definition) => {
    const name = nameOf(definition);
    if (definition.kind === 'DirectiveDefinition')
      return !machinery.directive(definition.name.value) && isExecutable(definition);
    return name === undefined || (!gone.has(name) && !machinery.type(name));
  });
  const visible = visit({ kind: document.kind, definitions: kept } as DocumentNode, {
    Directive: (node) =>
      node.name.value === 'deprecated' || node.name.value === 'specifiedBy' || node.name.value === 'oneOf'
        ? undefined
        : null,
    FieldDefinition: { enter: (node) => (hidden(node) ? null : undefined) },
    InputValueDefinition: { enter: (node) => (hidden(node) ? null : undefined) },
    EnumValueDefinition: { enter: (node) => (hidden(node) ? null : undefined) },
    NamedType: (node, _key, parent) => (Array.isArray(parent) && gone.has(node.name.value) ? null : undefined),
    OperationTypeDefinition: { enter: (node) => (gone.has(node.type.name.value) ? null : undefined) },
  });
  return buildASTSchema(visible, { assumeValidSDL: true });
}

/** Directives for clients to write in operations stay; directives on schemas say nothing to them. */
function isExecutable(definition: DirectiveDefinitionNode): boolean {
  if (isSpecifiedDirective(new GraphQLDirective({ name: definition.name.value, locations: [] }))) return false;
  return definition.locations.some((location) => EXECUTABLE.has(location.value));
}

const EXECUTABLE = new Set([
  'QUERY',
  'MUTATION',
  'SUBSCRIPTION',
  'FIELD',
  'FRAGMENT_DEFINITION',
  'FRAGMENT_SPREAD',
  'INLINE_FRAGMENT',
  'VARIABLE_DEFINITION',
]);

/** `join__Field`, `@join__field`, `link__Import`, `@link`, `@tag` …: everything that a linked spec brings. */
function machineryNames(features: readonly Feature[]): {
  type(name: string): boolean;
  directive(name: string): boolean;
} {
  const prefixes = new Set(features.map((feature) => feature.as));
  const imported = new Set(features.flatMap((feature) => [...feature.imports.values()]));
  const apollos = features.filter((feature) => feature.identity.startsWith('https://specs.apollo.dev/'));
  const ours = new Set(apollos.flatMap((feature) => [`@${feature.as}`, ...feature.imports.values()]));
  const prefixed = (name: string) => name.includes('__') && prefixes.has(name.slice(0, name.indexOf('__')));
  return {
    type: (name) => prefixed(name) || imported.has(name),
    // Somebody's own spec (@composeDirective) may well bring a directive that clients write.
    directive: (name) => prefixed(name) || ours.has(`@${name}`),
  };
}

function inaccessibleName(features: readonly Feature[]): string {
  const feature = features.find((one) => one.identity === 'https://specs.apollo.dev/inaccessible');
  return feature?.imports.get('@inaccessible')?.slice(1) ?? feature?.as ?? 'inaccessible';
}

function nameOf(definition: DefinitionNode): string | undefined {
  return 'name' in definition ? definition.name?.value : undefined;
}
