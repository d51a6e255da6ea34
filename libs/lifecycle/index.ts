export { AWAY_HEADER } from './away.js';
export { limitConnections, refusalText, reserveOf, type Limited } from './connections.js';
export { CLOSE_MS, endOnError, endOnSignals, onEndingSignal } from './end-on-signals.js';
export { HeapWatch } from './heap-watch.js';
export { openFilesMax, requireOpenFiles, SERVICE_FILES_MIN } from './open-files.js';
export { OVERLOADED_HEADER } from './overloaded.js';
export { requirePorts } from './require-ports.js';
export { whyNotListening } from './why-not-listening.js';
