import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import {
  execute,
  GraphQLError,
  parse,
  validate,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLSchema,
} from 'graphql';
import { Failure } from '#libs/failure';
import { silent } from '#libs/telemetry';
import type {
  Engine,
  EngineOptions,
  Operation,
  RequestContext,
  SubgraphCall,
  SubgraphClient,
} from '../../../gateway/engine.js';
import { Coverage } from '../../../gateway/plan/coverage.js';
import type { Plan } from '../../../gateway/plan/plan.js';
import { choose, choosePlanner } from '../../../gateway/plan/planner.js';
import { TributaryEngine } from '../../../gateway/run/engine.js';
import { createEngine as createStockEngine } from '../../../gateway/stock/engine.js';
import { readSupergraph, type Supergraph } from '../../../gateway/supergraph/supergraph.js';
import { chooser } from './choose.js';
import { forget } from './forget.js';
import { makeModel } from './make-model.js';
import type { Model } from './model.js';
import { WorldPlanners } from './planners.js';
import { Values, type Moment, type Thing } from './values.js';
import { writeSdl } from './write-sdl.js';

/** Who answers: our engine by default, with MERGE=plan, with each planner alone; and `ApolloGateway`. */
export const WAYS = ['default', 'batches', 'apollo', 'native', 'stock'] as const;
export type Way = (typeof WAYS)[number];

export interface Told {
  /** As the client gets it. */
  readonly data: unknown;
  readonly errors: readonly (readonly (string | number)[])[];
  readonly messages: readonly string[];
  /** Of the errors those that say what a subgraph does not know: where that may be null nobody needs to be told. */
  readonly unknown?: readonly (readonly (string | number)[])[];
  /** What was sent to subgraphs. */
  readonly calls?: readonly string[];
  readonly refused?: true;
}

/** What an engine may be replaced by, to see that a wrong one is caught. */
export interface Tampering {
  readonly engine?: (engine: Engine, supergraph: Supergraph) => Engine;
  readonly client?: (client: SubgraphClient) => SubgraphClient;
  /** Plans go out as the planners made them. */
  readonly unchecked?: boolean;
}

/** A generated graph: composed, with every subgraph in this process, and as the one schema that has everything. */
export class World {
  readonly model: Model;
  readonly sdl: Readonly<Record<string, string>>;
  readonly supergraph: Supergraph;
  /** By Apollo's own reading of the supergraph, so not by the code under test. */
  readonly api: GraphQLSchema;
  readonly #values: Values;
  readonly #schemas: ReadonlyMap<string, GraphQLSchema>;
  readonly #documents = new Map<string, DocumentNode>();
  readonly #engines = new Map<Way, Promise<Engine>>();
  readonly #moments = new Map<RequestContext['signal'], Moment>();
  readonly #planners = new WorldPlanners();
  readonly #tampering: Tampering;
  /** What subgraphs said of the last question: the engines mask it. */
  readonly said: string[] = [];
  /** What was sent to subgraphs for the last question. */
  readonly #calls: string[] = [];

  constructor(model: Model, sdl: Readonly<Record<string, string>>, tampering: Tampering = {}) {
    this.model = model;
    this.sdl = sdl;
    this.#tampering = tampering;
    this.#values = new Values(model);
    const documents = Object.entries(sdl).map(([name, text]): [string, DocumentNode] => [name, parse(text)]);
    const composed = composeServices(
      documents.map(([name, typeDefs]) => ({ name, url: `http://${name.replace('_', '-')}.test/graphql`, typeDefs })),
    );
    if (composed.errors) throw new DoesNotCompose(composed.errors.map(({ message }) => message).join('\n'));
    this.supergraph = readSupergraph(composed.supergraphSdl);
    this.api = composed.schema.toAPISchema().toGraphQLJSSchema();
    this.#schemas = new Map(documents.map(([name, typeDefs]) => [name, this.#subgraphSchema(name, typeDefs)]));
  }

