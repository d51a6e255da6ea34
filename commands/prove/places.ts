import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import { outboxMigrations } from '#libs/outbox';
import { copyFolder } from '../copy-folder.js';

/** Where a proof runs: on the embedded default, or on a PostgreSQL and a Redis. */
export interface Place {
  readonly name: 'embedded' | 'servers';
  /** Stores with these tables, of these services, and nothing in them; and an empty Redis where there is one. */
  prepare(tables: Readonly<Record<string, Tables>>): Promise<Site>;
  /** Once all its sites are cleared. */
  close(): Promise<void>;
}

export interface Tables {
  readonly entities: readonly Function[];
  readonly migrations: readonly Function[];
}

export const NO_TABLES: Tables = { entities: [], migrations: [] };
export const OUTBOX: Tables = { entities: [], migrations: outboxMigrations };

/** As plain data: it is handed to worker processes. */
export interface Site {
  /** Absent: embedded, under `dataDir`. */
  readonly urls?: Readonly<Record<string, string>>;
  readonly redisUrl?: string;
  readonly dataDir: string;
  clear(): Promise<void>;
}

const FOLDER_PREFIX = join(tmpdir(), 'tributary-prove-');

export function embedded(): Place {
  const folders: string[] = [];
  const templates = new Templates(async (service, tables) => {
    const dataDir = await mkdtemp(FOLDER_PREFIX);
    folders.push(dataDir);
    await (await openDatabase({ service, dataDir, bulk: true, ...tables })).close();
    return join(dataDir, service);
  });
  return {
    name: 'embedded',
    prepare: async (tables) => {
      const dataDir = await mkdtemp(FOLDER_PREFIX);
      for (const [service, of] of Object.entries(tables))
        await copyFolder(await templates.of(service, of), join(dataDir, service));
      return { dataDir, clear: () => rm(dataDir, { recursive: true, force: true }) };
    },
    close: async () => {
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The logical databases that are used, and emptied, of a Redis that was there before: one for each site at a time. The tests have 7 to 11. */
const REDIS_DATABASES = [12, 13, 14, 15];

export function onServers({ postgres, redis }: { postgres: string; redis: string }): Place {
  const free = [...REDIS_DATABASES];
  const made: string[] = [];
  const templates = new Templates(async (service, tables) => {
    const prefix = `prove_${randomBytes(4).toString('hex')}_`;
    const { [service]: url = '' } = await provisionServices(postgres, [service], { [service]: 'prove' }, { prefix });
    made.push(`${prefix}${service}`);
    await (await openDatabase({ service, url, bulk: true, ...tables })).close();
    return new URL(url);
  });
  return {
    name: 'servers',
    prepare: async (tables) => {
      const nth = free.shift();
      if (nth === undefined) throw new Error(`More than ${REDIS_DATABASES.length} sites at once`);
      const redisUrl = new URL(redis);
      redisUrl.pathname = `/${nth}`;
      const dataDir = await mkdtemp(FOLDER_PREFIX);
      const urls: Record<string, string> = {};
      const copies: string[] = [];
      const clear = async (): Promise<void> => {
        try {
          await rm(dataDir, { recursive: true, force: true });
          await asAdmin(postgres, async (admin) => {
            for (const copy of copies) await admin.query(`DROP DATABASE ${copy} WITH (FORCE)`);
          });
          await emptied(redisUrl.href);
        } finally {
          free.push(nth);
        }
      };
      try {
        await emptied(redisUrl.href);
        const found = await Promise.all(
          Object.entries(tables).map(async ([service, of]) => [service, await templates.of(service, of)] as const),
        );
        await asAdmin(postgres, async (admin) => {
          for (const [service, template] of found) {
            const role = template.username;
            const copy = `${role}_${randomBytes(4).toString('hex')}`;
            await admin.query(`CREATE DATABASE ${copy} TEMPLATE ${role} OWNER ${role}`);
            copies.push(copy);
            urls[service] = Object.assign(new URL(template), { pathname: `/${copy}` }).href;
          }
        });
      } catch (error) {
        // What was wrong is told, and not that there is nobody who could clear.
        await clear().catch(() => undefined);
        throw error;
      }
      return { urls, redisUrl: redisUrl.href, dataDir, clear };
    },
    close: () =>
      asAdmin(postgres, async (admin) => {
        for (const name of made) {
          await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
          await admin.query(`DROP ROLE ${name}`);
        }
      }),
  };
}

/** One store for each service and its tables, which take a second to make: what a site is given is a copy. */
class Templates<Made> {
  readonly #make: (service: string, tables: Tables) => Promise<Made>;
  readonly #made = new Map<string, Promise<Made>>();

  constructor(make: (service: string, tables: Tables) => Promise<Made>) {
    this.#make = make;
  }

  of(service: string, tables: Tables): Promise<Made> {
    const key = [service, ...tables.migrations.map(({ name }) => name)].join(' ');
    let made = this.#made.get(key);
    if (made === undefined) {
      this.#made.set(key, (made = this.#make(service, tables)));
      made.catch(() => this.#made.delete(key));
    }
    return made;
  }
}

async function emptied(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    await redis.flushdb();
  } finally {
    redis.disconnect();
  }
}

async function asAdmin(url: string, work: (admin: Database) => Promise<void>): Promise<void> {
  const admin = await openDatabase({ service: 'admin', url, entities: [], migrations: [], poolMax: 1, bulk: true });
  try {
    await work(admin);
  } finally {
    await admin.close();
  }
}
