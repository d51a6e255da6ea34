export { Aside, type AsideOptions } from './aside.js';
export { Cache, LIFETIME_MAX_MS, openCache, type CacheOptions } from './cache.js';
export { allStale, entityNames, staleEntity } from './entity-names.js';
export { openRecordCache, RecordCache, type RecordCacheOptions } from './record-cache.js';
export type { Ask, FieldFill, Found, KeptField, RecordFill, Remembered, Sight, Stale, Stamp, Told } from './records.js';
export type { CacheStore, Fill, Slot } from './store.js';
export { isTexts, objectOf } from './kept-shape.js';
