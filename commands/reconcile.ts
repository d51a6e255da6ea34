import { giveOrder } from './orders/give.js';
import { reconcileOrder } from './orders/reconcile.js';

process.exitCode = await giveOrder(reconcileOrder, process.argv.slice(2), process.env);
