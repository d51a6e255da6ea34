import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import {
  checkOf,
  EVENTS,
  isEventType,
  kindOf,
  NewerEvent,
  type Catalogue,
  type DomainEvent,
  type Envelope,
  type EventSource,
  type EventType,
} from '#libs/events';
import type { Logger, Tracer } from '#libs/telemetry';

import { Disconnects, ENDS_CONNECTION, type Progress } from './disconnects.js';
import { DropsDue } from './drops-due.js';
import { arrive, heardBefore, lastHeard } from './inbox.js';
import { named, Quarantine } from './quarantine.js';
import type { Stream, Subscription } from './stream.js';
import { hearTraced } from './traced.js';
import { isUnavailable } from './trouble.js';

type One<T extends EventType> = (tx: Tx, event: DomainEvent<T>) => Promise<void>;

/** For an effect that one statement can have for many: it is given events of one type that came one after another, each of another aggregate. */
interface Many<T extends EventType> {
  many(tx: Tx, events: readonly DomainEvent<T>[]): Promise<void>;
}

/** What a consumer does about each event that it hears: the files of its `on/` folder. */
export type Handlers = { readonly [T in EventType]?: One<T> | Many<T> } & {
  /** Before all effects of a transaction, with all events that have one: locks of several effects are taken here, in one order. */
  readonly first?: (tx: Tx, events: readonly DomainEvent[]) => Promise<void>;
};

interface Options {
  readonly database: Database;
  readonly stream: Stream;
  readonly group: string;
  readonly hear: Handlers;
  readonly logger: Logger;
  /** What this program knows; another one only where programs of several releases are meant to run side by side. */
  readonly catalogue?: Catalogue;
  /** Pauses before a failed event is tried again; when it fails after the last, it stays in quarantine. */
  readonly pausesMs?: readonly number[];
  /** How often the quarantine is looked into when nothing in it is due: finds what `replay` has released elsewhere, and what an older program did not know. */
  readonly lookMs?: number;
  /** How soon an event is tried again that could not be, because of the database and not of the event. */
  readonly troubleMs?: number;
  /** Told what was heard, after its transaction is committed and `afterCommit` has been told. */
  readonly heard?: (events: readonly Envelope[]) => void;
  /** Told how many events came that had taken effect before, and so had none now, after their transaction is committed. */
  readonly heardAgain?: (events: number) => void;
  /** Makes spans of effects; absent: nobody traces. */
  readonly tracer?: Tracer | undefined;
}

export interface Consumer extends Subscription {
  /**
   * Hears events that somebody has brought past the stream, each aggregate's in its order: all of them by one transaction, or none, and
   * then it rejects. The stream brings them again later, and they are found heard. The first of an aggregate that was never heard of has to
   * be the first that there is: only a stream, which lets none overtake another, may begin anywhere (README.md).
   */
  hearNow(brought: readonly Envelope[]): Promise<void>;
}

/**
 * Hears events, each exactly once in effect and in its aggregate's order: the inbox row and the effect are one
 * transaction. Up to 100 events share it. What fails goes to the quarantine, where it holds back only its own aggregate.
 */
