import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { CrashPoint } from '#libs/crash-point';
import type { FaultProxy, Toxics } from '../../test/servers/fault-proxy.js';
import type { PostgresServer } from '../../test/servers/postgres.js';
import { REDIS_ERRORS, startRedis, tell, type RedisServer } from '../../test/servers/redis.js';
import { fillDisk } from '../../test/servers/small-disk.js';
import { ROOT } from '../root.js';
import { ANSWERS } from './answers.js';
import type { Bars } from './bars.js';
import type { Databases } from './checker.js';
import { CLOCKS } from './clocks.js';
import { CONFLICTS } from './conflicts.js';
import type { Heard } from './crowd.js';
import { crush } from './crush.js';
import { KEPT_VALUES } from './kept-values.js';
import { KILL_POINTS } from './kill-points.js';
import { OLD_PRIMARY } from './old-primary.js';
import { REDIS_GROUPS } from './redis-groups.js';
import { STREAM } from './stream.js';
import { startStandby } from './standby.js';
import { SUPERGRAPH } from './supergraph.js';
import { replaced, SERVICES, type ProgramName, type ServiceName, type Town } from './town.js';

/** What a fault may reach for; `databases` are past the doors that fail. */
export interface Scene {
  readonly town: Town;
  readonly databases: Databases;
  readonly ms: number;
  /** Bodies of the posts whose publishing was answered since the crowd began. */
  acknowledged(): readonly string[];
  /** `hear` is told of every answer that people get from now on; undefined: nobody is. */
  listen(hear: ((answer: Heard) => void) | undefined): void;
}

/** One line of the fault table. */
export interface Fault extends Bars {
  /** Of the table, and after it what tells it from another of the same number. */
  readonly id: string;
  readonly says: string;
  /** Only when it is asked for by name. */
  readonly control?: boolean;
  /** The databases have to be on a disk of their own: where this machine may mount one. */
  readonly fillsDisk?: boolean;
  /** What it takes that this machine has not, and where to get it: then it does not run. */
  lacks?(): string | undefined;
  /** Before anybody is at work. */
  prepare?(scene: Scene): Promise<void>;
  /** When all has been looked at: what `prepare` made otherwise is as it was. */
  tidy?(scene: Scene): Promise<void>;
  /** Does it, and undoes it `ms` later where it does not undo itself. Resolves when it is healed. */
  strike(scene: Scene): Promise<void>;
}

/** The gateway waits three seconds for a service, and asks posts once for each thing that people do here; as long again for a busy machine. */
const REQUEST_MS = 6_000;

/**
 * Of a Redis that does not answer in time. Nearly everybody is answered without waiting for it: a gateway that waits for each budget takes
 * 200 ms more. The first wait in the gateway, and at each step of services; on a busy machine that is a second and more.
 */
const AT_ONCE: Bars = { typicalMsMax: (calmMs) => calmMs + Math.max(100, calmMs / 2), requestMsMax: 3_000 };

/**
 * Each fault of the table that concerns all of it together, by their kinds; what moves a server to another place comes last. What concerns one part alone is shown by that part's tests: coverage.ts.
 */
