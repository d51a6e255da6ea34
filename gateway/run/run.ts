import { askedByStranger } from '../cache/asking.js';
import type { GraphCache } from '../cache/graph-cache.js';
import type { RunCache } from '../cache/run-cache.js';
import type { Cancellation, RequestContext } from '../engine.js';
import { readAnswer, readInMutation, type SubgraphAnswer } from './answer.js';
import { Asking } from './asking.js';
import type { Compiled, CompiledEntities, CompiledFetch, CompiledRoot, Unit } from './compile.js';
import { writeExactly } from './exact-numbers.js';
import type { Json, JsonObject } from './json.js';
import type { Observer } from './observer.js';
import { GrowingOutcome, type Outcome } from './outcome.js';
import { PutIn } from './put-in.js';
import { requestsFor, type Outgoing, type Part } from './requests.js';
import { at } from './rewrite.js';
import type { TypeFamilies } from './types.js';

/** Sends one request body to a subgraph and resolves with the bytes of its answer. */
export type Send = (subgraph: string, type: 'query' | 'mutation', body: string) => Promise<Buffer>;

/** The cache listens to a root fetch. */
interface RootHeard {
  came(answer: SubgraphAnswer, bytes: Buffer): void;
  /** What may be shown instead. */
  failed(): Promise<JsonObject | undefined>;
}

interface Came {
  readonly answer: SubgraphAnswer;
  readonly bytes: Buffer;
}

/**
 * One execution of a compiled operation. A fetch starts when those that it waits for have ended; entity fetches that
 * become ready in one turn of the event loop and go to one subgraph travel as one request.
 */
export class Run {
  readonly #compiled: Compiled;
  readonly #variable: (name: string) => string | undefined;
  readonly #families: TypeFamilies;
  readonly #send: Send;
  readonly #signal: Cancellation;
  readonly #trace: RequestContext['trace'];
  readonly #observer: Observer | undefined;
  readonly #cache: RunCache | undefined;
  /** Told what a mutation answered. */
  readonly #changes: GraphCache | undefined;
  readonly #waitsFor: Int32Array;
  readonly #ready = new Map<string, Part[]>();
  readonly #partsLeft: Int32Array;
  readonly #outcome = new GrowingOutcome();
  readonly #putIn: PutIn;
  #flushing = false;
  #open: number;
  #ended!: () => void;
  #broken!: (error: unknown) => void;

  constructor(
    compiled: Compiled,
    variable: (name: string) => string | undefined,
    families: TypeFamilies,
    send: Send,
    context: RequestContext,
    observer?: Observer,
    cache?: RunCache,
    changes?: GraphCache,
  ) {
    this.#compiled = compiled;
    this.#variable = variable;
    this.#families = families;
    this.#putIn = new PutIn(this.#outcome, families, compiled.mutation);
    this.#send = send;
    this.#signal = context.signal;
    this.#trace = context.trace;
    this.#observer = observer;
    this.#cache = cache;
    this.#changes = changes;
    this.#open = compiled.fetches.length;
    this.#waitsFor = new Int32Array(this.#open);
    this.#partsLeft = new Int32Array(this.#open);
    for (const fetch of compiled.fetches) this.#waitsFor[fetch.id] = fetch.needs;
  }

