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

  /** A hash takes 30 ms of its clock. */
  function timed() {
    const refused: unknown[] = [];
    let hashed = 0;
    const clock = () => passwords.work * 30;
    const passwords: Passwords = new Passwords({ atOnce: 1, clock });
    const logIn = async (leftMs: number | undefined, line = '') => {
      const deadline = leftMs === undefined ? undefined : new Deadline(leftMs, clock);
      const asker = { line, deadline };
      return passwords.hash('correct horse', asker).then(
        () => `${(hashed += 1)}`,
        (error: unknown) => (refused.push(error), (error as { code: string }).code),
      );
    };
    return { passwords, refused, logIn };
  }

  it('that would not be hashed before their gateway gives up are refused at once; without a deadline they are hashed (control)', async () => {
    const { passwords, refused, logIn } = timed();
    const all = Array.from({ length: 10 }, () => logIn(200));
    await new Promise((go) => setImmediate(go));
    // Three wait, for 30, 60 and 90 ms, and each has 90 for itself and the way back.
    expect(refused).toMatchObject(Array<object>(6).fill({ code: 'OVERLOADED', retryAfterS: 6 }));
    expect(await Promise.all(all)).toEqual(['1', '2', '3', '4', ...Array<string>(6).fill('OVERLOADED')]);
    expect(passwords.work).toBe(4);
    const control = timed();
    await Promise.all(Array.from({ length: 10 }, () => control.logIn(undefined)));
    expect([control.passwords.work, control.refused]).toEqual([10, []]);
  });

  it('that others came before are refused when it is their turn, before they are hashed, and nobody’s place is lost', async () => {
    const { passwords, logIn } = timed();
    const first = [logIn(undefined), logIn(140, 'one'), logIn(170, 'one')];
    // One turn each, before the second of that line.
    const others = Array.from({ length: 6 }, (_, n) => logIn(undefined, `other ${n}`));
    expect((await Promise.all(first))[2]).toBe('OVERLOADED');
    expect(await Promise.all(others)).not.toContain('OVERLOADED');
    expect(passwords.work).toBe(8);
    expect(await logIn(1)).toBe('9');
  });

  it('are tried where nobody is before them, however long the last one took', async () => {
    let now = 0;
    const slow = new Passwords({ atOnce: 1, clock: () => (now += 10_000) });
    for (let nth = 0; nth < 5; nth++) await slow.hash('x', { deadline: new Deadline(50, () => 0) });
    expect(slow.work).toBe(5);
  });

  it('make nobody wait without end: when too many wait, the next one is told when to come back', async () => {
    const passwords = new Passwords({ atOnce: 1 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: WAITING_MAX + 5 }, () => passwords.verify(undefined, 'x')),
    );
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(refused).toMatchObject(Array.from({ length: 4 }, () => ({ code: 'OVERLOADED', retryAfterS: 6 })));
    expect(passwords.work).toBe(WAITING_MAX + 1);
    expect(await passwords.verify(undefined, 'x')).toBe(false);
  });

  it('are counted as asked, whatever becomes of them, and as hashed where somebody still waits; control: also who gave up is hashed', async () => {
    let now = 0;
    const clock = (): number => now;
    const passwords = new Passwords({ atOnce: 1, clock });
    const counts = () => Promise.all(passwords.gauges('users').map((gauge) => gauge.read()));
    await passwords.hash('in time', { deadline: new Deadline(50, clock) });
    expect(await counts()).toEqual([1, 1]);
    const late = passwords.hash('too late', { deadline: new Deadline(50, clock) });
    const refused = passwords.hash('refused', { deadline: new Deadline(50, clock) });
    now += 60;
    await expect(refused).rejects.toMatchObject({ code: 'OVERLOADED' });
    await late;
    expect([await counts(), passwords.work]).toEqual([[3, 1], 2]);
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
