import type { Logger } from '#libs/telemetry';
import type { Supergraph } from '../supergraph/supergraph.js';
import { Coverage } from './coverage.js';
import type { Plan } from './plan.js';
import type { Planner, PlanRequest } from './planner.js';

/**
 * The native planner, looked over: where it gives up or leaves something of the operation out, Apollo's is asked too, and
 * the better plan is taken. Found with 0.0.38 on interface objects that several services extend.
 */
export function carefulPlanner(
  native: Planner,
  openApollo: () => Promise<Planner>,
  supergraph: Supergraph,
  logger: Logger,
): Planner {
  const coverage = new Coverage(supergraph);
  let opened: Promise<Planner> | undefined;
  const apollo = () => (opened ??= openApollo());

  return {
    name: native.name,
    overrideLabels: native.overrideLabels,
    async plan(request: PlanRequest): Promise<Plan> {
      const first = await attempt(native, request, coverage);
      if (first.plan && first.left.size === 0) return first.plan;
      const inTime = { ...request, signal: AbortSignal.any([request.signal, AbortSignal.timeout(SECOND_OPINION_MS)]) };
      const second = await attempt(
        { plan: async (asked) => (await apollo()).plan(asked) },
        first.plan ? inTime : request,
        coverage,
      );
      const better = second.plan && (!first.plan || second.left.size < first.left.size);
      if (!better && first.plan) return first.plan;
      if (!second.plan) throw first.error;
      const left = first.plan && [...first.left].slice(0, 10);
      logger.debug({ left, err: first.error }, 'The native planner left something out; planned with Apollo’s');
      return second.plan;
    },
    async close() {
      await native.close();
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

/** A plan that may be incomplete is there already: waiting for a better one has to end before the request does. */
const SECOND_OPINION_MS = 3_000;

type Attempt =
  | { readonly plan: Plan; readonly left: ReadonlySet<string>; readonly error?: undefined }
  | { readonly plan?: undefined; readonly error: unknown };

/** Looking a plan over reads its operations, so text that is no GraphQL is found here as well. */
async function attempt(planner: Pick<Planner, 'plan'>, request: PlanRequest, coverage: Coverage): Promise<Attempt> {
  try {
    const plan = await planner.plan(request);
    return { plan, left: coverage.uncovered(request.query, request.kind, plan) };
  } catch (error) {
    return { error };
  }
}
