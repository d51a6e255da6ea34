import { createHmac } from 'node:crypto';
import { provisionServices } from '#libs/database';
import { loadOrCreateSecret } from '#libs/identity';
import { readSettings, secret, type Environment } from '#libs/settings';

export const SERVICES = ['users', 'posts', 'followers'] as const;
export type Service = (typeof SERVICES)[number];

/**
 * Where each service's database is. USERS_DATABASE_URL, POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL name them; with one
 * DATABASE_URL, three databases and three roles are made on that server; with neither, undefined: embedded under DATA_DIR.
 */
export async function databasesOf(
  env: Environment,
  own: Secrets,
): Promise<Readonly<Record<Service, string | undefined>>> {
  const urls = SERVICES.map((service) => [service, env[databaseVariable(service)] || undefined] as const);
  const missing = urls.filter(([, url]) => url === undefined).map(([service]) => databaseVariable(service));
  if (missing.length > 0 && missing.length < SERVICES.length) {
    throw new Error(`Each service has a database of its own: ${missing.join(' and ')} is missing beside the other(s).`);
  }
  if (missing.length === SERVICES.length && env['DATABASE_URL']) {
    const passwords = Object.fromEntries(SERVICES.map((service) => [service, own.of('database', service)]));
    return (await provisionServices(env['DATABASE_URL'], SERVICES, passwords)) as Record<Service, string>;
  }
  return Object.fromEntries(urls) as Record<Service, string | undefined>;
}

/** Is it on databases that somebody else may use too? Then nothing is put in by itself, and secrets are given, not made. */
export function onServers(env: Environment): boolean {
  return ['DATABASE_URL', ...SERVICES.map(databaseVariable)].some((name) => Boolean(env[name]));
}

export interface Secrets {
  /** What gateway and one service share ('assertion'), or the password of a service's role ('database'). */
  of(purpose: 'assertion' | 'database', service: Service): string;
}

/**
 * One secret from which all in one process derives the others (HMAC-SHA-256). On databases of their own it has to be given,
 * so that a second process has the same; embedded, it is made at the first start and kept under DATA_DIR.
 */
export async function readSecrets(env: Environment, dataDir: string): Promise<Secrets> {
  const { ASSERTION_SECRET } = readSettings(startSettings, env, (values) =>
    onServers(env) && values.ASSERTION_SECRET === undefined
      ? [`ASSERTION_SECRET is required with DATABASE_URL: it takes ${startSettings.ASSERTION_SECRET.takes}`]
      : [],
  );
  const master = ASSERTION_SECRET ?? (await loadOrCreateSecret(dataDir, 'assertion'));
  return { of: (purpose, service) => createHmac('sha256', master).update(`${purpose} ${service}`).digest('hex') };
}

export const startSettings = {
  ASSERTION_SECRET: secret({
    why: 'All in one: what the gateway shares with each subgraph, and the passwords of the roles, are derived from it; required with DATABASE_URL, else made once and kept under DATA_DIR.',
  }),
};

function databaseVariable(service: Service): string {
  return `${service.toUpperCase()}_DATABASE_URL`;
}
