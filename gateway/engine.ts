import type { Logger, Clock, Span } from '#libs/telemetry';
import type { DocumentNode, OperationDefinitionNode } from 'graphql';
import type { Grants, Seen } from './authorization/grants.js';
import type { Begun } from './fetch/begun.js';
import type { RequestConsistency } from './http/consistency.js';
import type { EntityCache } from './cache/entity-cache.js';
import type { AnswerHeaders } from './cache/run-cache.js';
import type { Supergraph } from './supergraph/supergraph.js';

/**
 * The one door between HTTP and whatever runs an operation. `http/` has read, limited, parsed and validated the
 * operation and coerced its variables before an engine sees it, so every engine has the same limits; and every error an
 * engine answers went through `http/client-errors.ts`, so every engine masks alike.
 */
export interface Engine {
  /**
   * Rejects with a `Failure` only when nothing was executed; after that, trouble is an entry in `errors`. When
   * `context.signal` aborts, whatever is in flight is cancelled and the call ends (its outcome is not looked at).
   */
  execute(operation: Operation, variables: Variables, context: RequestContext): Promise<Answer>;
  /** Which engine and planner, and why: shown by `/health/ready`. */
  readonly about: Readonly<Record<string, string>>;
  /** What was asked most, the most first, for the engine of the next supergraph. */
  mostUsed?(count: number): readonly Used[];
  /** Plans what was asked most before it is asked here, until `signal` aborts. Resolves with how many are ready. */
  warm?(
    used: readonly Used[],
    operationOf: (query: string, name: string | undefined) => Operation,
    signal: AbortSignal,
  ): Promise<number>;
  /** Ends connections and workers. Called when the last request on its supergraph has been answered. */
  close(): Promise<void>;
}

/**
 * One operation of one document, valid in its supergraph. The same text and name give the same object for as long as the
 * document cache keeps it, so what an engine derives from it may hang in a WeakMap.
 */
export interface Operation {
  readonly query: string;
  readonly document: DocumentNode;
  readonly definition: OperationDefinitionNode;
  readonly operationName: string | undefined;
  readonly type: 'query' | 'mutation';
  /** SHA-256 of text and name: stable across processes. */
  readonly hash: string;
}

/** An operation that was asked for, with everything else that decided how it was planned. */
export interface Used {
  readonly query: string;
  readonly operationName: string | undefined;
  /** Of the variables in `@skip` and `@include`. */
  readonly conditions: Readonly<Record<string, boolean>>;
  /** What was found of whoever asked. */
  readonly seen: Seen | undefined;
  readonly times: number;
}

/** Coerced by the schema: defaults filled in, unknown names dropped, own properties only. */
export type Variables = Readonly<Record<string, unknown>>;

export interface RequestContext {
  readonly requestId: string;
  /** What the operation costs (http/cost.ts); absent: nobody has counted. */
  readonly cost?: number;
  /** The global id of who asks; null for anonymous. */
  readonly subject: string | null;
  /** What `@authenticated`, `@requiresScopes` and `@policy` ask about; absent: nobody. */
  readonly grants?: Grants;
  /** What FORWARD_HEADERS lets through of the client's headers, lower-case names; part of what makes two reads equal. */
  readonly headers: ReadonlyMap<string, string>;
  /** Aborts when the client went away or the deadline passed. */
  readonly signal: Cancellation;
  /** On the gateway's clock, ms. */
  readonly deadline: number;
  /** Where `SubgraphClient` puts the response headers that FORWARD_RESPONSE_HEADERS names; in order of arrival. */
  readonly responseHeaders: [name: string, value: string][];
  /**
   * What the client has to be shown because it wrote it, and where `SubgraphClient` puts what this request writes. Undefined
   * for a query that came without a token. Part of what makes two reads equal.
   */
  readonly consistency?: RequestConsistency | undefined;
  /** The client is to be shown nothing that anybody keeps, nor what was asked for before it came: each owner is asked anew. */
  readonly pastCaches?: boolean;
  /** The answer is to carry `extensions.explain`, from an engine that can (gateway/explain). */
  readonly explain?: boolean;
  /** Told, once or twice, that the operation has to be normalised or planned now: nothing is kept of it with these conditions. */
  readonly willPlan?: (() => void) | undefined;
  /** Where `SubgraphClient` adds what it read of subgraphs; absent: nobody pays for that. */
  readonly fetched?: { bytes: number } | undefined;
  /** Where it has been let in; absent: it is let in everywhere. */
  readonly begun?: Begun | undefined;
  /** How many errors its client is told; absent: CLIENT_ERRORS_MAX (http/client-errors.ts). */
  readonly errorsMax?: number | undefined;
  /** What its spans hang on, and subgraphs are told; absent: nobody traces. */
  readonly trace?: Span | undefined;
}