export const FAULTS: readonly Fault[] = [
  {
    ...killed('FP1', 'kill -9 of the gateway, and started again, twenty times', 'gateway', 20),
    // Ready within five seconds, and as long again for a busy machine.
    longestMsMax: () => 10_000,
  },
  killedAt(
    'FP2',
    'kill -9 of posts with a connection in its hand, before BEGIN, and started again',
    'posts',
    'begin:before',
  ),
  killed('FP3', 'kill -9 of posts in the middle of its writes, and started again', 'posts'),
  killed('FP3-users', 'kill -9 of users, and started again', 'users'),
  {
    id: 'FP4',
    says: 'posts commits and its answers are lost; then kill -9 of posts, and started again',
    async strike({ town, ms }) {
      town.proxies.service.posts.set({ limitData: 1 });
      await sleep(ms);
      town.signal('posts', 'SIGKILL');
      await town.restart('posts');
      town.proxies.service.posts.set({});
    },
  },
  ...KILL_POINTS,
  killed('FP8', 'kill -9 of followers, which hears and tells, and started again', 'followers'),
  leaseLost('FP10', 'posts is stopped (SIGSTOP) until a second process has its lease, and goes on beside it', 'posts'),
  leaseLost('FP10-followers', 'the same of followers, which hears and tells', 'followers'),
  {
    id: 'FP11',
    says: 'SIGTERM of each program under load, one after another, and started again',
    async strike({ town }) {
      for (const name of ['users', 'posts', 'followers', 'gateway'] as const) {
        town.signal(name, 'SIGTERM');
        await town.restart(name);
      }
    },
  },
  uncaught(
    'FP12',
    'an exception that nobody catches ends the gateway, and it is started again',
    'gateway',
    'exception',
  ),
  uncaught('FP12-posts', 'a rejection that nobody handles ends posts, and it is started again', 'posts', 'rejection'),
  stopped('FP13', 'the gateway is stopped (SIGSTOP) and goes on later', 'gateway'),
  heapFull('FP14', 'the gateway fills its heap up to its limit, says so, is ended by V8, and started again', 'gateway'),
  heapFull('FP14-posts', 'the same of posts', 'posts'),
  behind('FR1', 'Redis refuses connections', { down: true }),
  { ...behind('FR2', 'Redis is a black hole', { timeout: true }), ...AT_ONCE },
  {
    ...halfOpen('FR2-half', 'connections to Redis are half open: nothing comes on them, ever', ({ redis }) => redis),
    unnoticed: true,
  },
  { ...behind('FR3', 'Redis answers 200 ms late', { latency: 200 }), ...AT_ONCE },
  redis('FR4', 'Redis is full (maxmemory, noeviction)', 'CONFIG SET maxmemory 1', 'CONFIG SET maxmemory 0'),
  redis('FR5', 'Redis is read only', 'REPLICAOF 127.0.0.1 1', 'REPLICAOF NO ONE'),
  {
    id: 'FR6',
    says: 'Redis is killed and comes back empty',
    unnoticed: true,
    async strike({ town, ms }) {
      await town.redis.stop();
      await sleep(ms);
      await town.restartRedis();
    },
  },
  redis('FR8', 'FLUSHALL', 'FLUSHALL', undefined),
  {
    id: 'FR9',
    says: 'Redis answers with errors: NOPERM, then LOADING, CLUSTERDOWN, MOVED',
    unnoticed: true,
    async strike({ town, ms }) {
      await tell(town.redis.port, 'ACL SETUSER default -@all +acl');
      await sleep(ms / 4);
      await tell(town.redis.port, 'ACL SETUSER default +@all');
      for (const error of REDIS_ERRORS) {
        town.proxies.redis.set({ redisError: error });
        await sleep(ms / 4);
      }
      town.proxies.redis.set({});
    },
  },
  {
    id: 'FR10',
    says: 'Redis drops all connections, ten times',
    unnoticed: true,
    async strike({ town, ms }) {
      for (let nth = 0; nth < 10; nth += 1) {
        town.proxies.redis.set({ down: true });
        town.proxies.redis.set({});
        await sleep(ms / 10);
      }
    },
  },
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
  { ...service('FG1', 'posts refuses connections', { down: true }), onlyTold: ['SUBGRAPH_UNAVAILABLE'] },
  { ...service('FG2', 'posts answers eight seconds late', { latency: 8_000 }), requestMsMax: REQUEST_MS },
  {
    ...halfOpen('FG2-half', 'connections from the gateway to posts are half open', ({ service: { posts } }) => posts),
    requestMsMax: REQUEST_MS,
  },
  service('FG4', 'answers of posts are cut by a reset after 300 bytes', { limitData: 300 }),
  { ...service('FG9', 'answers of posts come in pieces of 7 bytes', { slicer: 7 }), unnoticed: true },
  ...ANSWERS,
  ...STREAM,
  ...SUPERGRAPH,
  {
    id: 'FX3',
    says: 'posts gets a fifth of a processor',
    unnoticed: true,
    async strike({ town, ms }) {
      for (const end = performance.now() + ms; performance.now() < end;) {
        town.signal('posts', 'SIGSTOP');
        await sleep(80);
        town.signal('posts', 'SIGCONT');
        await sleep(20);
      }
    },
  },
  {
    id: 'FX3-files',
    says: 'the gateway may have 256 open files, and 600 clients come, ask and stay',
    // More than it can do at once may be asked of it and of users; nobody is told of files.
    onlyTold: ['OVERLOADED', 'SUBGRAPH_TIMEOUT', 'SUBGRAPH_UNAVAILABLE'],
    async prepare({ town }) {
      town.signal('gateway', 'SIGTERM');
      await town.restart('gateway', {}, 256);
    },
    async strike({ town, ms }) {
      const { answered, told, closed } = await crush(Number(new URL(town.graphql).port), 600, ms);
      if (answered === 0 || told === 0 || closed === 0)
        throw new Error(
          `of 600 clients ${answered} were answered, ${told} told that there is no place, ${closed} closed`,
        );
      // Who was let in has files for what has to be fetched for them.
      const why = /.*EMFILE.*/.exec(town.logOf('gateway'))?.[0];
      if (why !== undefined) throw new Error(`no file was left: ${why}`);
    },
    tidy: ({ town }) => replaced(town, 'gateway'),
  },
  ...KEPT_VALUES,
  ...CONFLICTS,
  ...CLOCKS,
  ...REDIS_GROUPS,
  redisPromoted(),
  standbyPromoted(),
  ...OLD_PRIMARY,
  {
    id: 'control',
    says: 'no fault: posts, an event, a notification and a count are changed behind everybody’s back, which has to be found',
    control: true,
    async strike({ databases: { posts, users }, acknowledged }) {
      const some = async (
        database: Databases['posts'],
        text: string,
        values: readonly unknown[] = [],
      ): Promise<void> => {
        while ((await database.query(text, [...values])).length === 0) await sleep(20);
      };
      // What nobody was told of proves nothing, and one post is changed in one way: each change breaks an invariant of its own.
      while (acknowledged().length < 3) await sleep(20);
      const [changed, untold, counted] = acknowledged();
      await some(posts, `UPDATE posts SET body = body || '?' WHERE body = $1 RETURNING id`, [changed]);
      await some(
        posts,
        `DELETE FROM outbox USING posts WHERE type = 'post-published' AND published_at IS NOT NULL
         AND payload->>'postId' = posts.id::text AND posts.body = $1 RETURNING posts.id`,
        [untold],
      );
      await some(posts, `UPDATE posts SET like_count = like_count + 1 WHERE body = $1 RETURNING id`, [counted]);
      await some(
        users,
        `INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
         SELECT slot, recipient_id, gen_random_uuid(), kind, actor_id, post_id, at FROM notifications WHERE kind = 'like' LIMIT 1
         RETURNING id`,
      );
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

function killed(id: string, says: string, name: ProgramName, times = 1): Fault {
  return {
    id,
    says,
    async strike({ town, ms }) {
      for (let nth = 0; nth < times; nth += 1) {
        // The next one in the middle of what has begun again.
        if (nth > 0) await sleep(ms / 2);
        town.signal(name, 'SIGKILL');
        await town.restart(name);
      }
    },
  };
}

/** Whoever passes the point first with something to do: a writer, or its relay, or who hears. */
function killedAt(id: string, says: string, name: ProgramName, point: CrashPoint): Fault {
  const preload = pathToFileURL(join(ROOT, 'dist/commands/prove/preload.js')).href;
  return {
    id,
    says,
    prepare: ({ town }) => replaced(town, name, { NODE_OPTIONS: `--import ${preload}`, CRASH_AT: point }),
    async strike({ town }) {
      const ended = town.ended(name);
      town.signal(name, 'SIGUSR2');
      const how = await ended;
      if (how !== 'SIGKILL') throw new Error(`it ended by ${how}, and not at ${point}`);
      await town.restart(name);
    },
  };
}

/** What is under way when it breaks is answered first; of the services each call has three seconds. */
const ENDS_MS = 5_000;

function uncaught(id: string, says: string, name: ProgramName, what: 'exception' | 'rejection'): Fault {
  const breaks = pathToFileURL(join(ROOT, 'dist/commands/faults/breaks.js')).href;
  return {
    id,
    says,
    prepare: ({ town }) => replaced(town, name, { NODE_OPTIONS: `--import ${breaks}`, BREAKS: what }),
    async strike({ town }) {
      const ended = town.ended(name);
      const began = performance.now();
      town.signal(name, 'SIGUSR2');
      const how = await ended;
      const ms = performance.now() - began;
      process.stderr.write(`${id}: ${name} ended ${(ms / 1_000).toFixed(2)} s after the error\n`);
      if (how !== 1) throw new Error(`it ended by ${how}, and not with 1`);
      if (!town.logOf(name).includes('Nobody caught this error')) throw new Error('its log does not say why it ends');
      // By itself, and not by the deadline that it has for that.
      if (ms > ENDS_MS) throw new Error(`it ended ${ms.toFixed(0)} ms after the error, which may be ${ENDS_MS} ms`);
      await town.restart(name);
    },
  };
}

/** Of 96 MB each has more than half free. */
const HEAP = '--max-old-space-size=96';

function heapFull(id: string, says: string, name: ProgramName): Fault {
  const leaks = pathToFileURL(join(ROOT, 'dist/commands/faults/leaks.js')).href;
  return {
    id,
    says,
    // Three seconds until it is full; then it does little but collect, and where others want the processor as well, for long.
    longestMsMax: () => 30_000,
    prepare: ({ town }) => replaced(town, name, { NODE_OPTIONS: `${HEAP} --import ${leaks}` }),
    async strike({ town }) {
      const ended = town.ended(name);
      const notReady = untilNotReady(town, name, 'heap: it is nearly full', ended);
      town.signal(name, 'SIGUSR2');
      const how = await ended;
      if (how !== 'SIGABRT') throw new Error(`it ended by ${how}, and not at the limit of its heap`);
      if (!town.logOf(name).includes('The heap is nearly full')) throw new Error('its log does not say why it ends');
      if (!(await notReady)) throw new Error('it was ready to the end');
      await town.restart(name);
    },
  };
}

/** Whether it told for this reason that it is not ready, before it ended. */
async function untilNotReady(town: Town, name: ProgramName, why: string, ended: Promise<unknown>): Promise<boolean> {
  const { port } = name === 'gateway' ? new URL(town.graphql) : town.proxies.service[name];
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    const told = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(5_000) }).then(
      async (response) => (response.status === 503 ? response.text() : ''),
      () => '',
    );
    if (told.includes(why)) return true;
    await sleep(20);
  }
  return false;
}

