import { Kind } from 'graphql';
import { asFailure, Failure } from '#libs/failure';
import type { Answer, Engine, EngineFactory, EngineOptions, Operation, RequestContext, Variables } from '../engine.js';
import { ANSWER_BYTES_MAX, AnswerTooLong } from '../http/answer-bytes.js';
import { roundedNumbers } from '../run/exact-numbers.js';
import { clientErrors, hasFailed, type FieldError } from '../http/client-errors.js';
import { NOT_TAKEN } from '../http/refusal.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { BY_GATEWAY, SubgraphSource, type StockContext } from './subgraph-source.js';

/**
 * `ApolloGateway` called through its executor: no Apollo Server. It is the oracle that our own engine is compared with, and what runs
 * under ENGINE=apollo. What it gets wrong where a client could tell is put right here: errors always have a path, a null
 * that should not be has an error, and nothing of a subgraph's answer gets out but by `clientErrors`.
 */
export const createEngine: EngineFactory = async (supergraph, options) => {
  silenceTelemetry();
  const { ApolloGateway } = await import('@apollo/gateway');
  const gateway = new ApolloGateway({
    supergraphSdl: supergraph.sdl,
    buildService: ({ name }) => new SubgraphSource(name, supergraph.subgraphs.get(name)!.url, options.subgraphs),
    __exposeQueryPlanExperimental: false,
    logger: quiet(options),
  });
  const { executor } = await gateway.load();
  return new StockEngine(supergraph, options, executor as unknown as Executor, () => gateway.stop());
};

/** Since 2.14 it reports to Apollo unless this is set, and it looks at nothing but the environment. */
function silenceTelemetry(): void {
  process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
}

type Executor = (request: object) => Promise<StockResult>;

interface StockResult {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly StockError[];
  readonly extensions?: { readonly valueCompletion?: readonly StockError[] };
}

interface StockError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
  readonly originalError?: unknown;
}

class StockEngine implements Engine {
  readonly about = { engine: 'apollo' };
  readonly #supergraph: Supergraph;
  readonly #options: EngineOptions;
  readonly #execute: Executor;
  readonly #stop: () => Promise<void>;
  readonly #asked = new WeakSet<Operation>();

  constructor(supergraph: Supergraph, options: EngineOptions, execute: Executor, stop: () => Promise<void>) {
    this.#supergraph = supergraph;
    this.#options = options;
    this.#execute = execute;
    this.#stop = stop;
  }

  async execute(operation: Operation, variables: Variables, context: RequestContext): Promise<Answer> {
    if (!this.#asked.has(operation)) context.willPlan?.();
    this.#asked.add(operation);
    const asked: StockContext = { context, type: operation.type, calls: 0 };
    let result: StockResult;
    try {
      result = await this.#execute(this.#requestOf(operation, variables, asked));
    } catch (error) {
      if (asked.calls === 0) throw asFailure(error);
      // A list where an object was due, or the other way round, ends the whole walk in stock: nothing is left to show.
      const cause = new Failure('SUBGRAPH_BAD_RESPONSE', undefined, { cause: error });
      return this.#answer(
        null,
        rootPaths(operation).map((path) => gatewayError(cause, path)),
        operation,
        context,
      );
    }
    const errors = errorsOf(result, operation);
    const told = errors.slice(0, result.errors?.length);
    if (context.begun?.nothing === true && told.length > 0 && told.every(({ cause }) => cause === NOT_TAKEN))
      throw NOT_TAKEN;
    return this.#short(this.#answer(result.data ?? null, errors, operation, context), operation, context);
  }

  close(): Promise<void> {
    return this.#stop();
  }

  #requestOf(operation: Operation, variables: Variables, asked: StockContext): object {
    const { requestId } = asked.context;
    return {
      request: {
        query: operation.query,
        operationName: operation.operationName,
        variables: roundedNumbers(variables),
        http: { headers: new Map([['x-request-id', requestId]]) },
      },
      document: operation.document,
      operation: operation.definition,
      operationName: operation.operationName ?? null,
      // The key of its plan cache.
      queryHash: operation.hash,
      source: operation.query,
      schema: this.#supergraph.schema,
      context: asked,
      metrics: {},
      logger: this.#options.logger,
    };
  }

  /** Stock has put it together by then, and only the length of aliases keeps that small; at least it does not leave the house. */
  #short(answer: Answer, operation: Operation, context: RequestContext): Answer {
    const { answerBytesMax = ANSWER_BYTES_MAX } = this.#options;
    if (Buffer.byteLength(answer.body) <= answerBytesMax) return answer;
    return this.#answer(null, [new AnswerTooLong(answerBytesMax).at(rootPaths(operation)[0]?.[0])], operation, context);
  }

  #answer(data: unknown, errors: readonly FieldError[], operation: Operation, context: RequestContext): Answer {
    if (errors.length === 0) return { body: JSON.stringify({ data }), hasErrors: false };
    return {
      body: JSON.stringify({ errors: clientErrors(errors, operation, context, this.#options.logger), data }),
      hasErrors: true,
      hasFailed: hasFailed(errors),
    };
  }
}

function errorsOf(result: StockResult, operation: Operation): FieldError[] {
  const told = (result.errors ?? []).map((error): FieldError => {
    const { serviceName, code, retryAfter, by } = error.extensions ?? {};
    return {
      message: error.message,
      path: error.path ?? rootPaths(operation)[0] ?? [],
      code,
      retryAfter,
      by: by === BY_GATEWAY ? 'gateway' : 'subgraph',
      subgraph: typeof serviceName === 'string' ? serviceName : undefined,
      cause: (error.originalError as { cause?: unknown } | undefined)?.cause,
    };
  });
  // Stock hides these from the client, and the specification wants an error for every null that should not be.
  const completion = (result.extensions?.valueCompletion ?? []).map((error): FieldError => ({
    message: error.message,
    path: error.path ?? [],
    code: 'SUBGRAPH_BAD_RESPONSE',
    by: 'gateway',
  }));
  if (told.length + completion.length > 0 || result.data != null) return [...told, ...completion];
  return [gatewayError(new Failure('SUBGRAPH_BAD_RESPONSE'), rootPaths(operation)[0] ?? [])];
}

function gatewayError(failure: Failure, path: readonly (string | number)[]): FieldError {
  return { message: failure.message, path, code: failure.code, by: 'gateway', cause: failure.cause };
}

function rootPaths(operation: Operation): string[][] {
  return operation.definition.selectionSet.selections.flatMap((selection) =>
    selection.kind === Kind.FIELD ? [[selection.alias?.value ?? selection.name.value]] : [],
  );
}

/** It says at each start that it started; that is for debugging. */
function quiet({ logger }: EngineOptions) {
  const to = (level: 'debug' | 'warn' | 'error') => (message?: unknown) =>
    logger[level]({ from: '@apollo/gateway' }, String(message));
  return { debug: to('debug'), info: to('debug'), warn: to('warn'), error: to('error') };
}
