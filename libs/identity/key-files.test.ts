import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadOrCreateSecret, loadOrCreateSigningKey, parseSigningKey } from './index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('keys on disk', () => {
  it('are made once, and for their owner only', async () => {
    const made = await loadOrCreateSigningKey(folder);
    const secret = await loadOrCreateSecret(folder, 'assertion-users');
    expect((await loadOrCreateSigningKey(folder)).publicJwk).toEqual(made.publicJwk);
    expect(await loadOrCreateSecret(folder, 'assertion-users')).toBe(secret);
    expect(await loadOrCreateSecret(folder, 'assertion-posts')).not.toBe(secret);
    for (const name of await readdir(join(folder, 'keys')))
      expect((await stat(join(folder, 'keys', name))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700);
  });

  it('are one and the same for all who start at once', async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateSecret(folder, 'x')));
    expect(new Set(secrets).size).toBe(1);
    expect(await readdir(join(folder, 'keys'))).toEqual(['x.secret']);
  });

  it('are refused when others can read them', async () => {
    await loadOrCreateSecret(folder, 'x');
    await chmod(join(folder, 'keys/x.secret'), 0o644);
    await expect(loadOrCreateSecret(folder, 'x')).rejects.toThrow(/can be read by others \(mode 644\). Run: chmod 600/);
  });

  it('are refused when they are something else, and stay as they are', async () => {
    await loadOrCreateSigningKey(folder);
    const file = join(folder, 'keys/signing-key.pem');
    await writeFile(file, 'hello');
    await expect(loadOrCreateSigningKey(folder)).rejects.toThrow(/is no Ed25519 private key/);
    expect(await readFile(file, 'utf8')).toBe('hello');
    await writeFile(join(folder, 'keys/x.secret'), 'short', { mode: 0o600 });
    await expect(loadOrCreateSecret(folder, 'x')).rejects.toThrow(/is no secret of ours/);
  });

  it('have names that stay inside their folder', async () => {
    await expect(loadOrCreateSecret(folder, '../x')).rejects.toThrow(RangeError);
  });

  it('can be given as one line of text', async () => {
    const { privateKey, publicJwk } = await loadOrCreateSigningKey(folder);
    const line = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
    expect(parseSigningKey(line)?.publicJwk).toEqual(publicJwk);
    for (const wrong of ['', 'hello', line.slice(8)]) expect(parseSigningKey(wrong)).toBeUndefined();
  });
});
