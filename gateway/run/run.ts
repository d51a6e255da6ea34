import { Failure } from '#libs/failure';
import { askedByStranger } from '../cache/asking.js';
import type { GraphCache } from '../cache/graph-cache.js';
import type { RunCache } from '../cache/run-cache.js';
import type { Cancellation, RequestContext } from '../engine.js';
import type { FieldError } from '../http/client-errors.js';
import { Asking } from './asking.js';
import type { Compiled, CompiledEntities, CompiledFetch, CompiledRoot, Unit } from './compile.js';
import { writeExactly } from './exact-numbers.js';
import { at } from './rewrite.js';
import { isObject, type Json, type JsonObject } from './json.js';
import { merge } from './merge.js';
import type { Observer } from './observer.js';
import { requestsFor, type Outgoing, type Part } from './requests.js';
import { readAnswer, type SubgraphAnswer, type SubgraphError } from './answer.js';
import type { TypeFamilies } from './types.js';

/** Sends one request body to a subgraph and resolves with the bytes of its answer. */
export type Send = (subgraph: string, type: 'query' | 'mutation', body: string) => Promise<Buffer>;

/** What a fetch should have brought and did not. Told to the client for every field that is missing because of it. */
export interface Loss {
  readonly subgraph: string;
  /** Keys on the way to the objects. */
  readonly keys: readonly string[];
  readonly topKeys: readonly string[];
  readonly code: unknown;
  readonly retryAfter?: unknown;
  readonly by: 'gateway' | 'subgraph';
  readonly message: string;
  readonly cause?: unknown;
  told: boolean;
}

/** More are not looked at: a client is shown 50, the log 10. */
const ERRORS_KEPT = 200;

