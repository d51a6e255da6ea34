import { parse, print } from 'graphql';
import type { Logger } from '#libs/telemetry';
import { systemClock } from '#libs/telemetry';
import { Failure } from '#libs/failure';
import type { Operation, Variables } from '../engine.js';
import { printPlan } from '../plan/print-plan.js';
import { choosePlanner, type PlannerChoice } from '../plan/planner.js';
import { TributaryEngine } from '../run/engine.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { printCompiled } from './print-compiled.js';

/** What becomes of an operation before anything is asked: for people, one text per stage. */
export interface Stages {
  /** Which planner, and why. */
  readonly planner: string;
  readonly operation: string;
  readonly plan: string;
  readonly fetches: string;
}

export interface StagesOptions {
  readonly planner: PlannerChoice;
  readonly merge: 'flow' | 'plan';
  readonly logger: Logger;
}

const NO_OVERRIDES = { labels: [], percent: 100 };

/** No subgraph is called, so this works where none runs. */
export async function stagesOf(
  supergraph: Supergraph,
  operation: Operation,
  variables: Variables,
  { planner: wanted, merge, logger }: StagesOptions,
): Promise<Stages> {
  const { planner, reason } = await choosePlanner(supergraph, wanted, logger);
  const subgraphs = {
    post: () => Promise.reject(new Failure('INTERNAL_SERVER_ERROR', 'Explaining calls no subgraph.')),
    close: () => Promise.resolve(),
  };
  const options = { subgraphs, logger, clock: systemClock, planner: wanted, merge, join: false };
  const engine = new TributaryEngine(supergraph, options, planner, reason);
  try {
    const normal = engine.normalOf(operation, variables);
    const plan = await engine.plans.plan(normal, NO_OVERRIDES);
    const compiled = await engine.plans.compiled(normal, NO_OVERRIDES);
    return {
      planner: `${planner.name}: ${reason}`,
      operation: normal.planned === undefined ? 'Nothing of it is planned.' : print(parse(normal.planned)),
      plan: printPlan(plan),
      fetches: printCompiled(compiled),
    };
  } finally {
    await engine.close();
  }
}
