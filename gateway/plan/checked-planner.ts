import { createHash } from 'node:crypto';
import type { Logger } from '#libs/telemetry';
import type { Supergraph } from '../supergraph/supergraph.js';
import { completePlan } from './complete-plan.js';
import { Coverage } from './coverage.js';
import { othersTurn } from './others-turn.js';
import { plainPlan } from './plain-plan.js';
import type { Plan } from './plan.js';
import type { Planner, PlanRequest } from './planner.js';
import { isLabelOn } from './override-labels.js';

/**
 * No plan goes out unchecked. What a planner left out that the asked subgraph has is put back in; where a plan is still not whole, or
 * asks somebody for what he cannot know, or there is none, the operation is planned by the rules alone (plain-plan.ts), and the
 * better of the two is taken.
 */
export function checkedPlanner(planner: Planner, supergraph: Supergraph, logger: Logger): Planner {
  const coverage = Coverage.of(supergraph);
  const { joins } = coverage;
  const query = supergraph.schema.getQueryType()!.name;
  const mutation = supergraph.schema.getMutationType()?.name;

  const planned = async (request: PlanRequest): Promise<Checked> => {
    const plan = await planner.plan(request);
    await othersTurn(request.signal);
    const left = coverage.uncovered(request.query, request.kind, plan);
    await othersTurn(request.signal);
    const whole = completePlan(plan, supergraph.schema, joins, request, left);
    if (whole === plan || left.size === 0) return { plan: whole, left };
    await othersTurn(request.signal);
    return { plan: whole, left: coverage.uncovered(request.query, request.kind, whole) };
  };
  const plain = async (request: PlanRequest): Promise<Checked | undefined> => {
    await othersTurn(request.signal);
    try {
      const plan = plainPlan(joins, { query, mutation }, request, (label) => isLabelOn(label, request));
      await othersTurn(request.signal);
      return { plan, left: coverage.uncovered(request.query, request.kind, plan) };
    } catch (error) {
      request.signal.throwIfAborted();
      logger.debug({ err: error }, 'An operation cannot be planned by the rules alone');
      return undefined;
    }
  };

  return {
    name: planner.name,
    overrideLabels: planner.overrideLabels,
    async plan(request: PlanRequest): Promise<Plan> {
      let one: Checked | undefined;
      let failure: unknown;
      try {
        one = await planned(request);
      } catch (error) {
        if (request.signal.aborted) throw error;
        failure = error;
      }
      if (one?.left.size === 0) return one.plan;
      const other = await plain(request);
      if (other && (!one || other.left.size < one.left.size)) {
        const left = one && [...one.left].slice(0, 10);
        const operation = hashOf(request.query);
        logger.debug(
          { planner: planner.name, operation, left, err: failure },
          'An operation is planned by the rules alone',
        );
        return other.plan;
      }
      if (!one) throw failure;
      // Some keys are left out rightly, because no object of that type can be there: nothing that an operator has to do.
      logger.debug(
        { operation: hashOf(request.query), left: [...one.left].slice(0, 10) },
        'A plan leaves something out',
      );
      return one.plan;
    },
    close: () => planner.close(),
  };
}

interface Checked {
  readonly plan: Plan;
  readonly left: ReadonlySet<string>;
}

function hashOf(query: string): string {
  return createHash('sha256').update(query).digest('hex');
}
