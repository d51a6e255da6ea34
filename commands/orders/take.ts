import type { Socket } from 'node:net';
import type { Database, DataDirLock } from '#libs/database';
import type { Environment } from '#libs/settings';
import type { Logger } from '#libs/telemetry';
import type { Service } from '../databases.js';
import { eventsOrder } from './events.js';
import { farScreen, linesOf, readAsked, send, type Asked, type Lines } from './lines.js';
import type { Order, Work } from './order.js';
import { rebuildOrder } from './rebuild.js';
import { reconcileOrder } from './reconcile.js';

const ORDERS: readonly Order[] = [eventsOrder, rebuildOrder, reconcileOrder];

/** Who says nothing for longer has no order. */
const ASKED_WITHIN_MS = 5_000;
/** So long a read of somebody else waits for a slice, on a machine like the one of README's numbers. */
const SLICE_MS = 25;
/** After a slice that had to wait for long itself, people have had their turn. */
const REST_MS_MAX = 250;
/** A caller who was told all and does not hang up, because it was stopped for example, is not waited for. */
const HANGS_UP_WITHIN_MS = 1_000;

interface Parts {
  readonly databases: Readonly<Record<Service, Database>>;
  readonly env: Environment;
  readonly logger: Logger;
}

/**
 * Carries out, on the embedded databases of this process, what commands of the data folder's owner ask for (`npm run rebuild`, …), beside
 * the requests that it answers. An order ends with the process that gave it, and with `close`, when its next slice would begin.
 */
export async function takeOrders(
  lock: DataDirLock,
  { databases, env, logger }: Parts,
): Promise<{ close(): Promise<void> }> {
  const ending = new AbortController();
  const underWay = new Set<Promise<void>>();
  const answering = await lock.answer((caller) => {
    const done = carryOut(caller).finally(() => underWay.delete(done));
    underWay.add(done);
  });

  async function carryOut(caller: Socket): Promise<void> {
    const lines = linesOf(caller);
    const stop = (): void => lines.close();
    ending.signal.addEventListener('abort', stop);
    const rest = resting(caller, lines, ending.signal);
    try {
      const asked = await whatIsAsked(lines);
      if (asked === undefined) return;
      send(caller, { pid: process.pid });
      const job = ORDERS.find(({ name }) => name === asked.order)?.read(asked.args);
      if (job === undefined) throw new Error(UNKNOWN);
      if (job.isOneSlice) throw new Error(ONE_SLICE);
      logger.info({ ...asked }, 'An order begins');
      const end = await job.run({ databases, env, screen: farScreen(caller), sliceMs: SLICE_MS, rest });
      logger.info({ ...asked, end }, 'An order is carried out');
      send(caller, { end });
    } catch (error) {
      logger.info({ err: error }, 'An order was not carried out');
      send(caller, { warn: error instanceof Error ? error.message : String(error) });
      send(caller, { end: 1 });
    } finally {
      ending.signal.removeEventListener('abort', stop);
      hangUp(caller);
    }
  }

  return {
    async close() {
      const closed = answering.close();
      ending.abort();
      await Promise.all(underWay);
      await closed;
    },
  };
}

const ONE_SLICE =
  'This is one transaction, and the program that holds the data folder could answer nobody meanwhile; stop it first';
const UNKNOWN = 'The program that holds the data folder is of another version, which does not do this; stop it first';
const STOPPED = 'The program that did this is being stopped. What is done stays done: call this again.';
const GONE = 'Nobody waits for it any more';

async function whatIsAsked(lines: Lines): Promise<Asked | undefined> {
  const late = setTimeout(() => lines.close(), ASKED_WITHIN_MS);
  const first = await lines.next();
  clearTimeout(late);
  return first === undefined ? undefined : readAsked(first);
}

/** As long as what came before it took, and until the caller has said that it is there. */
function resting(caller: Socket, lines: Lines, ending: AbortSignal): Work['rest'] {
  let since = performance.now();
  return async (ms = 0) => {
    const took = Math.min(performance.now() - since, REST_MS_MAX);
    send(caller, { rest: true });
    const [answer] = await Promise.all([
      lines.next(),
      new Promise((resolve) => setTimeout(resolve, Math.max(ms, took))),
    ]);
    if (ending.aborted) throw new Error(STOPPED);
    if (answer === undefined) throw new Error(GONE);
    since = performance.now();
  };
}

function hangUp(caller: Socket): void {
  caller.end();
  // That it has hung up is told to who reads.
  caller.resume();
  const late = setTimeout(() => caller.destroy(), HANGS_UP_WITHIN_MS).unref();
  caller.once('close', () => clearTimeout(late));
}
