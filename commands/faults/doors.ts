import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultProxy, Toxics } from '../../test/servers/fault-proxy.js';
import type { Fault } from './fault.js';
import type { Town } from './town.js';

/** Of the proxies that stand before each server the one that fails. */
type Door = (proxies: Town['proxies']) => FaultProxy;

/** The door has these for as long as the fault lasts. */
export function during(id: string, says: string, door: Door, toxics: Toxics): Fault {
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
export function halfOpen(id: string, says: string, door: Door): Fault {
  return {
    id,
    says,
    async strike({ town: { proxies } }) {
      door(proxies).forgetOpen();
    },
  };
}
