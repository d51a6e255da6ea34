import { parseSigningKey, type SigningKey } from '#libs/identity';
import {
  address,
  choice,
  port,
  readSettings,
  secret,
  text,
  whole,
  type Environment,
  type Setting,
  type Values,
} from '#libs/settings';

const signingKey: Setting<SigningKey> = {
  takes: 'an Ed25519 private key on one line (openssl genpkey -algorithm ed25519 -outform DER | base64 -w0)',
  why: 'Signs log-in tokens; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  secret: true,
  parse: parseSigningKey,
};

export const usersSettings = {
  HOST: text({ default: '127.0.0.1', why: 'The address it listens on; only the gateway needs to reach it.' }),
  PORT: port({ default: 4001, why: 'The port it listens on.' }),
  DATA_DIR: text({ default: './data', why: 'The folder of the embedded database and of generated keys.' }),
  DATABASE_URL: address({
    protocols: ['postgres:', 'postgresql:'],
    why: 'Its PostgreSQL database; absent: an embedded one under DATA_DIR.',
  }),
  DATABASE_POOL_MAX: whole({ min: 1, max: 100, default: 10, why: 'The most connections to that database.' }),
  REDIS_URL: address({
    protocols: ['redis:', 'rediss:'],
    why: 'Redis for the cache and the event stream; absent: both live in this process.',
  }),
  CACHE: choice(['on', 'off'], { default: 'on', why: 'off reads everything from the database.' }),
  ASSERTION_SECRET: secret({
    why: 'Proves that a request comes from the gateway; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  }),
  RELAY_POLL_MS: whole({
    min: 10,
    max: 60_000,
    unit: 'ms',
    default: 200,
    why: 'How often the outbox is looked at without being woken: finds what another process wrote before it died.',
  }),
  SIGNING_KEY: signingKey,
  TOKEN_ISSUER: text({ default: 'tributary', why: 'Who signs log-in tokens (iss); the gateway expects the same.' }),
  TOKEN_AUDIENCE: text({
    default: 'tributary',
    why: 'For whom log-in tokens are (aud); the gateway expects the same.',
  }),
  TOKEN_LIFETIME_S: whole({
    min: 60,
    max: 2_592_000,
    unit: 's',
    default: 86_400,
    why: 'How long a log-in lasts. A token cannot be called back, but a deleted account can do nothing with it.',
  }),
  HASHES_AT_ONCE: whole({
    min: 1,
    max: 64,
    default: 1,
    why: 'How many passwords are hashed at the same time: each takes 19 MiB and a core for about 30 ms, which everybody else waits for.',
  }),
};

export type UsersConfig = Values<typeof usersSettings>;

export function readUsersConfig(env: Environment): UsersConfig {
  return readSettings(usersSettings, env, ({ DATABASE_URL, ASSERTION_SECRET, SIGNING_KEY }) => {
    if (DATABASE_URL === undefined) return [];
    return [
      ...(ASSERTION_SECRET === undefined
        ? ['ASSERTION_SECRET is required with DATABASE_URL: the secret that the gateway has for users']
        : []),
      ...(SIGNING_KEY === undefined ? [`SIGNING_KEY is required with DATABASE_URL: ${signingKey.takes}`] : []),
    ];
  });
}
