export { endOnSignals } from './end-on-signals.js';
