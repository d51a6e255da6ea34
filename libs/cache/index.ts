export { Aside, type AsideOptions } from './aside.js';
export { Cache, LIFETIME_MAX_MS, openCache, type CacheOptions } from './cache.js';
export type { CacheStore, Fill, Slot } from './store.js';
