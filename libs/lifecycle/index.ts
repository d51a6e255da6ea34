export { AWAY_HEADER } from './away.js';
export { endOnError, endOnSignals } from './end-on-signals.js';
