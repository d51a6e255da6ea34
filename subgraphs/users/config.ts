import { parseSigningKey, type SigningKey } from '#libs/identity';
import { readSettings, text, whole, type Environment, type Setting, type Values } from '#libs/settings';
import { missingSecrets, serviceSettings } from '#libs/subgraph-kit';

const signingKey: Setting<SigningKey> = {
  takes: 'an Ed25519 private key on one line (openssl genpkey -algorithm ed25519 -outform DER | base64 -w0)',
  why: 'Signs log-in tokens; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  secret: true,
  parse: parseSigningKey,
};

export const usersSettings = {
  ...serviceSettings(4001),
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
  return readSettings(usersSettings, env, (values) => [
    ...missingSecrets('users', values),
    ...(values.DATABASE_URL !== undefined && values.SIGNING_KEY === undefined
      ? [`SIGNING_KEY is required with DATABASE_URL: ${signingKey.takes}`]
      : []),
  ]);
}
