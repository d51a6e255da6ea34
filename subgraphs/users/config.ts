import { parseSigningKey, seedOf, TOKEN_LIFETIME_S_MAX, type SigningKey } from '#libs/identity';
import { missingBeside, serviceSettings } from '#libs/service-settings';
import {
  choice,
  readSettings,
  text,
  whole,
  whyWeak,
  type Environment,
  type Setting,
  type Values,
} from '#libs/settings';
import { missingSealingKeys, sealingSettings } from './sealing.js';

const signingKey: Setting<SigningKey> = {
  takes: 'an Ed25519 private key on one line (openssl genpkey -algorithm ed25519 -outform DER | base64 -w0)',
  why: 'Signs log-in tokens; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  secret: true,
  parse: parseSigningKey,
  weak: (value) => whyWeak(seedOf(value)),
};

export const usersSettings = {
  ...serviceSettings(4001),
  SIGNING_KEY: signingKey,
  SIGNING_KEY_NEXT: {
    ...signingKey,
    why: 'The SIGNING_KEY that comes: published, so that gateways know it before it signs. Give it to all processes of users a minute before the change.',
  } satisfies Setting<SigningKey>,
  SIGNING_KEY_BEFORE: {
    ...signingKey,
    why: 'The SIGNING_KEY of before: tokens signed by it stay good for as long as it is set. Take it away when the longest TOKEN_LIFETIME_S of the last thirty days has gone by since the change.',
  } satisfies Setting<SigningKey>,
  ...sealingSettings,
  TOKEN_ISSUER: text({ default: 'tributary', why: 'Who signs log-in tokens (iss); the gateway expects the same.' }),
  TOKEN_AUDIENCE: text({
    default: 'tributary',
    why: 'For whom log-in tokens are (aud); the gateway expects the same.',
  }),
  TOKEN_LIFETIME_S: whole({
    min: 60,
    max: TOKEN_LIFETIME_S_MAX,
    unit: 's',
    default: 86_400,
    why: 'How long a log-in lasts, unless it is ended, by logOut or changePassword. Gateways take its token for a minute more, since clocks differ.',
  }),
  LOG_IN_TRIES: whole({
    min: 1,
    max: 1_000_000,
    default: 10,
    why: 'How often in a minute one client may try the password of one handle; five times as often those of different ones, and ten times as often all clients together that of one. So one client keeps nobody else out, and ten (addresses, of IPv6 /56s) can.',
  }),
  SIGN_UPS_PER_HOUR: whole({
    min: 1,
    max: 1_000_000,
    default: 60,
    why: 'How many people may sign up from one client.',
  }),
  RENAMES_PER_DAY: whole({
    min: 1,
    max: 1_000_000,
    default: 10,
    why: 'How often in a day one person may ask for a new handle. Each that they get stays theirs, so that nobody passes for who had it.',
  }),
  DELETION_SAGA: choice(['orchestrated', 'choreographed'], {
    default: 'orchestrated',
    why: 'Who leads the deletion of an account: a coordinator here that asks each service, asks again and gives up in time; or nobody, each service following what it hears, which takes fewer messages and waits for as long as a service is down.',
  }),
  DELETION_STEP_TIMEOUT_MS: whole({
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    default: 60_000,
    why: 'Orchestrated: how long a step of another service may take until it is asked for again.',
  }),
  DELETION_TRIES: whole({
    min: 1,
    max: 100,
    default: 5,
    why: 'Orchestrated: how often a step is asked for until everything is brought back.',
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
    ...missingBeside('users', values),
    ...(values.DATABASE_URL !== undefined && values.SIGNING_KEY === undefined
      ? [`SIGNING_KEY is required with DATABASE_URL: ${signingKey.takes}`]
      : []),
    ...missingSealingKeys(values),
  ]);
}
