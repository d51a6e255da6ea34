import { buildSubgraphSchema } from '@apollo/subgraph';
import {
  execute,
  getOperationAST,
  GraphQLError,
  parse,
  validate,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import type { Write } from '#libs/consistency';
import { Failure } from '#libs/failure';
import { silent, type Logger } from '#libs/telemetry';
import { grantsOf, type Grants } from '../../gateway/authorization/grants.js';
import type {
  Engine,
  EngineOptions,
  Operation,
  RequestContext,
  SubgraphCall,
  SubgraphClient,
} from '../../gateway/engine.js';
import { cacheHeadersOf } from '../../gateway/cache/cache-control.js';
import type { EntityCache } from '../../gateway/cache/entity-cache.js';
import type { AnswerHeaders } from '../../gateway/cache/run-cache.js';
import type { Explanation } from '../../gateway/explain/explanation.js';
import { RequestConsistency } from '../../gateway/http/consistency.js';
import { coerceVariables } from '../../gateway/http/variables.js';
import { createEngine } from '../../gateway/run/engine.js';
import { createEngine as createStockEngine } from '../../gateway/stock/engine.js';
import { chooseComposer } from '../../gateway/supergraph/composers.js';
import { readSupergraph, type Supergraph } from '../../gateway/supergraph/supergraph.js';
import { LINK, withResolvers, type SubgraphFixture } from './fixture.js';

export { LINK, withResolvers, type Resolvers, type SubgraphFixture } from './fixture.js';

/** One call that reached a subgraph. */
export interface Call {
  readonly subgraph: string;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly type: 'query' | 'mutation';
  /** As it was sent. */
  readonly body: string;
}

export interface Asked {
  readonly data: unknown;
  readonly errors: readonly { message: string; path: (string | number)[]; extensions: { code: string } }[] | undefined;
  /** The text as the client gets it. */
  readonly body: string;
  readonly calls: readonly Call[];
  readonly explain: Explanation | undefined;
  /** For the client. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface AskOptions extends Partial<
  Pick<
    EngineOptions,
    'planner' | 'merge' | 'join' | 'overrideLabels' | 'random' | 'entities' | 'unauthorized' | 'planDeadlineMs'
  >
> {
  readonly variables?: Record<string, unknown>;
  readonly engine?: 'tributary' | 'apollo';
  /** Who made the supergraph that is asked. */
  readonly composer?: 'apollo' | 'guild';
  readonly subject?: string | null;
  /** The claims of whoever asks; absent: nobody. */
  readonly claims?: Record<string, unknown>;
  readonly grants?: Grants;
  readonly headers?: ReadonlyMap<string, string>;
  readonly signal?: AbortSignal;
  /** Answers instead of the subgraph's own, by its name: bytes, or a Failure as the client gives it. */
  readonly instead?: Readonly<
    Record<string, (call: Call) => string | Buffer | Failure | Promise<string | Buffer | Failure>>
  >;
  /** Passes before a subgraph's call is answered. */
  readonly before?: (call: Call) => Promise<void>;
  readonly logger?: Logger;
  /** Also how it was answered. */
  readonly explain?: boolean;
  /** Nothing that is kept may be the answer. */
  readonly pastCaches?: boolean;
  /** What the client has written lately and has to be shown. */
  readonly wrote?: readonly Write[];
  /** Headers of a subgraph's answers, by its name. */
  readonly answerHeaders?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export class Federation {
  readonly supergraph: Supergraph;
  /** The same services composed by the other composer, when somebody asks for it. */
  readonly #byGuild: () => Supergraph;
  readonly #schemas: ReadonlyMap<string, GraphQLSchema>;
  readonly #engines = new Map<string, Promise<Engine>>();
  /** By the request's signal, which stays the same however the context is copied. */
  readonly #caches: EntityCache[] = [];
  readonly #headers = new WeakMap<Buffer, AnswerHeaders>();
  readonly #open = new Map<RequestContext['signal'], { options: AskOptions; calls: Call[] }>();

  constructor(supergraph: Supergraph, byGuild: () => Supergraph, schemas: ReadonlyMap<string, GraphQLSchema>) {
    this.supergraph = supergraph;
    this.#byGuild = byGuild;
    this.#schemas = schemas;
  }

  async ask(query: string, options: AskOptions = {}): Promise<Asked> {
    const engine = await this.engine(options);
    const operation = operationOf(this.supergraph.schema, query);
    const variables = coerceVariables(this.supergraph.schema, operation, options.variables ?? {}, false);
    const context: RequestContext = {
      requestId: 'request-1',
      subject: options.subject ?? null,
      ...(options.claims && { grants: grantsOf(options.claims) }),
      ...(options.grants && { grants: options.grants }),
      headers: options.headers ?? new Map(),
      signal: options.signal ?? new AbortController().signal,
      deadline: Date.now() + 10_000,
      responseHeaders: [],
      explain: options.explain ?? false,
      pastCaches: options.pastCaches ?? false,
      ...(options.wrote && { consistency: new RequestConsistency(options.wrote, () => Date.now() / 1_000) }),
    };
    const calls: Call[] = [];
    this.#open.set(context.signal, { options, calls });
    const body = (await engine.execute(operation, variables, context)).body.toString();
    const { data, errors, extensions } = JSON.parse(body) as Pick<Asked, 'data' | 'errors'> & {
      extensions?: { explain: Explanation };
    };
    const headers = Object.fromEntries(context.responseHeaders);
    return { data, errors, body, calls, explain: extensions?.explain, headers };
  }

  engine(options: AskOptions = {}): Promise<Engine> {
    const { planner = 'auto', merge = 'flow', join = false, engine = 'tributary', composer = 'apollo' } = options;
    const { overrideLabels = [], random = Math.random, unauthorized = 'filter' } = options;
    // Usually not what is tested, and a machine that is busy with other tests must not meet it.
    const { planDeadlineMs = 60_000 } = options;
    const thrown = options.random ? random() : '';
    const { entities } = options;
    if (entities && !this.#caches.includes(entities)) this.#caches.push(entities);
    const cached = entities ? this.#caches.indexOf(entities) : -1;
    const key = [
      planner,
      merge,
      join,
      engine,
      composer,
      unauthorized,
      thrown,
      cached,
      planDeadlineMs,
      ...overrideLabels,
    ].join();
    let made = this.#engines.get(key);
    if (!made) {
      const create = engine === 'apollo' ? createStockEngine : createEngine;
      made = create(composer === 'guild' ? this.#byGuild() : this.supergraph, {
        subgraphs: this.#client(),
        logger: options.logger ?? silent,
        clock: Date.now,
        planner,
        merge,
        join,
        overrideLabels,
        random,
        unauthorized,
        planDeadlineMs,
        entities,
      });
      this.#engines.set(key, made);
    }
    return made;
  }

  async close(): Promise<void> {
    // One that could not be made has nothing to close.
    for (const engine of this.#engines.values())
      await engine.then(
        (made) => made.close(),
        () => undefined,
      );
  }

  #client(): SubgraphClient {
    return {
      post: async (call, context) => {
        // What is loaded behind a request belongs to none.
        const open = this.#open.get(context.signal) ?? { options: {}, calls: [] };
        const { options } = open;
        const bytes = await this.#answer(call, open, context.subject);
        const said = cacheHeadersOf(options.answerHeaders?.[call.subgraph] ?? {});
        if (said) this.#headers.set(bytes, said);
        return bytes;
      },
      headersOf: (bytes) => this.#headers.get(bytes),
      close: () => Promise.resolve(),
    };
  }

  async #answer(
    { subgraph, body, type }: SubgraphCall,
    { options, calls }: { options: AskOptions; calls: Call[] },
    subject: string | null,
  ): Promise<Buffer> {
    const { query, variables = {} } = JSON.parse(body.toString()) as {
      query: string;
      variables?: Record<string, unknown>;
    };
    const call: Call = { subgraph, query, variables, type, body: body.toString() };
    calls.push(call);
    await options.before?.(call);
    const instead = await options.instead?.[subgraph]?.(call);
    if (instead instanceof Failure) throw instead;
    if (instead !== undefined) return Buffer.from(instead);
    return Buffer.from(JSON.stringify(await answer(this.#schemas.get(subgraph)!, query, variables, subject)));
  }
}

const [apollo, guild] = await Promise.all([chooseComposer('apollo'), chooseComposer('guild')]);

/** Subgraphs → one composed graph with real `@apollo/subgraph` schemas behind it. */
export function federate(fixtures: Readonly<Record<string, SubgraphFixture>>): Federation {
  const documents = Object.entries(fixtures).map(([name, { sdl, raw }]): [string, DocumentNode] => [
    name,
    parse(raw ? sdl : LINK + sdl),
  ]);
  const services = documents.map(([name, typeDefs]) => ({
    name,
    url: `http://${name.replaceAll('_', '-')}.test/graphql`,
    typeDefs,
  }));
  const composed = apollo.compose(services);
  if ('errors' in composed) throw new Error(messages(composed.errors));
  const schemas = new Map(
    documents.map(([name, typeDefs]) => [
      name,
      withResolvers(buildSubgraphSchema({ typeDefs }), fixtures[name]!.resolvers ?? {}),
    ]),
  );
  return new Federation(readSupergraph(composed.supergraphSdl), () => byGuild(fixtures, services), schemas);
}

/** The imports that it does not know are left out where nothing uses them. */
function byGuild(
  fixtures: Readonly<Record<string, SubgraphFixture>>,
  services: readonly { name: string; url: string; typeDefs: DocumentNode }[],
): Supergraph {
  const composed = guild.compose(
    services.map((service) => {
      const { sdl, raw } = fixtures[service.name]!;
      const link = sdl.includes('@cacheTag') ? LINK : LINK.replace('"@cacheTag", ', '');
      return raw ? service : { ...service, typeDefs: parse(link + sdl) };
    }),
  );
  if ('errors' in composed) throw new Error(messages(composed.errors));
  return readSupergraph(composed.supergraphSdl);
}

function messages(errors: readonly GraphQLError[]): string {
  return errors.map(({ message }) => message).join('\n');
}

export function operationOf(schema: GraphQLSchema, query: string, operationName?: string): Operation {
  const { document, errors } = checked(schema, query);
  if (errors.length > 0)
    throw new Error(`The test's query is not valid: ${errors.map(({ message }) => message).join('; ')}`);
  const definition = getOperationAST(document, operationName)!;
  return { query, document, definition, operationName, type: definition.operation as Operation['type'], hash: query };
}

/** Resolvers are told who asks: `context.subject`. */
async function answer(
  schema: GraphQLSchema,
  query: string,
  variableValues: Record<string, unknown>,
  subject: string | null,
): Promise<unknown> {
  const { document, errors } = checked(schema, query);
  if (errors.length > 0) return { errors: errors.map((error) => error.toJSON()) };
  return JSON.parse(
    JSON.stringify(await execute({ schema, document, variableValues, contextValue: { subject } })),
  ) as unknown;
}

interface Checked {
  readonly document: DocumentNode;
  readonly errors: readonly GraphQLError[];
}
const known = new WeakMap<GraphQLSchema, Map<string, Checked>>();

/** Parsed and validated once: where a test asks ten thousand times, that would be most of its time. */
function checked(schema: GraphQLSchema, query: string): Checked {
  const texts = known.get(schema) ?? new Map<string, Checked>();
  known.set(schema, texts);
  let one = texts.get(query);
  if (!one) {
    const document = parse(query);
    texts.set(query, (one = { document, errors: validate(schema, document) }));
  }
  return one;
}

/** What a resolver throws to tell the client something by code. */
export function refuse(code: string, message = code): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}
