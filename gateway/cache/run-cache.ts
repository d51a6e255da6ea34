import { createHash } from 'node:crypto';
import { entityNames, type KeptField, type Stamp } from '#libs/cache';
import type { Write } from '#libs/consistency';
import { traced } from '#libs/telemetry';
import type { RequestContext } from '../engine.js';
import type { CompiledRoot } from '../run/compile.js';
import type { Json } from '../run/json.js';
import type { Part } from '../run/requests.js';
import type { Send } from '../run/run.js';
import { Asking } from './asking.js';
import { AnswerPolicy, forClient, isNothing, isPrivate, type CacheControl } from './cache-control.js';
import type { GraphCache } from './graph-cache.js';
import { MadeOf } from './made-of.js';
import { RootAsking } from './root-asking.js';
import type { Count, Fields, Policy } from './shape.js';
import { fieldText } from './values.js';

export type Variable = (name: string) => string | undefined;

/** What an answer's headers say about keeping it. */
export interface AnswerHeaders {
  readonly cacheControl: CacheControl | undefined;
  readonly tags: readonly string[];
}

const HEADER_ONLY = { byHeader: true };

/** How far the clocks of gateways and Redis may be apart. */
const CLOCK_SKEW_MS = 5_000;

/** What the cache needs of whoever runs the operation. */
export interface CacheDoor {
  /** Of an answer's bytes. */
  headersOf(bytes: Buffer): AnswerHeaders | undefined;
  /** A way to the subgraphs that does not end with the client's request. */
  sendBehind(): Send;
}

/** The entity cache for one execution of one query. */
export class RunCache {
  /** What the whole answer may be. */
  readonly policy = new AnswerPolicy();
  /** Where it is to be explained: why fields had to be loaded, by field and reason, how often; and how often they were found. */
  readonly reasons = new Map<string, Map<string, number>>();
  readonly found = new Map<string, number>();
  readonly #texts = new Map<Fields, readonly string[]>();
  readonly context: Pick<RequestContext, 'subject' | 'headers' | 'trace' | 'explain'>;
  /** What the client has to be shown. */
  readonly #writes: readonly Write[];
  readonly everybody: string;
  /** Nothing that it asks for can be found. */
  readonly stranger: boolean;
  readonly own: string;
  /** The field that says that there is no such entity, for this viewer: another may be shown what this one is not. */
  readonly gone: string;
  /** Calls are joined only with those that began after the same drops. */
  stampText = '';
  /** ms on the store's clock, when this execution looked for the first time: what was kept later may be its own work. */
  since = Number.POSITIVE_INFINITY;
  /** Loads that it leads itself. */
  readonly flights = new Set<string>();

  readonly made: MadeOf;
  /** The store did not answer: it is not waited for again. */
  unanswered = false;

  readonly headersOf: CacheDoor['headersOf'];
  readonly #sendBehind: CacheDoor['sendBehind'];

  constructor(
    readonly graph: GraphCache,
    context: RequestContext,
    readonly variable: Variable,
    door: CacheDoor,
    { everybody, own }: Variants,
  ) {
    this.headersOf = door.headersOf;
    this.#sendBehind = door.sendBehind;
    this.context = context;
    this.#writes = context.consistency?.writes ?? [];
    this.made = new MadeOf(context.subject, !this.hasWritten && !context.explain);
    this.everybody = everybody;
    this.own = own;
    this.stranger = context.headers.size > 0 && graph.cache.strangers.is(everybody);
    this.gone = `!gone ${JSON.stringify(context.subject)}`;
  }

  ask(subgraph: string, parts: readonly Part[]): Asking {
    return new Asking(this, subgraph, parts);
  }

  askRoot(fetch: CompiledRoot): RootAsking {
    return new RootAsking(this, fetch);
  }

  textsOf = (fields: Fields): readonly string[] => {
    let texts = this.#texts.get(fields);
    if (!texts) {
      texts = fields.list.map((field) => fieldText(field, this.variable));
      this.#texts.set(fields, texts);
    }
    return texts;
  };

  get hasWritten(): boolean {
    return this.#writes.length > 0;
  }

