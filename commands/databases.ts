import { createHmac } from 'node:crypto';
import { DatabaseNotOpened, provisionServices } from '#libs/database';
import { loadOrCreateSecret } from '#libs/identity';
import { address, addresses, choice, readSettings, secret, type Environment, type Values } from '#libs/settings';

export const SERVICES = ['users', 'posts', 'followers'] as const;
export type Service = (typeof SERVICES)[number];

const postgres = { protocols: ['postgres:', 'postgresql:'] };
const own = { ...postgres, why: 'A database of its own for this service; all three or none.' };
const replicas = {
  ...postgres,
  default: [],
  why: 'DATABASE_REPLICA_URLS of this service; beside a database of its own.',
};

/** What only all in one process has; the programs' own settings are in their `config.ts`. */
export const startSettings = {
  ASSERTION_SECRET: secret({
    why: 'All in one: what the gateway shares with each subgraph, and the passwords of the roles, are derived from it; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  }),
  USERS_DATABASE_URL: address(own),
  POSTS_DATABASE_URL: address(own),
  FOLLOWERS_DATABASE_URL: address(own),
  USERS_DATABASE_REPLICA_URLS: addresses(replicas),
  POSTS_DATABASE_REPLICA_URLS: addresses(replicas),
  FOLLOWERS_DATABASE_REPLICA_URLS: addresses(replicas),
  DATABASE_URL: address({
    ...postgres,
    why: 'One server on which three databases and three roles are made; its role may do that.',
  }),
  SEED: choice(['demo', 'none'], {
    why: 'demo puts alice, bob, carol, dan and eve into an empty graph. Default: demo, and none with any database url.',
  }),
};

export type StartSettings = Values<typeof startSettings>;

export function readStartSettings(env: Environment): StartSettings {
  return readWith(env, onServers);
}

/** Of a command, which shares no secret with a service: only the passwords of roles that it makes itself come from one. */
export function readCommandSettings(env: Environment): StartSettings {
  return readWith(env, makesRoles);
}

function readWith(env: Environment, needsSecret: (settings: StartSettings) => boolean): StartSettings {
  return readSettings(startSettings, env, (values) => {
    const all = SERVICES.map(databaseVariable);
    const missing = all.filter((name) => values[name] === undefined);
    const given = all.filter((name) => values[name] !== undefined);
    return [
      ...(needsSecret(values) && values.ASSERTION_SECRET === undefined
        ? [`ASSERTION_SECRET is required with DATABASE_URL: it takes ${startSettings.ASSERTION_SECRET.takes}`]
        : []),
      ...(missing.length > 0 && missing.length < SERVICES.length
        ? [
            `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing beside ${given.join(' and ')}: each service has a database of its own`,
          ]
        : []),
      ...SERVICES.filter((name) => values[replicasVariable(name)].length > 0)
        .filter((name) => values[databaseVariable(name)] === undefined)
        .map((name) => `${replicasVariable(name)} takes a ${databaseVariable(name)} beside it`),
    ];
  });
}

/**
 * Where each service's database is. USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL name them; with one
 * DATABASE_URL, three databases and three roles are made on that server; with neither, undefined: embedded under DATA_DIR.
 */
export async function databasesOf(
  settings: StartSettings,
  secrets: Secrets,
): Promise<Readonly<Record<Service, string | undefined>>> {
  const urls = SERVICES.map((service) => [service, settings[databaseVariable(service)]] as const);
  if (makesRoles(settings)) {
    const passwords = Object.fromEntries(SERVICES.map((service) => [service, secrets.of('database', service)]));
    return (await provisionServices(settings.DATABASE_URL, SERVICES, passwords)) as Record<Service, string>;
  }
  return Object.fromEntries(urls) as Record<Service, string | undefined>;
}

/** What cannot open the database of a service names the setting that says where it is. */
export async function naming<T>(settings: StartSettings, service: Service, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const own = databaseVariable(service);
    throw error instanceof DatabaseNotOpened && settings[own] !== undefined ? error.from(own) : error;
  }
}

/** Is it on databases that somebody else may use too? Then nothing is put in by itself, and secrets are given, not made. */
export function onServers(settings: StartSettings): boolean {
  return ['DATABASE_URL' as const, ...SERVICES.map(databaseVariable)].some((name) => settings[name] !== undefined);
}

export interface Secrets {
  /** What gateway and one service share ('assertion'), or the password of a service's role ('database'). */
  of(purpose: 'assertion' | 'database' | 'consistency', service: Service | 'gateway'): string;
}

/**
 * One secret from which all in one process derives the others (HMAC-SHA-256). On databases of their own it has to be given,
 * so that a second process has the same; embedded, it is made at the first start and kept under DATA_DIR.
 */
export async function readSecrets({ ASSERTION_SECRET }: StartSettings, dataDir: string): Promise<Secrets> {
  return secretsFrom(ASSERTION_SECRET ?? (await loadOrCreateSecret(dataDir, 'assertion')));
}

export function secretsFrom(master: string): Secrets {
  return { of: (purpose, service) => createHmac('sha256', master).update(`${purpose} ${service}`).digest('hex') };
}

function makesRoles(settings: StartSettings): settings is StartSettings & { DATABASE_URL: string } {
  return (
    settings.DATABASE_URL !== undefined && SERVICES.every((name) => settings[databaseVariable(name)] === undefined)
  );
}

/** The setting of `npm start` that names the replicas of a service's database. */
export function replicasVariable(service: Service) {
  return `${service.toUpperCase() as Uppercase<Service>}_DATABASE_REPLICA_URLS` as const;
}

function databaseVariable(service: Service) {
  return `${service.toUpperCase() as Uppercase<Service>}_DATABASE_URL` as const;
}
