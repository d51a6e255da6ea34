export { steadyClock, systemClock, type Clock } from './clock.js';
export { currentSpan, inSpan } from './current-span.js';
export { readGauges, readyGauge, type Gauge, type Reading } from './gauge.js';
export { logLevel, logSettings } from './log-settings.js';
export { createLogger, silent, type Logger } from './logger.js';
export { Metrics, openFigures, type MetricsServer } from './metrics.js';
export { nestLogger } from './nest-logger.js';
export { Outage } from './outage.js';
export { tracingSettings, type TracingConfig } from './tracing-settings.js';
export {
  errorType,
  openTracing,
  traced,
  type Attributes,
  type Span,
  type SpanKind,
  type Tracer,
  type Tracing,
} from './tracing.js';
