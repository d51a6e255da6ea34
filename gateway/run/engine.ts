import { traced } from '#libs/telemetry';
import type { GraphCache } from '../cache/graph-cache.js';
import { variantsOf, type CacheDoor, type RunCache, type Variants } from '../cache/run-cache.js';
import type {
  Answer,
  Engine,
  EngineFactory,
  EngineOptions,
  Operation,
  RequestContext,
  Used,
  Variables,
} from '../engine.js';
import { Authorization, refuseDenied, type Denial } from '../authorization/authorization.js';
import { grantsSeen } from '../authorization/grants.js';
import { ANSWER_BYTES_MAX } from '../http/answer-bytes.js';
import { Begun, LAST } from '../fetch/begun.js';
import { NOT_TAKEN } from '../http/refusal.js';
import type { Recording } from '../explain/recording.js';
import { conditionVariables } from '../plan/conditions.js';
import { normalise, type NormalOperation } from '../plan/normalise.js';
import { choosePlanner, type Planner } from '../plan/planner.js';
import { Plans, type Overrides } from '../plan/plans.js';
import { schemaNames, type SchemaNames } from '../plan/schema-names.js';
import { SupergraphError, type Supergraph } from '../supergraph/supergraph.js';
import { compile, type Compiled } from './compile.js';
import { writeExactly } from './exact-numbers.js';
import { introspect } from './introspect.js';
import { identityOf, InFlight } from './in-flight.js';
import type { Outcome } from './outcome.js';
import { Run, type Send } from './run.js';
import { TypeFamilies } from './types.js';
import { answerOf, writeData, type Written } from './write-answer.js';

/** Tributary's own engine: plan once, compile once, then only run. `docs/path-of-a-query.md` follows a request through it. */
export const createEngine: EngineFactory = async (supergraph, options) => {
  refuseWhatIsNotUnderstood(supergraph);
  const { planner, reason } = await choosePlanner(supergraph, options.planner, options.logger);
  options.logger.info({ planner: planner.name, reason }, 'Planning federated operations');
  return new TributaryEngine(supergraph, options, planner, reason);
};

/** What is linked `for: SECURITY` or `for: EXECUTION` and heeded here. */
const UNDERSTOOD: ReadonlySet<string> = new Set(
  ['core', 'link', 'join', 'inaccessible', 'context', 'authenticated', 'requiresScopes', 'policy', 'cacheTag'].map(
    (name) => `https://specs.apollo.dev/${name}`,
  ),
);

/**
 * A feature with a purpose that is not understood must stop a processor (link v1.0, `for`): passed over, @authenticated would be a
 * field that everybody may read.
 */
function refuseWhatIsNotUnderstood({ features }: Supergraph): void {
  const strange = features.filter((feature) => feature.for !== undefined && !UNDERSTOOD.has(feature.identity));
  if (strange.length === 0) return;
  const list = strange.map((feature) => `${feature.identity}/${feature.version} (for: ${feature.for})`).join(', ');
  throw new SupergraphError(
    `The supergraph needs ${list}, which this gateway does not heed; leave it out, or its subgraphs have to see to it.`,
  );
}

const PLAN_CACHE_BYTES = 64 * 1024 * 1024;
const PLAN_DEADLINE_MS = 5_000;
/** How long a load may take that no client waits for. */
const BEHIND_MS = 10_000;

export class TributaryEngine implements Engine {
  readonly about: Readonly<Record<string, string>>;
  readonly plans: Plans<Compiled>;
  /** Undefined where the supergraph asks nothing of anybody. */
  readonly authorization: Authorization | undefined;
  readonly #supergraph: Supergraph;
  readonly #options: EngineOptions;
  readonly #planner: Planner;
  readonly #names: SchemaNames;
  readonly #families: TypeFamilies;
  readonly #overrides: () => Overrides;
  readonly #reads = new InFlight<Written>();
  readonly #calls = new InFlight<Buffer>();
  readonly #normal = new WeakMap<Operation, Known>();
  readonly #origin = new WeakMap<NormalOperation, Omit<Used, 'times'>>();
  readonly #entities: GraphCache | undefined;

