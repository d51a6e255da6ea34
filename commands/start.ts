import { endOnSignals, requireOpenFiles, SERVICE_FILES_MIN, whyNotListening } from '#libs/lifecycle';
import { createLogger, logLevel } from '#libs/telemetry';
import type { Everything } from './everything.js';

/** `npm start`: everything in one process, seeded at the first start, addresses printed, until somebody ends it. */
requireOpenFiles('Tributary', SERVICE_FILES_MIN);
const { startEverything } = await import('./everything.js');
const started = Date.now();
const logger = createLogger('tributary', logLevel('warn'));

try {
  const everything = await startEverything(process.env, {
    logger,
    progress: (text) => process.stderr.write(`${text}\n`),
  });
  // Before it says that it runs: whoever reads that may end it at once.
  endOnSignals(async () => {
    await everything.close();
    process.stderr.write('Stopped.\n');
  }, logger);
  print(everything);
} catch (error) {
  const why = whyNotListening(error) ?? (error instanceof Error ? error.message : String(error));
  process.stderr.write(`${why}\n`);
  logger.debug({ err: error }, 'did not start');
  // What a gateway that could not listen has opened would keep it alive, and nobody would start it again.
  process.exit(1);
}

function print({ gateway, playground, subgraphs, seeded }: Everything): void {
  const rows = [
    [playground ? 'playground' : 'graphql', gateway.url],
    ...subgraphs.map(({ name, url }) => [name, url]),
    ['log in as', 'alice, bob, carol, dan or eve; password tributary'],
  ].slice(0, seeded ? undefined : -1);
  const text = rows.map(([name = '', value = '']) => `  ${name.padEnd(10)}  ${value}`).join('\n');
  process.stdout.write(
    `\n${text}\n\n  Ready in ${((Date.now() - started) / 1000).toFixed(1)} s. Ctrl+C stops it; the next start keeps the data.\n\n`,
  );
}
