import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../../test/servers/postgres.js';
import type { Fault } from './fault.js';
import { startStandby } from './standby.js';
import { SERVICES, type ServiceName, type Town } from './town.js';
import { until } from './until.js';

/**
 * The primary is stopped as a machine is that hangs: nothing comes from it and nothing is refused. Its standby is promoted and gets the name.
 * Then it goes on, and is a primary as ever, with all that was open to it.
 */
export const OLD_PRIMARY: readonly Fault[] = [
  comesBack(
    'FD6',
    'the primary hangs, its synchronous standby gets its name, and it comes back as a primary: nobody uses it',
    SERVICES,
  ),
  {
    ...comesBack(
      'control-FD6',
      'the same, but the name of the database of followers leads where it did, which has to be found',
      ['users', 'posts'],
    ),
    control: true,
  },
];

function comesBack(id: string, says: string, led: readonly ServiceName[]): Fault {
  let standby: PostgresServer;
  return {
    id,
    says,
    longestMsMax: (ms) => ms + 30_000,
    async prepare({ town, databases: { admin } }) {
      standby = await startStandby(town, admin);
    },
    async strike({ town, databases, ms }) {
      const before = town.postgres;
      if (connected(town, before) === '') throw new Error('nobody was connected to it');
      try {
        for (const pid of processesOf(before)) process.kill(pid, 'SIGSTOP');
        await sleep(ms);
        town.leadDatabases(standby, led);
        // Ours were open to the one before.
        await until('the standby is promoted', async () =>
          databases.admin.query('SELECT pg_promote()').then(
            () => true,
            () => false,
          ),
        );
        await until(
          'whoever was connected to the primary of before has given it up',
          async () => connected(town, before) === '',
        );
        for (const pid of processesOf(before)) process.kill(pid, 'SIGCONT');
        // Whoever is not connected writes nothing. What was sent to it before it hung is done now, and told to nobody.
        for (const end = performance.now() + ms; performance.now() < end; await sleep(20))
          if (connected(town, before) !== '')
            throw new Error(`the primary of before is used by ${connected(town, before)}`);
      } finally {
        // Who is stopped does not hear that it has to end.
        for (const pid of processesOf(before)) process.kill(pid, 'SIGCONT');
        await before.stop();
      }
    },
  };
}

/** Which services have a connection open to it. */
function connected({ proxies }: Town, { port }: PostgresServer): string {
  return SERVICES.filter((name) => proxies.database[name].connections(port) > 0).join(', ');
}

/** Of its own, and of each connection. */
function processesOf({ pid }: PostgresServer): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // Behind the name, which may have any sign in it: state and parent.
        return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1]) === pid;
      } catch {
        return false;
      }
    });
  return [pid, ...children.map(Number)];
}
