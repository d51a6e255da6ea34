import { isUtf8 } from 'node:buffer';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { Pool, type Dispatcher } from 'undici';
import { Failure } from '#libs/failure';
import type { Clock } from '#libs/telemetry';
import { UP_TO_HEADER, WROTE_HEADER } from '#libs/consistency';
import { ASSERTION_HEADER } from '#libs/identity';
import { cacheHeadersOf } from '../cache/cache-control.js';
import type { AnswerHeaders } from '../cache/run-cache.js';
import type { RequestContext, SubgraphCall, SubgraphClient } from '../engine.js';
import { Line, type Waiting } from './line.js';

export interface SubgraphClientOptions {
  /** Counted from when a connection is free for the call. */
  readonly timeoutMs: number;
  readonly bodyBytesMax: number;
  /** To one address; calls beyond wait in line for as long as their request has time. */
  readonly connections: number;
  /** What each subgraph is told about who asks. */
  readonly assertion: (subgraph: string, subject: string | null) => string | undefined;
  /** Response headers that go back to the client, lower case. */
  readonly forwardResponse: readonly string[];
  /** Remember what an answer's headers say about keeping it (`headersOf`). */
  readonly cacheHeaders?: boolean;
  readonly clock: Clock;
}

/** How long the gateway will still wait for this answer, in ms: a subgraph need not work on what nobody waits for. */
export const TIMEOUT_HEADER = 'tributary-timeout-ms';

/** Calls that wait for a connection to one address; more are refused. */
const WAITING_MAX = 50_000;

/** Where calls to one origin go. */
interface Origin {
  readonly pool: Pool;
  readonly line: Line;
}

interface Address {
  readonly origin: Origin;
  readonly path: string;
}

/**
 * undici's pools, kept alive. It follows no redirect: one would carry the assertion to wherever a subgraph points.
 */
