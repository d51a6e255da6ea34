import { CLOSE_MS, endOnError, onEndingSignal } from '#libs/lifecycle';
import type { Logger } from '#libs/telemetry';
import type { GatewayConfig } from '../config.js';
import type { Readiness } from '../http/health.controller.js';
import { openGateway, type OpenedGateway } from '../start.js';
import { SupergraphError } from '../supergraph/supergraph.js';
import type { ToPrimary, ToWorker } from './messages.js';

/** How often a worker looks whether what it has to say of its readiness has changed. */
const READINESS_MS = 100;

/** One of several processes on one port: a whole gateway, but which supergraph it serves is the primary's to say. */
export async function runWorker(config: GatewayConfig, logger: Logger): Promise<void> {
  const tell = (message: ToPrimary): void => void process.send?.(message);
  let offered: { readonly offer: number; readonly sdl: string } | undefined;
  let taken = 0;
  let trouble = 'it is being read';
  let others: readonly string[] = [];
  let decide: (message: ToWorker & { kind: 'switch' | 'drop' }) => void = () => {};
  let closing = false;
  /** It ends alone, while its fellows go on. */
  let leaving = false;
  let mayListen: () => void = () => {};
  const told = new Promise<void>((resolve) => (mayListen = resolve));

  const gateway = await openGateway(
    { ...config, CONNECTIONS_MAX: Math.ceil(config.CONNECTIONS_MAX / config.workers) },
    {
      logger,
      source: {
        from: 'the primary process',
        read() {
          if (offered === undefined) return Promise.reject(new SupergraphError(trouble));
          if (offered.offer === taken) return Promise.resolve(undefined);
          taken = offered.offer;
          return Promise.resolve(offered.sdl);
        },
      },
      /** Built is not served: that is for all workers at once. */
      async agree(build) {
        const offer = taken;
        const decision = new Promise<ToWorker & { kind: 'switch' | 'drop' }>((resolve) => {
          decide = (message) => message.offer === offer && resolve(message);
        });
        const serving = await build().catch((error: unknown) => {
          tell({ kind: 'refused', offer, why: error instanceof Error ? error.message : String(error) });
          throw error;
        });
        tell({ kind: 'prepared', offer });
        if (closing) decide({ kind: 'drop', offer, why: 'this worker is ending' });
        const said = await decision;
        if (said.kind === 'switch') return serving;
        await serving.engine.close();
        throw new SupergraphError(said.why);
      },
      everybody: (own: Readiness) => {
        // A balancer sees one gateway, and that goes on.
        const waitingFor = leaving ? others : [...own.waitingFor, ...others];
        return { ...own, ready: waitingFor.length === 0, waitingFor };
      },
    },
  );

  async function take(): Promise<void> {
    // A look that is under way began before this offer came.
    do await gateway.refresh();
    while (offered !== undefined && offered.offer !== taken && !closing);
  }

  const close = (): void => {
    if (closing) return;
    closing = true;
    decide({ kind: 'drop', offer: taken, why: 'this worker is ending' });
    gateway.close().then(
      () => process.exit(),
      (error: unknown) => {
        logger.error({ error: String(error) }, 'A worker did not close cleanly');
        process.exit(1);
      },
    );
  };

  const leave = (): void => {
    if (closing) return;
    leaving = true;
    tell({ kind: 'leaving' });
    close();
  };

  process.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'offer':
        offered = message;
        void take();
        break;
      case 'switch':
      case 'drop':
        decide(message);
        break;
      case 'trouble':
        trouble = message.why;
        break;
      case 'others':
        others = message.waitingFor;
        break;
      case 'listen':
        mayListen();
        break;
      case 'close':
        leaving = false;
        close();
    }
  });
  onEndingSignal(leave, logger);
  endOnError(
    () => {
      leave();
      return undefined;
    },
    logger,
    CLOSE_MS + config.DRAIN_MS,
  );
  tell({ kind: 'up' });
  tellReadiness(gateway, tell);
  await told;
  // A connection comes to whoever listens, so one that had nothing to serve yet would answer 503 among others that can.
  if (!closing) tell({ kind: 'listening', url: await gateway.listen() });
}

function tellReadiness(gateway: OpenedGateway, tell: (message: ToPrimary) => void): void {
  let last = '';
  setInterval(() => {
    const readiness = gateway.ownReadiness();
    const now = JSON.stringify(readiness);
    if (now === last) return;
    last = now;
    tell({ kind: 'readiness', readiness });
  }, READINESS_MS).unref();
}