  /** The monolith's answer: graphql-js over the merged schema. */
  async truth(operation: Operation, variables: Record<string, unknown>, moment: Moment): Promise<Told> {
    const now = { ...moment, turns: 0 };
    const result = await execute({
      schema: this.api,
      document: operation.document,
      variableValues: variables,
      rootValue: { __typename: operation.type === 'query' ? 'Query' : 'Mutation', id: '' },
      typeResolver: (thing: Thing) => thing.__typename,
      fieldResolver: (thing: Thing, args: Record<string, unknown>, _context, info) =>
        this.#values.monolith(thing, this.#values.field(thing.__typename, info.fieldName), args, now),
    });
    const unknown = (result.errors ?? []).filter(({ message }) => this.#isUnknown(message));
    return { ...told(result), ...(unknown.length > 0 && { unknown: unknown.map(({ path }) => path ?? []) }) };
  }

  /** Of nothing else of a generated world is null where it may not be. */
  #isUnknown(message: string): boolean {
    const [, type = '', name = ''] = /^Cannot return null for non-nullable field (\w+)\.(\w+)\.$/.exec(message) ?? [];
    const object = this.model.objects.get(type);
    return object?.forgetful !== undefined && object.fields.get(name)?.homes.has(object.forgetful) === true;
  }

  async ask(way: Way, operation: Operation, variables: Record<string, unknown>, moment: Moment): Promise<Told> {
    const engine = await this.#engine(way);
    // A busy machine may plan for longer than a request waits; the plan is there for whoever asks again.
    for (let again = 5; again > 0; again -= 1) {
      const told = await this.#askOnce(engine, operation, variables, moment);
      if (!(told.refused && told.messages[0]?.includes(OVERDUE))) return told;
    }
    throw new Error(`There was no plan for ${operation.query} in five times the time that a request waits.`);
  }

