import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Span as Recording } from '@opentelemetry/api';
import {
  ExportResultCode,
  parseTraceParent,
  TraceState,
  TRACE_PARENT_HEADER,
  TRACE_STATE_HEADER,
} from '@opentelemetry/core';
import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { Resource } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler,
  type SpanExporter,
  type Tracer as Sdk,
} from '@opentelemetry/sdk-trace-base';
import { spanEnded } from './current-span.js';
import type { Logger } from './logger.js';
import type { TracingConfig } from './tracing-settings.js';
import type { Attributes, Span, SpanKind as Kind, Tracer, Tracing } from './tracing.js';

/** How long a collector may take for a batch; meanwhile the queue fills, and what it has no place for is dropped. */
const EXPORT_MS = 3_000;
/** A statement is cut here. */
const TEXT_MAX = 4_000;

/**
 * OpenTelemetry's SDK behind our own two interfaces: spans are made by hand, at our doors, and nobody's modules are rewritten while
 * they load. All services of a process share one queue (OTEL_BSP_MAX_QUEUE_SIZE, 2,048 spans) and one connection.
 */
export class OpenTelemetry implements Tracing {
  readonly #config: TracingConfig;
  readonly #processor: BatchSpanProcessor;
  readonly #sampler: Sampler;

  constructor(url: string, config: TracingConfig, logger: Logger) {
    this.#config = config;
    this.#processor = new BatchSpanProcessor(telling(exporterTo(url), logger));
    this.#sampler = samplerOf(config);
  }

  tracer(service: string): Tracer {
    const provider = new BasicTracerProvider({
      resource: new Resource({ 'service.name': this.#config.OTEL_SERVICE_NAME ?? service }),
      sampler: this.#sampler,
      spanLimits: { attributeValueLengthLimit: TEXT_MAX },
      spanProcessors: [this.#processor],
    });
    const sdk = provider.getTracer('tributary') as Sdk;
    return {
      request: (headers, name, attributes) =>
        start(sdk, contextOf(headers[TRACE_PARENT_HEADER], headers[TRACE_STATE_HEADER]), 'server', name, attributes),
      follow: (traceparent, kind, name, attributes) => {
        if (typeof traceparent !== 'string' || !KEPT.test(traceparent)) return undefined;
        const context = contextOf(traceparent);
        if (context === ROOT_CONTEXT) return undefined;
        const span = start(sdk, context, kind, name, attributes);
        return span.recorded ? span : undefined;
      },
    };
  }

  async close(): Promise<void> {
    // An export that fails was told by then.
    await this.#processor.shutdown().catch(() => {});
  }
}

/** The last bit of the last of its four parts. */
const KEPT = /-\w[13579bdf]$/;

function start(sdk: Sdk, context: typeof ROOT_CONTEXT, kind: Kind, name: string, attributes: Attributes): Span {
  const span = sdk.startSpan(name, { kind: KINDS[kind], attributes }, context);
  return span.isRecording() ? new RecordedSpan(sdk, span) : new UnrecordedSpan(span);
}

const KINDS: Readonly<Record<Kind, SpanKind>> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

function contextOf(traceparent: unknown, tracestate?: unknown): typeof ROOT_CONTEXT {
  const parent = typeof traceparent === 'string' ? parseTraceParent(traceparent) : null;
  if (!parent) return ROOT_CONTEXT;
  const traceState = typeof tracestate === 'string' ? new TraceState(tracestate) : undefined;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true, ...(traceState ? { traceState } : {}) });
}

class UnrecordedSpan implements Span {
  readonly recorded = false;
  readonly traceId: string;
  readonly traceparent: string;
  readonly tracestate: string | undefined;

  constructor(span: Recording) {
    const { traceId, spanId, traceState } = span.spanContext();
    this.traceId = traceId;
    this.traceparent = `00-${traceId}-${spanId}-00`;
    this.tracestate = traceState?.serialize() || undefined;
  }

  child(_kind: Kind, _name: string, _attributes?: Attributes): Span {
    return this;
  }
  set(_attributes: Attributes): void {}
  end(_error?: string): void {}
}

class RecordedSpan implements Span {
  readonly recorded = true;
  readonly traceId: string;
  readonly traceparent: string;
  readonly tracestate: string | undefined;
  readonly #sdk: Sdk;
  readonly #span: Recording;

  constructor(sdk: Sdk, span: Recording) {
    this.#sdk = sdk;
    this.#span = span;
    const { traceId, spanId, traceState } = span.spanContext();
    this.traceId = traceId;
    this.traceparent = `00-${traceId}-${spanId}-01`;
    this.tracestate = traceState?.serialize() || undefined;
  }

  child(kind: Kind, name: string, attributes: Attributes = {}): Span {
    return start(this.#sdk, trace.setSpan(ROOT_CONTEXT, this.#span), kind, name, attributes);
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  end(error?: string): void {
    if (error !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', error);
    this.#span.end();
    spanEnded(this);
  }
}

/** The six samplers that OpenTelemetry has a name for. */
function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: share }: TracingConfig): Sampler {
  const root = name.endsWith('always_on')
    ? new AlwaysOnSampler()
    : name.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(share);
  return name.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root;
}

/** What @opentelemetry/exporter-trace-otlp-http is made of; its parts are installed anyway, by @apollo/gateway. */
function exporterTo(url: string): SpanExporter {
  const headers = { 'Content-Type': 'application/json' };
  const options = convertLegacyHttpOptions({ url, timeoutMillis: EXPORT_MS }, 'TRACES', 'v1/traces', headers);
  return new OTLPExporterBase(createOtlpHttpExportDelegate(options, JsonTraceSerializer));
}

/** A collector that is gone is told once, and that it is back; the SDK is silent about both. */
function telling(exporter: SpanExporter, logger: Logger): SpanExporter {
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS;
        if (failed && !failing)
          logger.warn({ err: result.error }, 'Traces cannot be sent; what has no place is dropped');
        if (!failed && failing) logger.info({}, 'Traces are sent again');
        failing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}
