import { setTimeout as sleep } from 'node:timers/promises';
import { crush } from './crush.js';
import type { Fault } from './fault.js';
import { replaced } from './town.js';

/** FX3: a program is given too little of its machine. */
export const SCARCE: readonly Fault[] = [
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
];
