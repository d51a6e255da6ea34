import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { sealingKeys } from '../sealer.js';
import { provision } from '../deploy/databases.js';

/** What a world on real servers is told. */
export interface OwnServers {
  readonly env: Readonly<Record<string, string>>;
  /** The secret that those of the services come from. */
  readonly master: string;
  readonly postsUrl: string;
  drop(): Promise<void>;
}

/** A database for each service, and a place of its own in Redis: `redisDatabase` is Redis' number for it. It is emptied. */
export async function ownServers(adminUrl: string, redisUrl: string, redisDatabase: number): Promise<OwnServers> {
  const ownRedis = Object.assign(new URL(redisUrl), { pathname: `/${redisDatabase}` }).href;
  const redis = new Redis(ownRedis);
  await redis.flushdb();
  redis.disconnect();
  const { urls, drop } = await provision(adminUrl, () => randomBytes(16).toString('hex'));
  const master = randomBytes(32).toString('hex');
  const env = {
    ...Object.fromEntries(Object.entries(urls).map(([service, url]) => [`${service.toUpperCase()}_DATABASE_URL`, url])),
    REDIS_URL: ownRedis,
    ASSERTION_SECRET: master,
    SIGNING_KEY: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    SEALING_KEYS: sealingKeys(),
  };
  return { env, master, postsUrl: urls['posts'] ?? '', drop };
}