  constructor(supergraph: Supergraph, options: EngineOptions, planner: Planner, reason: string) {
    this.about = { engine: 'tributary', planner: planner.name, reason };
    this.#supergraph = supergraph;
    this.#options = options;
    this.#planner = planner;
    this.#names = schemaNames(supergraph.document);
    this.#families = new TypeFamilies(supergraph.document);
    this.authorization = Authorization.of(supergraph);
    this.#overrides = overridesOf(planner.overrideLabels, options);
    this.#entities = options.entities?.of(supergraph);
    this.plans = new Plans({
      planner,
      cacheBytes: options.planCacheBytes ?? PLAN_CACHE_BYTES,
      deadlineMs: options.planDeadlineMs ?? PLAN_DEADLINE_MS,
      compile: (plan, operation) =>
        compile({
          plan,
          operation,
          schema: supergraph.schema,
          families: this.#families,
          custom: this.#names.custom,
          keepBatches: options.merge === 'plan',
        }),
    });
  }

  async execute(operation: Operation, variables: Variables, context: RequestContext): Promise<Answer> {
    const decision = this.authorization?.deny(operation, context.grants);
    const denial = decision && 'then' in decision ? await decision : decision;
    const normal = this.normalOf(operation, variables, denial, context.willPlan);
    if (denial && this.#options.unauthorized === 'reject') refuseDenied(normal);
    const joins = this.#options.join && operation.type === 'query' && !context.pastCaches;
    const identity = joins ? identityOf(context) : undefined;
    if (context.explain) return this.#explained(operation, normal, variables, context, identity);
    const written =
      identity !== undefined
        ? await this.#reads.share(
            identity,
            `${operation.hash} ${denial?.key ?? ''} ${JSON.stringify(variables)}`,
            context,
            (as) => this.#run(operation, normal, variables, as, identity),
          )
        : await this.#run(operation, normal, variables, context, identity);
    return answerOf(written, operation, context, this.#options.logger);
  }

  async #run(
    operation: Operation,
    normal: NormalOperation,
    variables: Variables,
    context: RequestContext,
    identity: string | undefined,
    recording?: Recording,
  ): Promise<Written> {
    const overrides = this.#overrides();
    const known = this.plans.known(normal, overrides);
    const compiled =
      known ??
      (await traced(context.trace, 'internal', 'plan', {}, () =>
        this.plans.compiled(normal, overrides, context.willPlan),
      ));
    recording?.planned(compiled, known !== undefined);
    const entities = operation.type === 'query' && !context.pastCaches ? this.#entities : undefined;
    const variants = entities && variantsOf(context);
    const key = variants && !recording ? wholeKeyOf(compiled, operation, variables, variants) : undefined;
    const whole = key === undefined ? undefined : await entities!.cache.answers.recall(key, context);
    if (whole !== undefined && whole !== 'unanswered') return { body: whole, errors: [], more: 0 };
    const introspected = introspect(normal, this.#supergraph.schema, variables);
    const variable = variableTexts(normal, variables);
    const cache = variants && entities.run(context, variable, this.#door(context), variants);
    if (cache && whole === 'unanswered') cache.unanswered = true;
    const run = new Run(
      compiled,
      variable,
      this.#families,
      this.#sender(context, identity, cache),
      context,
      recording,
      cache,
      operation.type === 'mutation' ? this.#entities : undefined,
    );
    const outcome = await run.execute().finally(() => operation.type === 'mutation' && this.#written());
    // What was cancelled has failed for no reason of a service's: nobody looks at it, and who has joined begins it again.
    if (context.signal.aborted) throw context.signal.reason;
    if (isTurnedAway(outcome, context)) throw NOT_TAKEN;
    if (cache) {
      recording?.cached(cache);
      context.responseHeaders.push(...cache.headers());
    }
    const { answerBytesMax = ANSWER_BYTES_MAX } = this.#options;
    const written = writeData(compiled.projection, outcome, introspected, normal, answerBytesMax);
    if (key !== undefined && written.errors.length === 0) entities!.cache.answers.keep(key, cache!, written.body);
    return written;
  }

  /** Also where it was given up meanwhile: it may be done. */
  #written(): void {
    this.#reads.written();
    this.#calls.written();
  }

  /** Runs for this request alone, though its calls may be joined; nothing of this is loaded before somebody asks. */
  async #explained(
    operation: Operation,
    normal: NormalOperation,
    variables: Variables,
    context: RequestContext,
    identity: string | undefined,
  ): Promise<Answer> {
    const [{ Recording }, { printPlan }] = await Promise.all([
      import('../explain/recording.js'),
      import('../plan/print-plan.js'),
    ]);
    const recording = new Recording(() => this.#calls.joined);
    const written = await this.#run(operation, normal, variables, context, identity, recording);
    const ran = recording.elapsed();
    const answer = answerOf(written, operation, context, this.#options.logger);
    const plan = printPlan(await this.plans.plan(normal, this.#overrides()));
    const explain = recording.explanation(
      {
        engine: this.about,
        operation: normal.planned ?? '',
        plan,
        ...(context.cost === undefined ? {} : { cost: context.cost }),
      },
      ran,
    );
    const body = answer.body.toString();
    return { ...answer, body: `${body.slice(0, -1)},"extensions":${JSON.stringify({ explain })}}` };
  }

  #door(context: RequestContext): CacheDoor {
    const { subgraphs, clock } = this.#options;
    return {
      headersOf: (bytes) => subgraphs.headersOf?.(bytes),
      sendBehind: () => {
        const signal = AbortSignal.timeout(BEHIND_MS);
        const begun = new Begun(false, undefined, LAST);
        const own = { ...context, signal, deadline: clock() + BEHIND_MS, responseHeaders: [], explain: false, begun };
        return this.#sender(own, undefined);
      },
    };
  }

  /**
   * Different operations may have calls in common: those are joined too. Not those of a mutation, which has no `identity`: what
   * it reads comes after what it wrote, for this person.
   */
  #sender(context: RequestContext, identity: string | undefined, cache?: RunCache): Send {
    const { subgraphs } = this.#options;
    return (subgraph, type, body) => {
      const { url } = this.#supergraph.subgraphs.get(subgraph)!;
      const call = (as: RequestContext) => subgraphs.post({ subgraph, url, type, body }, as);
      return identity !== undefined && type === 'query'
        ? this.#calls.share(`${subgraph} ${identity} ${cache?.stampText ?? ''}`, body, context, call)
        : call(context);
    };
  }

  mostUsed(count: number): Used[] {
    return this.plans.mostUsed(count).flatMap(({ operation, times }) => {
      const origin = this.#origin.get(operation);
      return origin ? [{ ...origin, times }] : [];
    });
  }

  async warm(
    used: readonly Used[],
    operationOf: (query: string, name: string | undefined) => Operation,
    signal: AbortSignal,
  ): Promise<number> {
    let ready = 0;
    for (const { query, operationName, conditions, seen, times } of used) {
      if (signal.aborted) break;
      try {
        const operation = operationOf(query, operationName);
        const denial = await this.authorization?.deny(operation, seen && grantsSeen(seen));
        // Half of what it was: who is no longer asked is forgotten after a few supergraphs.
        await this.plans.warm(this.normalOf(operation, conditions, denial), this.#overrides(), Math.floor(times / 2));
        ready += 1;
      } catch {
        // What does not fit the new supergraph, or cannot be planned there, is told to whoever asks for it.
      }
    }
    return ready;
  }

  /**
   * What the operation asks for with these values of the variables in its `@skip` and `@include`, and with this denied. `begins` is told
   * that it is not known yet.
   */
  normalOf(operation: Operation, variables: Variables, denial?: Denial, begins?: () => void): NormalOperation {
    let known = this.#normal.get(operation);
    if (!known) {
      known = { conditions: conditionVariables(operation.document, operation.definition), byConditions: new Map() };
      this.#normal.set(operation, known);
    }
    const { conditions, byConditions } = known;
    const chosen = conditions.map((name) => (variables[name] === true ? '1' : '0')).join('');
    const key = denial ? `${chosen} ${denial.key}` : chosen;
    let normal = byConditions.get(key);
    if (!normal) {
      begins?.();
      const decided = Object.fromEntries(conditions.map((name) => [name, variables[name] === true]));
      const { schema } = this.#supergraph;
      normal = normalise(operation.document, operation.definition, schema, this.#names, decided, (node) =>
        denial ? this.authorization!.mark(node, denial) : node,
      );
      if (byConditions.size >= CONDITIONS_KEPT) byConditions.delete(byConditions.keys().next().value!);
      byConditions.set(key, normal);
      const { query, operationName } = operation;
      this.#origin.set(normal, { query, operationName, conditions: decided, seen: denial?.seen });
    }
    return normal;
  }

  close(): Promise<void> {
    return this.#planner.close();
  }
}

const compiledIds = new WeakMap<Compiled, number>();
let lastCompiled = 0;

/**
 * Equal for two requests that would be answered the same from the same kept values. What is compiled stands for the supergraph, its plan,
 * the overrides that are on and what is denied.
 */
function wholeKeyOf(compiled: Compiled, operation: Operation, variables: Variables, { own }: Variants): string {
  let id = compiledIds.get(compiled);
  if (id === undefined) compiledIds.set(compiled, (id = lastCompiled += 1));
  return `${id} ${operation.hash} ${own} ${JSON.stringify(variables)}`;
}

/** Nobody has been asked, nothing was kept, and all that is missing is so because there was no place for it. */
function isTurnedAway({ data, losses }: Outcome, { begun }: RequestContext): boolean {
  if (losses.length === 0 || begun?.nothing !== true) return false;
  return losses.every(({ cause }) => cause === NOT_TAKEN) && Object.keys(data).length === 0;
}

const NO_OVERRIDES: Overrides = { labels: [], percent: 100 };

/**
 * Which overrides are on for a request. Only whether the throw is below each `percent(n)` matters, so it is moved down to the
 * next such n: there are as many plans as there are different outcomes.
 */
function overridesOf(
  known: ReadonlySet<string>,
  { overrideLabels = [], random = Math.random }: EngineOptions,
): () => Overrides {
  if (known.size === 0) return () => NO_OVERRIDES;
  const labels = overrideLabels.filter((label) => known.has(label)).sort();
  const percents = [...known]
    .flatMap((label) => /^percent\((\d+(?:\.\d+)?)\)$/.exec(label)?.slice(1).map(Number) ?? [])
    .sort((a, b) => b - a);
  if (percents.length === 0) return () => ({ labels, percent: 100 });
  return () => {
    const thrown = random() * 100;
    return { labels, percent: percents.find((percent) => percent <= thrown) ?? 0 };
  };
}

/** Combinations of conditions that are kept per operation; beyond them the oldest goes. */
const CONDITIONS_KEPT = 32;

interface Known {
  readonly conditions: readonly string[];
  readonly byConditions: Map<string, NormalOperation>;
}

/** Each variable becomes JSON text at most once per request, however many fetches use it. */
function variableTexts(operation: NormalOperation, variables: Variables): (name: string) => string | undefined {
  const texts = new Map<string, string | undefined>();
  return (name) => {
    const literal = operation.literals.get(name);
    if (literal !== undefined) return literal;
    const given = operation.clientVariables.get(name) ?? name;
    if (!Object.hasOwn(variables, given)) return undefined;
    let text = texts.get(name);
    if (text === undefined) {
      text = writeExactly(variables[given]);
      texts.set(name, text);
    }
    return text;
  };
}
