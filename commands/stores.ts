import { existsSync } from 'node:fs';
import { lockDataDir, openDatabase, type Database } from '#libs/database';
import type { Environment } from '#libs/settings';
import { createLogger } from '#libs/telemetry';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { usersTables } from '../subgraphs/users/users.tables.js';
import {
  databasesOf,
  naming,
  onServers,
  readCommandSettings,
  secretsFrom,
  type Service,
  type StartSettings,
} from './databases.js';

const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };

/**
 * Opens the stores of some services, those that npm start would use, for a command that works on many rows; closes them after `work`.
 * On servers the services may run meanwhile; an embedded store has one process at a time, and the message names who.
 */
export async function withStores<T>(
  program: string,
  services: readonly Service[],
  env: Environment,
  work: (databases: Readonly<Partial<Record<Service, Database>>>) => Promise<T>,
): Promise<T> {
  const logger = createLogger(program, 'warn');
  const { settings, dataDir, urls } = await findStores(env);
  const lock = onServers(settings) ? undefined : await lockDataDir(dataDir);
  const databases: Partial<Record<Service, Database>> = {};
  try {
    for (const service of services) {
      const opening = openDatabase({
        service,
        url: urls[service],
        dataDir,
        poolMax: 2,
        bulk: true,
        logger,
        ...TABLES[service],
      });
      databases[service] = await naming(settings, service, opening);
    }
    return await work(databases);
  } finally {
    for (const database of Object.values(databases)) await database.close();
    await lock?.release();
  }
}

/** Where npm start would have the store of each service. With servers there is no data folder, and none is made. */
export async function findStores(env: Environment): Promise<{
  readonly settings: StartSettings;
  readonly dataDir: string;
  readonly urls: Readonly<Record<Service, string | undefined>>;
}> {
  const dataDir = env['DATA_DIR'] || './data';
  const settings = readCommandSettings(env);
  if (!onServers(settings) && !existsSync(dataDir))
    throw new Error(`There is no graph: the data folder ${dataDir} is not there`);
  return { settings, dataDir, urls: await databasesOf(settings, secretsFrom(settings.ASSERTION_SECRET ?? '')) };
}
