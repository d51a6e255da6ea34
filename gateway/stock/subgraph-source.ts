import type { GraphQLDataSource, GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { Kind, OperationTypeNode, parse, type OperationDefinitionNode } from 'graphql';
import { asFailure, Failure } from '#libs/failure';
import type { Operation, RequestContext, SubgraphClient } from '../engine.js';
import { codeInMutation } from '../http/client-errors.js';

/** What travels through `ApolloGateway` as its context. */
export interface StockContext {
  readonly context: RequestContext;
  /** What its client asked for: a mutation, of which some calls are queries, or a query. */
  readonly type: Operation['type'];
  /** Subgraph calls so far: none, and a failure is of the whole request. */
  calls: number;
}

/** Marks the errors that the gateway made; a symbol, so no subgraph can send it. */
export const BY_GATEWAY = Symbol('by the gateway');

type Process = ReturnType<GraphQLDataSource['process']>;
type Call = GraphQLDataSourceProcessOptions['request'];

/**
 * One subgraph, as stock sees it. A failing call is answered as GraphQL errors, one for each field that was asked for, and never
 * thrown: stock knows where an error with a path belongs in the whole answer, and loses that for a thrown one.
 */
export class SubgraphSource implements GraphQLDataSource<StockContext & Record<string, unknown>> {
  constructor(
    private readonly name: string,
    private readonly url: string,
    private readonly client: SubgraphClient,
  ) {}

  async process(options: GraphQLDataSourceProcessOptions<StockContext & Record<string, unknown>>): Process {
    const { request } = options;
    const asked = options.context as unknown as StockContext;
    asked.calls += 1;
    const type = typeOf(request);
    try {
      const body = JSON.stringify({ query: request.query, variables: request.variables });
      const bytes = await this.client.post({ subgraph: this.name, url: this.url, type, body }, asked.context);
      return this.#checked(bytes, request, asked.type === 'mutation' ? type : undefined) as Awaited<Process>;
    } catch (error) {
      return { errors: this.#failed(asFailure(error), request) } as unknown as Awaited<Process>;
    }
  }

  /** `inMutation`: which of a mutation's calls it is. */
  #checked(bytes: Buffer, request: Call, inMutation: Operation['type'] | undefined): object {
    const { data, errors } = parsed(bytes);
    const paths = pathsOf(request);
    const told = Array.isArray(errors)
      ? errors.filter(isObject).map((error) => this.#told(error, paths[0] ?? [], inMutation))
      : [];
    if (data === undefined || data === null) {
      if (told.length === 0)
        throw new Failure('SUBGRAPH_BAD_RESPONSE', `${this.name} answered neither data nor errors.`);
      return { errors: told };
    }
    if (!isObject(data)) throw new Failure('SUBGRAPH_BAD_RESPONSE', `${this.name} answered data that is no object.`);
    const asked = representationsOf(request);
    const entities = data['_entities'];
    const fits =
      asked === undefined ||
      (Array.isArray(entities) && entities.length === asked && entities.every((one) => one === null || isObject(one)));
    if (!fits) {
      if (told.length > 0) return { errors: told };
      throw new Failure('SUBGRAPH_BAD_RESPONSE', `${this.name} did not answer ${asked} entities.`);
    }
    return told.length > 0 ? { data, errors: told } : { data };
  }

  /** Only what our own rules read of an error, so nothing else of it can get anywhere. */
  #told(
    error: Record<string, unknown>,
    first: readonly (string | number)[],
    inMutation: Operation['type'] | undefined,
  ): object {
    const { code: said, retryAfter } = isObject(error['extensions']) ? error['extensions'] : {};
    const given = error['path'];
    const path =
      Array.isArray(given) && given.length > 0
        ? given.filter((step) => typeof step === 'string' || typeof step === 'number')
        : first;
    const code = inMutation ? codeInMutation(said, inMutation, path) : said;
    return {
      message: typeof error['message'] === 'string' && error['message'] !== '' ? error['message'] : 'no message',
      path,
      extensions: {
        code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR',
        ...(typeof retryAfter === 'number' ? { retryAfter } : {}),
      },
    };
  }

  #failed(failure: Failure, request: Call): object[] {
    const { message, code, cause, retryAfterS: retryAfter } = failure;
    return pathsOf(request).map((path) => ({ message, path, cause, extensions: { code, retryAfter, by: BY_GATEWAY } }));
  }
}

function parsed(bytes: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Failure('SUBGRAPH_BAD_RESPONSE', `The answer of ${bytes.length} bytes is not JSON.`);
  }
  if (!isObject(value)) throw new Failure('SUBGRAPH_BAD_RESPONSE', 'The answer is no JSON object.');
  return value;
}

/** How many places a failing call is told of; `clientErrors` keeps fifty of all. */
const PATHS_MAX = 60;

/** Where the fields of this call are, as the subgraph would say it: `['me']`, or `['_entities', 3, 'postCount']`. */
function pathsOf(request: Call): (string | number)[][] {
  const count = representationsOf(request);
  const fields = fieldsOf(request.query ?? '', count !== undefined);
  if (count === undefined) return fields.map((field) => [field]);
  const paths: (string | number)[][] = [];
  for (let index = 0; index < count && paths.length < PATHS_MAX; index += 1) {
    for (const field of fields) paths.push(['_entities', index, field]);
  }
  return paths;
}

/** A mutation's later calls are queries. */
function typeOf(request: Call): Operation['type'] {
  return operationOf(request.query ?? '')?.operation === OperationTypeNode.MUTATION ? 'mutation' : 'query';
}

function representationsOf(request: Call): number | undefined {
  const representations: unknown = request.variables?.['representations'];
  return Array.isArray(representations) ? representations.length : undefined;
}

function fieldsOf(query: string, ofEntities: boolean): string[] {
  const root = operationOf(query)?.selectionSet.selections ?? [];
  if (!ofEntities) return root.flatMap((one) => (one.kind === Kind.FIELD ? [one.alias?.value ?? one.name.value] : []));
  const entities = root[0]?.kind === Kind.FIELD ? (root[0].selectionSet?.selections ?? []) : [];
  const names = entities.flatMap((fragment) =>
    fragment.kind === Kind.INLINE_FRAGMENT
      ? fragment.selectionSet.selections.flatMap((one) =>
          one.kind === Kind.FIELD ? [one.alias?.value ?? one.name.value] : [],
        )
      : [],
  );
  return [...new Set(names)].filter((name) => name !== '__typename');
}

function operationOf(query: string): OperationDefinitionNode | undefined {
  return parse(query).definitions.find((one) => one.kind === Kind.OPERATION_DEFINITION);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