  /**
   * What was loaded until then, on the store's clock, may be older than a write of the client's. 0: the store was told of all that
   * it wrote, so whatever could be older is gone. Infinity: it may be of any time. Of what the subgraph has written itself, what was loaded
   * after the write contains it. Of what another has written it has a copy, which may be behind for as long as events do not flow, and
   * somebody else may have been answered from it after the write.
   */
  async notBefore(subgraph: string): Promise<number> {
    const writes = this.#writes;
    const names = writes.map(({ aggregate }) => entityNames.write(subgraph, aggregate));
    const told = await this.stored('told', () => this.graph.cache.records.told(names));
    if (told === undefined) this.unanswered = true;
    const untold = writes.filter(({ version }, nth) => (told?.[nth] ?? 0) < version);
    if (untold.some(({ source }) => source !== subgraph)) return Number.POSITIVE_INFINITY;
    return untold.length === 0 ? 0 : 1_000 * (1 + Math.max(...untold.map(({ at }) => at))) + CLOCK_SKEW_MS;
  }

  /** What is asked of the store on this execution's behalf: in a trace that is kept, a span. */
  stored<T>(operation: 'look' | 'cover' | 'fill' | 'told', work: () => Promise<T>): Promise<T> {
    return traced(this.context.trace, ...this.graph.cache.records.span(operation), work);
  }

  keepable(subgraph: string, policy: Policy): boolean {
    return policy.maxAge > 0 && (!policy.byHeader || this.graph.speaking.has(subgraph));
  }

  /** An answer about which nothing was looked up: whether it may be kept, only its header says. `came`: the entities, or the root fields' values. */
  passed(subgraph: string, bytes: Buffer, came: readonly (Json | undefined)[]): void {
    const control = this.headersOf(bytes)?.cacheControl;
    const maxAge = control?.keep ? (control.maxAge ?? 0) : 0;
    if (maxAge > 0) this.graph.speaking.add(subgraph);
    const own = control !== undefined && isPrivate(control, HEADER_ONLY, this.context.subject);
    this.policy.restrict(forClient(maxAge, came.some(isNothing)), own);
  }

  began(stamp: Stamp): void {
    this.stampText = stamp.text;
    this.since = Math.min(this.since, stamp.now);
  }

  /** This goes into the answer. */
  shown(kept: KeptField, now: number, isPrivate: boolean, count?: Count): void {
    this.policy.restrict((kept.freshUntil - kept.loadedAt) / 1_000, isPrivate);
    this.policy.aged(now - kept.loadedAt);
    this.made.shown(kept, count);
  }

  note(field: string, reason: string, times = 1): void {
    if (!this.context.explain) return;
    let reasons = this.reasons.get(field);
    if (!reasons) this.reasons.set(field, (reasons = new Map()));
    reasons.set(reason, (reasons.get(reason) ?? 0) + times);
  }

  hit(field: string): void {
    if (!this.context.explain) return;
    this.found.set(field, (this.found.get(field) ?? 0) + 1);
  }

  /** Work that goes on when the client has its answer; if it fails, it fails. */
  behind(work: (send: Send) => Promise<void>): void {
    this.made.whole = false;
    this.graph.cache.behind(work(this.#sendBehind()).catch(() => {}));
  }

  headers(): [name: string, value: string][] {
    return this.policy.headers();
  }
}

/** Whose fields. */
export interface Variants {
  /** Everybody's are everybody's only among those whose forwarded headers are the same. */
  readonly everybody: string;
  readonly own: string;
}

/** Hashed: a forwarded header may be a secret, and this becomes part of names in the store. */
export function variantsOf({ subject, headers }: Pick<RequestContext, 'subject' | 'headers'>): Variants {
  const viewer = `viewer ${JSON.stringify(subject)}`;
  if (headers.size === 0) return { everybody: '', own: viewer };
  const sorted = [...headers].sort(([one], [other]) => (one < other ? -1 : 1));
  const forwarded = createHash('sha256').update(JSON.stringify(sorted)).digest('base64url');
  return { everybody: forwarded, own: `${viewer} ${forwarded}` };
}