function stopped(id: string, says: string, name: ProgramName): Fault {
  return {
    id,
    says,
    async strike({ town, ms }) {
      town.signal(name, 'SIGSTOP');
      await sleep(ms);
      town.signal(name, 'SIGCONT');
    },
  };
}

/** A second process stands beside it meanwhile. That it takes over what the first one held is part of the fault. */
function leaseLost(id: string, says: string, name: ServiceName): Fault {
  let first: string | undefined;
  let end: () => Promise<void>;
  const holder = async ({ databases }: Scene): Promise<string | undefined> => {
    const rows = await databases[name].query<{ holder: string }>(
      'SELECT holder FROM relay_leases ORDER BY nth LIMIT 1',
    );
    return rows[0]?.holder;
  };
  return {
    id,
    says,
    // Stopped for longer than it waits for a connection, or the gateway for it; mostly nobody notices.
    // A repeat may meet the first try, when both wake up with the process that was stopped.
    onlyTold: ['OVERLOADED', 'SUBGRAPH_TIMEOUT', 'SUBGRAPH_UNAVAILABLE', 'IDEMPOTENCY_KEY_IN_USE'],
    async prepare(scene) {
      first = await holder(scene);
      end = await scene.town.second(name);
    },
    async strike(scene) {
      const { town, ms } = scene;
      try {
        town.signal(name, 'SIGSTOP');
        const until = performance.now() + TAKEN_OVER_MS;
        while ((await holder(scene)) === first) {
          if (performance.now() > until) throw new Error(`nobody took its lease in ${TAKEN_OVER_MS / 1_000} s`);
          await sleep(20);
        }
        await sleep(ms);
        town.signal(name, 'SIGCONT');
        // Both are there.
        await sleep(ms);
      } finally {
        town.signal(name, 'SIGCONT');
        await end();
      }
    },
  };
}

