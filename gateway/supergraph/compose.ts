import { GraphQLError, parse, Source, type DocumentNode } from 'graphql';
import { codeFrame } from './code-frame.js';
import { SupergraphError } from './supergraph.js';

/** What one service brings to the graph. `from` is where its SDL was read: a file, or the service's address. */
export interface ServiceSdl {
  readonly name: string;
  readonly url: string;
  readonly sdl: string;
  readonly from: string;
}

/** Services → supergraph SDL, the same text for the same input. `@apollo/composition` is loaded only here, when used. */
export async function compose(services: readonly ServiceSdl[]): Promise<string> {
  const definitions = services.map((service) => ({
    name: service.name,
    url: service.url,
    typeDefs: parseService(service),
  }));
  const { composeServices } = await import('@apollo/composition');
  const result = composeServices(definitions);
  if (result.errors) throw new SupergraphError(describe(result.errors));
  return `${result.supergraphSdl.trimEnd()}\n`;
}

function parseService({ name, sdl, from }: ServiceSdl): DocumentNode {
  try {
    return parse(new Source(sdl, from));
  } catch (error) {
    if (error instanceof GraphQLError) throw new SupergraphError(describe([error]), { cause: error });
    throw new SupergraphError(`The SDL of ${name} (${from}) cannot be read: ${String(error)}`, { cause: error });
  }
}

/** Every mistake once, each with all the places it is about: composition knows them, and nobody else prints them. */
function describe(errors: readonly GraphQLError[]): string {
  const seen = new Set<string>();
  const told: string[] = [];
  for (const error of errors) {
    const places = placesOf(error);
    const text = [`${error.message}${codeOf(error)}`, ...places].join('\n');
    if (seen.has(text)) continue;
    seen.add(text);
    told.push(text);
  }
  return `The services do not compose (${told.length} ${told.length === 1 ? 'mistake' : 'mistakes'}).\n\n${told.join('\n\n')}`;
}

function placesOf(error: GraphQLError): string[] {
  const frames = (error.nodes ?? []).flatMap((node) => (node.loc ? [codeFrame(node.loc.source, node.loc.start)] : []));
  if (frames.length > 0) return [...new Set(frames)];
  return error.source && error.positions ? error.positions.map((position) => codeFrame(error.source!, position)) : [];
}

function codeOf(error: GraphQLError): string {
  const code = error.extensions['code'];
  return typeof code === 'string' ? ` (${code})` : '';
}
