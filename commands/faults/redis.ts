import { setTimeout as sleep } from 'node:timers/promises';
import type { Toxics } from '../../test/servers/fault-proxy.js';
import { REDIS_ERRORS, startRedis, tell, type RedisServer } from '../../test/servers/redis.js';
import type { Bars } from './bars.js';
import { during, halfOpen } from './doors.js';
import type { Fault } from './fault.js';

/**
 * Of a Redis that does not answer in time. Nearly everybody is answered without waiting for it: a gateway that waits for each budget takes
 * 200 ms more. The first wait in the gateway, and at each step of services; on a busy machine that is a second and more.
 */
const AT_ONCE: Bars = { typicalMsMax: (calmMs) => calmMs + Math.max(100, calmMs / 2), requestMsMax: 3_000 };

/** FR: the one Redis of all programs. Groups of them are in redis-groups.ts, and what is kept in it in kept-values.ts. */
export const REDIS: readonly Fault[] = [
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
];

/** Redis is asked for what can be had without it, or can wait: nobody notices. */
function behind(id: string, says: string, toxics: Toxics): Fault {
  return { ...during(id, says, ({ redis: door }) => door, toxics), unnoticed: true };
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

export function redisPromoted(): Fault {
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
