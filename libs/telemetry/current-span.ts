import { AsyncLocalStorage } from 'node:async_hooks';
import type { Span } from './tracing.js';

/**
 * The span that the work under way belongs to, for doors that nobody passes one to: SQL, Redis, the outbox. Only recorded ones are ever
 * here, so where nothing is traced this is the test of a boolean (Node asks itself whether anybody has ever called `run`).
 */
const current = new AsyncLocalStorage<Span | undefined>();

export function currentSpan(): Span | undefined {
  return current.getStore();
}

export function inSpan<T>(span: Span | undefined, work: () => T): T {
  return span === current.getStore() ? work() : current.run(span, work);
}
