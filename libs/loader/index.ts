export { keyed, type KeyedOptions, type Loader } from './loader.js';
export { perRequest } from './per-request.js';
