import { reserveOf } from '#libs/lifecycle';

/** What a gateway has open besides clients and calls: its log, Redis, its planner, who reads its metrics. */
const OWN = 64;
/** So many addresses of services are reckoned with. */
const ADDRESSES = 8;

/** Of clients in all, and of calls to each address. */
export interface Connections {
  readonly clients: number;
  readonly calls: number;
}

/**
 * As many as are wanted, or as a process with so many open files can have. Clients may not have them all: each that is let in then
 * asks for what cannot be fetched, and whoever looks after the gateway's health cannot get in.
 */
export function connectionsWithin(files: number | undefined, wanted: Connections): Connections {
  if (files === undefined) return wanted;
  const left = Math.max(4, files - OWN);
  const forCalls = Math.min(Math.floor(left / 2), ADDRESSES * wanted.calls);
  const room = left - forCalls;
  return {
    // Beside them are those who are told that there is no place.
    clients: Math.min(wanted.clients, room - reserveOf(room)),
    calls: Math.min(wanted.calls, Math.max(1, Math.floor(forCalls / ADDRESSES))),
  };
}
