import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { Failure } from '#libs/failure';
import { AWAY_HEADER, OVERLOADED_HEADER } from '#libs/lifecycle';
import type { Clock } from '#libs/telemetry';
import { BEHIND_HEADER, WROTE_HEADER } from '#libs/consistency';
import { cacheHeadersOf } from '../cache/cache-control.js';
import type { AnswerHeaders } from '../cache/run-cache.js';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { bad, DECODERS, encodingOf, tooLong, whyRefused } from './answer-rules.js';
import { PROBE, REFUSED } from './breaker.js';
import { headersOf, METHOD, type Assert } from './call-headers.js';
import { WAITING_MAX, type Places } from './endpoint.js';
import type { Head, Heed } from './heed.js';
import { turnedAwayBy } from './letting-in.js';
import type { Waiting } from './line.js';
import type { Target } from './upstream.js';

export interface AttemptOptions {
  /** Counted from when a connection is free for the call. */
  readonly timeoutMs: number;
  /** Whoever was given so long and has not answered hangs; who was given less, because its request had no more left, may not. */
  readonly hangsMs: number;
  readonly bodyBytesMax: number;
  readonly assertion: Assert;
  /** Response headers that go back to the client, lower case. */
  readonly forwardResponse: readonly string[];
  /** A read that is not answered by then is asked a second time, of another address where there is one; 0: never. */
  readonly hedgeMs?: number;
  /** While calls wait longer than this for a connection to an address, it is given no more; 0: they wait. */
  readonly lateInLineMs?: number;
  /** What the headers of answers say about keeping them, by their bytes. */
  readonly kept?: WeakMap<Buffer, AnswerHeaders> | undefined;
  /** What refused reads say that their subgraph has not heard, by their bytes. */
  readonly behind: WeakMap<Buffer, string>;
  /** Which headers of answers are read at all. */
  readonly heed: Heed;
  readonly clock: Clock;
}

/** Headers of answers that every attempt looks at. */
export const HEEDED = [
  'content-type',
  'content-length',
  'content-encoding',
  WROTE_HEADER,
  BEHIND_HEADER,
  AWAY_HEADER,
  OVERLOADED_HEADER,
];

/**
 * What an attempt that was not answered tells:
 * - `unasked`: its address failed a moment ago; another one may be asked;
 * - `unsent`: no byte left us, or who was asked is just starting and has begun nothing: a mutation too may be sent elsewhere;
 * - `strange`: who answered is no subgraph, or thinks that we may not ask it (401, 403, 404, a redirect, no JSON), or 429; where another
 *   address answers the same question, this one is broken, so another may be asked;
 * - `lost`: it broke off, or 502, 503, 504 came; whatever may be asked twice may be asked again;
 * - `final`: asking again would help nobody.
 */
export type Missed = 'unasked' | 'unsent' | 'strange' | 'lost' | 'final';

/** What it tells of its address; `unclear`: its caller says so later, when another one was asked the same (`judge`). */
type Tells = 'answers' | 'fails' | 'hangs' | 'nothing' | 'unclear';

/** A mutation has one effect at most, by whichever of its attempts: each is signed, and could be sent once more by somebody else. */
export function asOneWrite(call: SubgraphCall): SubgraphCall {
  return call.type === 'mutation' && call.write === undefined ? { ...call, write: randomUUID() } : call;
}

/** Whoever made the attempt. Told of exactly one end, unless it ended the attempt itself. */
export interface Caller {
  answered(attempt: Attempt, bytes: Buffer): void;
  missed(attempt: Attempt, failure: Failure, missed: Missed): void;
}

/**
 * One way of one call, as undici tells of it. `pool.request` would do the same through a stream, a promise for each chunk, an
 * AbortController (5 µs) and a signal that is listened to (1 to 4 µs a listener). The handler's names are those of undici's core:
 * round one with the newer names (onRequestStart, …) undici wraps another that makes an object of all headers and a controller.
 */
export class Attempt implements Waiting, Dispatcher.DispatchHandler {
  readonly target: Target;
  readonly deadline: number;
  readonly #caller: Caller;
  readonly #call: SubgraphCall;
  readonly #context: RequestContext;
  readonly #options: AttemptOptions;
  readonly #chunks: Buffer[] = [];
  readonly #forwarded: [string, string][] = [];
  #bytes = 0;
  #encoding = '';
  #said: AnswerHeaders | undefined;
  #behind: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #abort: ((why: Error) => void) | undefined;
  #breaker = REFUSED;
  #limit = 0;
  #inLineSince = 0;
  #startedAt = 0;
  /** Which places it is counted among: a mutation needs one of those that mutations may hold, and then one of all. */
  readonly #among: Places;
  #holdsWriting = false;
  #started = false;
  #sent = false;
  #connected = false;
  #answered = false;
  #overloaded = false;
  #ended = false;

