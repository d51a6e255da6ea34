import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { digitsOf, mayHaveExactNumbers, parseExactly, TooManyExactNumbers } from '../run/exact-numbers.js';
import type { Bodies } from './bodies.js';
import { requireJson } from './media-type.js';
import { withoutPrefix } from './persisted-documents.js';
import { readBody } from './read-body.js';
import { bodyCost } from './reading.js';
import { Refusal } from './refusal.js';
import { requireBounded, type VariableLimits } from './variables.js';

/** What a GraphQL request says, by whichever method it came. */
export interface GraphqlRequest {
  /** The text; absent when only an id came. */
  readonly query: string | undefined;
  /** Of a document that was registered before: `documentId`, or `extensions.persistedQuery` of Apollo's clients (`automatic`). */
  readonly documentId:
    | {
        /** Undefined: it came in a form that nobody knows. */ readonly id: string | undefined;
        readonly automatic: boolean;
      }
    | undefined;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  /** What it may hold while it waits, beside its text. */
  readonly heapBytes: number;
}

export interface ReadRules {
  /** Of a body, inflated. */
  readonly bytesMax: number;
  /** Numbers that are kept to the digit (run/exact-numbers.ts). */
  readonly exactNumbersMax: number;
  readonly variables: VariableLimits;
  readonly bodies?: Bodies | undefined;
  /** Parses a body or an address of so many bytes that costs more than any request does (reading.ts), when it is paid for; throws when it cannot be. */
  readonly dear: <T>(cost: number, bytes: number, parse: () => T) => Promise<T>;
}

/** GraphQL over HTTP: the four parameters from a POSTed body or a GET's address. */
export async function readRequest(request: IncomingMessage, rules: ReadRules): Promise<GraphqlRequest> {
  const search = searchOf(request.url ?? '');
  if (search.size > 0) refuseTokens(search);
  if (request.method === 'GET') {
    if (request.headers['content-type'] !== undefined) requireJson(request.headers['content-type']);
    const written = ['variables', 'extensions'].flatMap((name) => search.get(name) ?? []);
    return parsed((request.url ?? '').length, written, () => parametersOf(search, rules), rules);
  }
  requireJson(request.headers['content-type'] ?? '');
  const bytes = await readBody(request, rules.bytesMax, rules.bodies);
  // Decoding would put U+FFFD where the bytes are wrong, and change what somebody wrote without a word.
  if (!isUtf8(bytes)) throw badRequest('The body is not UTF-8.');
  const text = bytes.toString('utf8');
  return parsed(bytes.length, [text], () => bodyOf(text, rules), rules);
}

/** What comes of `parse`, which reads JSON of these texts, when the request may have it: it has come in so many bytes. */
function parsed(
  bytes: number,
  texts: readonly string[],
  parse: () => Record<string, unknown>,
  rules: ReadRules,
): GraphqlRequest | Promise<GraphqlRequest> {
  // Nearly all are short: the one price of a request pays for them.
  if (bodyCost(bytes, false) === 0) return requestOf(parse(), bytes, rules);
  return rules.dear(bodyCost(bytes, texts.some(mayHaveExactNumbers)), bytes, () => {
    const asked = requestOf(parse(), bytes, rules);
    // Before it waits again, for its text: 256 KiB of `[{},{},…]` are 5 MB.
    requireBounded(asked.variables, rules.variables);
    return asked;
  });
}

function bodyOf(text: string, rules: ReadRules): Record<string, unknown> {
  const value = jsonOf(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, 'The body', rules);
  if (Array.isArray(value)) throw badRequest('One request carries one operation; batching is off.');
  if (!isObject(value)) throw badRequest('The body has to be a JSON object with a query.');
  return value;
}

const PARAMETERS = ['query', 'documentId', 'operationName', 'variables', 'extensions'];

function parametersOf(search: ReadonlyMap<string, readonly string[]>, rules: ReadRules): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const name of PARAMETERS) {
    const values = search.get(name);
    if (values === undefined) continue;
    if (values.length > 1) throw badRequest(`The address says ${name} more than once.`);
    const [value] = values as [string];
    // As if it had been left out: an empty text names no operation, and is no JSON.
    if (value === '' && name !== 'query') continue;
    found[name] = name === 'variables' || name === 'extensions' ? jsonOf(value, name, rules) : value;
  }
  return found;
}

