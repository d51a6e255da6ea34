import { eventsOrder } from './orders/events.js';
import { giveOrder } from './orders/give.js';

process.exitCode = await giveOrder(eventsOrder, process.argv.slice(2), process.env);
