import type { Logger } from '#libs/telemetry';
import type { Checking } from './checking.js';
import type { Plan } from './plan.js';
import type { Planner, PlanRequest } from './planner.js';
import type { SeveralKeys } from './several-keys.js';

/**
 * A planner that is looked over: where it gives up or leaves something of the operation out, the other one is asked too, and
 * the better plan is taken.
 */
export function carefulPlanner(
  first: Planner,
  openSecond: () => Promise<Planner>,
  checking: Pick<Checking, 'check'>,
  logger: Logger,
  /** Which operations the other one is asked first. */
  others: Pick<SeveralKeys, 'some' | 'concern'> = NONE,
): Planner {
  // What will be asked for certain is opened now, not while somebody waits for a plan.
  let opened = others.some ? openSecond() : undefined;
  opened?.catch(() => undefined);
  let closed = false;
  const second: Pick<Planner, 'plan'> = {
    async plan(request) {
      // A plan that comes late may still be under way: nobody would close what is opened for it now.
      if (closed) throw new Error('The planner is closed.');
      const opening = (opened ??= openSecond());
      const planner = await opening.catch((error: unknown) => {
        // Whoever comes next may have more luck.
        if (opened === opening) opened = undefined;
        throw error;
      });
      return planner.plan(request);
    },
  };

  return {
    name: first.name,
    overrideLabels: first.overrideLabels,
    async plan(request: PlanRequest): Promise<Plan> {
      const [asked, next] = others.concern(request.query) ? [second, first] : [first, second];
      const one = await attempt(asked, request, checking);
      if (one.plan && one.left.size === 0) return one.plan;
      const inTime = AbortSignal.any([request.signal, AbortSignal.timeout(SECOND_OPINION_MS)]);
      const other = await attempt(next, one.plan ? { ...request, signal: inTime } : request, checking);
      const better = other.plan && (!one.plan || other.left.size < one.left.size);
      if (!better && one.plan) {
        logger.debug({ left: [...one.left].slice(0, 10) }, 'Neither planner’s plan is whole; the better one is used');
        return one.plan;
      }
      if (!other.plan) throw one.error;
      const left = one.plan && [...one.left].slice(0, 10);
      logger.debug(
        { planner: first.name, left, err: one.error },
        'A plan left something out; the other planner’s is used',
      );
      return other.plan;
    },
    async close() {
      closed = true;
      await first.close();
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

const NONE = { some: false, concern: () => false };

/** A plan that may be incomplete is there already: waiting for a better one has to end before the request does. */
const SECOND_OPINION_MS = 3_000;

type Attempt =
  | { readonly plan: Plan; readonly left: ReadonlySet<string>; readonly error?: undefined }
  | { readonly plan?: undefined; readonly error: unknown };

/** Looking a plan over reads its operations, so text that is no GraphQL is found here as well. */
async function attempt(
  planner: Pick<Planner, 'plan'>,
  request: PlanRequest,
  checking: Pick<Checking, 'check'>,
): Promise<Attempt> {
  try {
    const plan = await planner.plan(request);
    return { plan, left: (await checking.check(request, plan)).left };
  } catch (error) {
    return { error };
  }
}
