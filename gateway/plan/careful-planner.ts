import type { Logger } from '#libs/telemetry';
import { uncovered } from './coverage.js';
import type { Plan } from './plan.js';
import type { Planner, PlanRequest } from './planner.js';

/**
 * The native planner, looked over: where it gives up or leaves something of the operation out, Apollo's is asked too, and
 * the better plan is taken. Found with 0.0.38 on interface objects that several services extend.
 */
export function carefulPlanner(native: Planner, openApollo: () => Promise<Planner>, logger: Logger): Planner {
  let second: Promise<Planner> | undefined;
  const apollo = () => (second ??= openApollo());

  return {
    name: native.name,
    overrideLabels: native.overrideLabels,
    async plan(request: PlanRequest): Promise<Plan> {
      const first = await attempt(native, request);
      const left = first.plan && uncovered(request.query, first.plan);
      if (first.plan && left!.size === 0) return first.plan;
      const other = await attempt({ plan: async (asked) => (await apollo()).plan(asked) }, request);
      if (!other.plan) {
        if (first.plan) return first.plan;
        throw first.error;
      }
      if (first.plan && uncovered(request.query, other.plan).size >= left!.size) return first.plan;
      logger.debug(
        { left: [...(left ?? [])].slice(0, 10), err: first.error },
        'The native planner left something out; planned with Apollo’s',
      );
      return other.plan;
    },
    async close() {
      await native.close();
      await (await second?.catch(() => undefined))?.close();
    },
  };
}

async function attempt(
  planner: Pick<Planner, 'plan'>,
  request: PlanRequest,
): Promise<{ plan?: Plan; error?: unknown }> {
  try {
    return { plan: await planner.plan(request) };
  } catch (error) {
    return { error };
  }
}
