export { AWAY_HEADER } from './away.js';
export { CLOSE_MS, endOnError, endOnSignals } from './end-on-signals.js';
