import { Failure } from '#libs/failure';
import { CACHE_HEADERS } from '../cache/cache-control.js';
import type { AnswerHeaders } from '../cache/run-cache.js';
import { NOT_TAKEN } from '../http/refusal.js';
import type { RequestContext, SubgraphCall, SubgraphClient } from '../engine.js';
import { asOneWrite, Attempt, HEEDED, unavailable, type AttemptOptions, type Caller, type Missed } from './attempt.js';
import type { Endpoint } from './endpoint.js';
import { Heed } from './heed.js';
import { letIn, turnedAwayBy } from './letting-in.js';
import { ShortTurns } from './short-turns.js';
import type { Upstream, Target } from './upstream.js';
import { Upstreams, type UpstreamsOptions } from './upstream.js';

export interface SubgraphClientOptions
  extends Omit<AttemptOptions, 'kept' | 'behind' | 'heed' | 'hangsMs'>, UpstreamsOptions {
  /** The whole request is never given longer; absent: longer than a call. */
  readonly requestTimeoutMs?: number;
  /** Remember what an answer's headers say about keeping it (`headersOf`). */
  readonly cacheHeaders?: boolean;
  /** Told of each call: `ok` or a code, and how long it took, ms; and of each that was sent twice. */
  readonly observe?: {
    call(subgraph: string, outcome: string, ms: number): void;
    repeated(subgraph: string, why: 'retry' | 'hedge'): void;
  };
  /** Of the whole program, whose event loop is one. */
  readonly turns?: ShortTurns;
  /** Told each time that a call is not made because too many wait. */
  readonly turnsAway?: ((subgraph: string) => void) | undefined;
}

/** A retry at the address that just refused waits up to this long: many gateways are told to go away in the same moment. */
const JITTER_MS = 50;

/**
 * undici's pools, kept alive. It follows no redirect: one would carry the assertion to wherever a subgraph points.
 */
export function openSubgraphClient(given: SubgraphClientOptions): SubgraphClient & { readonly upstreams: Upstreams } {
  const kept = given.cacheHeaders === true ? new WeakMap<Buffer, AnswerHeaders>() : undefined;
  const heed = new Heed(HEEDED, given.forwardResponse, kept ? CACHE_HEADERS : []);
  const behind = new WeakMap<Buffer, string>();
  // The time that a call has is never all of it: some has gone by since the request came. Half of the most that one can have is long.
  const hangsMs = Math.min(given.timeoutMs, given.requestTimeoutMs ?? Infinity) / 2;
  const options = { ...given, kept, behind, heed, hangsMs };
  const upstreams = new Upstreams(options);
  const underWay = new Set<Call>();
  const { turns = new ShortTurns() } = given;
  return {
    upstreams,
    post: (call, context) =>
      new Promise((resolve, reject) => {
        new Call(call, context, upstreams.of(call.url), options, underWay, turns, resolve, reject).begin();
      }),
    headersOf: (bytes) => kept?.get(bytes),
    behindOf: (bytes) => behind.get(bytes),
    async close() {
      for (const call of underWay) call.end(CLOSED);
      await upstreams.close();
    },
  };
}

const CLOSED = new Failure('SUBGRAPH_UNAVAILABLE', 'The gateway is closing.');

/** One call and its attempts: one nearly always; a second one where the first was lost, or is late and hedged. */
class Call implements Caller {
  readonly #call: SubgraphCall;
  readonly #context: RequestContext;
  readonly #upstream: Upstream;
  readonly #options: SubgraphClientOptions & AttemptOptions;
  readonly #underWay: Set<Call>;
  readonly #turns: ShortTurns;
  readonly #resolve: (bytes: Buffer) => void;
  readonly #reject: (failure: Failure) => void;
  #first: Attempt | undefined;
  #second: Attempt | undefined;
  #timer: NodeJS.Timeout | undefined;
  #began = 0;
  #again = false;
  #looked = false;
  /** Its answer was `strange`. */
  #strange: Attempt | undefined;
  readonly #tried: Endpoint[] = [];
  #ended = false;

