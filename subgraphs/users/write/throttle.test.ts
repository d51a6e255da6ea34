import { afterEach, describe, expect, it } from '@jest/globals';
import { openBudgets, type Budgets } from '#libs/rate-limit';
import { silent } from '#libs/telemetry';
import { Throttle } from './throttle.js';

const opened: Budgets[] = [];
afterEach(async () => {
  for (const budgets of opened.splice(0)) await budgets.close();
});
const open = async (): Promise<Budgets> => {
  const budgets = await openBudgets({ redisUrl: undefined, logger: silent });
  opened.push(budgets);
  return budgets;
};
const throttle = async () => new Throttle(await open(), { logInTries: 10, signUpsPerHour: 1, renamesPerDay: 2 });
const outcome = (work: Promise<void>): Promise<string> =>
  work.then(
    () => 'good',
    (error: { code: string }) => error.code,
  );
/** How many of so many were let through. */
async function letThrough(times: number, work: (turn: number) => Promise<void>): Promise<number> {
  let good = 0;
  for (let turn = 0; turn < times; turn += 1) if ((await outcome(work(turn))) === 'good') good += 1;
  return good;
}

describe('whoever guesses at the password of somebody', () => {
  it('from one client keeps them out from nowhere else', async () => {
    const tries = await throttle();
    expect(await letThrough(500, () => tries.logIn('alice', 'stranger'))).toBe(10);
    expect(await outcome(tries.logIn('alice', 'her own'))).toBe('good');
  });

  it('keeps them out everywhere when what one client may not is counted for all (control)', async () => {
    const budgets = await open();
    const crowd = budgets.of({ name: 'crowd', points: 100, windowS: 60 });
    const guess = budgets.of({ name: 'guess', points: 10, windowS: 60 });
    const logIn = async (client: string): Promise<void> => {
      const waits = await Promise.all([crowd.take('alice'), guess.take(`alice ${client}`)]);
      if (Math.max(...waits) > 0) throw Object.assign(new Error('wait'), { code: 'RATE_LIMITED' });
    };
    expect(await letThrough(500, () => logIn('stranger'))).toBe(10);
    expect(await outcome(logIn('her own'))).toBe('RATE_LIMITED');
  });

  it('from very many is stopped after ten times as much as one may', async () => {
    const tries = await throttle();
    expect(await letThrough(200, (turn) => tries.logIn('alice', `stranger ${turn % 20}`))).toBe(100);
    expect(await outcome(tries.logIn('alice', 'her own'))).toBe('RATE_LIMITED');
    expect(await outcome(tries.logIn('bob', 'her own'))).toBe('good');
  });

  it('and at that of many others has five times as much for all of them', async () => {
    const tries = await throttle();
    expect(await letThrough(100, (turn) => tries.logIn(`person${turn}`, 'stranger'))).toBe(50);
    expect(await outcome(tries.logIn('person99', 'their own'))).toBe('good');
  });
});

describe('whoever wants another handle', () => {
  it('gets so many in a day, and is told how long to wait; others have their own', async () => {
    const tries = await throttle();
    expect(await letThrough(5, () => tries.rename('alice'))).toBe(2);
    await expect(tries.rename('alice')).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringMatching(/^Too many new handles today; wait \d+ s\.$/) as unknown,
    });
    expect(await outcome(tries.rename('bob'))).toBe('good');
  });
});
