import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Failure, type Code } from '#libs/failure';
import type { Answer, Operation, Variables } from '../engine.js';
import { Refusal } from './refusal.js';

const HEADER = 'idempotency-key';
const LENGTH_MAX = 255;

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): what subgraphs are told, so that a mutation that is repeated takes
 * effect once. Undefined where none came: a query is repeated as it is.
 *
 * Two digests: nobody behind us can read a key, and what is asked may hold a password, so its digest can be made only by who has
 * the key.
 */
export function idempotencyOf(
  { headers }: IncomingMessage,
  operation: Operation,
  variables: Variables,
): string | undefined {
  const came = headers[HEADER];
  if (came === undefined || operation.type !== 'mutation') return undefined;
  const key = keyOf(String(came));
  const asked = createHmac('sha256', key).update(`${operation.hash} ${JSON.stringify(variables)}`);
  return `${createHash('sha256').update(key).digest('base64url')}.${asked.digest('base64url')}`;
}

/** A string of structured fields (RFC 9651), as the draft has it; or what most clients send, the same without its quotes. */
function keyOf(text: string): string {
  const [, quoted, bare] = KEY.exec(text.trim()) ?? [];
  const key = quoted?.replaceAll(/\\(["\\])/g, '$1') ?? bare ?? '';
  if (key !== '' && key.length <= LENGTH_MAX) return key;
  throw Refusal.of(
    'BAD_REQUEST',
    `Idempotency-Key takes one text of 1 to ${LENGTH_MAX} characters, for example "8e03978e-40d5-43dd-bc93-6894a57f9324".`,
  );
}

const KEY = /^(?:"((?:[ !#-[\]-~]|\\["\\])*)"(?:;[ -~]*)?|([\w.~:+/=-]+))$/;

const REFUSED: ReadonlySet<unknown> = new Set<Code>(['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_IN_USE']);

/**
 * A key that is refused is a request that is refused, with its own status, where nothing of it was done. Where an earlier field was
 * done after all, the answer says so.
 */
export function refuseKey(answer: Answer): Answer {
  if (!answer.hasErrors) return answer;
  const { data, errors } = JSON.parse(String(answer.body)) as {
    data: Record<string, unknown> | null;
    errors: readonly { extensions: { code: Code } }[];
  };
  const code = errors.map(({ extensions }) => extensions.code).find((one) => REFUSED.has(one));
  if (code !== undefined && Object.values(data ?? {}).every((value) => value === null)) throw new Failure(code);
  return answer;
}
