import { lockDataDir } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { openStream } from '#libs/outbox';
import { SettingsError } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { readFollowersConfig } from './config.js';
import { startFollowers } from './start.js';

const logger = createLogger('followers');
try {
  const config = readFollowersConfig(process.env);
  const lock = config.DATABASE_URL === undefined ? await lockDataDir(config.DATA_DIR) : undefined;
  const stream = openStream({ redisUrl: config.REDIS_URL, logger, listeners: LISTENERS });
  const followers = await startFollowers(config, { stream, logger });
  logger.info({ url: followers.url }, 'followers listens');
  const stop = async (): Promise<void> => {
    await followers.close();
    await stream.close();
    await lock?.release();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop().catch((error: unknown) => {
        logger.error({ err: error }, 'followers did not stop clean');
        process.exitCode = 1;
      });
    });
  }
} catch (error) {
  if (error instanceof SettingsError) process.stderr.write(`${error.message}\n`);
  else logger.error({ err: error }, 'followers did not start');
  process.exitCode = 1;
}
