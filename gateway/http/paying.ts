import type { IncomingMessage } from 'node:http';
import type { Answer } from '../engine.js';
import { CLIENT_GONE } from './ending.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import type { Rates } from './rates.js';
import { OWN_LINE, refusalOf } from './refusal.js';

/** What cannot even be asked (another method, no JSON, a token that is none, a document that may not run) costs its client something. */
export function notForNothing<T>(
  request: IncomingMessage,
  subject: string | null,
  { rates }: GraphqlOverHttpParts,
  work: Promise<T>,
): Promise<T> {
  return rates ? orCounted(request, subject, rates, work) : work;
}

async function orCounted<T>(
  request: IncomingMessage,
  subject: string | null,
  rates: Rates,
  work: Promise<T>,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { status, code } = refusalOf(error);
    // Who has sent more than can be read in turn pays for what was not read too.
    if (error !== CLIENT_GONE && (status < 500 || error === OWN_LINE) && code !== 'RATE_LIMITED')
      await rates.refused(request, subject).catch((limit: unknown) => {
        // What was not read of a body is not read now either.
        throw request.complete ? limit : error;
      });
    throw error;
  }
}

/**
 * What `prepare` finds, when this client may still ask for as much; what it refuses is counted as well. `reading`: what was read because
 * nobody had sent it before. That is counted afterwards: a client who is sent away for it would have it for nothing when it comes again.
 */
export async function affordable<Asked extends { readonly cost: number }>(
  request: IncomingMessage,
  subject: string | null,
  rates: Rates,
  prepare: () => Asked,
  reading: () => number,
): Promise<Asked> {
  let asked: Asked;
  try {
    asked = prepare();
  } catch (error) {
    await rates.refused(request, subject, reading());
    throw error;
  }
  await rates.begin(request, subject, asked.cost);
  if (reading() > 0) await rates.owe(request, subject, reading());
  return asked;
}

/**
 * Also where no answer comes of it: what was read of services until a deadline, or until the client went away, has been read. Whoever
 * joined a read that was under way pays for what is written.
 */
export async function payingForBytes(
  run: Promise<Answer>,
  fetched: { readonly bytes: number },
  owe: (bytes: number) => Promise<void>,
): Promise<Answer> {
  let written = 0;
  try {
    const answer = await run;
    written = Buffer.byteLength(answer.body);
    return answer;
  } finally {
    await owe(Math.max(fetched.bytes, written));
  }
}
