import { TIMEOUT_HEADER, timeoutText } from '#libs/failure';
import { UP_TO_HEADER } from '#libs/consistency';
import { ASSERTION_HEADER, type Call } from '#libs/identity';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { tellTrace } from './traced.js';

export const METHOD = 'POST';

/** What each subgraph is told about who asks. */
export type Assert = (subgraph: string, subject: string | null, call: Call, write?: string) => string | undefined;

/** What a subgraph is told beside the operation: who asks, until when, and what they have written. */
export function headersOf(
  call: SubgraphCall,
  path: string,
  context: RequestContext,
  assert: Assert,
  timeoutMs: number,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of context.headers) headers[name] = value;
  headers['content-type'] = 'application/json';
  headers['accept'] = 'application/graphql-response+json, application/json';
  headers['x-request-id'] = context.requestId;
  if (context.trace !== undefined) tellTrace(context.trace, headers);
  headers[TIMEOUT_HEADER] = timeoutText(timeoutMs);
  if (context.consistency?.upTo) headers[UP_TO_HEADER] = context.consistency.upTo;
  if (context.pastCaches) headers['cache-control'] = 'no-cache';
  const signed: Call = { method: METHOD, path, headers, body: call.body };
  const assertion = assert(call.subgraph, context.subject, signed, call.write);
  if (assertion !== undefined) headers[ASSERTION_HEADER] = assertion;
  return headers;
}
