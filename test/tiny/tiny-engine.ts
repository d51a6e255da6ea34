import { expect } from '@jest/globals';
import { CODES, type Code } from '#libs/failure';
import { silent, type Logger } from '#libs/telemetry';
import type { Engine, EngineFactory, RequestContext, SubgraphClient } from '../../gateway/engine.js';
import { openSubgraphClient } from '../../gateway/fetch/subgraph-client.js';
import { Documents } from '../../gateway/http/documents.js';
import { DOCUMENT_LIMITS } from '../../gateway/http/limits.js';
import { createEngine as createTributary } from '../../gateway/run/engine.js';
import { createEngine as createStock } from '../../gateway/stock/engine.js';
import { readSupergraph } from '../../gateway/supergraph/supergraph.js';
import type { TinyGraph } from './tiny-graph.js';
import { LEAK } from './tiny-http.js';

/** Every engine behind the door; the next one is a line in here. */
export const ENGINES: Readonly<Record<string, EngineFactory>> = { apollo: createStock, tributary: createTributary };

export interface Told {
  readonly message: string;
  readonly path?: (string | number)[];
  readonly extensions: { readonly code: string; readonly requestId: string; readonly retryAfter?: number };
}

/** One engine before the tiny graph, with the gateway's own client between them. */
export class TinyEngine {
  /** What was logged as an error. */
  readonly logged: Record<string, unknown>[] = [];
  /** Where `posts` is asked, when not at its address. */
  postsAt: string | undefined;
  /** What a call to `posts` may take. Everything else has so long that a busy machine changes nothing. */
  postsMs = 30_000;
  readonly #engine: Engine;
  readonly #client: SubgraphClient;
  readonly #documents: Documents;

  static async open(
    create: EngineFactory,
    tiny: TinyGraph,
    bodyBytesMax = 64 * 1024,
    answerBytesMax?: number,
  ): Promise<TinyEngine> {
    const client = openSubgraphClient({
      timeoutMs: 30_000,
      bodyBytesMax,
      connections: 8,
      assertion: () => undefined,
      forwardResponse: [],
      clock: Date.now,
    });
    const supergraph = readSupergraph(tiny.sdl);
    const documents = new Documents(supergraph.schema, {
      limits: DOCUMENT_LIMITS,
      introspection: true,
      suggestions: true,
      cacheBytes: 1_000_000,
    });
    const made: { engine?: TinyEngine } = {};
    const subgraphs: SubgraphClient = {
      post(call, context) {
        if (call.subgraph !== 'posts') return client.post(call, context);
        const { postsAt, postsMs } = made.engine!;
        return client.post({ ...call, url: postsAt ?? call.url }, { ...context, deadline: Date.now() + postsMs });
      },
      close: () => client.close(),
    };
    const logger: Logger = {
      ...silent,
      error: (fields) => void made.engine?.logged.push(fields as Record<string, unknown>),
    };
    const options = {
      subgraphs,
      logger,
      clock: Date.now,
      planner: 'auto',
      merge: 'flow',
      join: true,
      ...(answerBytesMax === undefined ? {} : { answerBytesMax }),
    } as const;
    made.engine = new TinyEngine(await create(supergraph, options), subgraphs, documents);
    return made.engine;
  }

  private constructor(engine: Engine, client: SubgraphClient, documents: Documents) {
    this.#engine = engine;
    this.#client = client;
    this.#documents = documents;
  }

  /** The answer; whatever it is, it has the form that every answer has and nothing of our insides in it. */
  async ask(text: string, variables: Record<string, unknown> = {}, more: Partial<RequestContext> = {}) {
    const context: RequestContext = {
      requestId: 'r1',
      subject: null,
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: Date.now() + 60_000,
      responseHeaders: [],
      ...more,
    };
    const operation = this.#documents.operation(text, undefined);
    const { body: bytes, hasErrors, hasFailed = false } = await this.#engine.execute(operation, variables, context);
    const body = bytes.toString();
    const { data, errors } = JSON.parse(body) as { data: Record<string, unknown> | null; errors?: Told[] };
    expect(hasErrors).toBe(errors !== undefined);
    const codes = errors?.map(({ extensions }) => extensions.code as Code) ?? [];
    expect([codes, hasFailed]).toEqual([codes, codes.some((code) => CODES[code].status >= 500)]);
    expect(body).not.toMatch(LEAK);
    for (const { path, extensions } of errors ?? []) {
      expect(Array.isArray(path)).toBe(true);
      const { retryAfter: _, ...others } = extensions;
      expect(Object.keys(others).sort()).toEqual(['code', 'requestId']);
    }
    return { data, errors, body };
  }

  /** As it was opened. */
  reset(): void {
    this.logged.length = 0;
    this.postsAt = undefined;
    this.postsMs = 30_000;
  }

  async close(): Promise<void> {
    await this.#engine.close();
    await this.#client.close();
  }
}
