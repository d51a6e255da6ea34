import { DatabaseNotOpened, lockDataDir } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { CLOSE_MS, endOnSignals, HeapWatch } from '#libs/lifecycle';
import { openStream } from '#libs/outbox';
import { serviceHeeds, type ServiceConfig } from '#libs/service-settings';
import { SettingsError, unheededIn, type Environment, type Settings } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import type { RunningSubgraph } from './running.js';
import type { ServiceParts } from './start-service.js';

/**
 * A subgraph as a program of its own: reads its settings, holds its DATA_DIR while its database is embedded, starts, and
 * stops clean at what `endOnSignals` hears, after others had time to notice. Exit code 1 says why on standard error.
 */
export async function runProgram<C extends ServiceConfig>(
  name: string,
  env: Environment,
  { settings, read }: { readonly settings: Settings; readonly read: (env: Environment) => C },
  start: (config: C, parts: ServiceParts) => Promise<RunningSubgraph>,
): Promise<void> {
  const logger = createLogger(name);
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    // First: where something is missing it may be there under another name.
    for (const { says, ...fields } of unheededIn(env, serviceHeeds(name, settings, env))) logger.warn(fields, says);
    const config = read(env);
    if (config.DATABASE_URL === undefined) {
      const lock = await lockDataDir(config.DATA_DIR);
      closers.push(() => lock.release());
    }
    if (config.REDIS_URL === undefined)
      logger.warn({}, 'REDIS_URL is not set: what happens here no other service hears of, nor this one of theirs');
    const stream = openStream({ redisUrl: config.REDIS_URL, logger, listeners: LISTENERS });
    closers.push(() => stream.close());
    const heap = new HeapWatch(logger);
    closers.push(async () => heap.close());
    const running = await start(config, { stream, logger, heap });
    closers.push(() => running.close());
    closers.push(() => running.drain());
    endOnSignals(close, logger, CLOSE_MS + config.DRAIN_MS);
    logger.info({ url: running.url }, `${name} listens`);
  } catch (error) {
    if (error instanceof SettingsError || error instanceof DatabaseNotOpened)
      process.stderr.write(`${error.message}\n`);
    else logger.error({ err: error }, `${name} did not start`);
    process.exitCode = 1;
    await close();
  }
}
