import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDataDir } from '#libs/settings';
import { signingKeyOf, type SigningKey } from './signing-key.js';

/** The Ed25519 key that signs log-in tokens on the embedded default: made at the first start, the same at every later one. */
export async function loadOrCreateSigningKey(dataDir: string): Promise<SigningKey> {
  const file = await kept(dataDir, 'signing-key.pem', () =>
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  );
  const key = await readFile(file, 'utf8');
  try {
    return signingKeyOf(createPrivateKey(key));
  } catch (cause) {
    throw new Error(
      `${file} is no Ed25519 private key. Restore it, or remove it: then everybody has to log in again.`,
      { cause },
    );
  }
}

/** A secret of 64 hexadecimal characters, for example what the gateway and one subgraph share. */
export async function loadOrCreateSecret(dataDir: string, name: string): Promise<string> {
  if (!/^[a-z0-9-]{1,64}$/.test(name)) throw new RangeError(`a secret's name is a-z, 0-9 and -; came ${name}`);
  const file = await kept(dataDir, `${name}.secret`, () => randomBytes(32).toString('hex'));
  const secret = (await readFile(file, 'utf8')).trim();
  if (!/^[0-9a-f]{64}$/.test(secret))
    throw new Error(`${file} is no secret of ours. Remove it to have a new one made.`);
  return secret;
}

/** DATA_DIR/keys/<name>, made if it is missing: whole or not at all, and readable by its owner only. */
async function kept(dataDir: string, name: string, make: () => string): Promise<string> {
  const folder = join(dataDir, 'keys');
  const file = join(folder, name);
  await makeDataDir(dataDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (!(await exists(file))) await createWhole(file, make());
  await refuseWhenOthersCanRead(file);
  return file;
}

/** Of several programs that start at once, one makes the file and all read that one. */
async function createWhole(file: string, content: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await chmod(draft, 0o600);
    // link, not rename: it never replaces what somebody else has made meanwhile.
    await link(draft, file);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function refuseWhenOthersCanRead(file: string): Promise<void> {
  const { mode } = await stat(file);
  if (process.platform === 'win32' || (mode & 0o077) === 0) return;
  throw new Error(`${file} can be read by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${file}`);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: unknown) => {
      if (isCode(error, 'ENOENT')) return false;
      throw error;
    },
  );
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