export function openSubgraphClient(options: SubgraphClientOptions): SubgraphClient {
  const origins = new Map<string, Origin>();
  const addresses = new Map<string, Address>();
  const kept = options.cacheHeaders === true ? new WeakMap<Buffer, AnswerHeaders>() : undefined;

  function originOf(name: string): Origin {
    let origin = origins.get(name);
    if (origin === undefined) {
      const pool = new Pool(name, {
        connections: options.connections,
        pipelining: 1,
        connect: { timeout: Math.min(1_000, options.timeoutMs) },
        // Node's server closes after 5 s without a request; we let go first, so that neither writes into a closed socket.
        keepAliveTimeout: 4_000,
        maxHeaderSize: 16 * 1024,
        // The whole call has one deadline, in Call.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      origin = { pool, line: new Line(options.connections, WAITING_MAX) };
      origins.set(name, origin);
    }
    return origin;
  }

  function addressOf(url: string): Address {
    let address = addresses.get(url);
    if (address === undefined) {
      const { origin, pathname, search } = new URL(url);
      address = { origin: originOf(origin), path: pathname + search };
      addresses.set(url, address);
    }
    return address;
  }

  return {
    post: (call, context) =>
      new Promise((resolve, reject) => {
        new Call(call, context, addressOf(call.url), options, kept, resolve, reject).begin();
      }),
    headersOf: (bytes) => kept?.get(bytes),
    async close() {
      for (const { line } of origins.values()) for (const waiting of line.empty()) (waiting as Call).end(CLOSED);
      await Promise.all([...origins.values()].map(({ pool }) => pool.destroy()));
      origins.clear();
      addresses.clear();
    },
  };
}

const CLOSED = new Failure('SUBGRAPH_UNAVAILABLE', 'The gateway is closing.');

/**
 * One call, as undici tells of it. `pool.request` would do the same through a stream, a promise for each chunk, an
 * AbortController (5 µs) and a signal that is listened to (1 to 4 µs a listener).
 */
class Call implements Waiting, Dispatcher.DispatchHandler {
  readonly deadline: number;
  readonly #call: SubgraphCall;
  readonly #context: RequestContext;
  readonly #address: Address;
  readonly #options: SubgraphClientOptions;
  readonly #kept: WeakMap<Buffer, AnswerHeaders> | undefined;
  #said: AnswerHeaders | undefined;
  readonly #resolve: (bytes: Buffer) => void;
  readonly #reject: (failure: Failure) => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #encoding = '';
  #timer: NodeJS.Timeout | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #started = false;
  #answered = false;
  #again = false;
  #ended = false;

  constructor(
    call: SubgraphCall,
    context: RequestContext,
    address: Address,
    options: SubgraphClientOptions,
    kept: WeakMap<Buffer, AnswerHeaders> | undefined,
    resolve: (bytes: Buffer) => void,
    reject: (failure: Failure) => void,
  ) {
    this.deadline = context.deadline;
    this.#call = call;
    this.#context = context;
    this.#address = address;
    this.#options = options;
    this.#kept = kept;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { signal } = this.#context;
    if (signal.aborted) return this.#cancel();
    signal.addEventListener('abort', this.#cancel);
    const { line } = this.#address.origin;
    if (!line.enter(this)) {
      this.end(
        new Failure('OVERLOADED', `More than ${WAITING_MAX} calls wait for a connection to ${this.#call.subgraph}.`),
      );
    } else if (!this.#started) {
      this.#timer = setTimeout(() => this.end(this.#timedOut()), this.#left());
    }
  }

  /** A connection is free, or one may be opened. */
  start(): void {
    this.#started = true;
    clearTimeout(this.#timer);
    const timeoutMs = Math.min(this.#options.timeoutMs, this.#left());
    this.#timer = setTimeout(() => this.end(this.#timedOut()), timeoutMs);
    this.#dispatch(timeoutMs);
  }

  #dispatch(timeoutMs: number): void {
    const { origin, path } = this.#address;
    try {
      origin.pool.dispatch(
        {
          path,
          method: 'POST',
          headers: headersOf(this.#call, this.#context, this.#options, timeoutMs),
          body: this.#call.body,
        },
        this,
      );
    } catch (error) {
      this.onResponseError(undefined, error as Error);
    }
  }

  #left(): number {
    return Math.max(0, this.deadline - this.#options.clock());
  }

  // What undici tells

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(GIVEN_UP);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#ended || status < 200) return;
    this.#answered = true;
    const { consistency } = this.#context;
    const wrote = consistency && headers[WROTE_HEADER];
    if (typeof wrote === 'string') consistency?.note(this.#call.subgraph, wrote);
    if (this.#kept) this.#said = cacheHeadersOf(headers);
    for (const name of this.#options.forwardResponse) {
      const value = headers[name];
      for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value])
        this.#context.responseHeaders.push([name, one]);
    }
    const refused = whyRefused(status, headers, this.#options.bodyBytesMax);
    if (refused) return this.end(refused);
    this.#encoding = encodingOf(headers['content-encoding']);
    if (this.#encoding !== '' && !Object.hasOwn(DECODERS, this.#encoding))
      this.end(bad('The answer is encoded in a way we did not ask for.'));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.bodyBytesMax) this.end(tooLong(this.#options.bodyBytesMax));
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#ended) return;
    this.#controller = undefined;
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes);
    if (this.#encoding === '') return this.#finish(bytes);
    const { bodyBytesMax } = this.#options;
    // The limit counts what comes out, so a bomb stops at the limit.
    DECODERS[this.#encoding]!(bytes, { maxOutputLength: bodyBytesMax }, (error, plain) => {
      if (!error) this.#finish(plain);
      else if (error.code === 'ERR_BUFFER_TOO_LARGE') this.end(tooLong(bodyBytesMax));
      else this.end(bad('The answer is not the compression it claims to be.', error));
    });
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#ended) return;
    this.#controller = undefined;
    // A server may close a kept-alive connection just as we write into it: nothing was read then, so a query may go again.
    if (!this.#again && !this.#answered && this.#call.type !== 'mutation' && brokeOff(error)) {
      this.#again = true;
      return this.#dispatch(Math.min(this.#options.timeoutMs, this.#left()));
    }
    this.end(this.#unavailable(error));
  }

  // How it ends

  #finish(bytes: Buffer): void {
    if (this.#ended) return;
    if (!isUtf8(bytes)) return this.end(bad('The answer is not UTF-8.'));
    this.#settle();
    if (this.#said) this.#kept!.set(bytes, this.#said);
    this.#resolve(bytes);
  }

  readonly #cancel = (): void => this.end(this.#unavailable(this.#context.signal.reason));

  end(failure: Failure): void {
    if (this.#ended) return;
    this.#settle();
    // The rest of an answer that nobody reads: the connection goes with it.
    this.#controller?.abort(GIVEN_UP);
    this.#reject(failure);
  }

  #settle(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#context.signal.removeEventListener('abort', this.#cancel);
    if (this.#started) this.#address.origin.line.leave();
    else this.#address.origin.line.giveUp(this);
  }

  #timedOut(): Failure {
    const { subgraph } = this.#call;
    return new Failure(
      'SUBGRAPH_TIMEOUT',
      this.#started
        ? `${subgraph} did not answer within ${this.#options.timeoutMs} ms.`
        : `No connection to ${subgraph} was free before the request had to be answered.`,
    );
  }

  #unavailable(error: unknown): Failure {
    const { subgraph } = this.#call;
    return new Failure('SUBGRAPH_UNAVAILABLE', `${subgraph} cannot be reached or broke off: ${describe(error)}`, {
      cause: error,
    });
  }
}

const GIVEN_UP = new Error('nobody waits for this call any more');

function headersOf(
  call: SubgraphCall,
  context: RequestContext,
  options: SubgraphClientOptions,
  timeoutMs: number,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of context.headers) headers[name] = value;
  headers['content-type'] = 'application/json';
  headers['accept'] = 'application/graphql-response+json, application/json';
  headers['x-request-id'] = context.requestId;
  headers[TIMEOUT_HEADER] = String(timeoutMs);
  if (context.consistency?.upTo) headers[UP_TO_HEADER] = context.consistency.upTo;
  const assertion = options.assertion(call.subgraph, context.subject);
  if (assertion !== undefined) headers[ASSERTION_HEADER] = assertion;
  return headers;
}

function brokeOff(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

/** Why this is no answer to a GraphQL request, as far as its head tells. */
function whyRefused(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  bytesMax: number,
): Failure | undefined {
  const ok = (status >= 200 && status < 300 && status !== 204) || status === 400 || status === 422;
  if (!ok) {
    const code = status >= 500 || status === 429 ? 'SUBGRAPH_UNAVAILABLE' : 'SUBGRAPH_BAD_RESPONSE';
    return new Failure(code, `The subgraph answered with status ${status}.`);
  }
  const type = String(headers['content-type'] ?? '');
  if (!JSON_TYPE.test(type)) return bad(`The subgraph answered ${type || 'no media type'}, not JSON.`);
  return Number(headers['content-length'] ?? 0) > bytesMax ? tooLong(bytesMax) : undefined;
}

const JSON_TYPE = /^application\/(graphql-response\+)?json\s*(;|$)/i;

function encodingOf(header: string | string[] | undefined): string {
  if (header === undefined) return '';
  const encoding = String(header).trim().toLowerCase();
  return encoding === 'identity' ? '' : encoding;
}

type Decode = (
  bytes: Buffer,
  options: { maxOutputLength: number },
  done: (error: NodeJS.ErrnoException | null, plain: Buffer) => void,
) => void;

const DECODERS: Readonly<Record<string, Decode>> = { gzip: gunzip, deflate: inflate, br: brotliDecompress };

function bad(message: string, cause?: unknown): Failure {
  return new Failure('SUBGRAPH_BAD_RESPONSE', message, { cause });
}

function tooLong(bytesMax: number): Failure {
  return bad(`The answer is longer than ${bytesMax} bytes.`);
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(' ') || String(error);
}