/**
 * What is used of an `AbortSignal` on the way of a request. HTTP hands on one of its own (http/ending.ts): an AbortController
 * with its signal costs 5 µs, and each listener 1 µs, where a small query takes about a hundred in all.
 */
export interface Cancellation {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface Answer {
  /** `{"data":…}` or `{"errors":[…],"data":…}`: exactly what the client gets. */
  readonly body: string | Buffer;
  /** The body has `errors`: it is then sent with `Cache-Control: no-store`. */
  readonly hasErrors: boolean;
  /** One of them is not its client's doing (http/client-errors.ts): whoever is on call is told. */
  readonly hasFailed?: boolean;
}

/** Every engine's way to a subgraph: headers, identity, deadline, size limit and connections are settled here. */
export interface SubgraphClient {
  /**
   * Sends `body` (`{"query":…}`) as it is and resolves with the body of an answer that is JSON by its media type, whole,
   * valid UTF-8 and within the limit (decompressed). The status was 2xx, or 400/422, where GraphQL errors are expected.
   * Everything else rejects with a `Failure`: SUBGRAPH_UNAVAILABLE, SUBGRAPH_TIMEOUT or SUBGRAPH_BAD_RESPONSE, whose
   * cause is for the log, or ANSWER_TOO_LONG where that is what the client asked for. A query whose kept-alive connection was already closed is sent once more; a mutation never.
   */
  post(call: SubgraphCall, context: RequestContext): Promise<Buffer>;
  /** What the headers of an answer say about keeping it; only of a client that was told to remember them. */
  headersOf?(bytes: Buffer): AnswerHeaders | undefined;
  /** What a subgraph that has refused a read says that it has not heard (`writesText`). */
  behindOf?(bytes: Buffer): string | undefined;
  close(): Promise<void>;
}

export interface SubgraphCall {
  readonly subgraph: string;
  readonly url: string;
  readonly type: 'query' | 'mutation';
  readonly body: string | Buffer;
  /** Of a mutation: the name that all it is sent by have in common, whatever is brought with it; absent: nobody has given it one yet. */
  readonly write?: string;
}

export interface EngineOptions {
  readonly subgraphs: SubgraphClient;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly planner: 'auto' | 'native' | 'apollo';
  /** `flow`: what becomes ready in the same turn travels together. `plan`: the planner's batches are kept. */
  readonly merge: 'flow' | 'plan';
  /** Do equal reads in flight share one call? */
  readonly join: boolean;
  /** Labels of `@override(label:)` that are on; `percent(n)` labels are thrown for. */
  readonly overrideLabels?: readonly string[];
  readonly random?: () => number;
  /** Planning that takes longer is given up; 5 s unless given. */
  readonly planDeadlineMs?: number;
  /** Plans and what is compiled of them are kept up to this size. */
  readonly planCacheBytes?: number;
  /** The data of a longer answer is not told; 16 MiB unless given. */
  readonly answerBytesMax?: number;
  /** What becomes of an operation that asks for something its client may not have. */
  readonly unauthorized?: 'filter' | 'reject';
  /** What is kept of entities; absent: every operation asks the subgraphs for everything. */
  readonly entities?: EntityCache | undefined;
}

/** `stock/engine.ts` and `run/engine.ts` each export one as `createEngine`; only the one that is used is loaded. */
export type EngineFactory = (supergraph: Supergraph, options: EngineOptions) => Promise<Engine>;