  async #askOnce(
    engine: Engine,
    operation: Operation,
    variables: Record<string, unknown>,
    moment: Moment,
  ): Promise<Told> {
    this.said.length = 0;
    this.#calls.length = 0;
    const context: RequestContext = {
      requestId: 'request-1',
      subject: null,
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: Date.now() + 20_000,
      responseHeaders: [],
    };
    this.#moments.set(context.signal, { ...moment, turns: 0 });
    try {
      const answer = await engine.execute(operation, variables, context);
      return { ...told(JSON.parse(answer.body.toString()) as ExecutionResult), calls: [...this.#calls] };
    } catch (error) {
      return {
        data: 'refused',
        refused: true,
        errors: [],
        messages: [error instanceof Error ? error.message : String(error)],
      };
    } finally {
      this.#moments.delete(context.signal);
    }
  }

  /** As it is run, and what the gateway's own check says of it. */
  async planOf(
    way: Way,
    operation: Operation,
    variables: Record<string, unknown>,
  ): Promise<{ plan: Plan; left: ReadonlySet<string> }> {
    const engine = await this.#engine(way);
    if (!(engine instanceof TributaryEngine)) return NO_PLAN;
    const normal = engine.normalOf(operation, variables);
    if (normal.planned === undefined) return NO_PLAN;
    const kind = operation.type;
    // Every label of a generated world is `percent(100)`, and every throw is below that.
    const percent = this.supergraph.sdl.includes('overrideLabel:') ? 0 : 100;
    const plan = await engine.plans.plan(normal, { labels: [], percent });
    return { plan, left: Coverage.of(this.supergraph).uncovered(normal.planned, kind, plan) };
  }

  async close(): Promise<void> {
    for (const engine of this.#engines.values()) await (await engine).close();
    await this.#planners.close();
  }

  #engine(way: Way): Promise<Engine> {
    let engine = this.#engines.get(way);
    if (!engine) {
      engine = this.#open(way);
      this.#engines.set(way, engine);
    }
    return engine;
  }

  async #open(way: Way): Promise<Engine> {
    const { client = (one) => one, engine = (one) => one, unchecked = false } = this.#tampering;
    const options: EngineOptions = {
      subgraphs: this.#client(),
      logger: silent,
      clock: Date.now,
      planner: way === 'apollo' || way === 'native' ? way : 'auto',
      merge: way === 'batches' ? 'plan' : 'flow',
      join: false,
    };
    if (way === 'stock') return createStockEngine(this.supergraph, options);
    const { supergraph } = this;
    const { planner, reason } = unchecked
      ? await choose(supergraph, options.planner, silent, this.#planners, this.#planners.checking(supergraph))
      : await choosePlanner(supergraph, options.planner, silent, this.#planners);
    const ours = { ...options, subgraphs: client(options.subgraphs) };
    return engine(new TributaryEngine(supergraph, ours, planner, reason), supergraph);
  }

  #client(): SubgraphClient {
    return {
      post: (call, context) => this.#answer(call, this.#moments.get(context.signal)!),
      close: () => Promise.resolve(),
    };
  }

  async #answer({ subgraph, body }: SubgraphCall, moment: Moment): Promise<Buffer> {
    this.#calls.push(`${subgraph}: ${body.toString()}`);
    if (subgraph === moment.down) throw new Failure('SUBGRAPH_UNAVAILABLE', `${subgraph} is down`);
    const { query, variables } = JSON.parse(body.toString()) as { query: string; variables?: Record<string, unknown> };
    const schema = this.#schemas.get(subgraph)!;
    const document = this.#read(schema, subgraph, query);
    if (document instanceof GraphQLError) {
      this.#note(`${subgraph}: ${document.message} in ${query}`);
      return Buffer.from(JSON.stringify({ errors: [document] }));
    }
    const result = await execute({
      schema,
      document,
      variableValues: variables,
      contextValue: moment,
      rootValue: { __typename: 'Query', id: '' },
      typeResolver: (thing: Thing) => thing.__typename,
      fieldResolver: (thing: Thing, args: Record<string, unknown>, now: Moment, info) => {
        const owner =
          info.operation.operation === 'mutation' && info.parentType.name === 'Mutation'
            ? 'Mutation'
            : info.parentType.name;
        const from = owner === 'Query' || owner === 'Mutation' ? { __typename: owner, id: '' } : thing;
        const isObject = this.model.interfaces.has(owner) && info.fieldName === 'id';
        const field = isObject ? this.#values.keyOf(from, 'id') : this.#values.field(owner, info.fieldName);
        return this.#values.subgraph(subgraph, from, field, args, now);
      },
    });
    for (const { message } of result.errors ?? []) this.#note(`${subgraph}: ${message} in ${query}`);
    return Buffer.from(JSON.stringify(result));
  }

  #note(said: string): void {
    this.said.push(said);
    if (this.said.length > 5) this.said.shift();
  }

  /** A text that a subgraph cannot take is a mistake of the planner's. */
  #read(schema: GraphQLSchema, subgraph: string, query: string): DocumentNode | GraphQLError {
    const key = `${subgraph} ${query}`;
    let document = this.#documents.get(key);
    if (!document) {
      document = parse(query);
      const [error] = validate(schema, document);
      if (error) return error;
      this.#documents.set(key, document);
    }
    return document;
  }

  #subgraphSchema(subgraph: string, typeDefs: DocumentNode): GraphQLSchema {
    const schema = buildSubgraphSchema({ typeDefs });
    const entities = schema.getQueryType()?.getFields()['_entities'];
    if (entities) {
      entities.resolve = (_root, { representations }: { representations: Record<string, unknown>[] }) =>
        representations.map((one) => {
          try {
            return this.#values.byRepresentation(subgraph, one);
          } catch (error) {
            return error;
          }
        });
    }
    return schema;
  }
}

const NO_PLAN = { plan: { root: undefined }, left: new Set<string>() };
const OVERDUE = 'Planning took longer';

export class DoesNotCompose extends Error {}

/** The model of a seed; its SDL may be made smaller later. */
export function modelOf(seed: number, strict = false): { model: Model; sdl: Record<string, string> } {
  const model = makeModel(seed, chooser(seed));
  if (strict) forget(model);
  return { model, sdl: writeSdl(model) };
}

function told({ data, errors = [] }: ExecutionResult): Told {
  return {
    data: data === undefined ? null : (JSON.parse(JSON.stringify(data)) as unknown),
    errors: errors.map(({ path }) => path ?? []),
    messages: errors.map((error) => `${(error.path ?? []).join('.')}: ${error.message}`),
  };
}
