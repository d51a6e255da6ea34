import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, Scene } from './fault.js';
import type { ServiceName } from './town.js';

/** A second process stands beside it meanwhile. That it takes over what the first one held is part of the fault. */
export function leaseLost(id: string, says: string, name: ServiceName): Fault {
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
