import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SettingsError } from '#libs/settings';

/**
 * Embedded, the keys are made before the database is. Where it is there and they are not, new ones would be made without a word, and the e-mail addresses
 * in it be lost. One of the two is enough: who came from a version before sealing has one, and a signing key may be removed on purpose.
 */
export function refuseLostKeys({
  DATABASE_URL,
  DATA_DIR,
}: {
  readonly DATABASE_URL: string | undefined;
  readonly DATA_DIR: string;
}): void {
  if (DATABASE_URL !== undefined || !existsSync(join(DATA_DIR, 'users', 'PG_VERSION'))) return;
  const folder = join(DATA_DIR, 'keys');
  if (['sealing.secret', 'signing-key.pem', GO_ON].some((name) => existsSync(join(folder, name)))) return;
  throw new SettingsError([
    `DATA_DIR takes databases with their keys; ${DATA_DIR} has databases, whose e-mail addresses nobody can read without the keys, and ${folder} is gone: put it back from a backup, or make an empty file ${join(folder, GO_ON)} to go on with new keys and without those addresses`,
  ]);
}

/** An empty file that says so. */
const GO_ON = 'lost';
