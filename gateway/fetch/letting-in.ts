import { Failure } from '#libs/failure';
import { NOT_TAKEN } from '../http/refusal.js';
import type { Begun } from './begun.js';
import type { Target, Upstream } from './upstream.js';

/** Of the time after which calls are late, how long those who wait should take. */
const AIM = 0.05;

/**
 * Where the first call of a request to this subgraph goes that is to go to `chosen`; undefined: the request is turned away, while more come than can
 * be answered, at each address that could be asked instead.
 */
export function letIn(
  upstream: Upstream,
  chosen: Target,
  isWrite: boolean,
  begun: Begun | undefined,
  lateMs: number,
): Target | undefined {
  // Nobody's request: whether it is there at all is asked.
  if (begun === undefined || lateMs === 0) return chosen;
  if (begun.isOver) return undefined;
  const aimMs = AIM * lateMs;
  const letsIn = ({ endpoint }: Target) => begun.lot < endpoint.share(isWrite, aimMs);
  const isLetIn = letsIn(chosen);
  if (!begun.isForNobody) chosen.endpoint.came(isWrite);
  if (isLetIn) return chosen;
  const others = upstream.targets.filter(
    (target) =>
      target !== chosen && target.endpoint.breaker.allows && target.endpoint.away === undefined && letsIn(target),
  );
  if (others.length === 0) return undefined;
  const other = upstream.choose(isWrite, undefined, others);
  // At both: of those who have come to the first its share is taken, and here is one more. Whom nobody lets in is counted at the first alone, or at
  // ten crowded addresses each would be ten.
  if (!begun.isForNobody) other.endpoint.came(isWrite);
  return other;
}

const failures = new Map<string, Failure>();

/** Nothing of it was begun, and its client is told when to come again. Made once for each subgraph: the stack of an error is the dearest part of refusing. */
export function turnedAwayBy(subgraph: string): Failure {
  let failure = failures.get(subgraph);
  if (!failure) {
    const why = `More is asked of ${subgraph} than it answers in time.`;
    failures.set(subgraph, (failure = new Failure('OVERLOADED', why, { cause: NOT_TAKEN, retryAfterS: 1 })));
  }
  return failure;
}
