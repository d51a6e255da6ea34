import { describe, expect, it } from '@jest/globals';
import type { RequestContext } from '../engine.js';
import { Begun } from '../fetch/begun.js';
import type { Endpoint } from '../fetch/endpoint.js';
import { turnedAwayBy } from '../fetch/letting-in.js';
import { NOT_TAKEN } from '../http/refusal.js';
import { identityOf, InFlight } from './in-flight.js';

function context(more: Partial<RequestContext> = {}): RequestContext {
  return {
    requestId: 'r',
    subject: null,
    headers: new Map(),
    signal: new AbortController().signal,
    deadline: 0,
    responseHeaders: [],
    ...more,
  };
}

/** Work that ends when it is told to, and counts how often it was begun. */
function slowly() {
  const ends: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
  return {
    ends,
    work: (as: RequestContext) =>
      new Promise<string>((resolve, reject) => {
        ends.push({ resolve, reject });
        as.signal.addEventListener('abort', () => reject(new Error('gone')));
      }),
  };
}

type Share = (key: string, as: RequestContext, work: (as: RequestContext) => Promise<string>) => Promise<string>;

/** The control: joins by the text alone, and whoever loses the one who began does the work alone. */
function naive(): Share {
  const flights = new Map<string, { promise: Promise<string>; leader: RequestContext }>();
  return async (key, as, work) => {
    let flight = flights.get(key);
    if (!flight) flights.set(key, (flight = { promise: work(as), leader: as }));
    try {
      return await flight.promise;
    } catch (error) {
      if (flight.leader.signal.aborted && !as.signal.aborted) return work(as);
      throw error;
    }
  };
}

