import { GraphQLError, parse, Source, type DocumentNode } from 'graphql';
import type { Logger } from '#libs/telemetry';
import { chooseComposer, type ComposerChoice } from './composers.js';
import { describeErrors } from './composition-errors.js';
import { SupergraphError } from './supergraph.js';

/** What one service brings to the graph. `from` is where its SDL was read: a file, or the service's address. */
export interface ServiceSdl {
  readonly name: string;
  readonly url: string;
  readonly sdl: string;
  readonly from: string;
}

/** Services → supergraph SDL, the same text for the same input. Throws a SupergraphError that says what to change. */
export async function compose(
  services: readonly ServiceSdl[],
  { composer = 'auto', logger }: { composer?: ComposerChoice; logger?: Logger } = {},
): Promise<string> {
  const definitions = services.map((service) => ({
    name: service.name,
    url: service.url,
    typeDefs: parseService(service),
  }));
  const result = (await chooseComposer(composer, logger)).compose(definitions);
  if ('errors' in result) throw new SupergraphError(describeErrors(result.errors, definitions));
  return `${result.supergraphSdl.trimEnd()}\n`;
}

function parseService({ name, sdl, from }: ServiceSdl): DocumentNode {
  try {
    return parse(new Source(sdl, from));
  } catch (error) {
    if (error instanceof GraphQLError) throw new SupergraphError(describeErrors([error], []), { cause: error });
    throw new SupergraphError(`The SDL of ${name} (${from}) cannot be read: ${String(error)}`, { cause: error });
  }
}
