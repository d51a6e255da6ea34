import type { Logger } from './logger.js';
import { tracesUrl, type TracingConfig } from './tracing-settings.js';

/** One piece of work in a trace: a request, a call, a statement, an event that takes effect. */
export interface Span {
  /** 32 hex digits, which log lines carry as well. */
  readonly traceId: string;
  /** False: this trace is not among those that are kept. Nothing is made for it, but whoever is called is told so. */
  readonly recorded: boolean;
  /** As W3C writes it: goes along with a call, or lies beside what somebody takes up later. */
  readonly traceparent: string;
  /** What others' tracing said beside it; handed on as it came. */
  readonly tracestate: string | undefined;
  child(kind: SpanKind, name: string, attributes?: Attributes): Span;
  set(attributes: Attributes): void;
  /** `error`: a code, never a sentence, which may repeat what somebody sent. */
  end(error?: string): void;
}

export type SpanKind = 'server' | 'client' | 'internal' | 'producer' | 'consumer';

/** Named as OpenTelemetry's semantic conventions do, with `tributary.` before what only we have. Never what a person wrote or is. */
export type Attributes = Readonly<Record<string, string | number>>;

/** Makes the spans of one service. */
export interface Tracer {
  /** What a client asks for: goes on with the trace that its headers name, or begins one. */
  request(headers: Readonly<Record<string, string | string[] | undefined>>, name: string, attributes: Attributes): Span;
  /** What follows from somebody's span; undefined where there is none, or its trace is not kept. */
  follow(traceparent: unknown, kind: SpanKind, name: string, attributes: Attributes): Span | undefined;
}

export interface Tracing {
  tracer(service: string): Tracer;
  /** Sends what there is, for a few seconds at most. */
  close(): Promise<void>;
}

/** Undefined unless the settings name a collector; only then is anything of OpenTelemetry loaded. */
export async function openTracing(config: TracingConfig, logger: Logger): Promise<Tracing | undefined> {
  const url = tracesUrl(config);
  if (url === undefined) return undefined;
  const { OpenTelemetry } = await import('./open-telemetry.js');
  return new OpenTelemetry(url, config, logger);
}

/** Work that is a span of its own where there is one to hang it on. */
export async function traced<T>(
  parent: Span | undefined,
  kind: SpanKind,
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  if (!parent?.recorded) return work();
  const span = parent.child(kind, name, attributes);
  try {
    const done = await work();
    span.end();
    return done;
  } catch (error) {
    span.end(errorType(error));
    throw error;
  }
}

/** A code (ours, Node's, PostgreSQL's) or the name of its class. */
export function errorType(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const found = [code, name].find((one) => typeof one === 'string' && /^\w{1,60}$/.test(one));
  return (found as string | undefined) ?? 'Error';
}
