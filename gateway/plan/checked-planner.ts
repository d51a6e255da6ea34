import { createHash } from 'node:crypto';
import type { Logger } from '#libs/telemetry';
import type { Checking } from './checking.js';
import type { Checked } from './checks.js';
import type { Plan } from './plan.js';
import type { Planner, PlanRequest } from './planner.js';

/**
 * No plan goes out unchecked. What a planner left out that the asked subgraph has is put back in; where a plan is still not whole, or
 * asks somebody for what he cannot know, or there is none, the operation is planned by the rules alone (plain-plan.ts), and the
 * better of the two is taken.
 */
export function checkedPlanner(planner: Planner, checking: Checking, logger: Logger): Planner {
  const planned = async (request: PlanRequest): Promise<Checked> =>
    (await checking.check(request, await planner.plan(request))).whole;
  const plain = async (request: PlanRequest): Promise<Checked | undefined> => {
    try {
      return await checking.planPlainly(request);
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
      // While the planner is at work; who cannot be asked is told of when the plan is there.
      checking.begin().catch(() => undefined);
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
    async close() {
      await planner.close();
      await checking.close();
    },
  };
}

function hashOf(query: string): string {
  return createHash('sha256').update(query).digest('hex');
}
