import { Kind, visit, type ConstDirectiveNode, type DocumentNode, type GraphQLError } from 'graphql';
import type { Logger } from '#libs/telemetry';
import { SupergraphError } from './supergraph.js';

export interface Subschema {
  readonly name: string;
  readonly url: string;
  readonly typeDefs: DocumentNode;
}

export type Composition = { readonly supergraphSdl: string } | { readonly errors: readonly GraphQLError[] };

/** Whoever turns services into one supergraph. Each is loaded only when it is asked. */
export interface Composer {
  readonly name: 'apollo' | 'guild';
  compose(services: readonly Subschema[]): Composition;
}

/** `auto`: Apollo's, which defines the format and knows the newest of it; where it is not installed, the Guild's. */
export type ComposerChoice = 'auto' | 'apollo' | 'guild';

export async function chooseComposer(choice: ComposerChoice, logger?: Logger): Promise<Composer> {
  if (choice === 'apollo') return apolloComposer();
  if (choice === 'guild') return guildComposer();
  try {
    return await apolloComposer();
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    logger?.info({}, '@apollo/composition is not installed; composing with @theguild/federation-composition');
    return guildComposer();
  }
}

/** Elastic License 2.0. */
async function apolloComposer(): Promise<Composer> {
  const { composeServices } = await import('@apollo/composition');
  return {
    name: 'apollo',
    compose: (services) => {
      const { supergraphSdl, errors } = composeServices([...services]);
      return errors ? { errors } : { supergraphSdl };
    },
  };
}

/** MIT. */
async function guildComposer(): Promise<Composer> {
  const { composeServices } = await import('@theguild/federation-composition');
  return {
    name: 'guild',
    compose: (services) => {
      const { supergraphSdl, errors } = composeServices(
        services.map((service) => ({ ...service, typeDefs: asNewestKnown(service) })),
      );
      return errors ? { errors } : { supergraphSdl };
    },
  };
}

/** The newest federation spec of @theguild/federation-composition 0.27, and what may be imported from it. */
const NEWEST_MINOR = 9;
const KNOWN = new Set(
  (
    '@key @requires @provides @external @extends @shareable @inaccessible @override @interfaceObject @tag @composeDirective ' +
    '@context @fromContext @authenticated @requiresScopes @policy @cost @listSize FieldSet Scope Policy ContextArgument ContextFieldValue'
  ).split(' '),
);
const LINKED = /^(https:\/\/specs\.apollo\.dev\/federation)\/v2\.(\d+)$/;

/**
 * It refuses versions after 2.9. A service that links a later one and imports nothing of what came later means the same
 * by 2.9, so that is what the composer is told; anything else is refused by name.
 */
function asNewestKnown({ name, typeDefs }: Subschema): DocumentNode {
  return visit(typeDefs, {
    Directive(directive) {
      if (directive.name.value !== 'link') return undefined;
      const link = directive as ConstDirectiveNode;
      const url = link.arguments?.find((argument) => argument.name.value === 'url')?.value;
      const found = url?.kind === Kind.STRING ? LINKED.exec(url.value) : null;
      if (!found || Number(found[2]) <= NEWEST_MINOR) return undefined;
      const later = importsOf(link).filter((imported) => !KNOWN.has(imported));
      if (later.length > 0) {
        throw new SupergraphError(
          `${name} imports ${later.join(', ')} of federation v2.${found[2]}, which COMPOSER=guild does not know (it ends at v2.${NEWEST_MINOR}); take COMPOSER=apollo, or leave the import out.`,
        );
      }
      return {
        ...link,
        arguments: link.arguments!.map((argument) =>
          argument.name.value === 'url'
            ? { ...argument, value: { kind: Kind.STRING, value: `${found[1]}/v2.${NEWEST_MINOR}` } }
            : argument,
        ),
      };
    },
  });
}

function importsOf(link: ConstDirectiveNode): string[] {
  const given = link.arguments?.find((argument) => argument.name.value === 'import')?.value;
  if (given?.kind !== Kind.LIST) return [];
  return given.values.flatMap((item) => {
    if (item.kind === Kind.STRING) return [item.value];
    const named =
      item.kind === Kind.OBJECT ? item.fields.find((field) => field.name.value === 'name')?.value : undefined;
    return named?.kind === Kind.STRING ? [named.value] : [];
  });
}