export function consume(options: Options): Consumer {
  const {
    database,
    stream,
    group,
    hear,
    logger,
    catalogue = EVENTS,
    pausesMs = [100, 400, 1_600, 6_400],
    lookMs = 30_000,
    troubleMs = 1_000,
    heard = () => {},
    heardAgain = () => {},
    tracer,
  } = options;
  const drops = new DropsDue({
    database,
    group,
    tellAgain: (events) =>
      database.transaction((tx) =>
        takeEffect(
          tx,
          events.map((event) => ({ event, isNew: false })),
        ),
      ),
  });
  const disconnects = new Disconnects();
  const quarantine = new Quarantine({
    database,
    group,
    logger,
    catalogue,
    pausesMs,
    lookMs,
    troubleMs,
    handle: (tx, event, isNew) => takeEffect(tx, [{ event, isNew }]),
    disconnects,
    drops,
    tracer,
  });
  const check = checkOf(catalogue);
  const passedOver = new Set<string>();
  const subscription = stream.subscribe(group, sourcesOf(hear), async (given) => {
    crashPoint('consume:given');
    const events: Envelope[] = [];
    for (const event of given) {
      // Not heard once more: the database may not be there yet again from the last time.
      if (disconnects.isWorn(event)) await quarantine.take(event, new Error(ENDS_CONNECTION));
      else events.push(event);
    }
    if (events.length > 1 && !disconnects.isSuspect(events)) {
      const progress: Progress = { inEffect: false };
      try {
        await hearTraced(tracer, group, events, () => hearTogether(events, progress));
        return;
      } catch (error) {
        disconnects.failedTogether(events, error, progress.inEffect);
      }
    }
    for (const event of events) await hearAlone(event);
  });
  quarantine.start();
  return {
    hearNow: hearBrought,
    settled: async (deadlineMs) => {
      await subscription.settled(deadlineMs);
      await quarantine.settled(deadlineMs);
    },
    close: async () => {
      await subscription.close();
      await quarantine.close();
    },
  };

  async function hearAlone(event: Envelope): Promise<void> {
    const progress: Progress = { inEffect: false };
    try {
      await hearTraced(tracer, group, [event], () => hearTogether([event], progress));
      disconnects.succeeded(event);
    } catch (error) {
      disconnects.failed(event, error, progress.inEffect);
      await holdBack(event, error);
    }
  }

  /** When this rejects (no database: whether it says so itself, or cannot take the event into quarantine), the stream brings the event again. */
  async function holdBack(event: Envelope, error: unknown): Promise<void> {
    if (isUnavailable(error)) throw error;
    await quarantine.take(event, error);
  }

  async function hearTogether(events: readonly Envelope[], progress?: Progress): Promise<void> {
    const found = await database.transaction(async (tx) => {
      const found = await hearAll(tx, events, progress);
      crashPoint('consume:done');
      return found;
    });
    crashPoint('consume:committed');
    tell(events, found);
  }

  async function hearBrought(events: readonly Envelope[]): Promise<void> {
    for (const event of events) {
      const newer = newerOf(event);
      if (newer) throw newer;
    }
    const found = await database.transaction(async (tx) => {
      const begun = new Set(
        (
          await lastHeard(
            tx,
            group,
            events.map(({ aggregate }) => aggregate),
          )
        ).keys(),
      );
      for (const { aggregate, aggregateVersion } of events) {
        if (!begun.has(aggregate) && aggregateVersion !== 1)
          throw new Error(`Nothing was heard of ${aggregate} yet, and its first event was not brought`);
        begun.add(aggregate);
      }
      const found = await hearAll(tx, events);
      // Not into quarantine: the stream brings it in its turn.
      if (found.waiting.size > 0)
        throw new Error(`${found.waiting.size} of ${events.length} events cannot be heard yet`);
      // What was all heard before has its mark, or came by the stream.
      if (found.again < events.length) await drops.mark(tx, events);
      return found;
    });
    crashPoint('bring:heard');
    // Where this fails, it is done once more.
    if (found.again < events.length) await drops.done(events).catch(() => quarantine.wake());
    // What another reader has brought is no event that the stream gave twice.
    tell(events, { ...found, again: 0 });
  }

  /** After COMMIT. */
  function tell(events: readonly Envelope[], { toTry, waiting, again }: Found): void {
    if (toTry) quarantine.wake();
    if (again > 0) heardAgain(again);
    heard(waiting.size === 0 ? events : events.filter((event) => !waiting.has(event)));
  }

  /**
   * All arrive first, in as few statements as an aggregate has events; the effects follow in the order of the stream, also between
   * aggregates: whoever heard of a like and then of the post's end must not have them the other way round.
   *
   * `toTry`: the quarantine has something to try because of it; `waiting`: what had no effect, and lies there; `again`: what had taken
   * effect before.
   */
  async function hearAll(
    tx: Tx,
    events: readonly Envelope[],
    progress: Progress = { inEffect: false },
  ): Promise<{ toTry: boolean; waiting: Set<Envelope>; again: number }> {
    let toTry = false;
    let again = 0;
    const waiting = new Set<Envelope>();
    const arrived: (Arrived | undefined)[] = [];
    for (const round of oneOfEach(events)) {
      for (const [place, event] of await heldAsNewer(tx, round)) {
        round.delete(place);
        waiting.add(event);
      }
      if (round.size === 0) continue;
      const { arrivals, released } = await arrive(tx, group, [...round.values()]);
      crashPoint('consume:arrived');
      toTry ||= released;
      for (const [place, event] of round) {
        const arrival = arrivals.get(event);
        if (arrival?.is === 'waits') {
          await quarantine.hold(tx, event, arrival.why);
          waiting.add(event);
          toTry = true;
        } else arrived[place] = { event, isNew: arrival?.is === 'new' };
        if (arrival?.is === 'heard') again += 1;
      }
    }
    progress.inEffect = true;
    await takeEffect(
      tx,
      arrived.filter((one) => one !== undefined),
    );
    progress.inEffect = false;
    return { toTry, waiting, again };
  }

  /** Each is held in the transaction of the others: by an error in its place, a batch in which it is would be heard one by one. */
  async function heldAsNewer(tx: Tx, round: ReadonlyMap<number, Envelope>): Promise<[number, Envelope][]> {
    const newer = [...round].filter(([, event]) => newerOf(event) !== undefined);
    const before = await heardBefore(
      tx,
      group,
      newer.map(([, event]) => event),
    );
    const held = newer.filter(([, event]) => !before.has(event));
    for (const [, event] of held) await quarantine.holdNewer(tx, event, newerOf(event)!);
    return held;
  }

  /** Undefined also for a newer version of what nobody here hears, which is passed over. */
  function newerOf(event: Envelope): NewerEvent | undefined {
    const kind = kindOf(catalogue, event);
    if (!(kind instanceof NewerEvent)) return undefined;
    return Object.hasOwn(catalogue, event.type) && hear[event.type as EventType] === undefined ? undefined : kind;
  }

  async function takeEffect(tx: Tx, arrived: readonly Arrived[]): Promise<void> {
    const known = arrived.flatMap(readable);
    const news = known.filter(({ isNew }) => isNew).map(({ event }) => event);
    if (news.length > 0) await hear.first?.(tx, news);
    for (const run of runsOf(known)) await effects(tx, run);
  }

  /**
   * None of what nobody here hears, or what cannot be read any more and need not be. A type that is not in the catalogue is another
   * matter: the program that replaces this one may hear it, and the inbox would tell it that it had.
   */
  function readable({ event, isNew }: Arrived): Known[] {
    if (Object.hasOwn(catalogue, event.type) && hear[event.type as EventType] === undefined) return [];
    try {
      return [{ event: check(event), isNew }];
    } catch (error) {
      if (isNew) throw error;
      passOver(event, error);
      return [];
    }
  }

  /** An event that was heard before has no effect, yet it is told to `afterCommit`: a process may have died before it dropped its caches. */
  async function effects(tx: Tx, run: readonly Known[]): Promise<void> {
    const handler = hear[run[0]!.event.type] as One<EventType> | Many<EventType>;
    const news = run.filter(({ isNew }) => isNew).map(({ event }) => event);
    if (typeof handler === 'function') for (const event of news) await handler(tx, event);
    else if (news.length > 0) await handler.many(tx, news);
    tx.events.push(...run.map(({ event }) => event));
  }

  /** It had its effect when it was what was agreed; in quarantine it would hold back all that comes after it. Said once of many. */
  function passOver(event: Envelope, error: unknown): void {
    const kind = `${event.type} ${event.version}`;
    if (passedOver.has(kind)) return;
    passedOver.add(kind);
    logger.warn(
      { group, event: named(event), err: error },
      'An event that had its effect before came again, and cannot be read any more; it is passed over, as are others of its type and version',
    );
  }
}

