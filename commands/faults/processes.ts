import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { CrashPoint } from '#libs/crash-point';
import { ROOT } from '../root.js';
import type { Fault } from './fault.js';
import { KILL_POINTS } from './kill-points.js';
import { leaseLost } from './lease-lost.js';
import { replaced, type ProgramName, type Town } from './town.js';

/** FP: programs are killed, ended, stopped, and break by themselves. */
export const PROCESSES: readonly Fault[] = [
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
];

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
