import { execute, type GraphQLSchema } from 'graphql';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { silent, type Logger } from '#libs/telemetry';
import type { Engine, Operation, RequestContext, Variables } from '../../gateway/engine.js';
import { clientErrors, hasFailed } from '../../gateway/http/client-errors.js';
import { Documents } from '../../gateway/http/documents.js';
import type { GraphqlOverHttpParts } from '../../gateway/http/graphql-over-http-parts.js';
import { answerGraphql } from '../../gateway/http/graphql-over-http.js';
import { noIdentity } from '../../gateway/http/identity.js';
import { DOCUMENT_LIMITS } from '../../gateway/http/limits.js';
import { answerBrokenRequest, limitServer, NODE_LIMITS, SERVER_OPTIONS } from '../../gateway/http/node-limits.js';
import { ServedSupergraph } from '../../gateway/supergraph/served.js';
import type { Supergraph } from '../../gateway/supergraph/supergraph.js';

/** The gateway's HTTP rules on a bare Node server before one executable schema: no Nest, no subgraphs. */
export interface TinyHttp {
  readonly url: string;
  readonly server: Server;
  readonly documents: Documents;
  /** What reached the engine. */
  readonly executed: {
    readonly operation: Operation;
    readonly variables: Variables;
    readonly context: RequestContext;
  }[];
  close(): Promise<void>;
}

export interface TinyHttpOptions extends Partial<GraphqlOverHttpParts> {
  readonly introspection?: boolean;
  readonly logger?: Logger;
  readonly execute?: Engine['execute'];
}

export async function startTinyHttp(
  schema: GraphQLSchema,
  root: object,
  options: TinyHttpOptions = {},
): Promise<TinyHttp> {
  const { introspection = true, logger = silent } = options;
  const executed: TinyHttp['executed'] = [];
  const planned = new WeakSet<Operation>();
  const engine: Engine = {
    about: {},
    async execute(operation, variables, context) {
      if (!planned.has(operation)) context.willPlan?.();
      planned.add(operation);
      executed.push({ operation, variables, context });
      if (options.execute) return options.execute(operation, variables, context);
      const result = await execute({
        schema,
        document: operation.document,
        rootValue: root,
        variableValues: variables,
        operationName: operation.operationName ?? null,
      });
      const errors = (result.errors ?? []).map(({ message, path, extensions }) => ({
        message,
        path: path ?? [],
        code: extensions['code'],
        by: 'subgraph' as const,
      }));
      if (errors.length === 0) return { body: JSON.stringify({ data: result.data }), hasErrors: false };
      return {
        body: JSON.stringify({ errors: clientErrors(errors, operation, context, logger), data: result.data }),
        hasErrors: true,
        hasFailed: hasFailed(errors),
      };
    },
    close: () => Promise.resolve(),
  };
  const documents = new Documents(schema, {
    limits: DOCUMENT_LIMITS,
    introspection,
    suggestions: introspection,
    cacheBytes: 1_000_000,
    cost: { limit: 0, listSize: 10, listSizes: new Map(), weights: new Map() },
  });
  const served = new ServedSupergraph({
    source: { from: 'a test', read: () => Promise.resolve('once') },
    build: () =>
      Promise.resolve({
        supergraph: { schema, subgraphs: new Map(), id: 'tiny' } as unknown as Supergraph,
        engine,
        documents,
      }),
    pollMs: 600_000,
    logger: silent,
  });
  await served.start();
  let ids = 0;
  const parts: GraphqlOverHttpParts = {
    served,
    identity: noIdentity,
    cors: { origins: [], credentials: false, headers: [], exposed: [] },
    forward: [],
    bodyBytesMax: 256 * 1024,
    timeoutMs: 10_000,
    suggestions: introspection,
    page: undefined,
    clock: Date.now,
    newId: () => `request-${(ids += 1)}`,
    ...options,
    logger,
  };
  const server = createServer(SERVER_OPTIONS, (request, response) => void answerGraphql(request, response, parts));
  server.on('clientError', (error, socket) => answerBrokenRequest(error, socket as Socket, parts.newId));
  limitServer(server, 1_000, parts.newId, undefined, { ...NODE_LIMITS, bodyBytesMax: parts.bodyBytesMax });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    server,
    documents,
    executed,
    async close() {
      await served.close();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

/** What must never be in a body that leaves the house: paths, addresses, SQL, stacks, secrets. */
export const LEAK =
  /\/srv|\/work|\/root|node_modules|at .+:\d+:\d+|https?:\/\/|127\.0\.0\.1|password|hunter2|SELECT |select \*|ECONN|stack|<html|<!doctype/i;
