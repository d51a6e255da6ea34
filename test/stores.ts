import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase } from '#libs/database';
import { copyFolder } from '../commands/copy-folder.js';
import { followersTables } from '../subgraphs/followers/followers.tables.js';
import { postsTables } from '../subgraphs/posts/posts.tables.js';
import { usersTables } from '../subgraphs/users/users.tables.js';

const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };
export type Service = keyof typeof TABLES;

/**
 * Puts under `dataDir`, where it is not there yet, an embedded store of each of these services (all three where none is named), with its
 * tables and nothing in them. It is made once for all test files of a run of `npm test`, and copied: to migrate three of them takes
 * 1.3 s of a processor, their copies 0.2. Who runs Jest alone does without.
 */
export async function layOutStores(dataDir: string, ...services: readonly Service[]): Promise<void> {
  const made = process.env['TEST_STORES'];
  if (made === undefined) return;
  for (const service of services.length > 0 ? services : (Object.keys(TABLES) as Service[])) {
    const folder = join(dataDir, service);
    if (existsSync(folder)) continue;
    if (service === 'users') await haveNoKeys(dataDir);
    await copyFolder(await migrated(made, service), folder);
  }
}

/** There is a database before there are keys, and nothing in it that would be lost (subgraphs/users/lost-keys.ts). */
async function haveNoKeys(dataDir: string): Promise<void> {
  await mkdir(join(dataDir, 'keys'), { recursive: true, mode: 0o700 });
  await writeFile(join(dataDir, 'keys', 'lost'), '', { mode: 0o600 });
}

async function migrated(made: string, service: Service): Promise<string> {
  const names = TABLES[service].migrations.map(({ name }) => name).join(' ');
  const folder = join(made, `${service}-${createHash('sha256').update(names).digest('hex').slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  await mkdir(made, { recursive: true });
  const making = await mkdtemp(join(made, 'making-'));
  await (await openDatabase({ service, dataDir: making, ...TABLES[service] })).close();
  // Another test file may have made it meanwhile.
  await rename(join(making, service), folder).catch((error: unknown) => {
    if (!existsSync(folder)) throw error;
  });
  await rm(making, { recursive: true, force: true });
  return folder;
}
