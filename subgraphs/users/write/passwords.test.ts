import { describe, expect, it } from '@jest/globals';
import { Passwords } from './passwords.js';

describe('passwords', () => {
  it('are right or wrong, and salted', async () => {
    const passwords = new Passwords({ atOnce: 2 });
    const [one, two] = await Promise.all([passwords.hash('correct horse'), passwords.hash('correct horse')]);
    expect(one).not.toBe(two);
    expect(await passwords.verify(one, 'correct horse')).toBe(true);
    expect(await passwords.verify(two, 'wrong horse')).toBe(false);
  });

  it('are wrong for nobody, after as much work as for somebody', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const kept = await passwords.hash('correct horse');
    const before = passwords.work;
    await passwords.verify(kept, 'wrong horse');
    const forSomebody = passwords.work - before;
    expect(await passwords.verify(undefined, 'wrong horse')).toBe(false);
    expect(passwords.work - before).toBe(2 * forSomebody);
  });

  it('are hashed in turn, so whoever only reads goes on reading between them', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const finished: number[] = [];
    await Promise.all(
      Array.from({ length: 12 }, (_, n) => passwords.hash('correct horse').then(() => finished.push(n))),
    );
    expect(finished).toEqual(Array.from({ length: 12 }, (_, n) => n));
  });

  it('make nobody wait without end: when a hundred wait, the next one is told to come back', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const outcomes = await Promise.allSettled(Array.from({ length: 105 }, () => passwords.verify(undefined, 'x')));
    const codes = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as { code: string }).code] : [],
    );
    expect(codes).toEqual(Array.from({ length: 4 }, () => 'OVERLOADED'));
    expect(passwords.work).toBe(101);
    expect(await passwords.verify(undefined, 'x')).toBe(false);
  });
});
