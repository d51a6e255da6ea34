import { describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { Circuit } from './circuit.js';

function setUp() {
  const time = { now: 0 };
  const said: string[] = [];
  const say = (_: object, message: string): void => void said.push(message);
  const circuit = new Circuit(() => time.now, { ...silent, info: say, warn: say });
  let calls = 0;
  const ask = (answer: () => Promise<string>): Promise<string> => circuit.ask(() => (calls++, answer()));
  const works = async (): Promise<string> => 'answer';
  const fails = async (): Promise<string> => {
    throw new Error('down');
  };
  return { time, said, ask, works, fails, calls: () => calls };
}

describe('the short circuit', () => {
  it('stops asking after three failures in a row, says so once, and fails at once', async () => {
    const { said, ask, works, fails, calls } = setUp();
    for (let times = 0; times < 3; times++) await expect(ask(fails)).rejects.toThrow('down');
    for (let times = 0; times < 100; times++) await expect(ask(works)).rejects.toThrow('failed a moment ago');
    expect(calls()).toBe(3);
    expect(said).toEqual(['the cache fails; reads go to the database until it answers again']);
  });

  it('says of a store that fails and answers by turns no more than twice a minute', async () => {
    const { time, said, ask, works, fails } = setUp();
    for (let round = 0; round < 100; round += 1) {
      for (let times = 0; times < 3; times++) await expect(ask(fails)).rejects.toThrow('down');
      time.now += 500;
      expect(await ask(works)).toBe('answer');
    }
    expect(said).toEqual([
      'the cache fails; reads go to the database until it answers again',
      'the cache answers again',
    ]);
  });

  it('lets one call try after half a second, and goes on when it succeeds', async () => {
    const { time, said, ask, works, fails, calls } = setUp();
    for (let times = 0; times < 3; times++) await expect(ask(fails)).rejects.toThrow('down');
    time.now = 499;
    await expect(ask(works)).rejects.toThrow('failed a moment ago');
    time.now = 500;
    const trying = ask(works);
    await expect(ask(works)).rejects.toThrow('failed a moment ago');
    expect(await trying).toBe('answer');
    expect(await Promise.all([ask(works), ask(works)])).toEqual(['answer', 'answer']);
    expect(calls()).toBe(6);
    expect(said.at(-1)).toBe('the cache answers again');
  });

  it('waits again when the try fails', async () => {
    const { time, ask, works, fails } = setUp();
    for (let times = 0; times < 3; times++) await expect(ask(fails)).rejects.toThrow('down');
    time.now = 500;
    await expect(ask(fails)).rejects.toThrow('down');
    time.now = 999;
    await expect(ask(works)).rejects.toThrow('failed a moment ago');
    time.now = 1_000;
    expect(await ask(works)).toBe('answer');
  });

  it('is not opened by failures that successes interrupt', async () => {
    const { ask, works, fails } = setUp();
    for (let times = 0; times < 10; times++) {
      await expect(ask(fails)).rejects.toThrow('down');
      await expect(ask(fails)).rejects.toThrow('down');
      expect(await ask(works)).toBe('answer');
    }
  });

  it('lets no more than 256 calls wait at one time', async () => {
    const { ask, calls } = setUp();
    const answers: ((answer: string) => void)[] = [];
    const asked = Array.from({ length: 300 }, () => ask(() => new Promise((resolve) => answers.push(resolve))));
    const settled = Promise.allSettled(asked);
    expect(calls()).toBe(256);
    for (const answer of answers) answer('answer');
    expect((await settled).filter(({ status }) => status === 'rejected')).toHaveLength(44);
  });
});