  execute(): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#ended = () => resolve(this.#outcome);
      this.#broken = reject;
      if (this.#open === 0) return resolve(this.#outcome);
      for (const fetch of this.#compiled.first) this.#start(fetch);
    });
  }

  #start(fetch: CompiledFetch): void {
    // A client that went away wants nothing more; what is on its way is cancelled by the same signal.
    if (this.#signal.aborted) return this.#broken(this.#signal.reason);
    this.#observer?.ready(fetch);
    if (fetch.kind === 'root') {
      void this.#startRoot(fetch);
      return;
    }
    const parts = fetch.units.flatMap((unit) => this.#partsOf(fetch, unit));
    if (parts.length === 0) return this.#end(fetch);
    this.#partsLeft[fetch.id] = parts.length;
    const waiting = this.#ready.get(fetch.subgraph);
    if (waiting) waiting.push(...parts);
    else this.#ready.set(fetch.subgraph, parts);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#flush());
  }

  #end(fetch: CompiledFetch): void {
    this.#observer?.ended(fetch);
    for (const next of fetch.next) {
      this.#waitsFor[next.id]! -= 1;
      if (this.#waitsFor[next.id] === 0) this.#start(next);
    }
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#putIn.end();
    this.#ended();
  }

  // Root fetches

  async #startRoot(fetch: CompiledRoot): Promise<void> {
    const targets: JsonObject[] = [];
    fetch.locator.find(this.#outcome.data, targets);
    if (targets.length > 0) {
      const asking = fetch.mutation ? undefined : this.#cache?.askRoot(fetch);
      if (!asking?.worthIt) await this.#sendRoot(fetch, targets, fetch);
      else if (!asking.passes) await this.#rootThroughCache(fetch, targets, asking);
      else
        await this.#sendRoot(fetch, targets, fetch, {
          came: (answer, bytes) => asking.passed(answer, this.#cache!.headersOf(bytes)),
          failed: () => asking.rescued(),
        });
    }
    this.#proceed(() => this.#end(fetch));
  }

  async #sendRoot(
    fetch: CompiledRoot,
    targets: readonly JsonObject[],
    body: Pick<CompiledRoot, 'head' | 'variables'>,
    heard?: RootHeard,
  ): Promise<void> {
    if (this.#cache) this.#cache.made.whole = false;
    try {
      const send = this.#observer?.sending(this.#send, fetch) ?? this.#send;
      const asked = fetch.mutation && this.#changes ? this.#changes.identified(fetch) : body;
      const bytes = await send(fetch.subgraph, fetch.mutation ? 'mutation' : 'query', this.#rootBody(asked));
      const answer = this.#read(bytes, fetch.exact, fetch.mutation ? 'mutation' : 'query');
      // Before it is put in: from then on later fetches write into it.
      if (heard) heard.came(answer, bytes);
      else this.#cache?.passed(fetch.subgraph, bytes, Object.values(answer.data ?? {}));
      if (fetch.mutation && answer.data) await this.#changes?.changed(fetch, answer.data, this.#trace);
      // A part of a fetch, the rest of which a cache has, is asked for by other keys.
      this.#putIn.root(fetch, targets, answer, body === fetch ? fetch.topKeys : []);
    } catch (error) {
      const instead = await heard?.failed();
      if (instead) this.#putIn.root(fetch, targets, { data: instead, errors: [] });
      else this.#outcome.failed(fetch.subgraph, fetch.locator.keys, fetch.topKeys, error);
    }
  }

  async #rootThroughCache(
    fetch: CompiledRoot,
    targets: readonly JsonObject[],
    asking: ReturnType<RunCache['askRoot']>,
  ): Promise<void> {
    try {
      await asking.look();
      do {
        asking.known((data, counts) => {
          if (counts) this.#observer?.kept(fetch);
          this.#putIn.root(fetch, targets, { data, errors: [] });
        });
        const rest = asking.rest();
        const requests = requestsFor(asking.parts(), this.#variable, this.#compiled.together);
        await Promise.all([
          rest &&
            this.#sendRoot(fetch, targets, rest, {
              came: (answer, bytes) => asking.came(rest.items, answer, this.#cache!.headersOf(bytes)),
              failed: () => asking.failed(rest.items),
            }),
          ...requests.map((request) => this.#sendEntities(fetch.subgraph, request)),
          asking.awaited(),
        ]);
      } while (asking.goesOn());
    } catch (error) {
      this.#broken(error);
    } finally {
      asking.lookup.flights.landed();
    }
    const { parts, roots } = asking.refreshes();
    this.#refresh(fetch.subgraph, parts);
    for (const { item, landed, ...body } of roots)
      this.#cache!.behind(async (send) => {
        try {
          const bytes = await send(fetch.subgraph, 'query', this.#rootBody(body));
          asking.came([item], readAnswer(bytes, fetch.exact), this.#cache!.headersOf(bytes));
        } finally {
          landed();
        }
      });
  }

  #refresh(subgraph: string, parts: readonly Part[]): void {
    for (const request of requestsFor(parts, this.#variable, this.#compiled.together))
      this.#cache!.behind((send) => this.#sendEntities(subgraph, request, send));
  }

  #rootBody({ head, variables: names }: Pick<CompiledRoot, 'head' | 'variables'>): string {
    let variables = '';
    for (const name of names) {
      const value = this.#variable(name);
      if (value !== undefined) variables += `${variables === '' ? '' : ','}${JSON.stringify(name)}:${value}`;
    }
    return variables === '' ? `${head}}` : `${head},"variables":{${variables}}}`;
  }

  // Entity fetches

  /** The distinct representations that a unit asks about now. More than one part only where contextual arguments differ. */
  #partsOf(fetch: CompiledEntities, unit: Unit): Part[] {
    if (unit.context.length > 0) return this.#partsByContext(fetch, unit);
    const asking = new Asking(fetch, unit, undefined, this.#putIn.gone);
    unit.locators.forEach((locator, group) => {
      const found: JsonObject[] = [];
      locator.find(this.#outcome.data, found);
      for (const entity of found) asking.add(entity, group);
    });
    if (asking.starved) this.#starve(fetch, unit);
    return asking.part.representations.length > 0 ? [asking.part] : [];
  }

  #partsByContext(fetch: CompiledEntities, unit: Unit): Part[] {
    const askings = new Map<string, Asking>();
    let count = 0;
    for (const locator of unit.locators) {
      for (const { object, above } of locator.findPaths(this.#outcome.data)) {
        const context = this.#contextOf(unit, above);
        const key = JSON.stringify(context);
        let asking = askings.get(key);
        if (!asking) {
          asking = new Asking(fetch, unit, context, this.#putIn.gone);
          askings.set(key, asking);
        }
        // Nothing is shared: the same entity under another parent may get other values below.
        asking.add(object, (count += 1));
      }
    }
    if ([...askings.values()].some(({ starved }) => starved)) this.#starve(fetch, unit);
    return [...askings.values()].flatMap(({ part }) => (part.representations.length > 0 ? [part] : []));
  }

  /** Where several types set a context there is one rewrite for each, and the object above is of one of them. */
  #contextOf({ context }: Unit, above: readonly JsonObject[]): [variable: string, json: string][] {
    const values = new Map<string, Json>();
    for (const rewrite of context)
      values.set(rewrite.variable, values.get(rewrite.variable) ?? this.#contextual(rewrite, above) ?? null);
    return [...values].map(([variable, value]) => [variable, writeExactly(value)]);
  }

  #contextual({ up, path }: Unit['context'][number], above: readonly JsonObject[]): Json | undefined {
    let value: Json | undefined;
    const last = path.at(-1);
    at(path.slice(0, -1), above[above.length - up], this.#families, (holder) => {
      if (last?.kind === 'key') value ??= holder[last.key];
    });
    return value;
  }

  #starve({ subgraph }: CompiledEntities, { locators, topKeys }: Unit): void {
    for (const { keys } of locators) this.#outcome.starved(subgraph, keys, topKeys);
  }

  #flush(): void {
    this.#flushing = false;
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const [subgraph, parts] of ready) {
      const cache = this.#cache;
      if (cache && !cache.stranger) {
        void this.#throughCache(subgraph, parts, cache);
        continue;
      }
      const asked = cache ? parts.map((part) => askedByStranger(cache, subgraph, part)) : parts;
      for (const request of requestsFor(asked, this.#variable, this.#compiled.together))
        void this.#sendEntities(subgraph, request).then(() =>
          this.#endParts(new Set(request.asked.map(({ part }) => part))),
        );
    }
  }

  async #throughCache(subgraph: string, parts: readonly Part[], cache: RunCache): Promise<void> {
    const asking = cache.ask(subgraph, parts);
    try {
      await asking.look();
      do {
        asking.known((part, index, entity, all) => {
          if (all) this.#observer?.kept(part.fetch);
          this.#putIn.entity(part, index, entity);
        });
        const requests = requestsFor(asking.parts(), this.#variable, this.#compiled.together);
        await Promise.all([...requests.map((request) => this.#sendEntities(subgraph, request)), asking.awaited()]);
      } while (asking.goesOn());
      asking.lookup.flights.landed();
      this.#refresh(subgraph, asking.refreshes());
      this.#endParts(new Set(parts));
    } catch (error) {
      asking.lookup.flights.landed();
      this.#broken(error);
    }
  }

  #endParts(parts: ReadonlySet<Part>): void {
    this.#proceed(() => {
      const ended = new Map<CompiledEntities, number>();
      for (const { fetch } of parts) ended.set(fetch, (ended.get(fetch) ?? 0) + 1);
      for (const [fetch, count] of ended) {
        this.#partsLeft[fetch.id]! -= count;
        if (this.#partsLeft[fetch.id] === 0) this.#end(fetch);
      }
    });
  }

  /** Puts what came into the answer. */
  async #sendEntities(subgraph: string, request: Outgoing, behind?: Send): Promise<void> {
    if (this.#cache) this.#cache.made.whole = false;
    const send = behind ?? this.#observer?.sending(this.#send, request) ?? this.#send;
    const exact = request.asked.some(({ part }) => part.unit.exact);
    const answers = await Promise.all(
      request.bodies.map(async (body): Promise<Came | { failure: unknown }> => {
        try {
          const bytes = await body(send, subgraph);
          return { answer: this.#read(bytes, exact, 'query'), bytes };
        } catch (failure) {
          return { failure };
        }
      }),
    );
    const rescued = await Promise.all(
      request.asked.map(async ({ part, offset, count, body }) =>
        'failure' in answers[body]! ? part.heard?.failed(offset, count) : undefined,
      ),
    );
    this.#proceed(() => {
      for (const [nth, { part, alias, offset, count, body }] of request.asked.entries()) {
        const came = answers[body]!;
        if ('failure' in came) {
          const instead = rescued[nth];
          for (const [at, entity] of instead ?? []) this.#putIn.entity(part, offset + at, entity);
          if (part.heard?.apart || instead?.size === count) continue;
          const { locators, topKeys } = part.unit;
          for (const { keys } of locators) this.#outcome.failed(subgraph, keys, topKeys, came.failure);
          continue;
        }
        const { answer, bytes } = came;
        const entities = answer.data?.[alias];
        if (!part.heard) this.#cache?.passed(subgraph, bytes, Array.isArray(entities) ? entities : []);
        else {
          const whole = Array.isArray(entities) && entities.length === count;
          if (whole) part.heard.came(answer, entities, offset, this.#cache?.headersOf(bytes));
          else if (part.heard.apart) void part.heard.failed(offset, count);
          if (part.heard.apart) continue;
        }
        this.#putIn.entities(part, alias, offset, count, answer);
      }
    });
  }

  #read(bytes: Buffer, exact: boolean, call: 'query' | 'mutation'): SubgraphAnswer {
    return this.#compiled.mutation ? readInMutation(bytes, exact, call) : readAnswer(bytes, exact);
  }

  /** Whatever breaks in here is our mistake, and the request must end all the same. */
  #proceed(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#broken(error);
    }
  }
}
