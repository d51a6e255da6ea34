import { AsyncLocalStorage } from 'node:async_hooks';
import type { Span } from './tracing.js';

/**
 * The span that the work under way belongs to, for doors that nobody passes one to: SQL, Redis, the outbox. Only recorded ones are ever
 * here, so where nothing is traced this is the test of a boolean (Node asks itself whether anybody has ever called `run`).
 */
const current = new AsyncLocalStorage<Span | undefined>();

/** Whose work is under way. Without any, Node 20 need not look at every promise, which it does from the first `run` on. */
const underWay = new Set<Span>();

export function currentSpan(): Span | undefined {
  const span = current.getStore();
  return span && underWay.has(span) ? span : undefined;
}

/** Until the span ends, whatever `work` begins finds it. */
export function inSpan<T>(span: Span | undefined, work: () => T): T {
  if (span === current.getStore()) return work();
  if (span) underWay.add(span);
  return current.run(span, work);
}

/** Nobody finds it any more. */
export function spanEnded(span: Span): void {
  if (underWay.delete(span) && underWay.size === 0) current.disable();
}