/** Measured of a list of empty objects, the most that JSON becomes. */
const HEAP_PER_BYTE = 20;

/** What variables may hold, that are not longer than these limits. */
export function variablesHeapBytes({ bytes }: VariableLimits): number {
  return HEAP_PER_BYTE * bytes;
}

/** `bytes`: of what it came in. */
function requestOf(parameters: Record<string, unknown>, bytes: number, rules: ReadRules): GraphqlRequest {
  const { query, documentId, operationName, variables, extensions } = parameters;
  if (!isAbsent(extensions) && !isObject(extensions)) throw badRequest('extensions has to be an object.');
  const id = idOf(documentId, extensions ?? undefined);
  if (id === undefined ? !isText(query) : !isAbsent(query) && !isText(query))
    throw badRequest('query has to be a text: the GraphQL document.');
  if (!isAbsent(operationName) && !isText(operationName)) throw badRequest('operationName has to be a text.');
  if (!isAbsent(variables) && !isObject(variables)) throw badRequest('variables has to be an object.');
  const text = (query as string | null | undefined) ?? undefined;
  return {
    query: text,
    documentId: id,
    operationName: operationName ?? undefined,
    variables: variables ?? {},
    heapBytes: Math.min(HEAP_PER_BYTE * Math.max(0, bytes - (text?.length ?? 0)), variablesHeapBytes(rules.variables)),
  };
}

/**
 * `documentId` is of the persisted documents appendix of GraphQL over HTTP; `extensions.persistedQuery` is what Apollo's clients send.
 */
function idOf(documentId: unknown, extensions: Record<string, unknown> | undefined): GraphqlRequest['documentId'] {
  const persisted = extensions?.['persistedQuery'];
  const { version, sha256Hash } = isObject(persisted) ? persisted : {};
  if (!isAbsent(documentId)) {
    if (!isText(documentId) || documentId.length > ID_LENGTH_MAX)
      throw badRequest('documentId has to be a text: the id of a registered document.');
    const id = withoutPrefix(documentId);
    if (isText(sha256Hash) && sha256Hash !== id)
      throw badRequest('documentId and extensions.persistedQuery name two documents; send one of them.');
    return { id, automatic: false };
  }
  if (isAbsent(persisted)) return undefined;
  const isKnown = version === 1 && isText(sha256Hash) && sha256Hash.length <= ID_LENGTH_MAX;
  return { id: isKnown ? sha256Hash : undefined, automatic: true };
}

const ID_LENGTH_MAX = 256;

/** `?a=1&a=2` → a: ['1', '2']. Not URLSearchParams: that decodes what is no UTF-8 to U+FFFD without a word. */
function searchOf(url: string): ReadonlyMap<string, readonly string[]> {
  const mark = url.indexOf('?');
  if (mark < 0) return NOTHING;
  const found = new Map<string, string[]>();
  for (const pair of url.slice(mark + 1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const values = found.get(name) ?? [];
    values.push(equals < 0 ? '' : decoded(pair.slice(equals + 1)));
    found.set(name, values);
  }
  return found;
}

const NOTHING: ReadonlyMap<string, readonly string[]> = new Map();

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badRequest('The address is not percent-encoded UTF-8.');
  }
}

/** Addresses end up in logs, histories and referrers: a token in one is already lost. */
function refuseTokens(search: ReadonlyMap<string, unknown>): void {
  for (const name of search.keys()) {
    if (['access_token', 'token', 'id_token', 'authorization', 'bearer'].includes(name.toLowerCase())) {
      throw badRequest('A token goes into the header Authorization: Bearer …, never into the address.');
    }
  }
}

function jsonOf(text: string, what: string, { exactNumbersMax }: ReadRules): unknown {
  try {
    return parseExactly(text, exactNumbersMax);
  } catch (cause) {
    if (cause instanceof TooManyExactNumbers)
      throw badRequest(
        `${what} may have at most ${cause.most} numbers that are kept to the digit (1.50, 1e3, long ones).`,
      );
    throw Refusal.of('BAD_REQUEST', `${what} is not JSON.`, { cause });
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A number that is kept to the digit looks like one: what is told of a text would tell its mark. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && digitsOf(value) === undefined;
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

function badRequest(message: string): Refusal {
  return Refusal.of('BAD_REQUEST', message);
}