const TAKEN_OVER_MS = 20_000;

/** Redis is asked for what can be had without it, or can wait: nobody notices. */
function behind(id: string, says: string, toxics: Toxics): Fault {
  return { ...during(id, says, ({ redis: door }) => door, toxics), unnoticed: true };
}

function database(id: string, says: string, toxics: Toxics): Fault {
  return during(id, says, ({ database: { posts } }) => posts, toxics);
}

function service(id: string, says: string, toxics: Toxics): Fault {
  return during(id, says, ({ service: { posts } }) => posts, toxics);
}

type Door = (proxies: Town['proxies']) => FaultProxy;

function during(id: string, says: string, door: Door, toxics: Toxics): Fault {
  return {
    id,
    says,
    async strike({ town: { proxies }, ms }) {
      door(proxies).set(toxics);
      await sleep(ms);
      // What hung in a black hole is as lost as what was refused.
      if (toxics.timeout) door(proxies).set({ down: true });
      door(proxies).set({});
    },
  };
}

/** Nothing heals them: whoever holds one has to notice by itself. */
function halfOpen(id: string, says: string, door: Door): Fault {
  return {
    id,
    says,
    async strike({ town: { proxies } }) {
      door(proxies).forgetOpen();
    },
  };
}

function redis(id: string, says: string, command: string, undo: string | undefined): Fault {
  return {
    id,
    says,
    unnoticed: true,
    async strike({ town, ms }) {
      await tell(town.redis.port, command);
      await sleep(ms);
      if (undo !== undefined) await tell(town.redis.port, undo);
    },
  };
}

