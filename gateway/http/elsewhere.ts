import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { answerProblem, answerRefusal } from './problem.js';
import { Refusal, TOO_MANY } from './refusal.js';

type Parts = Pick<GraphqlOverHttpParts, 'admission' | 'observe' | 'rates' | 'newId'>;

/** `route`: where Nest has an answer, or GraphQL's own address; undefined: nowhere. */
export function observed(
  request: IncomingMessage,
  response: ServerResponse,
  route: string | undefined,
  observe: Parts['observe'],
): void {
  if (!observe) return;
  const began = performance.now();
  response.once('close', () => {
    const status = response.writableFinished ? response.statusCode : 499;
    observe.request(request.method ?? '', status, performance.now() - began, route);
  });
}

/** Why this address is not to be asked now. Health is not asked this: whoever keeps us up has to hear how we are. */
export function whyRefused(request: IncomingMessage, { admission, rates }: Parts): Refusal | undefined {
  if (admission?.full()) return TOO_MANY;
  try {
    rates?.requireLeft(request, null);
    return undefined;
  } catch (error) {
    return asRefusal(error);
  }
}

/**
 * Says that there is nothing here, or that it cannot be read. It costs the address what an operation that is none does: it would be free
 * else, and whoever sends nothing but such would be told so as fast as they can ask.
 */
export async function answerNothing(
  request: IncomingMessage,
  response: ServerResponse,
  { status, message }: { readonly status: number; readonly message: string },
  parts: Parts,
): Promise<void> {
  const refusal = whyRefused(request, parts) ?? (await whyPaidTooMuch(request, parts));
  if (refusal) answerRefusal(response, refusal, parts.newId());
  else answerProblem(response, status, message, parts.newId());
}

async function whyPaidTooMuch(request: IncomingMessage, { rates }: Parts): Promise<Refusal | undefined> {
  return rates?.refused(request, null).then(() => undefined, asRefusal);
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  throw error;
}
