import { setTimeout as sleep } from 'node:timers/promises';
import type { Toxics } from '../../test/servers/fault-proxy.js';
import { fillDisk } from '../../test/servers/small-disk.js';
import { REQUEST_MS } from './bars.js';
import type { Databases } from './checker.js';
import { during, halfOpen } from './doors.js';
import type { Fault } from './fault.js';
import { replaced } from './town.js';

/** FD: PostgreSQL where it is. That another takes its place is in standby.ts and old-primary.ts. */
export const DATABASES: readonly Fault[] = [
  {
    ...database('FD1', 'the database of posts refuses connections', { down: true }),
    // Known at once: nobody waits until time is up.
    onlyTold: ['SUBGRAPH_UNAVAILABLE', 'OVERLOADED'],
  },
  {
    id: 'FD1-crash',
    says: 'a backend of PostgreSQL is killed (-9): all connections are lost and it recovers from its log',
    async strike({ databases }) {
      const [backend] = await databases.posts.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid() LIMIT 1`,
      );
      process.kill(backend!.pid, 'SIGKILL');
    },
  },
  {
    ...database('FD2', 'the database of posts is a black hole', { timeout: true }),
    recoverMsMax: 5_000,
    requestMsMax: REQUEST_MS,
  },
  {
    ...halfOpen('FD2-half', 'connections to the database of posts are half open', ({ database: { posts } }) => posts),
    recoverMsMax: 5_000,
  },
  {
    id: 'FD3',
    says: 'the database of posts answers 400 ms late, and its two connections run out',
    told: 'OVERLOADED',
    requestMsMax: REQUEST_MS,
    prepare: ({ town }) => replaced(town, 'posts', { DATABASE_POOL_MAX: '2' }),
    async strike({ town: { proxies }, ms }) {
      proxies.database.posts.set({ latency: 400 });
      // Whoever is refused has waited for a second.
      await sleep(Math.max(ms, 3_000));
      proxies.database.posts.set({});
    },
    tidy: ({ town }) => replaced(town, 'posts'),
  },
  {
    id: 'FD4',
    says: 'posts may have one connection to its database, where it had ten (53300)',
    async strike({ town, databases, ms }) {
      const role = new URL(town.databaseUrls.posts).username;
      await databases.admin.query(`ALTER ROLE ${role} CONNECTION LIMIT 1`);
      await databases.admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`, [role]);
      await sleep(ms);
      await databases.admin.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    },
  },
  {
    id: 'FD10',
    says: 'the table of posts is locked (ACCESS EXCLUSIVE), as by a migration that takes its time',
    async strike({ databases, ms }) {
      await databases.posts.transaction(async (tx) => {
        await tx.query('LOCK TABLE posts IN ACCESS EXCLUSIVE MODE');
        await sleep(ms);
      });
    },
  },
  {
    id: 'FD11',
    says: 'all databases are read only, as PostgreSQL is made when its disk is nearly full',
    async strike({ databases, ms }) {
      await databases.admin.query('ALTER SYSTEM SET default_transaction_read_only = on');
      await databases.admin.query('SELECT pg_reload_conf()');
      await sleep(ms);
      await databases.admin.query('ALTER SYSTEM RESET default_transaction_read_only');
      await databases.admin.query('SELECT pg_reload_conf()');
    },
  },
  {
    id: 'FD11-full',
    says: 'the disk of all databases is full, to the last byte (53100)',
    fillsDisk: true,
    async strike({ town, ms }) {
      const makeRoom = fillDisk(town.postgres);
      try {
        await sleep(ms);
      } finally {
        makeRoom();
      }
    },
  },
  {
    id: 'FD12',
    says: 'the table of posts gets a column, which is filled in slices and dropped again, under load',
    unnoticed: true,
    async strike({ databases: { posts }, ms }) {
      await patiently(posts, 'ALTER TABLE posts ADD COLUMN expanded text');
      const slice = `UPDATE posts SET expanded = 'x' WHERE id IN (SELECT id FROM posts WHERE expanded IS NULL LIMIT 20) RETURNING id`;
      for (const end = performance.now() + ms; (await posts.query(slice)).length > 0 || performance.now() < end;)
        await sleep(20);
      await patiently(posts, 'ALTER TABLE posts DROP COLUMN expanded');
    },
  },
];

/** As a migration has to: whoever waits for a lock of a whole table lets everybody else wait, so it waits for a moment, and tries again. */
async function patiently(database: Databases['posts'], statement: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await database.transaction(async (tx) => {
        await tx.query(`SET LOCAL lock_timeout = '200ms'`);
        await tx.query(statement);
      });
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(100);
    }
  }
}

function database(id: string, says: string, toxics: Toxics): Fault {
  return during(id, says, ({ database: { posts } }) => posts, toxics);
}
