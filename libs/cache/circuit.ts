import { refusalOf } from '#libs/redis';
import { Outage, type Clock, type Logger } from '#libs/telemetry';

const FAILURES_MAX = 3;
const PAUSE_MS = 500;
/** Calls that wait for a store at one time. A store that answers needs a few; one that hangs would gather them. */
const UNDER_WAY_MAX = 256;

/**
 * Stops asking a store that fails, for a moment, then lets one call try again. Without it every request would wait for
 * the deadline of a store that hangs.
 */
export class Circuit {
  private failures = 0;
  private underWay = 0;
  private askAgainAt = 0;
  private trying = false;
  private readonly outage: Outage;

  constructor(
    private readonly clock: Clock,
    logger: Logger,
  ) {
    this.outage = new Outage({
      logger,
      fields: {},
      began: 'the cache fails; reads go to the database until it answers again',
      lasts: 'the cache still fails',
      over: 'the cache answers again',
      otherwise: (error) => {
        const refusal = refusalOf(error);
        return refusal && `${refusal}; meanwhile nothing is cached, and reads go to the database`;
      },
      clock,
    });
  }

  async ask<T>(call: () => Promise<T>): Promise<T> {
    const broken = this.failures >= FAILURES_MAX;
    if (this.underWay >= UNDER_WAY_MAX || (broken && (this.trying || this.clock() < this.askAgainAt))) {
      throw new Error('the cache is not asked: it failed a moment ago');
    }
    this.underWay++;
    if (broken) this.trying = true;
    try {
      const answer = await call();
      this.succeeded();
      return answer;
    } catch (error) {
      this.failed(error);
      throw error;
    } finally {
      this.underWay--;
      if (broken) this.trying = false;
    }
  }

  private succeeded(): void {
    if (this.failures >= FAILURES_MAX) this.outage.succeeded();
    this.failures = 0;
  }

  private failed(error: unknown): void {
    this.failures++;
    this.askAgainAt = this.clock() + PAUSE_MS;
    if (this.failures >= FAILURES_MAX) this.outage.failed(error);
  }
}
