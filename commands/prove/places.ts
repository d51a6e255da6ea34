import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { openDatabase, provisionServices } from '#libs/database';

/** Where a proof runs: on the embedded default, or on a PostgreSQL and a Redis. */
export interface Place {
  readonly name: 'embedded' | 'servers';
  /** Empty stores of these services, and an empty Redis where there is one. */
  prepare(services: readonly string[]): Promise<Site>;
}

/** As plain data: it is handed to worker processes. */
export interface Site {
  /** Absent: embedded, under `dataDir`. */
  readonly urls?: Readonly<Record<string, string>>;
  readonly redisUrl?: string;
  readonly dataDir: string;
  clear(): Promise<void>;
}

export const EMBEDDED: Place = {
  name: 'embedded',
  prepare: async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tributary-prove-'));
    return { dataDir, clear: () => rm(dataDir, { recursive: true, force: true }) };
  },
};

/** The logical databases that are used, and emptied, of a Redis that was there before: one for each site at a time. */
const REDIS_DATABASES = [9, 10, 11, 12];

export function onServers({ postgres, redis }: { postgres: string; redis: string }): Place {
  const free = [...REDIS_DATABASES];
  return {
    name: 'servers',
    prepare: async (services) => {
      const nth = free.shift();
      if (nth === undefined) throw new Error(`More than ${REDIS_DATABASES.length} sites at once`);
      const redisUrl = new URL(redis);
      redisUrl.pathname = `/${nth}`;
      await emptied(redisUrl.href);
      const prefix = `prove_${randomBytes(4).toString('hex')}_`;
      const passwords = Object.fromEntries(services.map((service) => [service, 'prove']));
      const urls = await provisionServices(postgres, services, passwords, { prefix });
      const dataDir = await mkdtemp(join(tmpdir(), 'tributary-prove-'));
      return {
        urls,
        redisUrl: redisUrl.href,
        dataDir,
        clear: async () => {
          await rm(dataDir, { recursive: true, force: true });
          await drop(postgres, services, prefix);
          await emptied(redisUrl.href);
          free.push(nth);
        },
      };
    },
  };
}

async function emptied(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    await redis.flushdb();
  } finally {
    redis.disconnect();
  }
}

async function drop(adminUrl: string, services: readonly string[], prefix: string): Promise<void> {
  const admin = await openDatabase({
    service: 'admin',
    url: adminUrl,
    entities: [],
    migrations: [],
    poolMax: 1,
    bulk: true,
  });
  try {
    for (const service of services) {
      await admin.query(`DROP DATABASE ${prefix}${service} WITH (FORCE)`);
      await admin.query(`DROP ROLE ${prefix}${service}`);
    }
  } finally {
    await admin.close();
  }
}
