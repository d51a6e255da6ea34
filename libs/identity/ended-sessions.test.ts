import { describe, expect, it } from '@jest/globals';
import { EndedSessions, type EndedSessionsPage } from './index.js';

const HOUR = 3_600_000;
const NOTHING: EndedSessionsPage = { now: 1_000_000, sessions: [], people: [] };

/** Asked by hand, so nothing hangs on time. */
function ended(
  read: (since: number, after: string | undefined) => Promise<EndedSessionsPage> | EndedSessionsPage,
  clock = () => 0,
) {
  const said: (string | undefined)[] = [];
  const list = new EndedSessions({
    read: async (since, after) => read(since, after),
    clock,
    pollMs: 600_000,
    report: (trouble) => void said.push(trouble),
  });
  return { list, said };
}
const outcome = async (list: EndedSessions, subject: string, claims: Record<string, unknown>): Promise<string> =>
  list.require(subject, claims).then(
    () => 'good',
    (error: { code: string }) => error.code,
  );

describe('a log-in that has ended', () => {
  it('is refused, alone or with all of the same person that began before; what began after is good', async () => {
    const { list } = ended(() => ({
      now: 1_000,
      sessions: [['out', 2_000]],
      people: [['user_a', 2, 2_000]],
    }));
    expect(await outcome(list, 'user_b', { jti: 'out' })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_b', { jti: 'in' })).toBe('good');
    expect(await outcome(list, 'user_a', { jti: 'in' })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_a', { jti: 'in', gen: 1 })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_a', { jti: 'in', gen: 2 })).toBe('good');
    expect(await outcome(list, 'user_a', { jti: 'in', gen: 'many' })).toBe('UNAUTHENTICATED');
    await list.close();
  });

  it('stays so when a page comes out of order, and is forgotten when its token has run out by itself', async () => {
    const pages: EndedSessionsPage[] = [
      { now: 1_000, sessions: [['out', 2_000]], people: [['user_a', 3, 5_000]] },
      { now: 1_500, sessions: [], people: [['user_a', 2, 4_000]] },
      { now: 3_000, sessions: [], people: [] },
      { now: 6_000, sessions: [], people: [] },
    ];
    const { list } = ended(() => pages.shift()!);
    await list.refresh();
    await list.refresh();
    expect(await outcome(list, 'user_a', { gen: 2 })).toBe('UNAUTHENTICATED');
    expect(list.size).toBe(2);
    await list.refresh();
    expect(list.size).toBe(1);
    await list.refresh();
    expect(list.size).toBe(0);
    await list.close();
  });
});

describe('somebody who logs in and out without end', () => {
  /** As users tells it: a hundred one by one, then all, again and again, each read finding a few that are new. */
  async function kept(subject: string | undefined) {
    const page = { now: 1_000, sessions: [] as [string, number, string?][], people: [] as [string, number, number][] };
    const { list } = ended(() => structuredClone(page));
    let most = 0;
    for (let turn = 1; turn <= 1_000; turn += 1) {
      if (turn % 101 === 0) {
        page.people = [['user_a', turn / 101, 1e15]];
        page.sessions = [];
      } else page.sessions.push(subject === undefined ? [`jti ${turn}`, 1e15] : [`jti ${turn}`, 1e15, subject]);
      if (turn % 10 !== 0) continue;
      await list.refresh();
      most = Math.max(most, list.size);
    }
    return { list, most };
  }

  it('is a hundred log-ins and one mark (control: where it is not told whose they are, every one)', async () => {
    const { list, most } = await kept('user_a');
    expect(most).toBeLessThanOrEqual(2 * 100 + 1);
    // All that ended are refused still, those of the newest generation by themselves.
    expect(await outcome(list, 'user_a', { jti: 'jti 5' })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_a', { jti: 'jti 905', gen: 8 })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_a', { jti: 'jti 950', gen: 9 })).toBe('UNAUTHENTICATED');
    expect(await outcome(list, 'user_a', { jti: 'newest', gen: 9 })).toBe('good');
    await list.close();
    const naive = await kept(undefined);
    expect(naive.most).toBeGreaterThan(900);
    await naive.list.close();
  });

  it('is refused where all had ended before one more did, and both are told at once or read again', async () => {
    const pages: EndedSessionsPage[] = [
      { now: 1_000, sessions: [['late', 1e15, 'user_a']], people: [['user_a', 1, 1e15]] },
      { now: 1_000, sessions: [['late', 1e15, 'user_a']], people: [['user_a', 1, 1e15]] },
      NOTHING,
    ];
    const { list } = ended(() => pages.shift()!);
    for (let turn = 0; turn < 3; turn += 1) {
      await list.refresh();
      expect(await outcome(list, 'user_a', { jti: 'late', gen: 1 })).toBe('UNAUTHENTICATED');
    }
    await list.close();
  });
});

