import type { DomainEvent, EventSource } from '#libs/events';

import { TOGETHER, type HandleEvents, type Listeners, type Stream, type Subscription } from './stream.js';
import { within } from './within.js';

interface Options {
  readonly listeners: Listeners;
  /** How long `publish` waits for a group that has not subscribed yet, or has left. */
  readonly absentMs?: number;
  /** Most calls of `publish` that may wait for one group. */
  readonly callsMax?: number;
}

/** One group's line: calls of `publish`, handled one after another. */
interface Group {
  readonly sources: Set<EventSource>;
  handle: HandleEvents | undefined;
  /** When each call that waits or is being handled began, the oldest first. */
  readonly calls: number[];
  last: Promise<void>;
}

/**
 * The stream of the embedded default. It keeps nothing: `publish` resolves when every group has committed the effect, so
 * the outbox marks an event only then, and kill -9 before that means that it comes again.
 */
export class InProcessStream implements Stream {
  readonly #options: Required<Options>;
  readonly #groups = new Map<string, Group>();
  #arrived: (() => void)[] = [];
  #closed = false;

  constructor(options: Options) {
    this.#options = { absentMs: 1_000, callsMax: 100, ...options };
  }

  async publish(events: readonly DomainEvent[]): Promise<void> {
    const sources = new Set(events.map((event) => event.source));
    for (const source of sources) await this.#everybodyIsHere(source);
    const outcomes = await Promise.allSettled(
      [...this.#groups.values()].map(async (group) => {
        const heard = events.filter((event) => group.sources.has(event.source));
        if (heard.length > 0) await this.#give(group, heard);
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  subscribe(group: string, sources: readonly EventSource[], handle: HandleEvents): Subscription {
    const line = this.#groups.get(group) ?? {
      sources: new Set(),
      handle: undefined,
      calls: [],
      last: Promise.resolve(),
    };
    if (line.handle !== undefined) throw new Error(`group ${group} has subscribed already`);
    for (const source of sources) line.sources.add(source);
    line.handle = handle;
    this.#groups.set(group, line);
    for (const arrived of this.#arrived.splice(0)) arrived();
    return {
      settled: (deadlineMs = 10_000) => within(deadlineMs, line.last, `group ${group} to handle what is published`),
      close: async () => {
        // The group stays known: what is published from now on waits in its outbox until the group is back.
        if (line.handle === handle) line.handle = undefined;
        await line.last;
      },
    };
  }

  async unheardMs(source: EventSource, group: string): Promise<number> {
    const line = this.#groups.get(group);
    const oldest = line?.sources.has(source) ? line.calls[0] : undefined;
    return oldest === undefined ? 0 : performance.now() - oldest;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const arrived of this.#arrived.splice(0)) arrived();
    await Promise.all([...this.#groups.values()].map((group) => group.last));
  }

  async #everybodyIsHere(source: EventSource): Promise<void> {
    const deadline = performance.now() + this.#options.absentMs;
    for (;;) {
      if (this.#closed) throw new Error('the stream is closed');
      const absent = this.#absent(source);
      if (absent === undefined) return;
      const left = deadline - performance.now();
      const gone = `group ${absent} to hear the events of ${source}`;
      await within(left, new Promise<void>((arrived) => this.#arrived.push(arrived)), gone);
    }
  }

  #absent(source: EventSource): string | undefined {
    const awaited = (this.#options.listeners[source] ?? []).find((name) => this.#groups.get(name) === undefined);
    if (awaited !== undefined) return awaited;
    for (const [name, group] of this.#groups) {
      if (group.sources.has(source) && group.handle === undefined) return name;
    }
    return undefined;
  }

  #give(group: Group, events: readonly DomainEvent[]): Promise<void> {
    if (group.calls.length >= this.#options.callsMax) return Promise.reject(new Error('the stream is full'));
    group.calls.push(performance.now());
    const done = group.last.then(async () => {
      // The first refusal ends this call: a later event must not take effect before an earlier one of its aggregate.
      for (let from = 0; from < events.length; from += TOGETHER) {
        if (group.handle === undefined) throw new Error('the group has closed its subscription');
        await group.handle(events.slice(from, from + TOGETHER));
      }
    });
    group.last = done
      .catch(() => undefined)
      .then(() => {
        group.calls.shift();
      });
    return done;
  }
}
