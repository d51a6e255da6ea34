import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { provisionServices } from '#libs/database';
import { sealingKeys } from '../sealer.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type World } from '../world.js';
import { blocks } from './blocks.contract.js';
import { counts } from './counts.contract.js';
import { deletion } from './deletion.contract.js';
import { everyday } from './everyday.contract.js';
import { farewell } from './farewell.contract.js';
import { notifications } from './notifications.contract.js';
import { repeats } from './repeats.contract.js';

const SERVICES = ['users', 'posts', 'followers'] as const;
const MAIN_TABLES = { users: 'users', posts: 'posts', followers: 'follows' };
/** Redis' own number for a place apart, of which what a run before left is thrown away; npm run prove has 12 to 15, other tests 7 to 10. */
const REDIS_DATABASE = 11;

withServer(['postgres', 'redis'], 'on PostgreSQL and Redis', (adminUrl = '', redisUrl = '') => {
  const prefix = `journeys_${randomBytes(5).toString('hex')}_`;
  const ownRedis = Object.assign(new URL(redisUrl), { pathname: `/${REDIS_DATABASE}` }).href;
  let urls: Record<string, string>;
  let world: World;

  beforeAll(async () => {
    const redis = new Redis(ownRedis);
    await redis.flushdb();
    redis.disconnect();
    const passwords = Object.fromEntries(SERVICES.map((service) => [service, randomBytes(16).toString('hex')]));
    urls = await provisionServices(adminUrl, SERVICES, passwords, { prefix });
    const { privateKey } = generateKeyPairSync('ed25519');
    world = await startWorld({
      ...Object.fromEntries(SERVICES.map((service) => [`${service.toUpperCase()}_DATABASE_URL`, urls[service]])),
      REDIS_URL: ownRedis,
      // Everything that is told here is told through the entity cache as well; test/journeys/stories.test.ts goes without.
      ENTITY_CACHE: 'on',
      ASSERTION_SECRET: randomBytes(32).toString('hex'),
      SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
      SEALING_KEYS: sealingKeys(),
    });
  }, 180_000);
  afterAll(async () => {
    await world?.close();
    for (const service of SERVICES) {
      await asked(adminUrl, `DROP DATABASE IF EXISTS ${prefix}${service} WITH (FORCE)`);
      await asked(adminUrl, `DROP ROLE IF EXISTS ${prefix}${service}`);
    }
  }, 180_000);

  everyday(() => world);
  blocks(() => world);
  farewell(() => world);
  deletion(() => world);
  notifications(() => world);
  repeats(() => world);
  describe('counts', () => counts(() => world, { runs: 5 }));

  describe.each(SERVICES)('the role of %s', (service) => {
    const others = SERVICES.filter((other) => other !== service);

    it('reads its own tables, and may not even connect to the databases of the others', async () => {
      const own = urls[service] ?? '';
      expect(await asked(own, `SELECT count(*) FROM ${MAIN_TABLES[service]}`)).toBe('answered');
      for (const other of others) expect(await asked(databaseOf(own, other), 'SELECT 1')).toBe('42501');
    });

    it('is refused by the tables of the others, were it let into their databases', async () => {
      for (const other of others) {
        await asked(adminUrl, `GRANT CONNECT ON DATABASE ${prefix}${other} TO ${prefix}${service}`);
        const there = databaseOf(urls[service] ?? '', other);
        expect(await asked(there, 'SELECT 1')).toBe('answered');
        for (const statement of [`SELECT FROM ${MAIN_TABLES[other]}`, 'SELECT FROM outbox', 'CREATE TABLE mine ()'])
          expect(await asked(there, statement)).toBe('42501');
        await asked(adminUrl, `REVOKE CONNECT ON DATABASE ${prefix}${other} FROM ${prefix}${service}`);
      }
    });
  });

  function databaseOf(url: string, service: string): string {
    return Object.assign(new URL(url), { pathname: `/${prefix}${service}` }).href;
  }
});

/** 'answered', or PostgreSQL's code for why not; 42501 is insufficient_privilege. */
async function asked(url: string, statement: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    await client.query(statement);
    return 'answered';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.end().catch(() => {});
  }
}
