import { Failure } from './failure.js';

/** How long the gateway will still wait for this answer, in ms: a subgraph need not work on what nobody waits for. */
export const TIMEOUT_HEADER = 'tributary-timeout-ms';

/** Until when somebody waits for what is done for them. */
export class Deadline {
  readonly #until: number;
  readonly #clock: () => number;

  constructor(ms: number, clock: () => number) {
    this.#until = clock() + ms;
    this.#clock = clock;
  }

  get leftMs(): number {
    return Math.max(0, this.#until - this.#clock());
  }

  /** Before a piece of work is begun, and never in the middle of one: SUBGRAPH_TIMEOUT when nobody waits for it any more. */
  require(): void {
    if (this.leftMs === 0) throw new Failure('SUBGRAPH_TIMEOUT', 'Not begun: whoever asked waits no longer.');
  }
}

/** As the gateway tells it. What it cannot have told is no deadline: whoever reads one says so, for then nothing is bounded. */
export function deadlineOf(header: unknown, clock: () => number): Deadline | undefined {
  return typeof header === 'string' && MS.test(header) ? new Deadline(Math.floor(Number(header)), clock) : undefined;
}

/** What `deadlineOf` reads: whole, and never 0, which elsewhere means that there is no bound. */
export function timeoutText(ms: number): string {
  return String(Math.max(1, Math.floor(ms)));
}

/** A thousand seconds: three times as long as a gateway may be told to wait. Gateways of before told fractions, too. */
const MS = /^\d{1,6}(?:\.\d{1,20})?$/;
