import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, type Database } from '#libs/database';
import { newId } from '#libs/identity';
import { parseSealingKeys, type Sealer } from '#libs/sealing';
import { SettingsError } from '#libs/settings';
import { sealingKeys } from '../../test/sealer.js';
import { layOutStores } from '../../test/stores.js';
import { openSealerOver } from './lost-keys.js';
import { openSealer, sealEmail } from './sealing.js';
import { usersTables } from './users.tables.js';

const ADDRESS = 'alice@example.org';
let DATA_DIR: string;
let database: Database;
let secret: string;
let goOn: string;

beforeAll(async () => {
  DATA_DIR = await mkdtemp(join(tmpdir(), 'tributary-lost-keys-'));
  [secret, goOn] = [join(DATA_DIR, 'keys/sealing.secret'), join(DATA_DIR, 'keys/lost')];
  await layOutStores(DATA_DIR, 'users');
  database = await openDatabase({ service: 'users', dataDir: DATA_DIR, ...usersTables });
}, 60_000);
beforeEach(async () => {
  await database.query('DELETE FROM users');
  await rm(secret, { force: true });
  await rm(goOn, { force: true });
});
afterAll(async () => {
  await database.close();
  await rm(DATA_DIR, { recursive: true, force: true });
});

const embedded = () => ({ SEALING_KEYS: undefined, DATABASE_URL: undefined, DATA_DIR });
const onServer = (keys: string) => ({
  ...embedded(),
  SEALING_KEYS: parseSealingKeys(keys),
  DATABASE_URL: 'postgres://h/users',
});

async function signUp(sealer: Sealer | undefined): Promise<void> {
  const id = newId();
  await database.query(
    `INSERT INTO users (id, handle, display_name, email, password_hash, joined_at, version) VALUES ($1, $2, '', $3, '', now(), 1)`,
    [id, id.slice(-12), sealer === undefined ? ADDRESS : sealEmail(sealer, id, ADDRESS)],
  );
}

const refused = async (parts: Parameters<typeof openSealerOver>[1]): Promise<string | undefined> => {
  const error: unknown = await openSealerOver(database, parts).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) return undefined;
  expect(error).toBeInstanceOf(SettingsError);
  const [mistake, ...more] = (error as SettingsError).mistakes;
  expect(more).toEqual([]);
  expect(mistake).not.toContain(ADDRESS);
  return mistake;
};

describe('the key that seals, made under DATA_DIR', () => {
  it('that alone is gone is missed where something is sealed by it, and no new one is in its place; control: by itself a new one would be made', async () => {
    await signUp(await openSealer(embedded()));
    expect(await refused(embedded())).toBeUndefined();
    await rm(secret);
    expect(await refused(embedded())).toBe(
      `DATA_DIR takes databases with their keys; ${DATA_DIR} has databases, whose e-mail addresses nobody can read without the keys, and ${secret} is gone: put it back from a backup, or make an empty file ${goOn} to go on with new keys and without those addresses`,
    );
    expect(existsSync(secret)).toBe(false);
    await openSealer(embedded());
    expect(existsSync(secret)).toBe(true);
  });

  it('that is another one by now is missed as well, until the file says go on; then nothing is in the way of who comes after', async () => {
    await signUp(await openSealer(embedded()));
    await rm(secret);
    await openSealer(embedded());
    expect(await refused(embedded())).toContain(`${secret} is another one: put it back`);
    await writeFile(goOn, '');
    expect(await refused(embedded())).toBeUndefined();
    await rm(secret);
    expect(await refused(embedded())).toBeUndefined();
    await signUp(await openSealer(embedded()));
    await rm(goOn);
    expect(await refused(embedded())).toBeUndefined();
  });

  it.each([
    ['there is nobody', async () => {}],
    ['addresses are plain, as a version before wrote them', () => signUp(undefined)],
  ])('is made where %s', async (_what, before) => {
    await before();
    expect(await refused(embedded())).toBeUndefined();
    expect(existsSync(secret)).toBe(true);
  });
});

describe('SEALING_KEYS', () => {
  it('that has another key under an id by which addresses are sealed is refused; control: the keys of before open them, also changed one by one', async () => {
    const [one, two] = [sealingKeys('1'), sealingKeys('2')];
    await signUp(await openSealer(onServer(one)));
    for (const keys of [one, `${one},${two}`, `${two},${one}`]) expect(await refused(onServer(keys))).toBeUndefined();
    expect(await refused(onServer(sealingKeys('1')))).toMatch(
      /^SEALING_KEYS takes each key under the id that it has sealed by; came another one under 1, which opens none .*: give the key of before, or the new one an id of its own/,
    );
    // Who has lost it goes on so, and the log says each hour which one is missing.
    expect(await refused(onServer(two))).toBeUndefined();
  });

  it('is not refused for one text that was changed', async () => {
    const keys = sealingKeys();
    const sealer = await openSealer(onServer(keys));
    await signUp(sealer);
    await signUp(sealer);
    await database.query(
      `UPDATE users SET email = (SELECT email FROM users ORDER BY id LIMIT 1) WHERE id = (SELECT max(id::text)::uuid FROM users)`,
    );
    expect(await refused(onServer(keys))).toBeUndefined();
  });
});
