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
  const ask = (text: string, answer: () => Promise<unknown>): Promise<unknown> =>
    slow.unlessSlow(text, async () => {
      asked += 1;
      return answer();
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
  ['took too long', TIMED_OUT],
  ['had no connection free', new Exhausted()],
])(
  'where a replica %s, the same is not asked there for ten seconds, then by one, and by all when that one is answered',
  async (_, error) => {
    const { ask, answers, fails, pass, came, close } = scene();
    await expect(ask('a', fails(error))).rejects.toThrow(error);
    pass(9_000);
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    expect(await ask('b', answers)).toBe('answer');
    expect(came()).toBe(2);

    pass(1_000);
    let answer: (value: string) => void = () => {};
    const tried = ask('a', () => new Promise((resolve) => (answer = resolve)));
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    expect(came()).toBe(1);
    answer('answer');
    expect(await tried).toBe('answer');
    await Promise.all([ask('a', answers), ask('a', answers)]);
    expect(came()).toBe(2);

    await expect(ask('a', fails(error))).rejects.toThrow(error);
    pass(10_000);
    await expect(ask('a', fails(error))).rejects.toThrow(error);
    await expect(ask('a', answers)).rejects.toThrow('a moment ago');
    close();
  },
);

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
