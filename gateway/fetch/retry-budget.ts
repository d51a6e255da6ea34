/** In tenths of a retry, so that adding them up stays exact. */
const RESERVE = 100;
const RESERVE_MAX = 1_000;
const RETRY = 10;

/**
 * Retries are at most a tenth of the calls: a subgraph that fails half of what it is asked gets 1.1 times the calls, not twice
 * as many when it can bear them least. Ten may go before a hundred calls have paid for them, and at most a hundred are saved
 * up, for the moment when all connections to one process end with it. (The 10 % is of "Handling Overload", Site Reliability
 * Engineering, 2016, chapter 21; the bucket is Finagle's RetryBudget.)
 */
export class RetryBudget {
  #tenths = RESERVE;
  /** Calls that still pay for the reserve. */
  #owed = RESERVE;

  /** A call that is no retry. */
  called(): void {
    if (this.#owed > 0) this.#owed -= 1;
    else if (this.#tenths < RESERVE_MAX) this.#tenths += 1;
  }

  /** May one be sent again? Then it is paid for. */
  take(): boolean {
    if (this.#tenths < RETRY) return false;
    this.#tenths -= RETRY;
    return true;
  }
}
