import { setTimeout as sleep } from 'node:timers/promises';
import type { DomainEvent } from '#libs/events';
import type { Stream } from '#libs/outbox';

const REMEMBERED = 400;

/**
 * A stream whose publishing goes wrong in every way that its contract allows, and in one more: it is late, it takes a batch
 * and answers with an error, it brings older events again in any order, and (which no stream of ours does) it brings later events of
 * an aggregate before earlier ones, where the aggregate was heard of before.
 */
export function troubled(stream: Stream, draw: (below: number) => number): Stream {
  let past: DomainEvent[] = [];
  let isCalm = true;
  const shuffled = (events: readonly DomainEvent[]) => events.toSorted(() => draw(3) - 1);
  /** The first chance is taken, so that there is disorder in every run, and then one in eight. */
  const disordered = (events: readonly DomainEvent[]): readonly DomainEvent[] => {
    if (isCalm && canBeOvertaken(events)) {
      isCalm = false;
      return overtaken(events, events.toReversed());
    }
    return draw(8) === 0 ? overtaken(events, shuffled(events)) : events;
  };
  return {
    ...(stream.marks === undefined ? {} : { marks: stream.marks }),
    subscribe: (...heard) => stream.subscribe(...heard),
    close: () => stream.close(),
    publish: async (events, expected) => {
      if (draw(10) === 0) await sleep(draw(20));
      await stream.publish(disordered(events), expected);
      past = [...past, ...events].slice(-REMEMBERED);
      if (draw(4) === 0) await stream.publish(shuffled(past).slice(0, 1 + draw(60)));
      if (draw(25) === 0) throw new Error('the stream took it and said that it did not');
    },
  };
}

function canBeOvertaken(events: readonly DomainEvent[]): boolean {
  const later = events.filter(({ aggregateVersion }) => aggregateVersion > 1).map(({ aggregate }) => aggregate);
  return new Set(later).size < later.length;
}

/** The beginning of an aggregate stays first: to whoever has never heard of it, whatever comes first is the beginning. */
function overtaken(events: readonly DomainEvent[], shuffled: readonly DomainEvent[]): DomainEvent[] {
  const beginnings = events.filter(({ aggregateVersion }) => aggregateVersion === 1);
  return [...beginnings, ...shuffled.filter(({ aggregateVersion }) => aggregateVersion !== 1)];
}
