export { connectRedis, isClustered, type Connection, type Patience } from './connect.js';
