export { systemClock, type Clock } from './clock.js';
export { readGauges, type Gauge, type Reading } from './gauge.js';
export { createLogger, silent, type Logger } from './logger.js';
export { Metrics, type MetricsServer } from './metrics.js';
