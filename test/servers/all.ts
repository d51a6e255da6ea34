import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findPostgres, startPostgres } from './postgres.js';
import { findRedis, startRedis } from './redis.js';
import { canMount } from './small-disk.js';
import { NEEDS } from './table.js';

/**
 * One PostgreSQL and one Redis for a whole run of the tests, where the machine has them and the environment names none.
 * Answers the variables for the test processes, among them where one finds what another has left for it (test/stores.ts); `stop` ends the servers that were started here, and only those.
 */
export async function startServers(
  env: NodeJS.ProcessEnv,
): Promise<{ env: Record<string, string>; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-test-'));
  const skipped = join(folder, 'skipped.txt');
  writeFileSync(skipped, '');
  const found: Record<string, string> = { TEST_SKIPPED_FILE: skipped, TEST_STORES: join(folder, 'stores') };
  const stops: (() => Promise<void>)[] = [];

  if (!env[NEEDS.postgres.variable] && findPostgres() !== undefined) {
    const postgres = await startPostgres();
    stops.push(() => postgres.stop());
    found[NEEDS.postgres.variable] = postgres.url;
  }
  if (!env[NEEDS.redis.variable] && findRedis() !== undefined) {
    const redis = await startRedis();
    stops.push(() => redis.stop());
    found[NEEDS.redis.variable] = redis.url;
  }
  if (canMount()) found[NEEDS.mount.variable] = 'yes';
  for (const program of ['chromium', 'haproxy', 'prometheus'] as const) {
    const path = env[NEEDS[program].variable] ?? onPath(program, env);
    if (path !== undefined) found[NEEDS[program].variable] = path;
  }
  return {
    env: found,
    stop: async () => {
      await Promise.all(stops.map((stop) => stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function onPath(program: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = [...(env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}
