import type { Logger } from '#libs/telemetry';
import type { Supergraph } from '../supergraph/supergraph.js';
import { carefulPlanner } from './careful-planner.js';
import { checkedPlanner } from './checked-planner.js';
import { checkingInThread, type Checking } from './checking.js';
import { inOrder } from './in-order.js';
import type { Plan } from './plan.js';
import { SeveralKeys } from './several-keys.js';

/** The one door to whoever knows how to plan a federated operation. Planning never runs on the request's event loop. */
export interface Planner {
  readonly name: 'native' | 'apollo';
  /** Labels of `@override(label:)` that the supergraph knows. */
  readonly overrideLabels: ReadonlySet<string>;
  plan(request: PlanRequest): Promise<Plan>;
  close(): Promise<void>;
}

export interface PlanRequest extends Asked {
  /** Aborted: nobody wants the plan any more. */
  readonly signal: AbortSignal;
  /** Told when a planner begins with it, after it has waited for its turn. */
  readonly begun?: () => void;
}

/** All that a plan depends on, besides the supergraph. */
export interface Asked {
  /** One operation with its fragments, without introspection fields. */
  readonly query: string;
  readonly kind: 'query' | 'mutation';
  /** Labels that are on. */
  readonly labels: readonly string[];
  /** 0–100, what `percent(n)` labels are compared with. */
  readonly percent: number;
}

export type PlannerChoice = 'auto' | 'native' | 'apollo';

/**
 * The native planner, unless the platform has no binary for it or the supergraph uses something that it is known to plan
 * wrongly without saying so. The reason is for the log and for `/health/ready`.
 */
export async function choosePlanner(
  supergraph: Supergraph,
  wanted: PlannerChoice,
  logger: Logger,
  planners: Planners = PLANNERS,
): Promise<{ planner: Planner; reason: string }> {
  const checking = planners.checking(supergraph);
  try {
    const begun = checking.begin();
    begun.catch(() => undefined);
    const { planner, reason } = await choose(supergraph, wanted, logger, planners, checking);
    try {
      // Where nobody can check a plan, none would go out: such a supergraph is not served.
      await begun;
    } catch (error) {
      await planner.close();
      throw error;
    }
    return { planner: inOrder(checkedPlanner(planner, checking, logger)), reason };
  } catch (error) {
    await checking.close();
    throw error;
  }
}

/** The same, with plans as they come: `checking` is asked which of two is better. */
export async function choose(
  supergraph: Supergraph,
  wanted: PlannerChoice,
  logger: Logger,
  { native, apollo }: Pick<Planners, 'native' | 'apollo'>,
  checking: Pick<Checking, 'check'>,
): Promise<{ planner: Planner; reason: string }> {
  const unfit = unfitForNative(supergraph);
  if (wanted === 'apollo') return { planner: await apollo(supergraph), reason: 'PLANNER=apollo' };
  if (wanted === 'native') {
    if (unfit)
      logger.warn(
        { feature: unfit },
        'PLANNER=native plans this feature wrongly; unset PLANNER unless you are testing',
      );
    return { planner: await native(supergraph, logger), reason: 'PLANNER=native' };
  }
  if (unfit)
    return {
      planner: await apollo(supergraph),
      reason: `the supergraph links ${unfit}, which the native planner plans wrongly`,
    };
  try {
    const inner = hasInterfaceObject(supergraph) ? await ifThere(apollo, supergraph, logger) : undefined;
    if (inner) {
      const planner = carefulPlanner(inner, () => native(supergraph, logger), checking, logger);
      return {
        planner,
        reason: 'the supergraph has an @interfaceObject, around which the native planner leaves fields out',
      };
    }
    const severalKeys = new SeveralKeys(supergraph);
    const planner = carefulPlanner(
      await native(supergraph, logger),
      () => apollo(supergraph),
      checking,
      logger,
      severalKeys,
    );
    return { planner, reason: 'the native planner fits this platform and this supergraph' };
  } catch (error) {
    logger.warn({ err: error }, 'the native planner cannot be used; planning with Apollo’s');
    return {
      planner: await apollo(supergraph),
      reason: `the native planner cannot be used: ${(error as Error).message.split('\n')[0]}`,
    };
  }
}

/**
 * Found with @graphql-hive/router-query-planner 0.0.38: a contextual argument is dropped from the fetch, so the subgraph
 * computes with its default.
 */
const PLANNED_WRONGLY_BY_NATIVE = new Set(['https://specs.apollo.dev/context']);

/** Federation 1 wrote v0.1, with an owner for each type: the native planner finds no way to any of its fields. */
const JOIN = 'https://specs.apollo.dev/join';

function unfitForNative(supergraph: Supergraph): string | undefined {
  if (supergraph.features.some(({ identity, version }) => identity === JOIN && version === 'v0.1'))
    return `${JOIN}/v0.1`;
  return supergraph.features.find((feature) => PLANNED_WRONGLY_BY_NATIVE.has(feature.identity))?.identity;
}

/**
 * With 0.0.38 several type conditions below an interface object become one fetch with the representations of only one of
 * the types, and some operations have no plan at all (test/federation/interface-object.test.ts, PLANNER=native).
 */
function hasInterfaceObject({ sdl }: Supergraph): boolean {
  return /\bisInterfaceObject:\s*true\b/.test(sdl);
}

/** How each planner is opened. */
export interface Planners {
  native(supergraph: Supergraph, logger: Logger): Promise<Planner>;
  apollo(supergraph: Supergraph): Promise<Planner>;
  /** And who looks their plans over. */
  checking(supergraph: Supergraph): Checking;
}

const PLANNERS: Planners = {
  async native(supergraph, logger) {
    const { nativePlanner } = await import('./native-planner.js');
    return nativePlanner(supergraph.sdl, logger);
  },
  async apollo(supergraph) {
    const { apolloPlanner } = await import('./apollo-planner.js');
    return apolloPlanner(supergraph.sdl);
  },
  checking: checkingInThread,
};

/** Whoever runs without Apollo's packages plans with what there is. */
async function ifThere(
  apollo: Planners['apollo'],
  supergraph: Supergraph,
  logger: Logger,
): Promise<Planner | undefined> {
  try {
    return await apollo(supergraph);
  } catch (error) {
    logger.warn(
      { err: error },
      'Apollo’s planner cannot be used; the native one may leave fields out around an @interfaceObject',
    );
    return undefined;
  }
}