interface Found {
  /** The quarantine has something to try because of it. */
  readonly toTry: boolean;
  /** What had no effect, and lies there. */
  readonly waiting: ReadonlySet<Envelope>;
  /** What had taken effect before. */
  readonly again: number;
}

interface Arrived {
  readonly event: Envelope;
  readonly isNew: boolean;
}

/** An event of a type that is heard here, as one of today's version. */
interface Known {
  readonly event: DomainEvent;
  readonly isNew: boolean;
}

/** Those of one type that follow one another, each of another aggregate. */
function runsOf(known: readonly Known[]): Known[][] {
  const runs: Known[][] = [];
  const named = new Set<string>();
  for (const one of known) {
    const run = runs.at(-1);
    if (run?.[0]?.event.type === one.event.type && !named.has(one.event.aggregate)) run.push(one);
    else {
      runs.push([one]);
      named.clear();
    }
    named.add(one.event.aggregate);
  }
  return runs;
}

/** Whom it hears. */
export function sourcesOf(hear: Handlers): EventSource[] {
  return [
    ...new Set(
      Object.keys(hear)
        .filter(isEventType)
        .map((type) => EVENTS[type].source),
    ),
  ];
}

/** Splits events into rounds that name each aggregate once, keeping every aggregate's order; each by its place among all. */
function oneOfEach(events: readonly Envelope[]): Map<number, Envelope>[] {
  const rounds: Map<number, Envelope>[] = [];
  const seen = new Map<string, number>();
  for (const [place, event] of events.entries()) {
    const nth = seen.get(event.aggregate) ?? 0;
    seen.set(event.aggregate, nth + 1);
    (rounds[nth] ??= new Map()).set(place, event);
  }
  return rounds;
}