  constructor(
    call: SubgraphCall,
    context: RequestContext,
    upstream: Upstream,
    options: SubgraphClientOptions & AttemptOptions,
    underWay: Set<Call>,
    turns: ShortTurns,
    resolve: (bytes: Buffer) => void,
    reject: (failure: Failure) => void,
  ) {
    this.#call = asOneWrite(call);
    this.#context = context;
    this.#upstream = upstream;
    this.#options = options;
    this.#underWay = underWay;
    this.#turns = turns;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { signal } = this.#context;
    if (signal.aborted) return this.#reject(unavailable(this.#call.subgraph, signal.reason));
    signal.addEventListener('abort', this.#cancel);
    this.#underWay.add(this);
    if (this.#options.observe) this.#began = performance.now();
    const { begun } = this.#context;
    const { lateInLineMs = 0 } = this.#options;
    const isWrite = !this.#mayRepeat;
    const isFirst = begun?.passes(this.#upstream.targets) !== true;
    const chosen = this.#upstream.choose(isWrite, undefined);
    const target = isFirst ? letIn(this.#upstream, chosen, isWrite, begun, lateInLineMs) : chosen;
    if (target === undefined) return this.end(turnedAwayBy(this.#call.subgraph));
    this.#upstream.budget.called();
    this.#first = this.#attempt(target);
    this.#first.begin();
    if (this.#ended) return;
    // As often as who comes is let in: once for each subgraph, whichever of its addresses are asked.
    if (begun?.isForNobody !== true) target.endpoint.asked(isWrite, isFirst);
    begun?.add(target.endpoint);
    const { hedgeMs = 0 } = this.#options;
    if (hedgeMs > 0 && this.#mayRepeat) this.#timer = setTimeout(() => this.#hedge(), hedgeMs);
  }

  answered(attempt: Attempt, bytes: Buffer): void {
    this.#judge(attempt.target.endpoint);
    this.#settle('ok');
    (attempt === this.#first ? this.#second : this.#first)?.abandon(attempt);
    // Also for who went away meanwhile: others may have joined it, and what a mutation changed is dropped from caches.
    this.#turns.take(this.#context.deadline, () => this.#resolve(bytes));
  }

  missed(attempt: Attempt, failure: Failure, missed: Missed): void {
    if (attempt === this.#first) this.#first = undefined;
    else this.#second = undefined;
    if (missed === 'strange') this.#wonder(attempt);
    if (this.#ended || this.#first || this.#second) return;
    if (this.#retries(attempt, missed)) return;
    if (missed === 'unsent' && !this.#looked) void this.#lookAgain(failure);
    else this.end(failure);
  }

  /** Is it the address, or the question? Where a second one says such a thing too, it is the question. */
  #wonder(attempt: Attempt): void {
    const before = this.#strange;
    this.#strange = undefined;
    if (this.#upstream.targets.length === 1) return attempt.judge('answers');
    if (before === undefined || before.target.endpoint === attempt.target.endpoint) {
      before?.judge('nothing');
      this.#strange = attempt;
      return;
    }
    this.#upstream.agreed();
    for (const one of [before, attempt]) one.judge('answers');
  }

  /** `answers`: who has answered what the other could not; undefined: nobody. */
  #judge(answers?: Endpoint): void {
    const strange = this.#strange;
    this.#strange = undefined;
    strange?.judge(answers === undefined || answers === strange.target.endpoint ? 'nothing' : 'fails');
  }

  /** Nobody is there where the name was, and nothing was sent: it may be elsewhere since. */
  async #lookAgain(failure: Failure): Promise<void> {
    this.#looked = true;
    await this.#upstream.lookAgain();
    if (this.#ended) return;
    const untried = this.#upstream.targets.filter(({ endpoint }) => !this.#tried.includes(endpoint));
    if (untried.length === 0) return this.end(failure);
    this.#first = this.#attempt(this.#upstream.choose(!this.#mayRepeat, undefined, untried));
    this.#first.begin();
  }

  /** `outcome`: for the figures. */
  end(failure: Failure, outcome: string = failure.code): void {
    if (this.#ended) return;
    this.#judge();
    if (failure.cause === NOT_TAKEN) {
      const { begun } = this.#context;
      begun?.turnedAway();
      if (begun?.isForNobody !== true) this.#options.turnsAway?.(this.#call.subgraph);
    }
    this.#settle(outcome);
    this.#first?.abandon();
    this.#second?.abandon();
    this.#reject(failure);
  }

  #other(tried: Target): Target {
    return this.#upstream.choose(!this.#mayRepeat, tried);
  }

  #attempt(target: Target): Attempt {
    this.#tried.push(target.endpoint);
    return new Attempt(this, this.#call, this.#context, target, this.#options);
  }

  get #mayRepeat(): boolean {
    return this.#call.type !== 'mutation';
  }

  /** What was never sent may go elsewhere; what may have been carried out goes again only where that changes nothing. */
  #retries(attempt: Attempt, missed: Missed): boolean {
    const elsewhere = this.#upstream.targets.some(
      ({ endpoint }) => endpoint !== attempt.target.endpoint && endpoint.breaker.allows,
    );
    const may = this.#mayRepeat
      ? missed === 'lost' ||
        missed === 'unsent' ||
        (missed === 'unasked' && elsewhere) ||
        (missed === 'strange' && elsewhere && this.#upstream.wonders)
      : elsewhere && (missed === 'unsent' || missed === 'unasked');
    if (!may || this.#again) return false;
    // A call that never left us and goes elsewhere is no second one to anybody: the budget is for what is asked twice.
    const isFirst = elsewhere && (missed === 'unsent' || missed === 'unasked');
    if (!isFirst && !this.#upstream.budget.take()) return false;
    this.#again = true;
    this.#options.observe?.repeated(this.#call.subgraph, 'retry');
    clearTimeout(this.#timer);
    const again = (): void => {
      if (this.#ended) return;
      this.#first = this.#attempt(this.#other(attempt.target));
      this.#first.begin();
    };
    if (elsewhere || missed === 'lost') again();
    else this.#timer = setTimeout(again, Math.random() * JITTER_MS);
    return true;
  }

  #hedge(): void {
    if (this.#again || !this.#first || !this.#upstream.hasOther(this.#first.target)) return;
    if (!this.#upstream.budget.take()) return;
    this.#again = true;
    this.#options.observe?.repeated(this.#call.subgraph, 'hedge');
    this.#second = this.#attempt(this.#other(this.#first.target));
    this.#second.begin();
  }

  readonly #cancel = (): void => this.end(unavailable(this.#call.subgraph, this.#context.signal.reason), 'CANCELLED');

  #settle(outcome: string): void {
    this.#options.observe?.call(this.#call.subgraph, outcome, performance.now() - this.#began);
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#underWay.delete(this);
    this.#context.signal.removeEventListener('abort', this.#cancel);
  }
}
