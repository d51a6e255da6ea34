import { describe, expect, it } from '@jest/globals';
import { Deadline } from '#libs/failure';
import { Passwords, WAITING_MAX } from './passwords.js';

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

  it('are not hashed for a gateway that has given up by the time it is their turn; without a deadline they are (control)', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const kept = await passwords.hash('correct horse');
    const cost = async (leftMs?: number) => {
      const before = passwords.work;
      // Each hash that is begun takes 30 ms of this clock.
      const deadline = leftMs === undefined ? undefined : new Deadline(leftMs, () => (passwords.work - before) * 30);
      const logIn = () =>
        passwords
          .verify(kept, 'correct horse', { deadline })
          .catch((error: unknown) => (error as { code: string }).code);
      const outcomes = await Promise.all(Array.from({ length: 10 }, logIn));
      return { outcomes, hashes: passwords.work - before };
    };
    expect(await cost(50)).toEqual({
      outcomes: [true, true, ...Array<string>(8).fill('SUBGRAPH_TIMEOUT')],
      hashes: 2,
    });
    expect(await cost()).toEqual({ outcomes: Array<boolean>(10).fill(true), hashes: 10 });
    // Nobody's place is lost.
    expect(await cost(3_000)).toMatchObject({ hashes: 10 });
  });

  it('make nobody wait without end: when too many wait, the next one is told when to come back', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: WAITING_MAX + 5 }, () => passwords.verify(undefined, 'x')),
    );
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(refused).toMatchObject(Array.from({ length: 4 }, () => ({ code: 'OVERLOADED', retryAfterS: 1 })));
    expect(passwords.work).toBe(WAITING_MAX + 1);
    expect(await passwords.verify(undefined, 'x')).toBe(false);
  });

  it('of two hundred clients at once leave free what a gateway has for mutations, half of 64; control: a line of a hundred has it all', async () => {
    const inLine = async (passwords: Passwords) => {
      await passwords.verify(undefined, 'x');
      let inside = 0;
      const one = async (line: string): Promise<void> => {
        inside += 1;
        await passwords.verify(undefined, 'x', { line }).catch(() => {});
        inside -= 1;
      };
      const all = Array.from({ length: 200 }, (_, n) => one(`client ${n}`));
      // Whoever was turned away has left by then.
      await new Promise((go) => setImmediate(go));
      const waiting = inside;
      await Promise.all(all);
      return waiting;
    };
    expect(await inLine(new Passwords({ atOnce: 1 }))).toBeLessThan(32);
    expect(await inLine(new Passwords({ atOnce: 1, waitingMax: 100 }))).toBeGreaterThan(64);
  });

  it('of one client make no other wait but for their turn; in one line for all (control) everybody stands behind them', async () => {
    const lastBefore = async (lines: { readonly many: string; readonly one: string }) => {
      const passwords = new Passwords({ atOnce: 1 });
      const many = Array.from({ length: 20 }, () => passwords.verify(undefined, 'x', { line: lines.many }));
      const before = passwords.work;
      await passwords.verify(undefined, 'x', { line: lines.one });
      const hashes = passwords.work - before;
      await Promise.all(many);
      return hashes;
    };
    expect(await lastBefore({ many: 'stranger', one: 'somebody' })).toBeLessThan(5);
    expect(await lastBefore({ many: 'all', one: 'all' })).toBe(21);
  });

  it('of one client fill the line for nobody else: the last of the longest is turned away, who stands alone is not', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const of = (line: string) =>
      passwords.verify(undefined, 'x', { line }).catch((error: unknown) => (error as { code: string }).code);
    const strangers = Array.from({ length: WAITING_MAX + 1 }, () => of('stranger'));
    const others = Array.from({ length: 10 }, (_, n) => of(`client ${n}`));
    const refused = (outcomes: readonly unknown[]) => outcomes.filter((outcome) => outcome === 'OVERLOADED').length;
    expect(refused(await Promise.all(others))).toBe(0);
    expect(refused(await Promise.all(strangers))).toBe(10);
    expect(passwords.work).toBe(WAITING_MAX + 1);
  });
});
