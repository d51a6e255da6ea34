export { carriedOf, tellBody, withEvents, type Tell } from './carried.js';
export { asksPastCaches } from './no-cache.js';
export { ConsistencyTokens } from './token.js';
export {
  BEHIND_HEADER,
  mergeWrites,
  parseWrites,
  UP_TO_HEADER,
  WRITES_MAX,
  writesText,
  WROTE_HEADER,
  type Write,
} from './writes.js';
