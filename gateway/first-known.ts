import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { whyNotFetched } from '#libs/identity';
import { Outage, type Logger } from '#libs/telemetry';

const RETRY_MS = 150;
const RETRY_MS_MAX = 2_000;

/** What has to be known once before anybody who is logged in can be answered. */
export interface Needed {
  /** In words that name no address, and where it is set: /health/ready says it to anybody. */
  readonly name: string;
  isKnown(): boolean;
  /** Asks for it now. Resolves without it being known where it has said itself why; then `trouble` is why. */
  ask(): Promise<unknown>;
  trouble?(): unknown;
}

/**
 * Asks for what a gateway has to know before it is ready, until each of it has come once. Without it a gateway whose settings lead
 * nowhere would be ready, and take the place of one that knows. Once it is known a failure is a matter of those who keep it young: an
 * issuer that goes away must not take every gateway out of service.
 */
export class FirstKnown {
  readonly #needed: readonly Needed[];
  readonly #outages: ReadonlyMap<Needed, Outage>;
  /** What each failed by last. */
  readonly #troubled = new Map<Needed, unknown>();
  readonly #closed = new AbortController();
  #all: Promise<void> | undefined;

  constructor(needed: readonly Needed[], logger: Logger) {
    this.#needed = needed;
    setMaxListeners(0, this.#closed.signal);
    this.#outages = new Map(
      needed.map((one) => [
        one,
        new Outage({
          logger,
          fields: { waitingFor: one.name },
          began: 'This gateway is not ready: nobody who is logged in could be answered before this has come once',
          lasts: 'This gateway is still not ready: this has not come yet',
          over: 'What those who are logged in are answered by has come',
        }),
      ]),
    );
  }

  /** What is still waited for. */
  missing(): string[] {
    return this.#needed
      .filter((one) => !one.isKnown())
      .map((one) =>
        this.#troubled.has(one)
          ? `${one.name}: cannot be fetched (${whyNotFetched(this.#troubled.get(one))})`
          : `${one.name}: not fetched yet`,
      );
  }

  /** Begins to ask; resolves when each has come, or when it is closed. */
  all(): Promise<void> {
    this.#all ??= Promise.all(this.#needed.map((one) => this.#until(one))).then(() => {});
    return this.#all;
  }

  close(): void {
    this.#closed.abort();
  }

  async #until(one: Needed): Promise<void> {
    const { signal } = this.#closed;
    for (let waitMs = RETRY_MS; !signal.aborted; waitMs = Math.min(waitMs * 1.5, RETRY_MS_MAX)) {
      let trouble: unknown;
      await one.ask().catch((error: unknown) => (trouble = error));
      if (one.isKnown()) break;
      if (signal.aborted) return;
      this.#troubled.set(one, trouble ?? one.trouble?.());
      if (trouble !== undefined) this.#outages.get(one)!.failed(trouble);
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {});
    }
    if (one.isKnown()) this.#outages.get(one)!.succeeded();
  }
}
