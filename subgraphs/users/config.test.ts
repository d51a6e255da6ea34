import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { SettingsError } from '#libs/settings';
import { readUsersConfig } from './config.js';

const DATABASE_URL = 'postgres://h/users';
const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');

describe('the settings of users', () => {
  it('are all optional on the embedded default', () => {
    expect(readUsersConfig({})).toMatchObject({
      PORT: 4001,
      DATA_DIR: './data',
      DATABASE_URL: undefined,
      SIGNING_KEY: undefined,
    });
  });

  it('need secrets with a database, and say so together', () => {
    expect(() => readUsersConfig({ DATABASE_URL })).toThrow(SettingsError);
    expect(() => readUsersConfig({ DATABASE_URL })).toThrow(
      /ASSERTION_SECRET is required with DATABASE_URL.*\n.*SIGNING_KEY is required with DATABASE_URL/,
    );
  });

  it('refuse short secrets and keys that are none, without showing them', () => {
    const wrong = () => readUsersConfig({ DATABASE_URL, ASSERTION_SECRET: 'hunter2', SIGNING_KEY: 'c3dvcmRmaXNo' });
    expect(wrong).toThrow(
      /ASSERTION_SECRET takes at least 32[\s\S]*SIGNING_KEY takes an Ed25519 private key on one line/,
    );
    expect(wrong).not.toThrow(/hunter2|c3dvcmRmaXNo/);
  });

  it('take a key as openssl makes it', () => {
    const config = readUsersConfig({ DATABASE_URL, ASSERTION_SECRET: 's'.repeat(32), SIGNING_KEY: key });
    expect(config.SIGNING_KEY?.publicJwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' });
  });
});
