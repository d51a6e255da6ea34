import { giveOrder } from './orders/give.js';
import { rebuildOrder } from './orders/rebuild.js';

process.exitCode = await giveOrder(rebuildOrder, process.argv.slice(2), process.env);