  constructor(caller: Caller, call: SubgraphCall, context: RequestContext, target: Target, options: AttemptOptions) {
    this.target = target;
    this.deadline = context.deadline;
    this.#caller = caller;
    this.#call = call;
    this.#context = context;
    this.#options = options;
    this.#among = call.type === 'mutation' ? target.endpoint.writing : target.endpoint.places;
  }

  begin(): void {
    const { places, breaker } = this.target.endpoint;
    this.#breaker = breaker.begin();
    if (this.#breaker === REFUSED) return this.#miss(this.#notAsked(), 'unasked', 'nothing');
    const { lateInLineMs = 0 } = this.#options;
    const { begun } = this.#context;
    if (
      lateInLineMs > 0 &&
      begun?.shows !== true &&
      (this.#among.isLate(lateInLineMs) || places.isLate(lateInLineMs))
    ) {
      this.#miss(turnedAwayBy(this.#call.subgraph), 'final', 'nothing');
    } else if (!this.#among.line.enter(this)) this.#tooManyWait();
    else if (!this.#started && !this.#ended) {
      this.#inLineSince = this.#options.clock();
      this.#timer = setTimeout(() => this.#miss(this.#timedOut(), 'final', 'nothing'), this.#left());
    }
  }

  #tooManyWait(): void {
    const why = `More than ${WAITING_MAX} calls wait for a connection to ${this.#call.subgraph}.`;
    this.#miss(new Failure('OVERLOADED', why), 'final', 'nothing');
  }

  /** A connection is free, or one may be opened; of a mutation first: no more than may of them are under way. */
  start(): void {
    const { endpoint } = this.target;
    const { places, writing, breaker } = endpoint;
    const waitedMs = this.#inLineSince === 0 ? 0 : this.#options.clock() - this.#inLineSince;
    if (this.#among === writing && !this.#holdsWriting) {
      this.#holdsWriting = true;
      writing.waitedMs = waitedMs;
      // What it waits from now on is for one of all.
      this.#inLineSince += waitedMs;
      if (!places.line.enter(this)) this.#tooManyWait();
      return;
    }
    places.waitedMs = waitedMs;
    this.#started = true;
    clearTimeout(this.#timer);
    this.#startedAt = this.#options.clock();
    // It waited in line, and meanwhile the address was found not to answer.
    if (this.#breaker !== PROBE && breaker.state !== 'closed')
      return this.#miss(this.#notAsked(), 'unasked', 'nothing');
    this.#limit = this.#among.limit.cohort;
    const leftMs = this.deadline - this.#startedAt;
    // Nobody would wait for any of it.
    if (leftMs < 1) return this.#miss(this.#noTimeLeft(), 'final', 'nothing');
    const timeoutMs = Math.min(this.#options.timeoutMs, leftMs);
    const tells = timeoutMs < this.#options.hangsMs ? 'nothing' : 'hangs';
    this.#timer = setTimeout(() => this.#miss(this.#timedOut(), 'final', tells), timeoutMs);
    this.#sent = true;
    try {
      this.target.endpoint.pool.dispatch(
        {
          path: this.target.path,
          method: METHOD,
          headers: headersOf(this.#call, this.target.path, this.#context, this.#options.assertion, timeoutMs),
          body: this.#call.body,
        },
        this,
      );
    } catch (error) {
      this.onError(error as Error);
    }
  }

  /**
   * Nobody waits for it any more; the caller is not told. `answered`: the attempt that was begun after this one, and is answered already. By
   * a factor of LATE this one would be the slower of the two, and has not said a word: each of the calls that are asked twice because of an
   * address that hangs ends like that, and nothing else would ever be told of it. One late answer among others is forgotten with the next
   * one that comes, and it is no sign of too much work, so the limit is not told.
   */
  abandon(answered?: Attempt): void {
    if (this.#ended) return;
    const late =
      answered !== undefined &&
      this.#started &&
      !this.#answered &&
      answered.target.endpoint !== this.target.endpoint &&
      this.#ranMs >= Math.max(this.#options.hedgeMs ?? 0, LATE * answered.#ranMs);
    this.#settle(late ? 'fails' : 'nothing');
  }

  get #ranMs(): number {
    return this.#options.clock() - this.#startedAt;
  }

  /**
   * What an answer that was `strange` tells of its address. One that is tried again after it failed has answered: where nobody knows better
   * that is what was asked, and it would else be left alone for as long as such answers come.
   */
  judge(tells: 'answers' | 'fails' | 'nothing'): void {
    this.#tell(tells === 'nothing' && this.#breaker === PROBE ? 'answers' : tells);
  }

  get #isWrite(): boolean {
    return this.#call.type === 'mutation';
  }

  #left(): number {
    return Math.max(0, this.deadline - this.#options.clock());
  }

  // What undici tells

  onConnect(abort: (why?: Error) => void): void {
    this.#connected = true;
    this.#abort = abort;
    if (this.#ended) abort(GIVEN_UP);
  }

  onHeaders(status: number, raw: Buffer[]): boolean {
    if (!this.#ended && status >= 200) this.#head(status, this.#options.heed.read(raw));
    return true;
  }

  #head(status: number, headers: Head): void {
    this.#answered = true;
    const { consistency } = this.#context;
    const wrote = consistency && headers[WROTE_HEADER];
    if (typeof wrote === 'string') consistency?.note(this.#call.subgraph, wrote);
    const behind = consistency && headers[BEHIND_HEADER];
    if (typeof behind === 'string') this.#behind = behind;
    if (this.#options.kept) this.#said = cacheHeadersOf(headers);
    const { endpoint } = this.target;
    const away = headers[AWAY_HEADER];
    if (away === 'starting' || away === 'ending') endpoint.goesAway(away);
    this.#overloaded = headers[OVERLOADED_HEADER] !== undefined;
    const refused = whyRefused(status, headers);
    if (refused && away === 'starting' && status === 503) return this.#miss(refused, 'unsent', 'fails');
    if (refused) return this.#refused(status, refused);
    // A refusal may be whose door it stands behind, which says nothing of it.
    if (away === undefined && endpoint.away !== undefined) endpoint.answersAgain(this.#startedAt);
    if (Number(headers['content-length'] ?? 0) > this.#options.bodyBytesMax) return this.#tooLong();
    for (const name of this.#options.forwardResponse) {
      const value = headers[name];
      for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value])
        this.#forwarded.push([name, one]);
    }
    this.#encoding = encodingOf(headers['content-encoding']);
    if (this.#encoding !== '' && !Object.hasOwn(DECODERS, this.#encoding))
      this.#miss(bad('The answer is encoded in a way we did not ask for.'), 'final', 'answers');
  }

  onData(chunk: Buffer): boolean {
    if (this.#ended) return true;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.bodyBytesMax) this.#tooLong();
    else this.#chunks.push(chunk);
    return true;
  }

  onComplete(): void {
    if (this.#ended) return;
    this.#abort = undefined;
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes);
    if (this.#encoding === '') return this.#finish(bytes);
    const { bodyBytesMax } = this.#options;
    // The limit counts what comes out, so a bomb stops at the limit.
    DECODERS[this.#encoding]!(bytes, { maxOutputLength: bodyBytesMax }, (error, plain) => {
      if (!error) this.#finish(plain);
      else if (error.code === 'ERR_BUFFER_TOO_LARGE') this.#tooLong();
      else this.#miss(bad('The answer is not the compression it claims to be.', error), 'final', 'answers');
    });
  }

  onError(error: Error): void {
    if (this.#ended) return;
    this.#abort = undefined;
    const { code } = error as { code?: unknown };
    if (OURS.has(code)) {
      const why = `No file is left for a connection to ${this.#call.subgraph}: ${describe(error)}`;
      return this.#miss(new Failure('OVERLOADED', why, { cause: error }), 'final', 'nothing');
    }
    const failure = unavailable(this.#call.subgraph, error);
    // What cannot be sent at all, because of what a client made us forward, tells nothing of the address.
    if (code === 'UND_ERR_INVALID_ARG') this.#miss(failure, 'final', 'nothing');
    else this.#miss(failure, this.#brokeOff(code), 'fails');
  }

  /**
   * Before undici has a connection that answers it writes nothing, whatever went wrong with it: refused, reset while it waited in the line of
   * a port that was closed, a certificate that is not believed. And a server may close one that was kept alive just as we write into it.
   */
  #brokeOff(code: unknown): Missed {
    if (!this.#connected) return 'unsent';
    return !this.#answered && BROKEN.has(code) ? 'lost' : 'final';
  }

  // How it ends

  #finish(bytes: Buffer): void {
    if (this.#ended) return;
    if (!isUtf8(bytes)) return this.#miss(bad('The answer is not UTF-8.'), 'final', 'answers');
    if (this.#isWrite) this.#context.begun?.hasWritten();
    // It answers, so the breaker has nothing to say; only there is too much of it.
    if (this.#overloaded) this.#tooMuch();
    else this.target.endpoint.answered(this.#isWrite);
    this.#settle('answers');
    const { fetched, responseHeaders } = this.#context;
    // Only now: of a call that is sent twice both may have got this far, and one cookie would be set twice.
    if (this.#forwarded.length > 0) responseHeaders.push(...this.#forwarded);
    if (fetched !== undefined) fetched.bytes += bytes.length;
    if (this.#said) this.#options.kept!.set(bytes, this.#said);
    if (this.#behind !== undefined) this.#options.behind.set(bytes, this.#behind);
    this.#caller.answered(this, bytes);
  }

  #refused(status: number, failure: Failure): void {
    if (status === 503 || status === 429) this.#tooMuch();
    if (status < 500) return this.#miss(failure, 'strange', 'unclear');
    this.#miss(failure, status >= 502 && status <= 504 ? 'lost' : 'final', 'fails');
  }

  /** What is held of it is paid for; as much as the limit by whoever has asked for it. */
  #tooLong(): void {
    if (this.#ended) return;
    const { bodyBytesMax } = this.#options;
    const { cost = 0, fetched } = this.#context;
    // What a mutation costs is its work, and no objects that fill an answer.
    const failure = tooLong(bodyBytesMax, this.#call.type === 'mutation' ? 0 : cost);
    if (fetched !== undefined)
      fetched.bytes += failure.code === 'ANSWER_TOO_LONG' ? bodyBytesMax : Math.min(this.#bytes, bodyBytesMax);
    this.#miss(failure, 'final', 'answers');
  }

  #tooMuch(): void {
    this.target.endpoint.overloaded(this.#among, this.#limit);
  }

  #miss(failure: Failure, missed: Missed, tells: Tells): void {
    if (this.#ended) return;
    if (tells === 'hangs') this.#tooMuch();
    if (this.#isWrite && this.#connected && missed !== 'unsent') this.#context.begun?.hasWritten();
    this.#settle(tells);
    this.#caller.missed(this, failure, missed);
  }

  #settle(tells: Tells): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    if (tells !== 'unclear') this.#tell(tells);
    const { endpoint } = this.target;
    const { places, writing } = endpoint;
    // The rest of an answer that nobody reads: the connection goes with it.
    this.#abort?.(GIVEN_UP);
    const isInLine = !this.#started && this.#inLineSince !== 0;
    if (isInLine) (this.#holdsWriting ? places : this.#among).line.giveUp(this);
    // First, since who comes after it needs a place of all: an address that is retired ends with its last call.
    if (this.#holdsWriting) writing.line.leave();
    if (this.#started) endpoint.leave(this.#isWrite, this.#sent ? this.#ranMs : undefined);
  }

  #tell(tells: Exclude<Tells, 'unclear'>): void {
    const { breaker } = this.target.endpoint;
    if (tells === 'answers') breaker.succeeded(this.#breaker);
    else if (tells === 'nothing') breaker.abandoned(this.#breaker);
    // Mutations that hang together say one thing: that would else stop those who read, for whom it may well do.
    else breaker.failed(this.#breaker, tells === 'hangs' && !this.#isWrite);
  }

  #notAsked(): Failure {
    return new Failure(
      'SUBGRAPH_UNAVAILABLE',
      `${this.#call.subgraph} is not asked: ${this.target.endpoint.origin} failed a moment ago.`,
    );
  }

  #timedOut(): Failure {
    const { subgraph } = this.#call;
    return new Failure(
      'SUBGRAPH_TIMEOUT',
      this.#started
        ? `${subgraph} did not answer within ${Math.round(this.#ranMs)} ms.`
        : `No connection to ${subgraph} was free before the request had to be answered.`,
    );
  }

  #noTimeLeft(): Failure {
    return new Failure('SUBGRAPH_TIMEOUT', `The request has to be answered before ${this.#call.subgraph} is asked.`);
  }
}

export function unavailable(subgraph: string, error: unknown): Failure {
  return new Failure('SUBGRAPH_UNAVAILABLE', `${subgraph} cannot be reached or broke off: ${describe(error)}`, {
    cause: error,
  });
}

/** So many times as long as the other attempt took. */
const LATE = 2;
const GIVEN_UP = new Error('nobody waits for this call any more');
/** This process has as many files open as it may, or the machine has: nobody was asked. */
const OURS: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);
const BROKEN: ReadonlySet<unknown> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(' ') || String(error);
}
