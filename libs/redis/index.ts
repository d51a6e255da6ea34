export { connectRedis, isClustered, type Connection, type Patience } from './connect.js';
export { watchRedis } from './reachable.js';
export { refusalOf } from './refusal.js';
export { masterOf, slotOf } from './slot.js';
