import { Failure } from '#libs/failure';

/** One per request; loaders hang on it in a WeakMap. */
export interface RequestContext {
  /** uuid of the person who asks, as the gateway asserted it; null for nobody. */
  readonly viewer: string | null;
  readonly requestId: string;
}

/** The person who asks, where a field needs one. */
export function requireViewer(context: RequestContext): string {
  if (context.viewer === null) throw new Failure('UNAUTHENTICATED');
  return context.viewer;
}