describe('the list', () => {
  it('keeps what ended for as long as it was told last, where that is longer (control: as long as it was told first, where it is not)', async () => {
    for (const [later, found] of [
      [1e15, 'UNAUTHENTICATED'],
      [1_500, 'good'],
    ] as const) {
      const pages: EndedSessionsPage[] = [
        { now: 1_000, sessions: [], people: [['user_a', 1, 2_000]] },
        { now: 1_000, sessions: [], people: [['user_a', 1, later]] },
        { now: 3_000, sessions: [], people: [] },
      ];
      const { list } = ended(() => pages.shift()!);
      for (let turn = 0; turn < 3; turn += 1) await list.refresh();
      expect(await outcome(list, 'user_a', { gen: 0 })).toBe(found);
      await list.close();
    }
  });

  it('is asked for from a minute before it was last, for a transaction that ended late', async () => {
    const asked: number[] = [];
    const { list } = ended((since) => {
      asked.push(since);
      return NOTHING;
    });
    await list.refresh();
    await list.refresh();
    expect(asked).toEqual([0, 940_000]);
    await list.close();
  });

  it('comes in pages, and is known when the last one has come; what ended meanwhile is asked for again', async () => {
    const asked: [number, string | undefined][] = [];
    let broken = true;
    const { list, said } = ended((since, after) => {
      asked.push([since, after]);
      if (after === undefined) return { now: 1_000_000, sessions: [['one', 1e15]], people: [], next: 'page two' };
      if (broken) throw new Error('not there');
      return { now: 1_500_000, sessions: [['two', 1e15]], people: [['user_a', 2, 1e15]] };
    });
    expect(await outcome(list, 'u', { jti: 'in' })).toBe('SUBGRAPH_UNAVAILABLE');
    broken = false;
    const seen: string[] = [];
    for (const jti of ['in', 'one', 'two']) seen.push(await outcome(list, 'u', { jti }));
    expect(seen).toEqual(['good', 'UNAUTHENTICATED', 'UNAUTHENTICATED']);
    await list.refresh();
    expect(asked).toEqual(
      [0, 0, 940_000].flatMap((since) => [
        [since, undefined],
        [since, 'page two'],
      ]),
    );
    expect(said).toEqual(['Error: not there', undefined, undefined]);
    await list.close();
  });

  it('whose pages have no end is given up', async () => {
    let reads = 0;
    const { list } = ended(() => ({ ...NOTHING, next: String((reads += 1)) }));
    expect(await outcome(list, 'u', {})).toBe('SUBGRAPH_UNAVAILABLE');
    expect(reads).toBe(1_000);
    await list.close();
  });

  it('that was never read lets nobody in: who was thrown out would be back after a restart', async () => {
    let answers = false;
    const { list, said } = ended(() => {
      if (!answers) throw new Error('not there');
      return NOTHING;
    });
    expect(await outcome(list, 'user_a', {})).toBe('SUBGRAPH_UNAVAILABLE');
    answers = true;
    expect(await outcome(list, 'user_a', {})).toBe('good');
    expect(said).toEqual(['Error: not there', undefined]);
    await list.close();
  });

  it('is believed for an hour while users cannot be reached, and no longer', async () => {
    let now = 0;
    let answers = true;
    const { list } = ended(
      () => {
        if (!answers) throw new Error('not there');
        return { ...NOTHING, sessions: [['out', 1e15]] };
      },
      () => now,
    );
    await list.refresh();
    answers = false;
    now = HOUR;
    await list.refresh();
    expect([await outcome(list, 'u', { jti: 'in' }), await outcome(list, 'u', { jti: 'out' })]).toEqual([
      'good',
      'UNAUTHENTICATED',
    ]);
    now = HOUR + 1;
    expect(await outcome(list, 'u', { jti: 'in' })).toBe('SUBGRAPH_UNAVAILABLE');
    await list.close();
  });

  it('says how old it is: since it last came whole, or since it is waited for', async () => {
    let now = 1_000;
    let answers = false;
    const { list } = ended(
      () => {
        if (!answers) throw new Error('not there');
        return NOTHING;
      },
      () => now,
    );
    const ages: number[] = [];
    for (const then of [true, false]) {
      now += 90_000;
      await list.refresh();
      ages.push(list.ageMs);
      answers = then;
      now += 1_000;
      await list.refresh();
      ages.push(list.ageMs);
    }
    expect(ages).toEqual([90_000, 0, 0, 1_000]);
    await list.close();
  });

  it('is asked for once, however many wait for it', async () => {
    let reads = 0;
    const { list } = ended(async () => {
      reads += 1;
      await Promise.resolve();
      return NOTHING;
    });
    await Promise.all(Array.from({ length: 100 }, () => outcome(list, 'u', {})));
    expect(reads).toBe(1);
    await list.close();
  });
});
