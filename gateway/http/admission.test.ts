import { afterEach, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { connect, type Socket } from 'node:net';
import { Line } from '../fetch/line.js';
import { startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import { Admission, type Place } from './admission.js';
import { Bodies } from './bodies.js';

const PLACES = 8;
const WORK_MS = 20;
const DEADLINE_MS = 1_000;
const PEAK = PLACES / WORK_MS;

/**
 * Ten times as many requests as can be answered, for ten virtual seconds, on the gateway's own line for a subgraph: whoever has
 * waited until the deadline goes, whether it was just begun or not. Answers in time per ms.
 */
function goodput(admission: Admission | undefined): number {
  const line = new Line(PLACES, 1_000_000);
  const doing: { request: Request; until: number }[] = [];
  interface Request {
    deadline: number;
    came: number;
    over: boolean;
    start(): void;
  }
  const waiting = new Set<Request>();
  let now = 0;
  let good = 0;
  for (; now < 10_000; now += 1) {
    for (let i = 0; i < 10 * PEAK; i += 1) {
      if (admission && !admission.enter()) continue;
      const request: Request = {
        deadline: now + DEADLINE_MS,
        came: now,
        over: false,
        start() {
          waiting.delete(request);
          if (now > request.came) admission?.late(now - request.came);
          doing.push({ request, until: now + WORK_MS });
        },
      };
      waiting.add(request);
      line.enter(request);
    }
    for (const one of doing.splice(0)) {
      if (one.until > now) doing.push(one);
      else {
        if (!one.request.over) admission?.leave();
        if (!one.request.over && now > 2_000) good += 1;
        line.leave();
      }
    }
    for (const { request } of doing)
      if (!request.over && now >= request.deadline) {
        request.over = true;
        admission?.leave();
      }
    for (const request of waiting)
      if (now >= request.deadline) {
        waiting.delete(request);
        line.giveUp(request);
        admission?.late(now - request.came);
        admission?.leave();
      }
    if (now % 100 === 99) admission?.look();
  }
  return good / 8_000;
}

describe('ten times too many requests', () => {
  it('leave four fifths of the peak when what would wait is refused; control: taking all, nearly all is done for nobody', () => {
    expect(goodput(new Admission({ lateMs: 200, max: 10_000 }))).toBeGreaterThanOrEqual(0.8 * PEAK);
    expect(goodput(undefined)).toBeLessThan(0.2 * PEAK);
  });
});

describe('an admission', () => {
  it('takes a quarter fewer at once while it is late, never fewer than sixteen, and more again when it keeps up', () => {
    const admission = new Admission({ lateMs: 100, max: 1_000 });
    const fill = (): number => {
      let taken = 0;
      while (admission.enter()) taken += 1;
      for (let i = 0; i < taken; i += 1) admission.leave();
      return taken;
    };
    for (let i = 0; i < 100; i += 1) admission.enter();
    for (let i = 0; i < 100; i += 1) admission.leave();
    admission.late(101);
    admission.look();
    expect(fill()).toBe(75);
    for (let i = 0; i < 50; i += 1) {
      fill();
      admission.late(101);
      admission.look();
    }
    expect(fill()).toBe(16);
    for (let i = 0; i < 100; i += 1) {
      admission.look();
      fill();
    }
    expect(fill()).toBe(1_000);
  });

  it('takes what it gets done in a quarter of the time that is too late, in half of it while young, while its event loop never sleeps', () => {
    const admission = new Admission({ lateMs: 1_000, max: 10_000 });
    const tick = (utilization: number, done: number) => {
      for (let i = 0; i < done; i += 1) admission.leave();
      admission.look(utilization, 100);
    };
    for (let i = 0; i < 8_000; i += 1) admission.enter();
    for (let i = 0; i < 50; i += 1) tick(1, 40);
    // 40 in 100 ms are 200 in half a second; the thousands that are inside are done first.
    expect(admission.limit).toBe(200);
    expect(admission.enter()).toBe(false);
    for (let i = 0; i < 100; i += 1) tick(1, 40);
    expect(admission.limit).toBe(100);
    // (control) A gateway that waits for its subgraphs has as many under way, and refuses nobody.
    const waiting = new Admission({ lateMs: 1_000, max: 10_000 });
    for (let i = 0; i < 1_000; i += 1) waiting.enter();
    for (let i = 0; i < 50; i += 1) waiting.look(0.5, 100);
    expect(waiting.limit).toBe(10_000);
    expect(waiting.enter()).toBe(true);
  });

  it('tells whoever stands before it how many may be there while its event loop never sleeps, then twice as many each time, then nothing', () => {
    const tell = (admission: Admission, utilization: number, times: number): (number | undefined)[] =>
      Array.from({ length: times }, () => {
        for (let i = 0; i < 40; i += 1) if (admission.enter()) admission.leave();
        admission.look(utilization, 100);
        return admission.places();
      });
    const inside = (admission: Admission, many: number): void => {
      for (let i = 0; i < many; i += 1) admission.place().enter();
    };
    const admission = new Admission({ lateMs: 1_000, max: 10_000, tells: true });
    inside(admission, 20);
    // A pause is not taken for too many; then Little's law, of 40 in 100 ms and half a second, less a quarter for who is on the way.
    expect(tell(admission, 1, 5)).toEqual([undefined, undefined, 150, 150, 150]);
    // Those who have not said yet what they want, and who do not take their answers, whoever counts who is here counts as well.
    const unknown = [admission.place(), admission.place()];
    expect([admission.places(), admission.places(5)]).toEqual([152, 157]);
    for (const one of unknown) one.leave();
    expect(tell(admission, 0.5, 7)).toEqual([150, 150, 150, 300, 600, 1_200, 2_400]);
    // Who is refused meanwhile was one too many.
    const crowd = Array.from({ length: 200 }, () => admission.place());
    for (const one of crowd) if (!one.enter()) one.leave();
    admission.look(0.5, 100);
    expect(admission.places()).toBe(Math.floor(0.75 * admission.limit));
    for (const one of crowd.slice(0, 180)) one.leave();
    admission.look(0.5, 100);
    expect(admission.places()).toBeGreaterThan(admission.limit);
    expect(tell(admission, 0.5, 22).at(-1)).toBeUndefined();
    // (control) As many under way in a gateway that waits for its subgraphs.
    const waiting = new Admission({ lateMs: 1_000, max: 10_000, tells: true });
    inside(waiting, 1_000);
    expect(new Set(tell(waiting, 0.5, 10))).toEqual(new Set([undefined]));
    // A step that is late, and a heap that is full, say it at once; of several processes at one address, or with nobody before it, none does.
    for (const tells of [true, false])
      for (const heap of ['has room', 'full'] as const) {
        const late = new Admission({ lateMs: 1_000, max: 10_000, tells });
        inside(late, 100);
        if (heap === 'has room') late.late(1_001);
        late.look(0.5, 100, heap);
        expect(late.places()).toBe(tells ? Math.floor(0.75 * late.limit) : undefined);
      }
  });

  it('takes no more at the first look at which more are inside than it gets done in time; control: after a pause it has done nothing', () => {
    const after = (done: number, inside: number): number => {
      const admission = new Admission({ lateMs: 1_000, max: 10_000 });
      for (let i = 0; i < inside + done; i += 1) admission.enter();
      for (let i = 0; i < done; i += 1) admission.leave();
      admission.look(1, 100);
      return admission.limit;
    };
    // 40 in 100 ms are 400 in a second, and 200 in half of one.
    expect([after(40, 401), after(40, 400)]).toEqual([200, 10_000]);
    expect(after(2, 401)).toBe(10_000);
  });

  it('is not moved by a moment of work, nor by a handful of requests', () => {
    const admission = new Admission({ lateMs: 1_000, max: 10_000 });
    for (let i = 0; i < 100; i += 1) admission.enter();
    for (const utilization of [1, 1, 0, 1, 1]) admission.look(utilization, 100);
    expect(admission.limit).toBe(10_000);
    const few = new Admission({ lateMs: 1_000, max: 10_000 });
    for (let i = 0; i < 16; i += 1) few.enter();
    for (let i = 0; i < 50; i += 1) few.look(1, 100);
    expect(few.limit).toBe(10_000);
  });

  it('takes fewer as well each time that the heap is found nearly full, late or not, and no more while it is', () => {
    const admission = new Admission({ lateMs: 1_000, max: 1_000 });
    for (let i = 0; i < 100; i += 1) admission.enter();
    admission.look(0.5, 100);
    expect(admission.limit).toBe(1_000);
    admission.look(0.5, 100, 'found full');
    expect(admission.limit).toBe(75);
    for (let times = 0; times < 9; times += 1) admission.look(0.5, 100, 'full');
    expect(admission.limit).toBe(75);
    expect(admission.pressedMs).toBe(0);
    // The control: it takes more again when there is room.
    admission.look(0.5, 100);
    expect(admission.limit).toBeGreaterThan(75);
  });

  describe('while subgraphs turn most away', () => {
    /** What it takes after a second of that, beside `inside` that have begun; `each` says of one of 300 a tenth of a second what became of it, `looks` how busy it was in each. */
    function limitBeside(
      inside: number,
      begin: (place: Place) => void,
      each: (place: Place) => void,
      looks = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ): number {
      const admission = new Admission({ lateMs: 1_000, max: 10_000 });
      const come = (count: number) =>
        Array.from({ length: count }, () => admission.place()).filter((place) => place.enter());
      come(inside).forEach(begin);
      for (const utilization of looks) {
        for (const place of come(300)) {
          each(place);
          place.leave();
        }
        admission.look(utilization, 100);
      }
      return admission.limit;
    }
    const begins = (place: Place) => place.begun(false);
    const isTurnedAway = (place: Place) => place.turnedAway();

    it('takes as many as they have let in; control: counted as done, it takes all', () => {
      expect(limitBeside(100, begins, isTurnedAway)).toBe(100 + 16);
      expect(limitBeside(100, begins, () => {})).toBeGreaterThanOrEqual(750);
    });

    it('takes a quarter fewer at the first look at which it never sleeps; control: where it sleeps, all', () => {
      expect(limitBeside(100, begins, isTurnedAway, [1])).toBe(300);
      expect(limitBeside(100, begins, isTurnedAway, [0.5])).toBe(10_000);
    });

    it('counts nobody as begun who has left: who joined a call and went away is told of it later; control: who is there', () => {
      const leaves = (place: Place) => {
        place.leave();
        begins(place);
      };
      expect(limitBeside(100, leaves, isTurnedAway)).toBeLessThan(100);
      expect(limitBeside(100, begins, isTurnedAway)).toBeGreaterThanOrEqual(100 + 16);
    });
  });

  it('gives on the turn of who waits for a subgraph in a line, unless it is itself what they wait for; control: who does not wait keeps it', async () => {
    const begunBy = async (waits: boolean, isBusy = false) => {
      const admission = new Admission({ lateMs: 1_000, max: 10_000 });
      for (let nth = 0; nth < 100; nth += 1) admission.enter();
      for (let nth = 0; nth < 3; nth += 1) admission.look(isBusy ? 1 : 0.5);
      const places = Array.from({ length: 200 }, () => admission.place());
      const turns = places.map((place) => place.begin(0));
      const next = turns.findIndex((turn) => turn !== undefined);
      expect(next).toBe(isBusy ? 16 : 128);
      let hasBegun = false;
      void turns[next]!.then(() => (hasBegun = true));
      places[0]!.begun(waits);
      await Promise.resolve();
      return hasBegun;
    };
    expect(await begunBy(true)).toBe(true);
    expect(await begunBy(false)).toBe(false);
    expect(await begunBy(true, true)).toBe(false);
  });

  it('is not moved by lateness of less than it may have', () => {
    const admission = new Admission({ lateMs: 100, max: 1_000 });
    admission.late(100);
    admission.look();
    expect(admission.limit).toBe(1_000);
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('who is refused', () => {
  let http: TinyHttp;
  afterEach(() => http.close());

  const schema = buildSchema('type Query { hello: String }');
  const ask = () =>
    fetch(http.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{ hello }"}',
    });

  /** So many asked while those before are held. */
  async function asked(many: number, admission: Admission | undefined) {
    let go = () => {};
    const held = new Promise<void>((resolve) => (go = resolve));
    let came = () => {};
    const all = new Promise<void>((resolve) => (came = resolve));
    http = await startTinyHttp(
      schema,
      {},
      {
        admission,
        execute: async () => {
          if (http.executed.length === (admission?.limit ?? many)) came();
          await held;
          return { body: '{"data":{"hello":"you"}}', hasErrors: false };
        },
      },
    );
    const first = Array.from({ length: admission?.limit ?? many }, ask);
    await all;
    const rest = await Promise.all(Array.from({ length: many - first.length }, ask));
    go();
    return { first: await Promise.all(first), rest };
  }

  it('is told 503 and when to come again, in the form of every answer, and reaches no engine; control: without admission all do', async () => {
    const admission = new Admission({ lateMs: 100, max: 16 });
    const { first, rest } = await asked(40, admission);
    expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 200));
    expect(rest).toHaveLength(24);
    for (const response of rest) {
      expect([response.status, response.headers.get('retry-after'), response.headers.get('cache-control')]).toEqual([
        503,
        '1',
        'no-store',
      ]);
      expect(await response.json()).toEqual({
        errors: [
          {
            message: 'The service is busy; try again.',
            extensions: { code: 'OVERLOADED', requestId: response.headers.get('x-request-id') },
          },
        ],
      });
    }
    expect([http.executed.length, admission.refused, admission.inside]).toEqual([16, 24, 0]);
    expect((await ask()).status).toBe(200);
    await http.close();
    await asked(40, undefined);
    expect(http.executed).toHaveLength(40);
  });

  it('is who waits for its turn until its deadline, and nothing of it was begun; who goes meanwhile waits no longer', async () => {
    const admission = new Admission({ lateMs: 1_000, max: 100 });
    const { running } = admission;
    for (let looks = 0; looks < 20; looks += 1) running.look(1, true, false, 100);
    const held = Array.from({ length: 40 }, () => running.begin(0));
    expect(held.filter(({ ready }) => ready !== undefined)).toHaveLength(24);
    http = await startTinyHttp(schema, { hello: 'you' }, { admission, timeoutMs: 300 });
    const response = await ask();
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'OVERLOADED' } }] });
    const gone = new AbortController();
    const waits = fetch(`${http.url}?query={hello}`, { signal: gone.signal }).catch(() => undefined);
    await until(() => running.waiting === 25);
    gone.abort();
    await waits;
    await until(() => running.waiting === 24);
    for (const turn of held) turn.end();
    expect([http.executed.length, running.inside, admission.inside]).toEqual([0, 0, 0]);
    // (control) With places there are turns.
    expect([(await ask()).status, http.executed.length]).toEqual([200, 1]);
  });

  /** As many connections, each with a body of which half has come. */
  async function half(many: number): Promise<Socket[]> {
    const { port } = new URL(http.url);
    const sockets = await Promise.all(
      Array.from(
        { length: many },
        () =>
          new Promise<Socket>((resolve, reject) => {
            const socket = connect(Number(port), '127.0.0.1', () => {
              socket.write(
                'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2000\r\n\r\n{"query":"',
                () => resolve(socket),
              );
            });
            socket.on('error', reject);
          }),
      ),
    );
    // Whoever is answered now is answered after them.
    for (let turn = 0; turn < 3; turn += 1) await ask();
    return sockets;
  }

  it('is none of those who wait beside five hundred half bodies; control: who has a place from its first byte', async () => {
    const open = async (admission: Admission): Promise<number[]> => {
      http = await startTinyHttp(schema, { hello: 'you' }, { admission });
      const sockets = await half(500);
      for (let turn = 0; turn < 50; turn += 1) {
        admission.late(101);
        admission.look();
      }
      const statuses = (await Promise.all(Array.from({ length: 10 }, ask))).map(({ status }) => status);
      for (const socket of sockets) socket.destroy();
      await http.close();
      return statuses;
    };
    expect(await open(new Admission({ lateMs: 100, max: 1_000 }))).toEqual(Array.from({ length: 10 }, () => 200));
    // As it was: a place is taken when it is asked whether there is one.
    const places = new Admission({ lateMs: 100, max: 1_000 });
    const fromTheFirstByte = Object.assign(Object.create(places) as Admission, {
      full: () => !places.enter(),
      places: () => undefined,
      place: () => ({ enter: () => true, begin: () => undefined, leave: () => places.leave() }),
      late: (ms: number) => places.late(ms),
      look: () => places.look(),
    });
    expect(await open(fromTheFirstByte)).toEqual(Array.from({ length: 10 }, () => 503));
  });

  it('sends the longest of the bodies that are not whole, when all together are too much', async () => {
    const bodies = new Bodies(64 * 1024);
    http = await startTinyHttp(schema, { hello: 'you' }, { bodies });
    const { port } = new URL(http.url);
    const sent = (bytes: number) => {
      let answer = '';
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(
        `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(bytes)}`,
      );
      socket.on('data', (chunk) => (answer += String(chunk))).on('error', () => {});
      return { socket, answer: () => answer };
    };
    const short = sent(5_000);
    const long = sent(40_000);
    // What each piece takes beside its bytes counts as well.
    await until(() => bodies.bytes >= 45_000);
    const more = sent(30_000);
    await until(() => long.answer() !== '');
    expect(long.answer()).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1[^]*OVERLOADED/);
    await until(() => bodies.bytes >= 35_000 && bodies.bytes < 45_000);
    expect([short.answer(), more.answer(), (await ask()).status]).toEqual(['', '', 200]);
    for (const { socket } of [short, long, more]) socket.destroy();
    await until(() => bodies.bytes === 0);
  });
});