/** What came of a run: the data, not yet in the client's shape, and what went wrong. */
export interface Outcome {
  readonly data: JsonObject;
  readonly errors: readonly FieldError[];
  /** Errors beyond those: only their number is for the log. */
  readonly more: number;
  readonly losses: readonly Loss[];
}

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
  /** Entities that a subgraph does not know, and what it was asked about them. Their fields are null, which is no error. */
  readonly #gone = new Map<JsonObject, string[]>();
  #flushing = false;
  #open: number;
  #ended!: () => void;
  #broken!: (error: unknown) => void;

  readonly data: JsonObject = {};
  readonly errors: FieldError[] = [];
  more = 0;
  readonly losses: Loss[] = [];

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
      this.#ended = () => resolve(this);
      this.#broken = reject;
      if (this.#open === 0) return resolve(this);
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
    if (this.#open === 0) this.#finish();
  }

  #finish(): void {
    if (this.losses.length > 0) {
      // Only now: before, a null key would have been asked about.
      for (const [entity, keys] of this.#gone)
        merge(entity, Object.fromEntries(keys.map((key) => [key, null])), this.#families.abstract);
    }
    this.#ended();
  }

  // Root fetches

  async #startRoot(fetch: CompiledRoot): Promise<void> {
    const targets: JsonObject[] = [];
    fetch.locator.find(this.data, targets);
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
      const answer = readAnswer(bytes, fetch.exact);
      // Before it is put in: from then on later fetches write into it.
      if (heard) heard.came(answer, bytes);
      else this.#cache?.passed(fetch.subgraph, bytes);
      if (fetch.mutation && answer.data) await this.#changes?.changed(fetch, answer.data, this.#trace);
      this.#takeRoot(fetch, targets, answer);
    } catch (error) {
      const instead = await heard?.failed();
      if (instead) this.#takeRoot(fetch, targets, { data: instead, errors: [] });
      else this.#lose(fetch.subgraph, fetch.locator.keys, fetch.topKeys, error);
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
          this.#takeRoot(fetch, targets, { data, errors: [] });
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
      asking.lookup.landed();
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

  #takeRoot(fetch: CompiledRoot, targets: readonly JsonObject[], answer: SubgraphAnswer): void {
    if (answer.data) {
      fetch.rewrite?.(answer.data);
      targets.forEach((target, index) =>
        merge(target, index === 0 ? answer.data! : structuredClone(answer.data!), this.#families.abstract),
      );
    } else {
      this.#losses(fetch.subgraph, fetch.locator.keys, fetch.topKeys, answer.errors[0]);
    }
    for (const error of answer.errors) {
      // Without data and without a path it is told by every field that is missing because of it.
      if (!answer.data && !error.path) continue;
      this.#addError(fetch.subgraph, error, [...fetch.locator.keys, ...(error.path ?? [])]);
    }
  }

  // Entity fetches

  /** The distinct representations that a unit asks about now. More than one part only where contextual arguments differ. */
  #partsOf(fetch: CompiledEntities, unit: Unit): Part[] {
    if (unit.context.length > 0) return this.#partsByContext(fetch, unit);
    const asking = new Asking(fetch, unit, undefined, this.#gone);
    unit.locators.forEach((locator, group) => {
      const found: JsonObject[] = [];
      locator.find(this.data, found);
      for (const entity of found) asking.add(entity, group);
    });
    if (asking.starved) this.#starve(fetch, unit);
    return asking.part.representations.length > 0 ? [asking.part] : [];
  }

  #partsByContext(fetch: CompiledEntities, unit: Unit): Part[] {
    const askings = new Map<string, Asking>();
    let count = 0;
    for (const locator of unit.locators) {
      for (const { object, above } of locator.findPaths(this.data)) {
        const context = unit.context.map(
          (rewrite) => [rewrite.variable, writeExactly(this.#contextual(rewrite, above))] as const,
        );
        const key = JSON.stringify(context);
        let asking = askings.get(key);
        if (!asking) {
          asking = new Asking(fetch, unit, context, this.#gone);
          askings.set(key, asking);
        }
        // Nothing is shared: the same entity under another parent may get other values below.
        asking.add(object, (count += 1));
      }
    }
    if ([...askings.values()].some(({ starved }) => starved)) this.#starve(fetch, unit);
    return [...askings.values()].flatMap(({ part }) => (part.representations.length > 0 ? [part] : []));
  }

  #contextual({ up, path }: Unit['context'][number], above: readonly JsonObject[]): Json {
    let value: Json | undefined;
    const last = path.at(-1);
    at(path.slice(0, -1), above[above.length - up], this.#families, (holder) => {
      if (last?.kind === 'key') value ??= holder[last.key];
    });
    return value ?? null;
  }

  /** Nothing failed here, but something before did: the fields of this fetch are lost for the same reason. */
  #starve(fetch: CompiledEntities, unit: Unit): void {
    const cause = this.losses[0];
    if (!cause) return;
    for (const { keys } of unit.locators) {
      this.losses.push({ ...cause, subgraph: fetch.subgraph, keys, topKeys: unit.topKeys, told: true });
    }
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
          this.#takeEntity(part, index, entity);
        });
        const requests = requestsFor(asking.parts(), this.#variable, this.#compiled.together);
        await Promise.all([...requests.map((request) => this.#sendEntities(subgraph, request)), asking.awaited()]);
      } while (asking.goesOn());
      asking.lookup.landed();
      this.#refresh(subgraph, asking.refreshes());
      this.#endParts(new Set(parts));
    } catch (error) {
      asking.lookup.landed();
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
          return { answer: readAnswer(bytes, exact), bytes };
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
          for (const [at, entity] of instead ?? []) this.#takeEntity(part, offset + at, entity);
          if (part.heard?.apart || instead?.size === count) continue;
          this.#lose(subgraph, part.unit.locators, part.unit.topKeys, came.failure);
          continue;
        }
        const { answer, bytes } = came;
        if (!part.heard) this.#cache?.passed(subgraph, bytes);
        else {
          const entities = answer.data?.[alias];
          const whole = Array.isArray(entities) && entities.length === count;
          if (whole) part.heard.came(answer, entities, offset, this.#cache?.headersOf(bytes));
          else if (part.heard.apart) void part.heard.failed(offset, count);
          if (part.heard.apart) continue;
        }
        this.#takeEntities(part, alias, offset, count, answer);
      }
    });
  }

  #takeEntity(part: Part, index: number, entity: JsonObject | null): void {
    const targets = part.targets[index]!;
    if (entity) {
      part.unit.rewrite?.(entity);
      this.#mergeEntity(entity, targets, part.groups?.[index]);
    } else {
      for (const target of targets) this.#gone.set(target, [...(this.#gone.get(target) ?? []), ...part.unit.topKeys]);
    }
  }

  #takeEntities(part: Part, alias: string, offset: number, count: number, answer: SubgraphAnswer): void {
    const { unit, fetch } = part;
    const errors = answer.errors.filter(
      (error) => error.path?.[0] === alias || (error.path === undefined && answer.data === null),
    );
    const entities = answer.data?.[alias];
    if (!Array.isArray(entities) || entities.length !== count) {
      const told = errors[0] ?? answer.errors[0];
      const error = told ?? `${fetch.subgraph} was asked for ${count} entities and answered ${describe(entities)}.`;
      for (const { keys } of unit.locators) this.#losses(fetch.subgraph, keys, unit.topKeys, error);
      return;
    }
    const lost = new Map<number, SubgraphError | undefined>();
    for (const error of errors) {
      const index = error.path?.[1];
      if (typeof index === 'number' && entities[index] === null && error.path!.length === 2) lost.set(index, error);
    }
    for (let i = 0; i < count; i += 1) {
      const entity = entities[i];
      if (isObject(entity) || (entity === null && !lost.has(i))) {
        this.#takeEntity(part, offset + i, entity);
      } else {
        const error = lost.get(i) ?? `${fetch.subgraph} answered ${describe(entity)} where an entity was due.`;
        for (const { keys } of unit.locators) this.#losses(fetch.subgraph, keys, unit.topKeys, error);
      }
    }
    for (const error of errors) this.#addEntityError(part, offset, lost, error);
    for (const error of answer.errors) {
      if (error.path === undefined && answer.data !== null)
        this.#addError(fetch.subgraph, error, [...this.#firstPath(unit), ...unit.topKeys.slice(0, 1)]);
    }
  }

  #mergeEntity(entity: JsonObject, targets: readonly JsonObject[], groups: readonly number[] | undefined): void {
    if (!groups) {
      // At one path equal entities have equal needs, so they may have their fields' values in common.
      for (const target of targets) merge(target, entity, this.#families.abstract);
      return;
    }
    const originals = new Map<number, JsonObject>([[groups[0]!, entity]]);
    const copies = groups.map(
      (group) => originals.get(group) ?? originals.set(group, structuredClone(entity)).get(group)!,
    );
    targets.forEach((target, index) => merge(target, copies[index]!, this.#families.abstract));
  }

  #addEntityError(part: Part, offset: number, lost: ReadonlyMap<number, unknown>, error: SubgraphError): void {
    const [, index, ...rest] = error.path ?? [];
    if (typeof index !== 'number') {
      if (error.path) this.#addError(part.fetch.subgraph, error, this.#firstPath(part.unit));
      return;
    }
    if (lost.has(index)) return;
    if (this.errors.length >= ERRORS_KEPT) {
      this.more += 1;
      return;
    }
    const targets = new Set(part.targets[offset + index]);
    for (const locator of part.unit.locators) {
      for (const { object, path } of locator.findPaths(this.data)) {
        if (targets.has(object)) this.#addError(part.fetch.subgraph, error, [...path, ...rest]);
      }
    }
  }

  #firstPath(unit: Unit): (string | number)[] {
    return unit.locators[0]?.findPaths(this.data)[0]?.path ?? [];
  }

  // What went wrong

  #addError(subgraph: string, error: SubgraphError, path: readonly (string | number)[]): void {
    if (this.errors.length >= ERRORS_KEPT) this.more += 1;
    else {
      const { message, code, retryAfter } = error;
      this.errors.push({ message, path, code, retryAfter, by: 'subgraph', subgraph });
    }
  }

  #lose(
    subgraph: string,
    where: readonly string[] | Unit['locators'],
    topKeys: readonly string[],
    error: unknown,
  ): void {
    const places =
      where.length > 0 && typeof where[0] !== 'string'
        ? (where as Unit['locators']).map(({ keys }) => keys)
        : [where as readonly string[]];
    for (const keys of places) {
      const known = error instanceof Failure;
      const code = known ? error.code : 'INTERNAL_SERVER_ERROR';
      this.losses.push({
        subgraph,
        keys,
        topKeys,
        code,
        by: 'gateway',
        message: String((error as Error).message),
        cause: known ? error.cause : error,
        told: false,
      });
    }
  }

  #losses(
    subgraph: string,
    keys: readonly string[],
    topKeys: readonly string[],
    error: SubgraphError | string | undefined,
  ): void {
    const loss =
      typeof error === 'object'
        ? { code: error.code, retryAfter: error.retryAfter, by: 'subgraph' as const, message: error.message }
        : {
            code: 'SUBGRAPH_BAD_RESPONSE',
            by: 'gateway' as const,
            message: error ?? `${subgraph} answered neither data nor errors.`,
          };
    this.losses.push({ subgraph, keys, topKeys, ...loss, told: false });
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

function describe(value: Json | undefined): string {
  if (Array.isArray(value)) return `${value.length}`;
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? '').slice(0, 60);
}
