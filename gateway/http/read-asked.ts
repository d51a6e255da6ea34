import type { IncomingMessage, ServerResponse } from 'node:http';
import { exactNumbersWithin } from '../run/exact-numbers.js';
import { refuseCrossSite } from './cross-site.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { inTurn, requireHeap } from './in-turn.js';
import { notAcceptable, type ResponseType } from './media-type.js';
import { readRequest, type GraphqlRequest } from './read-request.js';
import { Refusal } from './refusal.js';
import { VARIABLE_LIMITS } from './variables.js';

/**
 * What is asked, where it may be asked so, and until when it is answered. That is counted from when it was whole: a client that sends slowly
 * would otherwise be counted as a service that answers late.
 */
export async function readAsked(
  request: IncomingMessage,
  response: ServerResponse,
  subject: string | null,
  type: ResponseType | undefined,
  timeoutMs: number,
  parts: GraphqlOverHttpParts,
): Promise<{ readonly asked: GraphqlRequest; readonly deadline: number }> {
  requireMethod(request.method);
  refuseCrossSite(request.method!, request.headers, parts.cors);
  if (!type) throw notAcceptable();
  const { variables = VARIABLE_LIMITS } = parts;
  let deadline: number | undefined;
  const asked = await readRequest(request, {
    bytesMax: parts.bodyBytesMax,
    exactNumbersMax: exactNumbersWithin(variables.bytes),
    variables,
    bodies: parts.bodies,
    async dear(cost, bytes, parse) {
      requireHeap(parts);
      // It waits here as well.
      deadline = parts.clock() + timeoutMs;
      await parts.rates?.take(request, subject, cost);
      if (cost < DEAR) return parse();
      return inTurn(request, response, subject, bytes, deadline - parts.clock(), parts, parse);
    },
  });
  return { asked, deadline: deadline ?? parts.clock() + timeoutMs };
}

/** 1 ms. */
const DEAR = 10;

function requireMethod(method: string | undefined): void {
  if (method !== 'GET' && method !== 'POST') throw methodNotAllowed('GraphQL is asked by GET or POST.', 'GET, POST');
}

export function methodNotAllowed(message: string, allow: string): Refusal {
  return new Refusal(405, 'BAD_REQUEST', message, { headers: { allow } });
}
