import { lockDataDir } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { openStream } from '#libs/outbox';
import { SettingsError } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { readUsersConfig } from './config.js';
import { startUsers } from './start.js';

const logger = createLogger('users');
try {
  const config = readUsersConfig(process.env);
  const lock = config.DATABASE_URL === undefined ? await lockDataDir(config.DATA_DIR) : undefined;
  const stream = openStream({ redisUrl: config.REDIS_URL, logger, listeners: LISTENERS });
  const users = await startUsers(config, { stream, logger });
  logger.info({ url: users.url }, 'users listens');
  const stop = async (): Promise<void> => {
    await users.close();
    await stream.close();
    await lock?.release();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop().catch((error: unknown) => {
        logger.error({ err: error }, 'users did not stop clean');
        process.exitCode = 1;
      });
    });
  }
} catch (error) {
  if (error instanceof SettingsError) process.stderr.write(`${error.message}\n`);
  else logger.error({ err: error }, 'users did not start');
  process.exitCode = 1;
}
