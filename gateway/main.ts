import 'reflect-metadata';
import cluster from 'node:cluster';
import { CLOSE_MS, endOnSignals, whyNotListening } from '#libs/lifecycle';
import { SettingsError } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { mistakesInFiles, missingSecrets } from './config-files.js';
import { readGatewayConfig, type GatewayConfig } from './config.js';
import { startGateway } from './start.js';
import { startWorkers, WorkersError } from './workers/primary.js';
import { runWorker } from './workers/worker.js';
import { SupergraphError } from './supergraph/supergraph.js';
import { tellUnheeded } from './unheeded.js';

const logger = createLogger('gateway');
try {
  // First: where something is missing it may be there under another name.
  if (!cluster.isWorker) tellUnheeded(process.env, logger);
  const config = readGatewayConfig(process.env, (values, env) => [
    ...mistakesInFiles(values),
    // A worker serves what its fellows do, whatever the file holds by now.
    ...(cluster.isWorker ? [] : missingSecrets(values, env)),
  ]);
  if (cluster.isWorker) await runWorker(config, logger);
  else await run(config);
} catch (error) {
  process.stderr.write(`${whyNotStarted(error)}\n`);
  // What was opened before it failed (Redis, figures, a worker's channel to the primary) would keep it alive, and nobody would start it again.
  process.exit(1);
}

async function run(config: GatewayConfig): Promise<void> {
  const gateway = config.workers > 1 ? await startWorkers(config, logger) : await startGateway(config, { logger });
  const close = async (): Promise<void> => {
    await gateway.close();
    process.exit();
  };
  endOnSignals(close, logger, CLOSE_MS + config.DRAIN_MS);
  logger.info({ url: gateway.url, workers: config.workers }, 'Listening');
}

/** What somebody can put right is told in a sentence; only our own mistakes come with a stack. */
function whyNotStarted(error: unknown): string {
  if (error instanceof SettingsError || error instanceof SupergraphError || error instanceof WorkersError)
    return error.message;
  return whyNotListening(error) ?? (error as { stack?: string }).stack ?? String(error);
}
