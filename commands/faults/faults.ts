import { setTimeout as sleep } from 'node:timers/promises';
import { tell } from '../../test/servers/redis.js';
import type { Town } from './town.js';

/** One line of the fault table. */
export interface Fault {
  readonly id: string;
  readonly says: string;
  /** False: only with --all, because it takes long. */
  readonly always?: boolean;
  /** Does it, and undoes it `ms` later where it does not undo itself. Resolves when it is healed. */
  strike(town: Town, ms: number): Promise<void>;
}

/**
 * Each fault of the table that concerns all of it together, in the order of its ids. What concerns one part alone is shown by that
 * part's tests: `ELSEWHERE`.
 */
export const FAULTS: readonly Fault[] = [
  killed('FP1', 'kill -9 of the gateway, and started again', 'gateway'),
  killed('FP3', 'kill -9 of posts in the middle of its writes, and started again', 'posts'),
  killed('FP8', 'kill -9 of followers, which hears and tells, and started again', 'followers'),
  {
    id: 'FP10',
    says: 'posts is stopped (SIGSTOP) and goes on later, believing that it still holds its lease',
    async strike(town, ms) {
      town.signal('posts', 'SIGSTOP');
      await sleep(ms);
      town.signal('posts', 'SIGCONT');
    },
  },
  {
    id: 'FP11',
    says: 'SIGTERM of users under load, and started again',
    async strike(town) {
      town.signal('users', 'SIGTERM');
      await town.restart('users');
    },
  },
  behind('FR1', 'Redis refuses connections', { down: true }),
  behind('FR2', 'Redis is a black hole', { timeout: true }),
  behind('FR3', 'Redis answers 200 ms late', { latency: 200 }),
  redis('FR4', 'Redis is full (maxmemory, noeviction)', 'CONFIG SET maxmemory 1', 'CONFIG SET maxmemory 0'),
  redis('FR5', 'Redis is read only', 'REPLICAOF 127.0.0.1 1', 'REPLICAOF NO ONE'),
  {
    id: 'FR6',
    says: 'Redis is killed and comes back empty',
    async strike(town, ms) {
      await town.redis.stop();
      await sleep(ms);
      await town.restartRedis();
    },
  },
  redis('FR8', 'FLUSHALL', 'FLUSHALL', undefined),
  {
    id: 'FR10',
    says: 'Redis drops all connections, ten times',
    async strike(town, ms) {
      for (let nth = 0; nth < 10; nth += 1) {
        town.proxies.redis.set({ down: true });
        town.proxies.redis.set({});
        await sleep(ms / 10);
      }
    },
  },
  database('FD1', 'the database of posts refuses connections', { down: true }),
  database('FD2', 'the database of posts is a black hole', { timeout: true }),
  service('FG1', 'posts refuses connections', { down: true }),
  service('FG2', 'posts answers eight seconds late', { latency: 8_000 }),
  service('FG4', 'answers of posts are cut by a reset after 300 bytes', { limitData: 300 }),
  service('FG9', 'answers of posts come in pieces of 7 bytes', { slicer: 7 }),
];

/** What is shown by a test of the part alone: `npm test -- <path>`, or by npm run prove. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  'FP2, FP4, FP5, FP6, FP7': 'npm run prove -- events',
  FP9: 'test/faults/killed-program',
  'FP11 (rolling, no request fails)': 'test/faults/nothing-dropped',
  'FR3 (breaker)': 'libs/cache/circuit',
  FR7: 'libs/outbox/lost-stream libs/outbox/redis-stream',
  FR9: 'libs/outbox/outage',
  FR11: 'libs/cache/redis-store',
  FD3: 'libs/database/database',
  FD9: 'subgraphs/users/write/contention subgraphs/followers/write/change-relation',
  'FG3, FG5–FG8, FG10–FG12': 'gateway/misbehaving-subgraphs gateway/fetch',
  'FS1, FS2': 'libs/outbox/consume npm run prove -- events',
  FC1: 'npm run prove -- leases',
  'FX1, FX2': 'gateway/supergraph gateway/gateway',
};

function killed(id: string, says: string, name: 'gateway' | 'posts' | 'followers'): Fault {
  return {
    id,
    says,
    async strike(town) {
      town.signal(name, 'SIGKILL');
      await town.restart(name);
    },
  };
}

function behind(id: string, says: string, toxics: Parameters<Town['proxies']['redis']['set']>[0]): Fault {
  return during(id, says, (town) => town.proxies.redis, toxics);
}

function database(id: string, says: string, toxics: Parameters<Town['proxies']['redis']['set']>[0]): Fault {
  return during(id, says, (town) => town.proxies.database.posts, toxics);
}

function service(id: string, says: string, toxics: Parameters<Town['proxies']['redis']['set']>[0]): Fault {
  return during(id, says, (town) => town.proxies.service.posts, toxics);
}

function during(
  id: string,
  says: string,
  door: (town: Town) => Town['proxies']['redis'],
  toxics: Parameters<Town['proxies']['redis']['set']>[0],
): Fault {
  return {
    id,
    says,
    async strike(town, ms) {
      door(town).set(toxics);
      await sleep(ms);
      // What hung in a black hole is as lost as what was refused.
      if (toxics.timeout) door(town).set({ down: true });
      door(town).set({});
    },
  };
}

function redis(id: string, says: string, command: string, undo: string | undefined): Fault {
  return {
    id,
    says,
    async strike(town, ms) {
      await tell(town.redis.port, command);
      await sleep(ms);
      if (undo !== undefined) await tell(town.redis.port, undo);
    },
  };
}
