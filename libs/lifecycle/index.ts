export { endOnError, endOnSignals } from './end-on-signals.js';
