import type { Clock, Logger } from '#libs/telemetry';
import type { EntityCache } from './cache/entity-cache.js';
import type { GatewayConfig } from './config.js';
import type { EngineFactory, SubgraphClient } from './engine.js';
import { Documents } from './http/documents.js';
import { requireSecrets } from './identities.js';
import { listSizesOf, weightsOf } from './supergraph/cost-directives.js';
import type { Reachable } from './supergraph/reachable.js';
import type { Serving } from './supergraph/served.js';
import { readSupergraph, type Supergraph } from './supergraph/supergraph.js';

/** The text of a supergraph → all that it takes to answer by it, warm; rejects with what is wrong with it. */
export function servingBuilder(
  config: GatewayConfig,
  parts: {
    readonly client: SubgraphClient;
    readonly logger: Logger;
    readonly clock: Clock;
    readonly entities: EntityCache | undefined;
    readonly reachable: Reachable;
    /** What is served while this is built. */
    readonly current: () => Serving | undefined;
    readonly built?: ((supergraph: Supergraph) => void) | undefined;
  },
): (sdl: string) => Promise<Serving> {
  const { client, logger, clock, entities, reachable, current, built } = parts;
  return async (sdl) => {
    const supergraph = readSupergraph(sdl, config.addressOf, config.mayAsk);
    requireSecrets(config, [...supergraph.subgraphs.keys()]);
    const createEngine = await engineFactory(config.ENGINE);
    const engine = await createEngine(supergraph, {
      subgraphs: client,
      logger,
      clock,
      planner: config.PLANNER,
      merge: config.MERGE,
      join: config.JOIN === 'on',
      overrideLabels: config.OVERRIDE_LABELS,
      unauthorized: config.UNAUTHORIZED,
      entities,
      planCacheBytes: config.PLAN_CACHE_BYTES,
      answerBytesMax: config.ANSWER_BYTES,
    });
    const listSizes = listSizesOf(supergraph);
    const documents = new Documents(supergraph.schema, {
      limits: config.limits,
      introspection: config.introspection,
      suggestions: config.introspection,
      cacheBytes: config.DOCUMENT_CACHE_BYTES,
      listSizes,
      cost: {
        limit: config.COST_LIMIT,
        listSize: config.COST_LIST_SIZE,
        listSizes,
        weights: weightsOf(supergraph),
      },
    });
    await warmUp({ engine, documents }, current(), { operations: config.WARM_UP_OPERATIONS, logger, clock });
    built?.(supergraph);
    void reachable.all(supergraph);
    return { supergraph, engine, documents };
  };
}

/** Whoever asks first on the new supergraph does not wait for plans that everybody needs. */
async function warmUp(
  { engine, documents }: Pick<Serving, 'engine' | 'documents'>,
  before: Serving | undefined,
  { operations, logger, clock }: { operations: number; logger: Logger; clock: Clock },
): Promise<void> {
  const used = before?.engine.mostUsed?.(operations) ?? [];
  if (used.length === 0 || !engine.warm) return;
  const began = clock();
  const ready = await engine.warm(
    used,
    (query, name) => documents.operation(query, name),
    AbortSignal.timeout(WARM_UP_MS),
  );
  logger.info({ operations: used.length, ready, ms: clock() - began }, 'Planned what is asked most');
}

/** A supergraph that plans slowly is switched in cold rather than late. */
const WARM_UP_MS = 10_000;

/** Loaded by name, so that an engine that is not used costs neither memory nor its licence. */
async function engineFactory(name: GatewayConfig['ENGINE']): Promise<EngineFactory> {
  const file = { apollo: './stock/engine.js', tributary: './run/engine.js' }[name];
  const { createEngine } = (await import(file)) as { createEngine: EngineFactory };
  return createEngine;
}
