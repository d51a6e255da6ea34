import { Kind, OperationTypeNode } from 'graphql';
import type { Logger } from '#libs/telemetry';
import type { Answer, Operation, RequestContext } from '../engine.js';
import { AnswerTooLong } from '../http/answer-bytes.js';
import { clientErrors, hasFailed, type FieldError } from '../http/client-errors.js';
import type { NormalOperation } from '../plan/normalise.js';
import { Output, type Trouble } from './output.js';
import type { Projection } from './projection.js';
import type { Loss, Outcome } from './outcome.js';

const output = new Output();

/** What came of an operation, whoever asked for it. */
export interface Written {
  /** `{"data":…}` */
  readonly body: Buffer;
  readonly errors: readonly FieldError[];
  /** How many more there were. */
  readonly more: number;
}

export function writeData(
  projection: Projection,
  outcome: Outcome,
  introspected: ReadonlyMap<string, string>,
  operation: NormalOperation,
  bytesMax: number,
): Written {
  const failed = outcome.losses.length > 0;
  output.start(failed, failed || outcome.errors.length > 0, bytesMax, outcome.gone);
  try {
    output.piece(START);
    projection.write(outcome.data, introspected, output);
    output.piece(END);
    const { troubles } = output;
    const well = outcome.errors.length === 0 && outcome.losses.length === 0 && troubles.length === 0;
    return { body: output.bytes(), errors: well ? none : errorsOf(outcome, troubles, operation), more: outcome.more };
  } catch (error) {
    if (!(error instanceof AnswerTooLong)) throw error;
    return { body: NOTHING, errors: [error.at(rootKeyOf(operation))], more: 0 };
  } finally {
    output.gone = undefined;
  }
}

/** What was asked for is there, and a mutation done: so it is an error beside data that is null, and no refusal. */
function rootKeyOf({ definition, clientKeys }: NormalOperation): string | undefined {
  const root = definition.selectionSet.selections.find((one) => one.kind === Kind.FIELD);
  const key = root && (root.alias ?? root.name).value;
  return key && (clientKeys.get(key) ?? key);
}

const NOTHING = Buffer.from('{"data":null}');

const START = Buffer.from('{"data":');
const END = Buffer.from('}');
const none: readonly FieldError[] = [];

/** The answer to one request, with its own id in the errors. */
export function answerOf(
  { body, errors, more }: Written,
  operation: Operation,
  asked: Pick<RequestContext, 'requestId' | 'trace'>,
  logger: Logger,
): Answer {
  if (errors.length === 0) return { body, hasErrors: false };
  const text = Buffer.from(`{"errors":${JSON.stringify(clientErrors(errors, operation, asked, logger, more))},`);
  return { body: Buffer.concat([text, body.subarray(1)]), hasErrors: true, hasFailed: hasFailed(errors) };
}

function errorsOf(outcome: Outcome, troubles: readonly Trouble[], operation: NormalOperation): FieldError[] {
  const clientPath = (path: readonly (string | number)[]) =>
    path.map((step) => (typeof step === 'string' ? (operation.clientKeys.get(step) ?? step) : step));
  const told = outcome.errors.map((error) => ({ ...error, path: clientPath(error.path) }));
  const places = new Places(told);
  const found: FieldError[] = [];
  for (const trouble of troubles) {
    const path = trouble.reversedPath;
    const loss = trouble.kind === 'missing' ? lossAt(outcome.losses, path, operation) : undefined;
    if (loss) loss.told = true;
    if (trouble.kind === 'denied') {
      found.push({ message: trouble.message, path, code: 'UNAUTHORIZED_FIELD_OR_TYPE', by: 'gateway' });
      continue;
    }
    // A null that has an error already needs no second one.
    if (trouble.kind !== 'invalid' && places.explain(path)) continue;
    const code = trouble.kind === 'done' ? 'DONE_NOT_SHOWN' : 'SUBGRAPH_BAD_RESPONSE';
    found.push(loss ? fieldError(loss, path) : { message: trouble.message, path, code, by: 'gateway' });
  }
  // What failed is told even when no field that the client sees is missing because of it.
  const silent = outcome.losses
    .filter((loss) => !loss.told)
    .map((loss) => fieldError(loss.keys.length > 0 ? ofDone(loss, operation) : loss, clientPath(rootOf(loss))));
  return [...told, ...found, ...distinct(silent)];
}

function rootOf({ keys, topKeys }: Loss): readonly string[] {
  return (keys.length > 0 ? keys : topKeys).slice(0, 1);
}

/** Who was asked below a mutation's field says nothing of whether that is done, and it is: at its path, another code would send its client to do it again. */
function ofDone(loss: Loss, { definition }: NormalOperation): Loss {
  return definition.operation === OperationTypeNode.MUTATION
    ? { ...loss, code: 'DONE_NOT_SHOWN', by: 'gateway' }
    : loss;
}

function fieldError(loss: Loss, path: readonly (string | number)[]): FieldError {
  const { message, code, retryAfter, by, subgraph, cause } = loss;
  return { message, path, code, retryAfter, by, subgraph, cause };
}

/** The fetch that should have brought the field; else one on the way to it. */
function lossAt(
  losses: readonly Loss[],
  path: readonly (string | number)[],
  operation: NormalOperation,
): Loss | undefined {
  const keys = path.filter((step) => typeof step === 'string');
  const name = (key: string) => operation.clientKeys.get(key) ?? key;
  return (
    losses.find(
      (loss) =>
        loss.keys.length === keys.length - 1 &&
        loss.keys.every((key, i) => name(key) === keys[i]) &&
        loss.topKeys.some((key) => name(key) === keys.at(-1)),
    ) ?? losses.find((loss) => loss.keys.length < keys.length && loss.keys.every((key, i) => name(key) === keys[i]))
  );
}

function distinct(errors: readonly FieldError[]): FieldError[] {
  const seen = new Set<string>();
  return errors.filter((error) => {
    const key = JSON.stringify([error.path, error.code, error.subgraph]);
    return !seen.has(key) && seen.add(key);
  });
}

/** Paths that already have an error, to be asked whether a null is explained by one at or below it. */
class Places {
  readonly #prefixes = new Set<string>();

  constructor(errors: readonly FieldError[]) {
    for (const { path } of errors) {
      let key = '';
      for (const step of path) {
        key += `/${String(step)}`;
        this.#prefixes.add(key);
      }
    }
  }

  explain(path: readonly (string | number)[]): boolean {
    return this.#prefixes.has(path.map((step) => `/${String(step)}`).join(''));
  }
}
