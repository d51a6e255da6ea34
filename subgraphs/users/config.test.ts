import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { SettingsError } from '#libs/settings';
import { sealingKeys } from '../../test/sealer.js';
import { readUsersConfig } from './config.js';

const DATABASE_URL = 'postgres://h/users';
const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
const LONG = `1:${Buffer.alloc(32, 'swordfish').toString('base64')}`;

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
      /ASSERTION_SECRET is required with DATABASE_URL.*\n.*SIGNING_KEY is required with DATABASE_URL.*\n.*SEALING_KEYS is required with DATABASE_URL/,
    );
  });

  it('take replicas of a database, and none of an embedded one', () => {
    const replicas = { DATABASE_REPLICA_URLS: 'postgres://a/users,postgres://b/users' };
    const secrets = { ASSERTION_SECRET: 'x'.repeat(32), SIGNING_KEY: key, SEALING_KEYS: sealingKeys() };
    expect(readUsersConfig({ ...replicas, ...secrets, DATABASE_URL })).toMatchObject({
      DATABASE_REPLICA_URLS: ['postgres://a/users', 'postgres://b/users'],
      DATABASE_REPLICA_LAG_MS: 2_000,
    });
    expect(() => readUsersConfig(replicas)).toThrow('DATABASE_REPLICA_URLS takes a DATABASE_URL beside it');
  });

  it('refuse short secrets and keys that are none, without showing them', () => {
    const wrong = () => readUsersConfig({ DATABASE_URL, ASSERTION_SECRET: 'hunter2', SIGNING_KEY: 'c3dvcmRmaXNo' });
    expect(wrong).toThrow(
      /ASSERTION_SECRET takes at least 32[\s\S]*SIGNING_KEY takes an Ed25519 private key on one line/,
    );
    expect(wrong).not.toThrow(/hunter2|c3dvcmRmaXNo/);
  });

  it.each([
    ['a short one', `1:${Buffer.alloc(31, 'swordfish').toString('base64')}`],
    ['one of no name', Buffer.alloc(32, 'swordfish').toString('base64')],
    ['what is no base64', `1:${'swordfish'.repeat(8)}!`],
    ['a name twice', `${LONG},${LONG}`],
    ['a good one and a short one', `${LONG},2:c3dvcmRmaXNo`],
  ])('refuse, of the keys that seal, %s, without showing it', (_what, SEALING_KEYS) => {
    const wrong = () =>
      readUsersConfig({ DATABASE_URL, ASSERTION_SECRET: 's'.repeat(32), SIGNING_KEY: key, SEALING_KEYS });
    expect(wrong).toThrow(/nothing was started.\n {2}SEALING_KEYS takes id:base64.*came something else \(not shown\)$/);
    expect(wrong).not.toThrow(/swordfish|c3dvcmRmaXNo/);
  });

  it('refuse, in production, keys that anybody would try first, whatever they are wrapped in', () => {
    const der = Buffer.from(key, 'base64');
    const of = (seed: Buffer) => Buffer.concat([der.subarray(0, -32), seed]).toString('base64');
    const sealing = (bytes: Buffer) => `1:${bytes.toString('base64')}`;
    const env = {
      DATABASE_URL,
      ASSERTION_SECRET: 'changeme'.repeat(4),
      SIGNING_KEY: of(Buffer.alloc(32)),
      SEALING_KEYS: `2:${Buffer.from('a secret of thirty-two characters!').toString('base64')},${sealingKeys()}`,
    };
    const production = (more: object) => () => readUsersConfig({ ...env, ...more, NODE_ENV: 'production' });
    for (const name of ['ASSERTION_SECRET', 'SIGNING_KEY', 'SEALING_KEYS'])
      expect(production({})).toThrow(
        new RegExp(`^ {2}${name} takes .* \\(not shown\\), which NODE_ENV=production refuses$`, 'm'),
      );
    expect(production({ SEALING_KEYS: sealing(Buffer.alloc(32)) })).toThrow('SEALING_KEYS takes');
    expect(production({ SEALING_KEYS: `1:${'changeme'.repeat(6)}` })).toThrow('SEALING_KEYS takes');
    // Control: the same is taken where it is not production, and what was drawn by chance everywhere.
    expect(readUsersConfig(env).SIGNING_KEY).toBeDefined();
    const drawn = {
      ASSERTION_SECRET: randomBytes(32).toString('base64'),
      SIGNING_KEY: key,
      SEALING_KEYS: sealingKeys(),
    };
    expect(production(drawn)().ASSERTION_SECRET).toBe(drawn.ASSERTION_SECRET);
    // What was sealed by a weak one is opened, and sealed anew by the first.
    const weak = sealing(Buffer.alloc(32)).replace('1:', '2:');
    expect(production({ ...drawn, SEALING_KEYS: `${sealingKeys()},${weak}` })().SEALING_KEYS).toHaveLength(2);
  });

  it('hold keys that are not shown by whoever prints them', () => {
    const { SEALING_KEYS } = readUsersConfig({ SEALING_KEYS: `${LONG}, 2:${LONG.slice(2)}` });
    expect(SEALING_KEYS?.map(({ id }) => id)).toEqual(['1', '2']);
    expect(`${JSON.stringify(SEALING_KEYS)} ${inspect(SEALING_KEYS, { depth: 9, showHidden: true })}`).not.toMatch(
      /[\w+/]{20,}/,
    );
  });

  it('take a key as openssl makes it', () => {
    const config = readUsersConfig({
      DATABASE_URL,
      ASSERTION_SECRET: 's'.repeat(32),
      SIGNING_KEY: key,
      SEALING_KEYS: sealingKeys(),
    });
    expect(config.SIGNING_KEY?.publicJwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' });
  });
});
