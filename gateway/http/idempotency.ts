import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Failure, type Code } from '#libs/failure';
import type { Answer, Operation } from '../engine.js';
import { rootFieldsOf } from '../plan/root-fields.js';
import { writeExactly } from '../run/exact-numbers.js';
import { Refusal } from './refusal.js';

const HEADER = 'idempotency-key';
const LENGTH_MAX = 255;

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): what subgraphs are told, so that a mutation that is repeated takes
 * effect once. Undefined where none came: a query is repeated as it is.
 *
 * The variables are those that the client sent and the operation declares, whatever the schema makes of them today.
 *
 * Two digests: nobody behind us can read a key, and what is asked may hold a password, so its digest can be made only by who has
 * the key.
 */
export function idempotencyOf(
  { headers }: IncomingMessage,
  operation: Operation,
  variables: Readonly<Record<string, unknown>>,
): string | undefined {
  const came = headers[HEADER];
  if (came === undefined || operation.type !== 'mutation') return undefined;
  const key = keyOf(String(came));
  const declared = (operation.definition.variableDefinitions ?? [])
    .map(({ variable }) => variable.name.value)
    .filter((name) => Object.hasOwn(variables, name));
  const sent = inOneOrder(Object.fromEntries(declared.map((name) => [name, variables[name]])));
  const asked = createHmac('sha256', key).update(`${operation.hash} ${writeExactly(sent)}`);
  return `${createHash('sha256').update(key).digest('base64url')}.${asked.digest('base64url')}`;
}

/** Objects have no order, and not every client keeps one. */
function inOneOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOneOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([name, of]) => [name, inOneOrder(of)]));
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
 * A key that is refused is a request that is refused, with its own status, where nothing of it was done: each root field is null by such a
 * refusal. Where another field was done after all, or nobody knows whether it was, the answer says so.
 */
export function refuseKey(
  answer: Answer,
  { document, definition }: Pick<Operation, 'document' | 'definition'>,
): Answer {
  if (!answer.hasErrors) return answer;
  const { data, errors } = JSON.parse(String(answer.body)) as {
    data: Record<string, unknown> | null;
    errors: readonly { path?: readonly unknown[]; extensions: { code: Code } }[];
  };
  const codes = errors.map(({ extensions }) => extensions.code);
  if (!codes.every((code) => REFUSED.has(code))) return answer;
  const refused = new Set(errors.map(({ path }) => path?.[0]));
  // By which the type of the root is answered: no field that is done.
  const fields = rootFieldsOf(document, definition).filter(({ name }) => name.value !== '__typename');
  const keys = new Set(fields.map(({ alias, name }) => (alias ?? name).value));
  // What a field above it was null for, nobody can tell: another may have been done before.
  if (data === null ? keys.size > 1 : [...keys].some((key) => data[key] !== null || !refused.has(key))) return answer;
  throw new Failure(codes[0]!);
}
