import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import type { Clock } from '#libs/telemetry';
import { AdaptiveLimit } from './adaptive-limit.js';
import type { Address } from './addresses.js';
import { Breaker } from './breaker.js';
import { Line } from './line.js';
import type { SubgraphTls } from './tls.js';

/** Calls that wait for a connection to one address; more are refused. */
export const WAITING_MAX = 50_000;

const KEEP_ALIVE_MS = 4_000;
/** It says so again with the next answer. */
const AWAY_MS = 2_000;

/** Who is `ending` answers for a while yet, who is `starting` does not. */
export type Away = 'starting' | 'ending';

export interface EndpointOptions {
  /** To one address; calls beyond wait in line for as long as their request has time. */
  readonly connections: number;
  readonly timeoutMs: number;
  /** Failures in a row after which an address is not asked for a moment; 0: never. */
  readonly breakerFailures?: number;
  /** How long a connection is kept without a call; shorter than any service drains (DRAIN_MS). */
  readonly keepAliveMs?: number;
  /** Whom https: addresses have to be, and who we are to them. */
  readonly tls?: SubgraphTls | undefined;
  readonly clock: Clock;
}

/** One address as it is called: its connections, who waits for one, what it bears and whether it answers. */
export class Endpoint {
  readonly origin: string;
  #pool: Pool;
  readonly line: Line;
  readonly breaker: Breaker;
  readonly limit: AdaptiveLimit;
  /** How long the call that was begun last has waited in line. */
  waitedMs = 0;
  readonly #clock: Clock;
  readonly #open: (tls: SubgraphTls | undefined) => Pool;
  #how: Away | undefined;
  #awayUntil = 0;
  #retired = false;

  /** `ips`: of its name, where it was looked up; several are the ways to one machine, tried one after the other. */
  constructor(
    { origin, socketPath }: Address,
    ips: readonly string[],
    label: string | undefined,
    options: EndpointOptions,
  ) {
    const { connections, timeoutMs, breakerFailures = 0, keepAliveMs = KEEP_ALIVE_MS, clock } = options;
    this.origin = socketPath ?? (label === undefined ? origin : `${origin} (${label})`);
    this.#open = (tls) =>
      new Pool(origin, {
        connections,
        pipelining: 1,
        connect: {
          timeout: Math.min(1_000, timeoutMs),
          ...tls,
          ...(socketPath === undefined ? {} : { socketPath }),
          // The certificate is still that of the name.
          ...(ips.length === 0 ? {} : { lookup: always(ips) }),
        },
        // Node's server closes after 5 s without a request; we let go first, so that neither writes into a closed socket.
        keepAliveTimeout: keepAliveMs,
        // Whatever a server says (keep-alive: timeout=75): past this nothing is left that could be sent to one that has begun to end.
        keepAliveMaxTimeout: keepAliveMs,
        maxHeaderSize: 16 * 1024,
        // The whole call has one deadline, in Attempt.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    this.#pool = this.#open(options.tls);
    this.#clock = clock;
    this.line = new Line(connections, WAITING_MAX);
    this.limit = new AdaptiveLimit(connections);
    this.breaker = new Breaker({ failuresMax: breakerFailures || Number.POSITIVE_INFINITY, clock });
  }

  /** It is starting or ending: who is asked instead, where there is somebody. */
  goesAway(how: Away): void {
    this.#how = how;
    this.#awayUntil = this.#clock() + AWAY_MS;
  }

  get away(): Away | undefined {
    return this.#clock() < this.#awayUntil ? this.#how : undefined;
  }

  get pool(): Pool {
    return this.#pool;
  }

  /** Whatever is asked from now on is asked on new connections, made with these; what is under way ends on its own. */
  renew(tls: SubgraphTls): void {
    const before = this.#pool;
    this.#pool = this.#open(tls);
    void before.close();
  }

  /** An attempt that was started is over. */
  leave(): void {
    this.line.leave();
    if (this.#retired) this.retire();
  }

  /** Its name stands for other machines now, or nobody names it: who is under way or in line is still answered. */
  retire(): void {
    this.#retired = true;
    if (this.line.inside === 0 && !this.pool.closed) void this.pool.close();
  }
}

function always(ips: readonly string[]): LookupFunction {
  const found = ips.map((address) => ({ address, family: familyOf(address) }));
  const [{ address, family }] = found as [(typeof found)[number]];
  return (_host, { all }, done) => (all ? done(null, found) : done(null, address, family));
}

export function familyOf(ip: string): 4 | 6 {
  return ip.includes(':') ? 6 : 4;
}