function redisPromoted(): Fault {
  let replica: RedisServer;
  return {
    id: 'FR7',
    says: 'Redis is lost, and a replica that had heard nothing for a while takes its place',
    unnoticed: true,
    async prepare({ town }) {
      replica = await startRedis();
      await tell(replica.port, `REPLICAOF 127.0.0.1 ${town.redis.port}`);
      while (!(await tell(replica.port, 'INFO replication')).includes('master_link_status:up')) await sleep(50);
    },
    async strike({ town, ms }) {
      // From here on the replica is cut off; what is written meanwhile is acknowledged by Redis, and lost.
      await tell(replica.port, 'REPLICAOF NO ONE');
      await sleep(ms);
      town.proxies.redis.set({ down: true });
      await town.moveRedis(replica);
      town.proxies.redis.set({});
    },
  };
}

function standbyPromoted(): Fault {
  let standby: PostgresServer;
  return {
    id: 'FD5',
    says: 'the primary of all databases is lost; its synchronous standby is promoted and takes its place',
    longestMsMax: (ms) => ms + 30_000,
    async prepare({ town, databases: { admin } }) {
      standby = await startStandby(town, admin);
    },
    async strike({ town, databases, ms }) {
      for (const name of SERVICES) town.proxies.database[name].set({ down: true });
      await town.moveDatabases(standby);
      await sleep(ms);
      await databases.admin.query('SELECT pg_promote()');
      for (const name of SERVICES) town.proxies.database[name].set({});
    },
  };
}
