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
  const shuffled = (events: readonly DomainEvent[]) => events.toSorted(() => draw(3) - 1);
  return {
    ...(stream.marks === undefined ? {} : { marks: stream.marks }),
    subscribe: (...heard) => stream.subscribe(...heard),
    close: () => stream.close(),
    publish: async (events, expected) => {
      if (draw(10) === 0) await sleep(draw(20));
      await stream.publish(draw(8) === 0 ? overtaken(events, shuffled(events)) : events, expected);
      past = [...past, ...events].slice(-REMEMBERED);
      if (draw(4) === 0) await stream.publish(shuffled(past).slice(0, 1 + draw(60)));
      if (draw(25) === 0) throw new Error('the stream took it and said that it did not');
    },
  };
}

/** The beginning of an aggregate stays first: to whoever has never heard of it, whatever comes first is the beginning. */
function overtaken(events: readonly DomainEvent[], shuffled: readonly DomainEvent[]): DomainEvent[] {
  const beginnings = events.filter(({ aggregateVersion }) => aggregateVersion === 1);
  return [...beginnings, ...shuffled.filter(({ aggregateVersion }) => aggregateVersion !== 1)];
}
