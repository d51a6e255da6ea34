export { isId, newId, SHARDS, shardOf, timeOf, type NewIdOptions } from './ids.js';
export { globalId, kindOfGlobalId, parseGlobalId, type Kind } from './global-id.js';
export { ASSERTION_HEADER, AssertionSigner, AssertionVerifier } from './assertion.js';
