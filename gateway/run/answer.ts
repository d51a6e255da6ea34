import { isAscii } from 'node:buffer';
import { Failure } from '#libs/failure';
import { codeInMutation } from '../http/client-errors.js';
import { parseExactly, roundedNumbers } from './exact-numbers.js';
import { isObject, type JsonObject } from './json.js';

/** A subgraph's answer, looked at as far as everything after relies on it. */
export interface SubgraphAnswer {
  readonly data: JsonObject | null;
  readonly errors: readonly SubgraphError[];
}

export interface SubgraphError {
  readonly message: string;
  readonly path: readonly (string | number)[] | undefined;
  readonly code: unknown;
  readonly retryAfter: unknown;
}

/** With `exact`, numbers keep their digits (run/exact-numbers.ts). Throws SUBGRAPH_BAD_RESPONSE for everything that is no GraphQL answer. */
export function readAnswer(bytes: Buffer, exact: boolean): SubgraphAnswer {
  const answer = parsed(bytes, exact);
  if (!isObject(answer)) throw bad('The answer is no JSON object.');
  const data = own(answer, 'data');
  const errors = own(answer, 'errors');
  if (data !== undefined && data !== null && !isObject(data)) throw bad('`data` is no object.');
  if (errors !== undefined && errors !== null && !Array.isArray(errors)) throw bad('`errors` is no list.');
  // What is told of an error goes to people and to logs.
  const list = exact && errors ? roundedNumbers(errors as unknown[]) : ((errors ?? []) as unknown[]);
  if (!data && list.length === 0) throw bad('The answer has neither data nor errors.');
  return { data: data ?? null, errors: list.length === 0 ? none : list.map(errorOf) };
}

/** The same of one of a mutation's calls, as its client is to understand it. */
export function readInMutation(bytes: Buffer, exact: boolean, call: 'query' | 'mutation'): SubgraphAnswer {
  const { data, errors } = readAnswer(bytes, exact);
  return {
    data,
    errors: errors.map((error) => ({ ...error, code: codeInMutation(error.code, call, error.path) })),
  };
}

const none: readonly SubgraphError[] = [];

function parsed(bytes: Buffer, exact: boolean): unknown {
  try {
    // Twice as fast, and most answers are plain.
    const text = bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
    return exact ? parseExactly(text) : JSON.parse(text);
  } catch {
    // What JSON.parse says has a piece of the text in it.
    throw bad(`The answer of ${bytes.length} bytes is not JSON.`);
  }
}

function errorOf(error: unknown): SubgraphError {
  if (!isObject(error))
    return {
      message: 'The subgraph told an error without a message.',
      path: undefined,
      code: undefined,
      retryAfter: undefined,
    };
  const message = own(error, 'message');
  const path = own(error, 'path');
  const extensions = own(error, 'extensions');
  const usable = Array.isArray(path) && path.every((step) => typeof step === 'string' || typeof step === 'number');
  return {
    message: typeof message === 'string' ? message : 'The subgraph told an error without a message.',
    path: usable ? (path as (string | number)[]) : undefined,
    code: isObject(extensions) ? own(extensions, 'code') : undefined,
    retryAfter: isObject(extensions) ? own(extensions, 'retryAfter') : undefined,
  };
}

function own(object: JsonObject, key: string): JsonObject[string] {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function bad(message: string): Failure {
  return new Failure('SUBGRAPH_BAD_RESPONSE', message);
}