describe('equal work in flight', () => {
  it('a hundred who ask are one piece of work, and nothing of it stays', async () => {
    const flights = new InFlight<string>();
    for (const round of [1, 2]) {
      const { ends, work } = slowly();
      const asked = Array.from({ length: 100 }, () => flights.share('alice', 'read', context(), work));
      expect(ends).toHaveLength(1);
      ends[0]!.resolve('answer');
      expect(new Set(await Promise.all(asked))).toEqual(new Set(['answer']));
      expect(flights.joined).toBe(99 * round);
    }
  });

  it('what is asked and who asks both tell reads apart', () => {
    const flights = new InFlight<string>();
    const { ends, work } = slowly();
    for (const [who, what] of [
      ['alice', 'a'],
      ['alice', 'b'],
      ['bob', 'a'],
      ['alice a', ''],
    ] as const)
      void flights.share(who, what, context(), work);
    expect(ends).toHaveLength(4);
  });

  it.each<[string, () => Share, number]>([
    ['the one who began goes away: the other ninety-nine share one more piece of work', ours, 2],
    ['control: each of them does it alone', naive, 100],
  ])('%s', async (_name, make, pieces) => {
    const share = make();
    const { ends, work } = slowly();
    const leader = new AbortController();
    const first = share('read', context({ signal: leader.signal }), work).catch((error: Error) => error.message);
    const others = Array.from({ length: 99 }, () => share('read', context(), work));
    leader.abort();
    expect(await first).toBe('gone');
    await new Promise((resolve) => setImmediate(resolve));
    for (const { resolve } of ends) resolve('answer');
    expect(new Set(await Promise.all(others))).toEqual(new Set(['answer']));
    expect(ends).toHaveLength(pieces);
  });

  function ours(): Share {
    const flights = new InFlight<string>();
    return (key, as, work) => flights.share('', key, as, work);
  }

  it('nobody joins what began before a write that is done; control: joined by the text alone, it reads the past', async () => {
    for (const [make, answer] of [
      [() => new InFlight<string>(), 'new'],
      [undefined, 'old'],
    ] as const) {
      const flights = make?.();
      const control = naive();
      const share: Share = (key, as, work) => flights?.share('', key, as, work) ?? control(key, as, work);
      const { ends, work } = slowly();
      void share('read', context(), work);
      flights?.written();
      const after = share('read', context(), work);
      ends[0]!.resolve('old');
      ends[1]?.resolve('new');
      expect(await after).toBe(answer);
    }
  });

  it('a failure is everybody’s, and the next one who asks tries again', async () => {
    const flights = new InFlight<string>();
    const { ends, work } = slowly();
    const asked = [1, 2].map(() => flights.share('', 'read', context(), work).catch((error: Error) => error.message));
    ends[0]!.reject(new Error('down'));
    expect(await Promise.all(asked)).toEqual(['down', 'down']);
    const again = flights.share('', 'read', context(), work);
    ends[1]!.resolve('up');
    expect(await again).toBe('up');
  });

  it.each([
    ['a call', turnedAwayBy('posts')],
    ['a whole read', NOT_TAKEN],
  ])(
    'of which the one who began is turned away by its lot (%s): who comes before it, or has begun elsewhere, asks once more; control: the others do not',
    async (_what, refused) => {
      const endpoint = (): Endpoint => ({ waiting: 0 }) as Endpoint;
      const [here, there] = [endpoint(), endpoint()];
      const of = (lot: number, at?: Endpoint) => {
        const begun = new Begun(false, undefined, lot);
        if (at) begun.add(at);
        return begun;
      };
      const flights = new InFlight<string>();
      const asked: (Begun | undefined)[] = [];
      const ends: ((error?: Error) => void)[] = [];
      const work = ({ begun }: RequestContext) => {
        asked.push(begun);
        return new Promise<string>((resolve, reject) => {
          ends.push((error) => (error ? reject(error) : resolve('answer')));
        });
      };
      const all = [of(0.5, here), of(0.7, here), of(0.6), of(0.9, there), of(0.95, there), of(0.1)];
      const asking = all.map((begun) =>
        flights.share('', 'read', context({ begun }), work).catch((error: Error) => error),
      );
      all[0]!.turnedAway();
      ends[0]!(refused);
      const [, ...turnedAway] = await Promise.all(asking.slice(0, 3));
      expect(turnedAway).toEqual([refused, refused]);
      // They come last everywhere else, as who began it does.
      expect([all[1]!.lot, all[2]!.lot]).toEqual([1, 1]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(asked).toEqual([all[0], all[3]]);
      ends[1]!();
      expect(await Promise.all(asking.slice(3))).toEqual(['answer', 'answer', 'answer']);
    },
  );

  it('the response headers that came are everybody’s', async () => {
    const flights = new InFlight<string>();
    const everybody = [context(), context()];
    await Promise.all(
      everybody.map((as) =>
        flights.share('', 'read', as, (leader) => {
          leader.responseHeaders.push(['x-cost', '3']);
          return Promise.resolve('');
        }),
      ),
    );
    expect(everybody.map(({ responseHeaders }) => responseHeaders)).toEqual([[['x-cost', '3']], [['x-cost', '3']]]);
  });

  it.each(['answers', 'fails'])('a cookie is one visitor’s, who began the work, when it %s', async (how) => {
    const flights = new InFlight<string>();
    const everybody = [context(), context(), context()];
    const work = async (leader: RequestContext) => {
      leader.responseHeaders.push(['set-cookie', 'visitor=1'], ['x-cost', '3']);
      await Promise.resolve();
      if (how === 'fails') throw new Error('down');
      return '';
    };
    await Promise.allSettled(everybody.map((as) => flights.share('', 'read', as, work)));
    expect(flights.joined).toBe(2);
    expect(everybody.map(({ responseHeaders }) => responseHeaders.map(([name]) => name))).toEqual([
      ['set-cookie', 'x-cost'],
      ['x-cost'],
      ['x-cost'],
    ]);
  });
});

describe('who asks', () => {
  const who = (subject: string | null, headers: Record<string, string>) =>
    identityOf(context({ subject, headers: new Map(Object.entries(headers)) }));

  it('is the same however the headers are ordered', () => {
    expect(who('a', { one: '1', two: '2' })).toBe(who('a', { two: '2', one: '1' }));
  });

  it('is another one when any header or the subject differs', () => {
    const all = [
      who(null, {}),
      who('null', {}),
      who('a', {}),
      who('a', { one: '' }),
      who('a', { one: '1' }),
      who('a', { one: '1', two: '2' }),
      who('a', { one: '1,two:2' }),
      who('a', { two: '1' }),
      who('a","one', { one: '1' }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});
