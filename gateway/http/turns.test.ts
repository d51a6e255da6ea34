import { afterEach, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { openBudgets } from '#libs/rate-limit';
import { silent, type Logger } from '#libs/telemetry';
import { startTinyHttp, type TinyHttp, type TinyHttpOptions } from '../../test/tiny/tiny-http.js';
import { Admission } from './admission.js';
import { Rates } from './rates.js';
import type { Bearer, Identity } from './identity.js';
import { Refusal } from './refusal.js';
import { restMs, Turns, waitingBytesMax } from './turns.js';

/** Counts the turns of the event loop. */
function loop(): { turn: number; end: () => void } {
  const counted = { turn: 0, end: () => clearImmediate(next) };
  const count = (): void => {
    counted.turn += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  return counted;
}

/** Longer than what is begun in one turn may take together. */
const spin = (ms = 8): void => {
  for (const until = performance.now() + ms; performance.now() < until;);
};

/**
 * An event loop by its own clock: 1,500 requests a second, each of which is 0.5 ms of work with a service's answer in the middle, and one of the
 * dearest texts in each turn. The part of those requests that is taken and answered.
 */
function answered(newPerS: number, givesWay: boolean): number {
  const [perMs, workMs, serviceMs, dearMs] = [1.5, 0.25, 5, 90];
  const admission = new Admission({ lateMs: 1_000, max: 10_000 });
  const asked: number[] = [];
  let [now, came, done, waiting, newCame, lookedAt, busyMs] = [0, 0, 0, 0, 0, 0, 0];
  let [refusedAt, endedAt] = [-Infinity, -Infinity];
  while (now < 60_000) {
    let workedMs = 0;
    for (; came < Math.floor(now * perMs); came += 1)
      if (admission.enter()) {
        workedMs += workMs;
        asked.push(now + workedMs + serviceMs);
      } else refusedAt = now;
    for (; asked.length > 0 && asked[0]! <= now; done += 1) {
      asked.shift();
      workedMs += workMs;
      admission.leave();
    }
    for (; newCame < Math.floor((now * newPerS) / 1_000); newCame += 1) waiting = Math.min(50, waiting + 1);
    if (waiting > 0 && !(givesWay && restMs(now, refusedAt, endedAt, dearMs) > 0)) {
      waiting -= 1;
      workedMs += dearMs;
      endedAt = now + workedMs;
    }
    busyMs += workedMs;
    now += Math.max(1, workedMs);
    const elapsedMs = now - lookedAt;
    if (elapsedMs < 100) continue;
    admission.late(elapsedMs - 100);
    admission.look(busyMs / elapsedMs, elapsedMs);
    [lookedAt, busyMs] = [now, 0];
  }
  return done / (came - asked.length);
}

const DAY = 86_400_000;
const MB = 1024 * 1024;

describe('work that nothing can interrupt', () => {
  let turns = new Turns(1_000);
  afterEach(() => void (turns = new Turns(1_000)));
  const take = (who: string, work: () => unknown, bytes = 1): Promise<unknown> => turns.take(who, bytes, DAY, work);

  it('is done in turns of the event loop of its own (control: what is done as it comes is done in one)', async () => {
    const counted = loop();
    const at = { ours: [] as number[], naive: [] as number[] };
    const piece = (of: number[]) => (): void => {
      of.push(counted.turn);
      spin();
    };
    for (let nth = 0; nth < 10; nth += 1) piece(at.naive)();
    await Promise.all(Array.from({ length: 10 }, (_, nth) => take(`client ${nth}`, piece(at.ours))));
    counted.end();
    expect([new Set(at.naive).size, new Set(at.ours).size]).toEqual([1, 10]);
  });

  it('is done together as far as it is quick: a text that somebody else has sent meanwhile is known', async () => {
    const counted = loop();
    const began = counted.turn;
    await Promise.all(Array.from({ length: 1_000 }, (_, nth) => take(`client ${nth}`, () => {})));
    counted.end();
    expect(counted.turn - began).toBeLessThan(500);
  });

  it('keeps nobody waiting where it is not dear any more: a hundred of one client for one new text (control: those that stay dear)', async () => {
    const counted = loop();
    const turnsOf = async (isDear: (read: boolean) => boolean): Promise<number> => {
      let read = false;
      const began = counted.turn;
      const work = async (): Promise<void> => {
        read = true;
        await delay(1);
      };
      const all = Array.from({ length: 100 }, () => turns.take('a', 1, DAY, work, () => isDear(read)));
      await Promise.all(all);
      return counted.turn - began;
    };
    const [known, dear] = [await turnsOf((read) => !read), await turnsOf(() => true)];
    counted.end();
    // Each turn may be one in which a timer is awaited; a hundred of them are a hundred.
    expect(dear).toBeGreaterThanOrEqual(100);
    expect(known).toBeLessThan(dear / 2);
  });

  it('is done for one client after another, whoever has sent more', async () => {
    const done: string[] = [];
    await Promise.all(['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map((name) => take(name[0]!, () => done.push(name))));
    expect(done).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('is done for a client when what it had done before is paid for; others do not wait for that', async () => {
    const done: string[] = [];
    let pay = (): void => {};
    const first = take('a', () => {
      done.push('a1');
      return new Promise<void>((resolve) => (pay = resolve));
    });
    const second = take('a', () => done.push('a2'));
    await take('b', () => done.push('b1'));
    await delay(20);
    expect(done).toEqual(['a1', 'b1']);
    pay();
    await Promise.all([first, second]);
    expect(done).toEqual(['a1', 'b1', 'a2']);
  });

  it('tells what came of it, and goes on with the next where that is an error', async () => {
    const outcomes = await Promise.allSettled([
      take('a', () => {
        throw new Error('at once');
      }),
      take('a', () => Promise.reject(new Error('later'))),
      take('a', () => 'well'),
    ]);
    expect(outcomes.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([
      'Error: at once',
      'Error: later',
      'well',
    ]);
    expect(turns.bytes).toBe(0);
  });

  it('is refused where too much waits: the last of who has most', async () => {
    const began: string[] = [];
    const sizes: [string, number][] = [
      ['a', 300],
      ['a', 300],
      ['b', 400],
      ['b', 1],
      ['c', 100],
    ];
    const outcomes = Promise.allSettled(sizes.map(([who, bytes]) => take(who, () => began.push(who), bytes)));
    expect(turns.bytes).toBe(801);
    const [, second, ...others] = await outcomes;
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'OVERLOADED' } });
    expect((second as PromiseRejectedResult).reason).toBeInstanceOf(Refusal);
    expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect([began, turns.bytes]).toEqual([['a', 'b', 'c', 'b'], 0]);
  });

  it('may hold more than all may where it waits alone (control: beside another)', async () => {
    expect(await take('a', () => 'done', 5_000)).toBe('done');
    const [large, small] = await Promise.allSettled([take('a', () => 'done', 5_000), take('b', () => 'done', 1)]);
    expect([large, small]).toMatchObject([{ reason: { code: 'OVERLOADED' } }, { value: 'done' }]);
    expect(turns.bytes).toBe(0);
  });

  it.each([
    // As it comes: 64 MB, and 20 times 64 kB.
    ['bodies', 64 * MB, 1.25 * MB, 2_096 * MB, 64 * MB],
    ['four of the longest variables', 64 * MB, 20 * 4 * MB, 2_096 * MB, 320 * MB],
    // VARIABLES_BYTES=67108864: four of them would be 5 GB.
    ['a quarter of the heap, whatever is set', 64 * MB, 20 * 64 * MB, 512 * MB, 128 * MB],
    ['a quarter of the heap, whatever BODIES_BYTES is', 1_024 * MB, 1.25 * MB, 512 * MB, 128 * MB],
  ])('may hold as much as %s', (_, bodies, variables, heap, most) => {
    expect(waitingBytesMax(bodies, variables, heap)).toBe(most);
  });

  it('is left for a tenth of the time while requests are refused (control: while none is)', async () => {
    const restsOf = async (refusedAt: () => number): Promise<{ rests: number[]; shortest: number }> => {
      const some = new Turns(1_000, DAY, refusedAt);
      const took: number[] = [];
      const rests: number[] = [];
      let ended: number | undefined;
      const work = (): void => {
        const began = performance.now();
        if (ended !== undefined) rests.push(began - ended);
        spin(20);
        ended = performance.now();
        took.push(ended - began);
      };
      await Promise.all(['a', 'b', 'c', 'd'].map((who) => some.take(who, 1, DAY, work)));
      expect(some.bytes).toBe(0);
      return { rests, shortest: Math.min(...rests.map((rest, nth) => rest / took[nth]!)) };
    };
    const refusing = await restsOf(() => performance.now());
    expect([refusing.rests.length, refusing.shortest > 8]).toEqual([3, true]);
    // Of a refusal of long ago nobody knows any more.
    for (const at of [-Infinity, performance.now() - 2_000]) expect((await restsOf(() => at)).shortest).toBeLessThan(8);
  });

  it.each([
    ['as many as can be read', 1_000],
    ['five a second', 5],
  ])(
    'leaves those who only want to be answered their places: asked for three quarters of what it can, and for new texts, %s (control: read whenever it is their turn)',
    (_, newPerS) => {
      expect(answered(newPerS, true)).toBeGreaterThan(0.9);
      expect(answered(newPerS, false)).toBeLessThan(0.75);
      expect(answered(0, false)).toBe(1);
    },
  );

  it('is not begun for who has waited too long', async () => {
    const began: string[] = [];
    let pay = (): void => {};
    let first: Promise<unknown> = Promise.resolve();
    // It has begun, however busy the machine is.
    await new Promise<void>((hasBegun) => {
      first = take('a', () => {
        hasBegun();
        return new Promise<void>((resolve) => (pay = resolve));
      });
    });
    const late = turns.take('a', 1, 20, () => began.push('late'));
    await expect(late).rejects.toMatchObject({ code: 'OVERLOADED' });
    await expect(late).rejects.toBeInstanceOf(Refusal);
    pay();
    await first;
    await take('a', () => began.push('next'));
    expect([began, turns.bytes]).toEqual([['next'], 0]);
  });

  it('is not begun beyond what may wait, whatever each would wait for itself (control: whoever has the time does)', async () => {
    const began = async (patienceMs?: number): Promise<number> => {
      const some = new Turns(1_000, patienceMs);
      let count = 0;
      const work = (): void => {
        count += 1;
        spin(50);
      };
      const all = Array.from({ length: 20 }, (_, nth) => some.take(`client ${nth}`, 1, DAY, work));
      const told = await Promise.allSettled(all);
      const refused = told.filter((one) => one.status === 'rejected');
      expect(refused.map(({ reason }) => reason as unknown)).toEqual(
        refused.map(() => expect.objectContaining({ code: 'OVERLOADED' })),
      );
      expect([count + refused.length, some.bytes]).toEqual([20, 0]);
      return count;
    };
    expect(await began(200)).toBeLessThanOrEqual(4);
    expect(await began()).toBe(20);
  });
});

describe('texts that nobody has sent before, and that are as dear to read as a text may be', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });
  /** `reads`: how many texts it has read. */
  const start = async (options: TinyHttpOptions): Promise<{ tiny: TinyHttp; reads: () => number }> => {
    const schema = buildSchema('type Query { me: Person } type Person { id: ID }');
    const tiny = await startTinyHttp(schema, { me: { id: '1' } }, options);
    closers.push(() => tiny.close());
    const { documents } = tiny;
    const operation = documents.operation.bind(documents);
    let count = 0;
    documents.operation = (text, ...rest) => {
      if (!documents.has(text)) count += 1;
      return operation(text, ...rest);
    };
    return { tiny, reads: () => count };
  };
  const dear = (nth: number): string => `query D${nth}{me{...F ...F}} fragment F on Person{${'id '.repeat(480)}}`;
  const written = (query: string, client: string): string => {
    const body = JSON.stringify({ query });
    return `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-forwarded-for: ${client}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };

  /** `pieces`: what each counted for while it waited. */
  const withPieces = async (): Promise<{ tiny: TinyHttp; reads: () => number; pieces: number[] }> => {
    const turns = new Turns(10_000_000);
    const take = turns.take.bind(turns);
    const pieces: number[] = [];
    turns.take = (who, bytes, ...rest) => {
      pieces.push(bytes);
      return take(who, bytes, ...rest);
    };
    return { ...(await start({ turns })), pieces };
  };
  const post = (tiny: TinyHttp, body: string): Promise<Response> =>
    fetch(tiny.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const withObjects = (name: string, count: number): string =>
    `{"query":"query ${name}{me{id}}","variables":{"a":[${'{},'.repeat(count).slice(0, -1)}]}}`;

  it('wait with variables that are within their limits, and count for what these hold (control: few)', async () => {
    const { tiny, reads, pieces } = await withPieces();
    const refused = await post(tiny, withObjects('TooLong', 80_000));
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
    ]);
    // The body alone was looked at.
    expect([reads(), pieces.length]).toEqual([0, 1]);
    pieces.length = 0;
    expect((await post(tiny, withObjects('Long', 20_000))).status).toBe(200);
    expect([reads(), pieces.length]).toEqual([1, 2]);
    expect(pieces[1]).toBeGreaterThan(20 * 60_000);
    pieces.length = 0;
    expect((await post(tiny, withObjects('Short', 1))).status).toBe(200);
    expect([reads(), pieces.length]).toEqual([2, 1]);
    expect(pieces[0]).toBeLessThan(5_000);
  });

  it('have one deadline with the body in which they came, from when that was whole (control: a short body)', async () => {
    const turns = new Turns(10_000_000);
    const take = turns.take.bind(turns);
    const waits: number[] = [];
    let now = 0;
    turns.take = (who, bytes, waitMs, ...rest) => {
      waits.push(waitMs);
      // So long is waited.
      now += 4_000;
      return take(who, bytes, waitMs, ...rest);
    };
    const { tiny } = await start({ turns, clock: () => now, timeoutMs: 10_000 });
    expect((await post(tiny, withObjects('Long', 20_000))).status).toBe(200);
    // Less what the dearest piece takes.
    expect(waits.splice(0)).toEqual([9_900, 5_900]);
    // Less what it takes to make the answer of what came.
    expect(tiny.executed.at(-1)!.context.deadline).toBe(9_950);
    expect((await post(tiny, withObjects('Short', 1))).status).toBe(200);
    expect(waits).toEqual([9_900]);
    expect(tiny.executed.at(-1)!.context.deadline).toBe(17_950);
  });

  it('are not read while the heap is full, nor is a long body (control: what is known, and all when it has room again)', async () => {
    const heap = { full: false };
    const { tiny, reads } = await start({ turns: new Turns(10_000_000), heap });
    const statuses = async (nth: number): Promise<number[]> => {
      const told: number[] = [];
      for (const body of ['{"query":"{me{id}}"}', withObjects(`Short${nth}`, 1), withObjects('Long', 20_000)])
        told.push((await post(tiny, body)).status);
      return told;
    };
    expect(await statuses(1)).toEqual([200, 200, 200]);
    expect(reads()).toBe(3);
    heap.full = true;
    expect(await statuses(2)).toEqual([200, 503, 503]);
    expect(reads()).toBe(3);
    heap.full = false;
    expect(await statuses(2)).toEqual([200, 200, 200]);
  });

  it('take no place of those who are answered while they wait, and one when they are read (control: what is known, at once)', async () => {
    const admission = new Admission({ lateMs: 1_000, max: 16 });
    const turns = new Turns(10_000_000);
    const { tiny } = await start({ turns, admission });
    const inside: number[] = [];
    const take = turns.take.bind(turns);
    turns.take = (...piece) => {
      inside.push(admission.inside);
      // While it waits, others come for all places.
      while (admission.enter());
      return take(...piece);
    };
    const leave = (): void => {
      while (admission.inside > 0) admission.leave();
    };
    expect((await post(tiny, '{"query":"query New{me{id}}"}')).status).toBe(503);
    leave();
    expect((await post(tiny, '{"query":"query New{me{id}}"}')).status).toBe(200);
    expect(inside).toEqual([0]);
    while (admission.enter());
    expect((await post(tiny, '{"query":"query New{me{id}}"}')).status).toBe(503);
    expect(admission.refusedAt).toBeGreaterThan(0);
    leave();
  });

  it('have less time by what it took to find out who asks (control: by what their client took to send them)', async () => {
    let now = 0;
    const identity: Identity = {
      bearer: async ({ headers }) => {
        await delay(1);
        if (headers['x-slow'] !== undefined) now += 4_000;
        return null as unknown as Bearer;
      },
      assertion: () => undefined,
    };
    const { tiny } = await start({ identity, clock: () => now, timeoutMs: 10_000 });
    const deadlineOf = async (headers: Record<string, string>, comesLate = false): Promise<number | undefined> => {
      const began = now;
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (comesLate) now += 4_000;
          controller.enqueue(Buffer.from('{"query":"{me{id}}"}'));
          controller.close();
        },
      });
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        duplex: 'half',
      };
      expect((await fetch(tiny.url, init as RequestInit)).status).toBe(200);
      return tiny.executed.at(-1)!.context.deadline! - began;
    };
    // Of both 4 s are over: of the one 6 s are left, of the other 10.
    expect([await deadlineOf({ 'x-slow': '1' }), await deadlineOf({}, true)]).toEqual([9_950, 13_950]);
  });

  /** Each on a connection that is open already, all in one go; the status of each. */
  async function atOnce(tiny: TinyHttp, requests: readonly string[]): Promise<Promise<number>[]> {
    const { port } = new URL(tiny.url);
    let open = 0;
    tiny.server.on('connection', () => (open += 1));
    const sockets = requests.map((): Socket => connect(Number(port), '127.0.0.1'));
    closers.unshift(async () => sockets.forEach((socket) => socket.destroy()));
    while (open < sockets.length || sockets.some(({ connecting }) => connecting)) await delay(5);
    return requests.map((request, nth) => {
      const socket = sockets[nth]!;
      socket.write(request);
      return new Promise((resolve) =>
        socket.once('data', (chunk) => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(String(chunk))?.[1]))),
      );
    });
  }

  /** How many of them had been read when somebody else, who asked last, was answered; and the most that were read in one turn. */
  async function burst(options: TinyHttpOptions, count: number): Promise<{ between: number; inOneTurn: number }> {
    const { tiny, reads } = await start(options);
    const known = written('{me{id}}', '203.0.113.2');
    await Promise.all(await atOnce(tiny, [known]));
    const before = reads();
    let seen = before;
    let inOneTurn = 0;
    const look = (): void => {
      inOneTurn = Math.max(inOneTurn, reads() - seen);
      seen = reads();
      next = setImmediate(look);
    };
    let next = setImmediate(look);
    const statuses = await atOnce(tiny, [
      ...Array.from({ length: count }, (_, nth) => written(dear(nth), '203.0.113.1')),
      known,
    ]);
    expect(await statuses.at(-1)).toBe(200);
    const between = reads() - before;
    expect(await Promise.all(statuses)).toEqual(Array<number>(count + 1).fill(200));
    clearImmediate(next);
    return { between, inOneTurn };
  }

  it('are read one in each turn of the event loop, and others are answered between (control: all of them before anybody else)', async () => {
    const ours = await burst({ turns: new Turns(10_000_000) }, 20);
    expect(ours.inOneTurn).toBe(1);
    expect(ours.between).toBeLessThan(10);
    const naive = await burst({}, 20);
    expect(naive.inOneTurn).toBeGreaterThan(10);
    expect(naive.between).toBeGreaterThanOrEqual(20);
  });

  it('are read client by client behind a proxy, also where nobody has a budget (control: all behind it are one client)', async () => {
    const places = async (proxies: number): Promise<number> => {
      const { tiny } = await start({ turns: new Turns(10_000_000), proxies });
      const { documents } = tiny;
      const operation = documents.operation.bind(documents);
      const names: string[] = [];
      documents.operation = (text, ...rest) => {
        if (!documents.has(text)) names.push(text.slice(0, 'query D10'.length));
        return operation(text, ...rest);
      };
      const of = (nth: number): string => written(dear(nth), nth === 20 ? '203.0.113.2' : '203.0.113.1');
      await Promise.all(
        await atOnce(
          tiny,
          Array.from({ length: 11 }, (_, nth) => of(10 + nth)),
        ),
      );
      return names.indexOf('query D20');
    };
    expect(await places(1)).toBeLessThan(5);
    expect(await places(0)).toBe(10);
  });

  it('are read as many as there is patience for, and the others are told 503 of which no line is written (control: all are read)', async () => {
    const read = async (patienceMs?: number): Promise<{ statuses: number[]; count: number; lines: number }> => {
      let lines = 0;
      const logger: Logger = { ...silent, error: () => void (lines += 1) };
      const { tiny, reads } = await start({ turns: new Turns(10_000_000, patienceMs), logger });
      const { documents } = tiny;
      const operation = documents.operation.bind(documents);
      documents.operation = (text, ...rest) => {
        if (!documents.has(text)) spin(50);
        return operation(text, ...rest);
      };
      const requests = Array.from({ length: 40 }, (_, nth) => written(dear(nth), '203.0.113.1'));
      const statuses = await Promise.all(await atOnce(tiny, requests));
      return { statuses, count: reads(), lines };
    };
    const ours = await read(500);
    // A piece begins before its time is over, so at most ten do.
    expect(ours.count).toBeLessThanOrEqual(11);
    const of = (status: number) => ours.statuses.filter((one) => one === status).length;
    expect([of(200), of(503), ours.lines]).toEqual([ours.count, 40 - ours.count, 0]);
    const naive = await read();
    expect([naive.count, new Set(naive.statuses)]).toEqual([40, new Set([200])]);
  });

  it('are read as far as the budget of their client goes, however many come at once (control: all that came)', async () => {
    const budgets = await openBudgets({ redisUrl: undefined, logger: silent });
    closers.push(() => budgets.close());
    const read = async (turns: Turns | undefined, count: number): Promise<[number, number[]]> => {
      const address = budgets.of({ name: `of ${count}`, points: 1_000, windowS: 600 });
      // A budget as it is where another program counts: its answer takes a turn.
      const counts = {
        ...address,
        take: async (key: string, points?: number) => (await delay(1), address.take(key, points)),
      };
      const { tiny, reads } = await start({
        turns,
        rates: new Rates({ person: undefined, address: counts, proxies: 1 }),
        proxies: 1,
      });
      const requests = Array.from({ length: count }, (_, nth) => written(dear(nth), '203.0.113.1'));
      const statuses = await Promise.all(await atOnce(tiny, requests));
      return [reads(), statuses];
    };
    // 299 each to be read, 309 to be planned, 5 to be run: the second is more than was left.
    const [few, statuses] = await read(new Turns(10_000_000), 200);
    expect(few).toBeLessThanOrEqual(4);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(200 - few);
    expect((await read(undefined, 20))[0]).toBe(20);
  });
});
