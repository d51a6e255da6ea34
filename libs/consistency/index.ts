export { asksPastCaches } from './no-cache.js';
export { ConsistencyTokens } from './token.js';
export { mergeWrites, parseWrites, UP_TO_HEADER, WRITES_MAX, writesText, WROTE_HEADER, type Write } from './writes.js';
