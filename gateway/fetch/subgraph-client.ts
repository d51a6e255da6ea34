import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { Pool, type Dispatcher } from 'undici';
import { Failure } from '#libs/failure';
import type { Clock } from '#libs/telemetry';
import { ASSERTION_HEADER } from '#libs/identity';
import type { RequestContext, SubgraphCall, SubgraphClient } from '../engine.js';

export interface SubgraphClientOptions {
  readonly timeoutMs: number;
  readonly bodyBytesMax: number;
  /** To one address; calls beyond wait in line, and their deadline runs. */
  readonly connections: number;
  /** What each subgraph is told about who asks. */
  readonly assertion: (subgraph: string, subject: string | null) => string | undefined;
  /** Response headers that go back to the client, lower case. */
  readonly forwardResponse: readonly string[];
  readonly clock: Clock;
}

/**
 * undici's pools, kept alive. It follows no redirect: one would carry the assertion to wherever a subgraph points.
 */
export function openSubgraphClient(options: SubgraphClientOptions): SubgraphClient {
  const pools = new Map<string, Pool>();

  function poolOf(origin: string): Pool {
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: options.connections,
        pipelining: 1,
        connect: { timeout: Math.min(1_000, options.timeoutMs) },
        // Node's server closes after 5 s without a request; we let go first, so that neither writes into a closed socket.
        keepAliveTimeout: 4_000,
        maxHeaderSize: 16 * 1024,
        // The whole call has one deadline, below.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      pools.set(origin, pool);
    }
    return pool;
  }

  async function post(call: SubgraphCall, context: RequestContext): Promise<Buffer> {
    const url = new URL(call.url);
    const pool = poolOf(url.origin);
    const headers = headersOf(call, context, options);
    const cancel = new AbortController();
    const timer = setTimeout(
      () => cancel.abort(TIMED_OUT),
      Math.max(0, Math.min(options.timeoutMs, context.deadline - options.clock())),
    );
    const forward = () => cancel.abort(context.signal.reason);
    if (context.signal.aborted) forward();
    else context.signal.addEventListener('abort', forward, { once: true });
    const request: Dispatcher.RequestOptions = {
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers,
      body: call.body,
      signal: cancel.signal,
    };
    try {
      const response = await sent(pool, request, call.type);
      for (const name of options.forwardResponse) {
        const value = response.headers[name];
        for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value])
          context.responseHeaders.push([name, one]);
      }
      return await bodyOf(response, options.bodyBytesMax);
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (cancel.signal.aborted && cancel.signal.reason === TIMED_OUT) {
        throw new Failure('SUBGRAPH_TIMEOUT', `${call.subgraph} did not answer within ${options.timeoutMs} ms.`);
      }
      throw new Failure('SUBGRAPH_UNAVAILABLE', `${call.subgraph} cannot be reached or broke off: ${describe(error)}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      context.signal.removeEventListener('abort', forward);
    }
  }

  return {
    post,
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
    },
  };
}

const TIMED_OUT = new Error('the time of this call is over');

function headersOf(
  call: SubgraphCall,
  context: RequestContext,
  options: SubgraphClientOptions,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of context.headers) headers[name] = value;
  headers['content-type'] = 'application/json';
  headers['accept'] = 'application/graphql-response+json, application/json';
  headers['x-request-id'] = context.requestId;
  const assertion = options.assertion(call.subgraph, context.subject);
  if (assertion !== undefined) headers[ASSERTION_HEADER] = assertion;
  return headers;
}

/** A server may close a kept-alive connection just as we write into it: nothing was read then, so a query may go again. */
async function sent(
  pool: Pool,
  request: Dispatcher.RequestOptions,
  type: SubgraphCall['type'],
): Promise<Dispatcher.ResponseData> {
  try {
    return await pool.request(request);
  } catch (error) {
    if (type === 'mutation' || !brokeOff(error) || (request.signal as AbortSignal).aborted) throw error;
    return pool.request(request);
  }
}

function brokeOff(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

async function bodyOf(response: Dispatcher.ResponseData, bytesMax: number): Promise<Buffer> {
  const { statusCode, headers, body } = response;
  const refuse = (code: 'SUBGRAPH_UNAVAILABLE' | 'SUBGRAPH_BAD_RESPONSE', why: string): Failure => {
    body.on('error', () => {}).destroy();
    return new Failure(code, why);
  };
  const ok = (statusCode >= 200 && statusCode < 300 && statusCode !== 204) || statusCode === 400 || statusCode === 422;
  if (!ok) {
    const code = statusCode >= 500 || statusCode === 429 ? 'SUBGRAPH_UNAVAILABLE' : 'SUBGRAPH_BAD_RESPONSE';
    throw refuse(code, `The subgraph answered with status ${statusCode}.`);
  }
  const type = String(headers['content-type'] ?? '');
  if (!/^application\/(graphql-response\+)?json\s*(;|$)/i.test(type))
    throw refuse('SUBGRAPH_BAD_RESPONSE', `The subgraph answered ${type || 'no media type'}, not JSON.`);
  if (Number(headers['content-length'] ?? 0) > bytesMax)
    throw refuse('SUBGRAPH_BAD_RESPONSE', `The answer is longer than ${bytesMax} bytes.`);
  const bytes = await collect(decompressed(body, String(headers['content-encoding'] ?? 'identity')), body, bytesMax);
  if (!isUtf8(bytes)) throw new Failure('SUBGRAPH_BAD_RESPONSE', 'The answer is not UTF-8.');
  return bytes;
}

function decompressed(body: Readable, encoding: string): Readable {
  const decoders: Record<string, () => ReturnType<typeof createGunzip>> = {
    gzip: createGunzip,
    deflate: createInflate as () => ReturnType<typeof createGunzip>,
    br: createBrotliDecompress as unknown as () => ReturnType<typeof createGunzip>,
  };
  const name = encoding.trim().toLowerCase();
  if (name === 'identity' || name === '') return body;
  const decoder = Object.hasOwn(decoders, name) ? decoders[name]!() : undefined;
  if (decoder === undefined) {
    body.on('error', () => {}).destroy();
    throw new Failure('SUBGRAPH_BAD_RESPONSE', 'The answer is encoded in a way we did not ask for.');
  }
  body.once('error', (error) => decoder.destroy(error));
  return body.pipe(decoder);
}

async function collect(stream: Readable, body: Readable, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Failure('SUBGRAPH_BAD_RESPONSE', `The answer is longer than ${bytesMax} bytes.`);
      chunks.push(chunk);
    }
  } catch (error) {
    body.on('error', () => {}).destroy();
    if (isZlib(error))
      throw new Failure('SUBGRAPH_BAD_RESPONSE', 'The answer is not the compression it claims to be.', {
        cause: error,
      });
    throw error;
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes);
}

function isZlib(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return (
    typeof code === 'string' &&
    (code.startsWith('Z_') || code.startsWith('ERR_BROTLI') || code.startsWith('ERR__ERROR_'))
  );
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(' ') || String(error);
}
