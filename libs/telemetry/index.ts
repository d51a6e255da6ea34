export { systemClock, type Clock } from './clock.js';
export { createLogger, silent, type Logger } from './logger.js';
