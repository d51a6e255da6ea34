import type { ServerResponse } from 'node:http';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';

/**
 * What is said of an answer to whoever might keep it, a browser or a cache between; what is to be said besides comes back, by turns a name
 * and its value. One of which nobody said that it may be kept is not. What may be is for a request that is as this one was, in all that
 * could make the answer another: a browser that has written since sends other cookies, so it asks again.
 */
export function keptHeaders(
  response: Pick<ServerResponse, 'hasHeader' | 'getHeader' | 'removeHeader' | 'appendHeader'>,
  { forward, grants }: Pick<GraphqlOverHttpParts, 'forward' | 'grants'>,
): readonly string[] {
  if (!response.hasHeader('cache-control')) return NOT_KEPT;
  if (/\bno-store\b/i.test(String(response.getHeader('cache-control')))) return [];
  if (grants !== undefined) {
    // POLICY_MODULE decides by whatever header it likes.
    response.removeHeader('cache-control');
    return NOT_KEPT;
  }
  response.appendHeader('vary', [...VARY, ...forward].join(', '));
  return [];
}

const NOT_KEPT = ['cache-control', 'private, no-store'];

/** An address may be the playground's as well (Accept); the rest says who asks, and what they have to be shown. */
const VARY = ['Accept', 'Authorization', 'Cookie', 'Consistency-Token', 'Tributary-Consistency'];
