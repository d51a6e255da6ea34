import { expect, it } from '@jest/globals';
import { Exhausted } from '#libs/failure';
import { silent } from '#libs/telemetry';
import { SlowStatements } from './slow-statements.js';

const TIMED_OUT = Object.assign(new Error('canceling statement due to statement timeout'), {
  code: '57014',
  severity: 'ERROR',
});
const REFUSED = Object.assign(new Error('column "note" does not exist'), { code: '42703', severity: 'ERROR' });

function scene() {
  let now = 0;
  const slow = new SlowStatements(silent, {}, () => now);
  let asked = 0;
  const ask = (text: string, answer: (connected: () => void) => Promise<unknown>): Promise<unknown> =>
    slow.unlessSlow(text, async (connected) => {
      asked += 1;
      return answer(connected);
    });
  const fails = (error: Error) => () => Promise.reject(error);
  return {
    ask,
    fails,
    answers: async () => 'answer',
    pass: (ms: number) => void (now += ms),
    /** How many got there, of whoever came since this was asked last. */
    came: () => {
      const came = asked;
      asked = 0;
      return came;
    },
    close: () => slow.close(),
  };
}

it.each([
  ['took too long', TIMED_OUT, 10_000],
  ['has no connection free, and nobody has one', new Exhausted(), 500],
])(
  'where a replica %s, the same is not asked there for a while, then by one, and by twice as many with each that is answered',
  async (_, error, leftMs) => {
    const { ask, answers, fails, pass, came, close } = scene();
    await expect(ask('a', fails(error))).rejects.toThrow(error);
    pass(leftMs - 1);
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    expect(await ask('b', answers)).toBe('answer');
    expect(came()).toBe(2);

    pass(1);
    let answer: (value: string) => void = () => {};
    const tried = ask('a', () => new Promise((resolve) => (answer = resolve)));
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    expect(came()).toBe(1);
    answer('answer');
    expect(await tried).toBe('answer');
    const some = await Promise.allSettled([ask('a', answers), ask('a', answers), ask('a', answers)]);
    expect(some.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await Promise.all(Array.from({ length: 8 }, () => ask('a', answers)));
    expect(came()).toBe(10);

    pass(1);
    await expect(ask('a', fails(error))).rejects.toThrow(error);
    pass(leftMs);
    await expect(ask('a', fails(error))).rejects.toThrow(error);
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    close();
  },
);

it('who finds no connection free leaves alone what holds them most of that time, and what was asked in vain for half a second; control: left alone as what took too long is, it is away for as long', async () => {
  const { ask, answers, fails, pass, came, close } = scene();
  const ends: ((error: Error) => void)[] = [];
  const holds = (connected: () => void) => (connected(), new Promise((_, reject) => ends.push(reject)));
  const slow = Array.from({ length: 10 }, () => ask('slow', holds));
  pass(100);
  const texts = ['a', 'b', 'c'];
  const none = texts.map((text) => ask(text, () => new Promise((_, reject) => ends.push(reject))));
  pass(500);
  for (const end of ends.splice(10)) end(new Exhausted());
  await Promise.allSettled(none);
  await expect(ask('slow', answers)).rejects.toThrow('a moment ago');
  pass(400);
  for (const end of ends) end(TIMED_OUT);
  await Promise.allSettled(slow);
  came();
  // Half a second behind: they are asked there again, and what had all connections is not, for its ten seconds.
  pass(100);
  for (const text of texts) expect(await ask(text, answers)).toBe('answer');
  pass(9_000);
  await expect(ask('slow', answers)).rejects.toThrow('a moment ago');
  for (const text of texts) expect(await ask(text, answers)).toBe('answer');
  expect(came()).toBe(6);
  // The control.
  await expect(ask('d', fails(TIMED_OUT))).rejects.toThrow(TIMED_OUT);
  pass(9_000);
  await expect(ask('d', answers)).rejects.toThrow('a moment ago');
  close();
});

it('what is answered, but holds a connection for longer than others may wait for one, is no sign that all is well: one at a time tries it', async () => {
  const { ask, answers, fails, pass, close } = scene();
  await expect(ask('a', fails(TIMED_OUT))).rejects.toThrow(TIMED_OUT);
  pass(10_000);
  for (let times = 0; times < 2; times += 1) {
    let answer: (value: string) => void = () => {};
    const tried = ask('a', () => new Promise((resolve) => (answer = resolve)));
    pass(700);
    answer('late');
    expect(await tried).toBe('late');
  }
  const refused = ask('a', fails(REFUSED));
  await expect(ask('a', answers)).rejects.toThrow('a moment ago');
  await expect(refused).rejects.toThrow(REFUSED);
  // What went wrong with the one who tried was not slow, so another may at once.
  expect(await ask('a', answers)).toBe('answer');
  close();
});

it('where somebody was answered meanwhile who asked the same, or it is no matter of time, it is asked on', async () => {
  const { ask, answers, fails, pass, close } = scene();
  let fail: (error: Error) => void = () => {};
  const late = ask('a', () => new Promise((_, reject) => (fail = reject)));
  pass(500);
  await ask('a', answers);
  pass(500);
  fail(TIMED_OUT);
  await expect(late).rejects.toThrow(TIMED_OUT);
  expect(await ask('a', answers)).toBe('answer');
  pass(1);
  await expect(ask('a', fails(REFUSED))).rejects.toThrow(REFUSED);
  expect(await ask('a', answers)).toBe('answer');
  close();
});

it('what is known is bounded: beyond some hundreds of texts all are asked', async () => {
  const { ask, answers, fails, came, close } = scene();
  for (let nth = 0; nth < 1_000; nth += 1) await expect(ask(`a ${nth}`, fails(TIMED_OUT))).rejects.toThrow(TIMED_OUT);
  came();
  await Promise.allSettled(Array.from({ length: 1_000 }, (_, nth) => ask(`a ${nth}`, answers)));
  expect(came()).toBe(700);
  close();
});
