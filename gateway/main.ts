import 'reflect-metadata';
import { SettingsError } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { readGatewayConfig } from './config.js';
import { startGateway } from './start.js';

const logger = createLogger('gateway');
try {
  const gateway = await startGateway(readGatewayConfig(process.env), { logger });
  logger.info({ url: gateway.url }, 'Listening');
  let ending = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (ending) process.exit(1);
      ending = true;
      gateway.close().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error({ error: String(error) }, 'It did not close cleanly');
          process.exit(1);
        },
      );
    });
  }
} catch (error) {
  process.stderr.write(
    `${error instanceof SettingsError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
}
