import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database, Tx } from '#libs/database';
import { newId } from '#libs/identity';
import { rebuild, type ReadModel, type Rebuilt } from '#libs/read-model';
import type { Logger } from '#libs/telemetry';
import { briefPause } from '../../../test/brief-pause.js';
import { withServer } from '../../../test/servers/needs.js';
import { loadPosts } from '../bulk.js';
import { postsGauges } from '../gauges.js';
import { trendingPage } from '../read/trending.queries.js';
import { openScene, type Scene } from '../scene.contract.js';
import { deletePost } from '../write/delete-post.js';
import { likePost } from '../write/like-post.js';
import { publishPost } from '../write/publish-post.js';
import { trendingModel } from './read-model.js';
import { refreshOldView, refreshTrending, TrendingRefresher } from './refresh.js';
import { viewOf } from './slices.js';

const pageOf = (database: Database, viewer: string | null, after?: { score: string; id: string }, take = 100) =>
  trendingPage(database, viewer, { after, take });
const idsOf = async (database: Database, viewer: string | null = null): Promise<string[]> =>
  (await pageOf(database, viewer)).posts.map(({ post }) => post.id);
const build = (database: Pick<Database, 'query' | 'transaction'>, mend = false): Promise<Rebuilt> =>
  rebuild(database, trendingModel, { mend, pause: briefPause });
const keptIn = async (database: Database, slot: number): Promise<string[]> =>
  (await database.query<{ id: string }>(`SELECT id FROM ${viewOf(slot)}`)).map(({ id }) => id);
const servingOf = async (database: Database): Promise<number> => {
  const [row] = await database.query<{ serving: number }>(`SELECT serving FROM read_models WHERE name = 'trending'`);
  return row?.serving ?? 0;
};

it('trending posts are as they were made, less what is gone, and say when that was', async () => {
  const scene = await openScene();
  const { database, writing } = scene;
  const people = await Promise.all(Array.from({ length: 4 }, () => scene.person()));
  const publish = (nth: number, inReplyToId: string | null = null): Promise<{ id: string }> =>
    publishPost(writing, { viewer: people[nth] as string, body: 'x', inReplyToId });
  const [quiet, liked, answered] = [await publish(0), await publish(0), await publish(1)];
  await likePost(writing, { viewer: people[2] as string, postId: liked.id });
  await publish(2, answered.id);

  const before = await pageOf(database, null);
  expect(before.posts).toEqual([]);
  expect(await refreshTrending(database, 3_600_000)).toBe(false); // young enough
  expect(await refreshTrending(database, 0)).toBe(true);
  for (const maxAgeMs of [0, 3_600_000]) {
    // Made before the clock was set back.
    await database.query(`UPDATE trending_slices SET made_at = now() + interval '1 hour'`);
    expect(await refreshTrending(database, maxAgeMs)).toBe(true);
  }
  const after = await pageOf(database, null);
  expect(Date.parse(after.asOf)).toBeGreaterThan(Date.parse(before.asOf));
  const shown = after.posts.map(({ post }) => post.id);
  expect(shown).toEqual([answered.id, liked.id]);
  expect(shown).not.toContain(quiet.id);

  // Page by page it is the same list.
  const paged: string[] = [];
  for (let at: { score: string; id: string } | undefined; ;) {
    const [one] = (await pageOf(database, null, at, 1)).posts;
    if (one === undefined) break;
    paged.push(one.post.id);
    at = { score: one.score, id: one.post.id };
  }
  expect(paged).toEqual(shown);

  await scene.hear('block-started', { blockerId: people[3] as string, blockedId: people[0] as string });
  expect(await idsOf(database, people[3])).not.toContain(liked.id);
  await deletePost(writing, { viewer: people[1] as string, id: answered.id });
  expect(await idsOf(database)).toEqual([liked.id]);
  await scene.close();
});

describe('trending posts of many days', () => {
  let scene: Scene;
  let database: Database;
  const minute = 60_000;
  const day = 1_440 * minute;
  const startedAt = Date.now();
  const midnight = Math.floor(startedAt / day) * day;
  /** The first and the last millisecond of each day of the week, the end of the week, and a clock that is ahead. */
  const trends = [
    ...[0, 1, 2, 3, 4, 5, 6].flatMap((ago) => [midnight - ago * day, midnight - ago * day - 1]),
    startedAt - 7 * day + 10 * minute,
    startedAt + day + minute,
  ].filter((at) => at > startedAt - 7 * day + minute);
  beforeAll(async () => {
    scene = await openScene();
    database = scene.database;
    const authorId = await scene.person();
    const tooOld = startedAt - 7 * day - minute;
    await loadPosts(
      database,
      [...trends, tooOld].map((at) => ({
        id: newId({ now: at }),
        authorId,
        body: String(at),
        createdAt: new Date(at).toISOString(),
        inReplyToId: null,
      })),
    );
    // Two of one moment are not liked alike: while a slice is made, others fall.
    await database.query(
      `UPDATE posts p SET like_count = 100 * n FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM posts) r WHERE r.id = p.id`,
    );
  });
  afterAll(() => scene.close());

  /** Without slices. */
  const byPlainSql = async (): Promise<string[]> => {
    const rows = await database.query<{ body: string }>(
      `SELECT body FROM posts WHERE created_at > now() - interval '7 days' AND state = 'published'
       ORDER BY (like_count + 2 * reply_count) / power(greatest(0, extract(epoch FROM now() - created_at)) / 3600 + 2, 1.8) DESC, id DESC`,
    );
    return rows.map(({ body }) => body);
  };
  const shown = async (): Promise<string[]> =>
    (await pageOf(database, null)).posts.map(({ post }) => String(post.body));

  it('are those of the last seven days, each in the slice of its day, also where a clock is ahead', async () => {
    await refreshTrending(database, 0);
    expect(await shown()).toEqual(await byPlainSql());
    expect((await shown()).toSorted()).toEqual(trends.map(String).toSorted());
    const slices = await database.query<{ slice: number; body: string }>(
      'SELECT slice, body FROM trending_1 JOIN posts USING (id)',
    );
    const today = Math.floor(startedAt / day);
    for (const { slice, body } of slices)
      expect([body, slice]).toEqual([body, (Math.min(today, Math.floor(Number(body) / day)) % 8) + 1]);
  });

  it('are built anew beside those that answer, day by day, and say how old they are', async () => {
    await database.query(`UPDATE posts SET like_count = like_count + 1000000 WHERE body = $1`, [String(trends[3])]);
    const steps: unknown[] = [];
    const rebuilt = await rebuild(database, trendingModel, {
      mend: false,
      pause: briefPause,
      onStep: ({ phase, keys }) => {
        steps.push(`${phase} ${keys}`);
      },
    });
    expect(rebuilt).toEqual({ switched: true, differing: 0, resumed: false });
    expect(steps).toEqual([...Array<string>(8).fill('filling 1'), ...Array<string>(8).fill('comparing 1')]);
    expect(await servingOf(database)).toBe(2);
    expect(await shown()).toEqual(await byPlainSql());
    expect((await shown())[0]).toBe(String(trends[3]));

    // Those of the first slice were made first.
    await database.query(`UPDATE trending_slices SET made_at = now() - interval '100 s' WHERE slot = 2 AND slice = 1`);
    const lag = postsGauges(database).find(({ labels }) => labels?.['model'] === 'trending');
    expect(Math.round((await lag!.read()) / 10)).toBe(10);
    expect(Math.round((Date.now() - Date.parse((await pageOf(database, null)).asOf)) / 10_000)).toBe(10);
  });

  it('read nothing of the version that does not answer', async () => {
    const plans: string[] = [];
    const explained = {
      async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
        const rows = await database.query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE, COSTS OFF) ${text}`, values);
        plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
        return database.query<Row>(text, values);
      },
    };
    const scansOf = async (): Promise<(string | undefined)[][]> => {
      plans.splice(0);
      await trendingPage(explained, null, { after: undefined, take: 5 });
      return plans.map((plan) => {
        const scans = [...plan.matchAll(/Scan.* on trending_([12])_\d .*(never executed)?/g)];
        expect(scans).toHaveLength(8);
        return [
          ...new Set(scans.map(([line, version]) => `${version}${line.includes('never executed') ? ' not' : ''}`)),
        ];
      });
    };
    const serve = (slot: number) => database.query(`UPDATE read_models SET serving = ${slot} WHERE name = 'trending'`);
    // One statement each; at a switch it asks twice, and at the next read knows.
    expect([await scansOf(), await serve(1), await scansOf(), await scansOf()]).toEqual([
      [['2']],
      [],
      [['2 not'], ['1']],
      [['1']],
    ]);
    await serve(2);
    expect([await scansOf(), await scansOf()]).toEqual([[['1 not'], ['2']], [['2']]]);
  });

  it('keep nothing of who is gone: the old version is emptied, by the next refresh where the rebuild was killed before', async () => {
    expect(await keptIn(database, 1)).toEqual([]);
    await database.query(`UPDATE read_models SET building = 1, began_at = now() WHERE name = 'trending'`);
    await database.transaction((tx) => trendingModel.fill(tx, 1, '00000000-0000-0000-0000-000000000000', 1));
    for (let slice = 1; slice < 8; slice++)
      await database.transaction((tx) => trendingModel.fill(tx, 1, `00000000-0000-0000-0000-00000000000${slice}`, 1));
    expect((await keptIn(database, 1)).length).toBe(trends.length);
    // Under way it is left alone; given up after a day, or killed behind the switch, it is not.
    await refreshTrending(database, 0);
    expect((await keptIn(database, 1)).length).toBe(trends.length);
    await database.query(`UPDATE read_models SET began_at = now() - interval '26 hours' WHERE name = 'trending'`);
    await refreshTrending(database, 0);
    expect(await keptIn(database, 1)).toEqual([]);
    expect(await keptIn(database, 2)).toHaveLength(trends.length);
    await database.query(`UPDATE read_models SET building = NULL WHERE name = 'trending'`);
  });

  it('nor the view of programs of before, when those are gone; where everybody would wait for that, only when it names who is', async () => {
    const kept = (): Promise<unknown[]> => database.query('SELECT FROM trending_posts');
    const refreshed = (at: string) =>
      database.query(`UPDATE read_models SET refreshed_at = ${at} WHERE name = 'trending'`);
    // As one of before has left it.
    await database.query('REFRESH MATERIALIZED VIEW trending_posts');
    const all = (await kept()).length;
    const state = (named: string) => database.query(`UPDATE posts SET state = '${named}' WHERE body = '${trends[2]}'`);
    await state('deleted');
    await refreshed('now()');
    expect([await refreshOldView(database), (await kept()).length]).toEqual([false, all]);
    // Of the time to come: before the clock was set back.
    for (const at of [`now() - interval '2 hours'`, `now() + interval '1 hour'`, 'NULL']) {
      await state('published');
      await database.query('REFRESH MATERIALIZED VIEW trending_posts');
      await refreshed(at);
      expect([at, await refreshOldView(database)]).toEqual([at, false]);
      await state('deleted');
      await refreshed(at);
      expect([at, await refreshOldView(database), (await kept()).length]).toEqual([at, true, all - 1]);
    }
    await state('published');
  });

  it('are refreshed all the same where that view cannot be', async () => {
    const warned: string[] = [];
    const logger = { warn: (_: unknown, text: string) => warned.push(text) } as unknown as Logger;
    await database.query(`ALTER MATERIALIZED VIEW trending_posts RENAME TO away`);
    await database.query(`UPDATE read_models SET refreshed_at = NULL WHERE name = 'trending'`);
    await database.query(`UPDATE trending_slices SET made_at = now() - interval '1 hour'`);
    const refresher = new TrendingRefresher({ database, logger, everyMs: 60_000 });
    refresher.start();
    await refresher.settled();
    await refresher.close();
    await database.query(`ALTER MATERIALIZED VIEW away RENAME TO trending_posts`);
    expect(warned).toEqual([expect.stringContaining('programs of before')]);
    expect(Date.now() - Date.parse((await pageOf(database, null)).asOf)).toBeLessThan(60_000);
  });

  it('leave no catalog that grows for good where nobody vacuums', async () => {
    /** As after some hundred refreshes. */
    const used = async (): Promise<number> => {
      await database.query(`DO $$ BEGIN FOR n IN 1..40 LOOP
        EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg('c' || c || ' int', ',') || ')' FROM generate_series(1, 300) c);
        DROP TABLE wide; END LOOP; END $$`);
      const [row] = await database.query<{ size: number }>(`SELECT pg_relation_size('pg_attribute')::int AS size`);
      return row?.size ?? 0;
    };
    const before = await used();
    expect(before).toBeGreaterThan(2_000_000);
    const warned: unknown[] = [];
    const logger = { warn: (told: unknown) => warned.push(told) } as unknown as Logger;
    const refresher = new TrendingRefresher({ database, logger, everyMs: 60_000 });
    refresher.start();
    await refresher.close();
    const [after, control] = [await used(), await used()];
    expect([warned, after <= before, control > before]).toEqual([[], true, true]);
  });

  it('are refreshed within one time for all of them', async () => {
    const within: number[] = [];
    const left: number[] = [];
    const untilMs = performance.now() + 10_000;
    const told: Pick<Database, 'kind' | 'transaction'> = {
      kind: database.kind,
      transaction: (work) =>
        database.transaction((tx) =>
          work({
            ...tx,
            query(text, values, withinMs) {
              if (text.startsWith('REFRESH')) {
                left.push(untilMs + 100 - performance.now());
                within.push(withinMs ?? Infinity);
              }
              return tx.query(text, values, withinMs);
            },
          }),
        ),
    };
    await refreshTrending(told, 0, { withinMs: 10_000 });
    expect(within).toHaveLength(8);
    // A share of what is left for each, all of it for the last.
    expect(within.map((ms, nth) => ms <= left[nth]! / (8 - nth))).toEqual(Array(8).fill(true));
  });

  /** The same store; `told` hears what each transaction refreshes and switches, and may do something in it. */
  const watched = (told: (refreshes: string[]) => void): Pick<Database, 'kind' | 'query' | 'transaction'> => ({
    kind: database.kind,
    query: (...statement) => database.query(...statement),
    transaction: (work) =>
      database.transaction((tx) => {
        const refreshes: string[] = [];
        told(refreshes);
        return work({
          ...tx,
          query(text, ...rest) {
            if (/^REFRESH|SET serving/.test(text)) refreshes.push(text.startsWith('REFRESH') ? 'day' : 'switch');
            return tx.query(text, ...rest);
          },
        });
      }),
  });
  const madeAt = async (): Promise<Date[]> => {
    const rows = await database.query<{ at: Date }>(
      `SELECT made_at AS at FROM trending_slices WHERE slot = (SELECT serving FROM read_models WHERE name = 'trending') ORDER BY slice`,
    );
    return rows.map(({ at }) => at);
  };

  it('are refreshed day by day where there is one connection, and whoever waits for it is served behind each', async () => {
    const order: string[] = [];
    const waiting: Promise<unknown>[] = [];
    const serving = watched(() => {
      order.push('a day');
      waiting.push(database.query('SELECT').then(() => order.push('served')));
    });
    expect(await refreshTrending(serving, 0)).toBe(true);
    await Promise.all(waiting);
    expect(order).toEqual(Array(8).fill(['a day', 'served']).flat());
  });

  it('are refreshed where one day cannot be, which is told at the end; but for today, where it is yesterday', async () => {
    const today = Math.floor(Date.now() / day);
    const madeWithout = async (ago: number): Promise<number[]> => {
      const view = `_${((today - ago) % 8) + 1}`;
      const failing: Pick<Database, 'kind' | 'transaction'> = {
        kind: database.kind,
        transaction: (work) =>
          database.transaction((tx) =>
            work({
              ...tx,
              async query(text, ...rest) {
                if (text.startsWith('REFRESH') && text.endsWith(view)) throw new Error('this day cannot be made');
                return tx.query(text, ...rest);
              },
            }),
          ),
      };
      const before = await madeAt();
      await expect(refreshTrending(failing, 0)).rejects.toThrow('this day cannot be made');
      const after = await madeAt();
      return [7, 6, 5, 4, 3, 2, 1, 0].filter((one) => {
        const slice = (today - one) % 8;
        return after[slice]! > before[slice]!;
      });
    };
    expect(await madeWithout(7)).toEqual([6, 5, 4, 3, 2, 1, 0]);
    expect(await madeWithout(3)).toEqual([7, 6, 5, 4, 2, 1, 0]);
    expect(await madeWithout(1)).toEqual([7, 6, 5, 4, 3, 2]);
  });

  it('are told to be as old as the oldest day while some are made anew, and the others come later', async () => {
    await database.query(`UPDATE trending_slices SET made_at = now() - interval '100 s'`);
    const [before, { asOf }] = [await madeAt(), await pageOf(database, null)];
    let days = 0;
    expect(await refreshTrending(database, 50_000, { isOver: () => days++ === 3 })).toBe(true);
    const between = await madeAt();
    expect(between.filter((at, slice) => at > before[slice]!)).toHaveLength(3);
    expect((await pageOf(database, null)).asOf).toBe(asOf);
    expect(await shown()).toEqual(await byPlainSql());
    // Only those that are due.
    const transactions: string[][] = [];
    expect(
      await refreshTrending(
        watched((refreshes) => transactions.push(refreshes)),
        50_000,
      ),
    ).toBe(true);
    expect(transactions.flat()).toHaveLength(5);
    expect((await pageOf(database, null)).asOf > asOf).toBe(true);
  });

  it('are made for now before the switch, day by day; it makes none itself (control: else it makes all that readers would go back in)', async () => {
    const rebuilt = async (model: ReadModel): Promise<{ switching: string[]; longest: number }> => {
      const transactions: string[][] = [];
      let steps = 0;
      const built = await rebuild(
        watched((refreshes) => transactions.push(refreshes)),
        model,
        {
          mend: false,
          pause: briefPause,
          // Behind what was compared, as each minute.
          async onStep() {
            if (++steps === 16) await refreshTrending(database, 0);
          },
        },
      );
      expect(built).toMatchObject({ switched: true, differing: 0 });
      const switching = transactions.find((refreshes) => refreshes.includes('switch')) ?? [];
      // Emptying is not among them: it makes nothing.
      const before = transactions.slice(1, transactions.indexOf(switching));
      return { switching, longest: Math.max(...before.map((refreshes) => refreshes.length)) };
    };
    for (const model of [trendingModel, trendingModel]) {
      const before = await madeAt();
      expect(await rebuilt(model)).toEqual({ switching: ['switch'], longest: 1 });
      const after = await madeAt();
      expect(after.every((at, slice) => at > before[slice]!)).toBe(true);
    }
    const { freshenSome: _, ...naive } = trendingModel;
    expect((await rebuilt(naive)).switching).toEqual([...Array<string>(8).fill('day'), 'switch']);
  });

  it('do not go back in time where a rebuild lay for long before it was switched to', async () => {
    const steps: string[] = [];
    const stopped = rebuild(database, trendingModel, {
      mend: false,
      pause: briefPause,
      onStep({ phase }) {
        if (steps.push(phase) === 16) throw new Error('stopped');
      },
    });
    await expect(stopped).rejects.toThrow('stopped');
    await database.query(`UPDATE trending_slices SET made_at = now() - interval '20 hours' WHERE slot = 1`);
    const [{ old } = {}] = await database.query<{ old: Date }>(OLD_VIEW);
    await database.query(`UPDATE posts SET like_count = like_count + 9000000 WHERE body = $1`, [String(trends[4])]);
    await refreshTrending(database, 0);
    const before = await pageOf(database, null);
    expect(await build(database)).toEqual({ switched: true, differing: 0, resumed: true });
    const after = await pageOf(database, null);
    expect(after.asOf > before.asOf).toBe(true);
    expect(after.posts[0]?.post.body).toBe(String(trends[4]));
    // The age of another view, for programs of before.
    expect(await database.query(OLD_VIEW)).toEqual([{ old }]);
  });

  it('that were given up are gone when others are begun, and a slice that is defined wrongly is found', async () => {
    const stopAt = (steps: number): Promise<Rebuilt> =>
      rebuild(database, trendingModel, {
        mend: false,
        pause: briefPause,
        onStep() {
          if (--steps === 0) throw new Error('stopped');
        },
      });
    await expect(stopAt(8)).rejects.toThrow('stopped');
    const serving = await servingOf(database);
    const building = 3 - serving;
    expect(await keptIn(database, building)).toHaveLength(trends.length);
    await database.query(`UPDATE read_models SET began_at = now() - interval '24.5 hours' WHERE name = 'trending'`);
    await expect(stopAt(1)).rejects.toThrow('stopped');
    expect((await keptIn(database, building)).length).toBeLessThan(trends.length / 2);

    const differing = async (right: string, wrong: string): Promise<number> => {
      let found = 0;
      const compared = database.transaction(async (tx) => {
        const [now] = await tx.query<{ text: string }>(`SELECT pg_get_viewdef('trending_now') AS text`);
        const text = now?.text ?? '';
        expect(text).toContain(right);
        await tx.query(`CREATE OR REPLACE VIEW trending_now AS ${text.replace(right, wrong)}`);
        for (let slice = 0; slice < 8; slice++) {
          const after = `00000000-0000-0000-0000-00000000000${slice}`;
          found += (await trendingModel.compare(tx, { serving, building }, after, 1))?.differing.length ?? 0;
        }
        throw new Error('as before');
      });
      await expect(compared).rejects.toThrow('as before');
      return found;
    };
    expect(await differing('LIMIT 500', 'LIMIT 500')).toBe(0);
    for (const [right, wrong] of [
      ['% 8', '% 7'],
      [`'7 days'`, `'6 days'`],
      ['1.8', '1.7'],
      ['LIMIT 500', 'LIMIT 1'],
    ] as const)
      expect([wrong, (await differing(right, wrong)) > 0]).toEqual([wrong, true]);
  });
});

const OLD_VIEW = `SELECT refreshed_at AS old FROM read_models WHERE name = 'trending'`;

withServer('postgres', 'trending posts that are made anew while others read them', (adminUrl) => {
  let scene: Scene;
  let database: Database;
  beforeAll(async () => {
    scene = await openScene(adminUrl);
    database = scene.database;
  });
  afterAll(() => scene?.close());

  /** Somebody has read them, and holds what a reader holds until `work` is done. */
  const whileRead = (work: (tx: Tx) => Promise<void>): Promise<void> =>
    database.transaction(async (tx) => {
      await tx.query('SELECT FROM trending_1, trending_2 LIMIT 1');
      await work(tx);
    });
  /** The statement that waits for somebody. */
  const waiting = async (): Promise<string> => {
    for (;;) {
      const [row] = await database.query<{ query: string }>(
        `SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      if (row) return row.query;
      await briefPause();
    }
  };
  const like = async (postId: string): Promise<void> => {
    await likePost(scene.writing, { viewer: await scene.person(), postId });
  };
  let post: string;

  it('wait for nobody who has read, and whoever reads meanwhile has those of before', async () => {
    const viewer = await scene.person();
    post = (await publishPost(scene.writing, { viewer, body: 'x', inReplyToId: null })).id;
    await like(post);
    let refreshing: Promise<boolean> | undefined;
    await whileRead(async (tx) => {
      // Kept from its end: they are made, and not committed.
      await tx.query('SELECT FROM trending_slices FOR UPDATE');
      refreshing = refreshTrending(database, 0, { withinMs: 5_000 });
      refreshing.catch(() => {});
      expect(await waiting()).toContain('UPDATE trending_slices');
      expect(await idsOf(database)).toEqual([]);
    });
    expect(await refreshing).toBe(true);
    expect(await idsOf(database)).toEqual([post]);
  });

  it('control: made anew in place, they wait for who has read', async () => {
    await whileRead(async () => {
      const inPlace = database.transaction(async (tx) => {
        await tx.query(`SET LOCAL lock_timeout = '100ms'`);
        await tx.query('REFRESH MATERIALIZED VIEW trending_1_1');
      });
      await expect(inPlace).rejects.toMatchObject({ cause: { code: '55P03' } });
    });
  });

  it('hold no row of a rebuild while the view of programs of before is made (control: once it is made they do)', async () => {
    await database.query(`UPDATE read_models SET refreshed_at = NULL WHERE name = 'trending'`);
    const held: [string, number][] = [];
    const watched = {
      kind: database.kind,
      transaction: (work: (tx: Tx) => Promise<boolean>) =>
        database.transaction((tx) =>
          work({
            ...tx,
            async query(...statement) {
              const rows = await tx.query<never>(...statement);
              const free = await database.query(
                `SELECT FROM read_models WHERE name = 'trending' FOR NO KEY UPDATE SKIP LOCKED`,
              );
              held.push([statement[0].split(' ')[0]!, 1 - free.length]);
              return rows;
            },
          }),
        ),
    } as unknown as Database;
    expect(await refreshOldView(watched)).toBe(true);
    expect(held).toEqual([
      ['SELECT', 0],
      ['REFRESH', 0],
      ['UPDATE', 1],
    ]);
    expect(await refreshOldView(database)).toBe(false);
  });

  /** Somebody likes the post each time between what a slice is made of and what it is compared with. */
  const likedMeanwhile = (): Pick<Database, 'query' | 'transaction'> => ({
    query: (...statement) => database.query(...statement),
    transaction: (work) =>
      database.transaction((tx) =>
        work({
          ...tx,
          async query(...statement) {
            const rows = await tx.query<never>(...statement);
            if (statement[0].startsWith('REFRESH')) await like(post);
            return rows;
          },
        }),
      ),
  });

  it('are compared at one moment: a like between making and comparing is no difference', async () => {
    expect(await build(likedMeanwhile())).toMatchObject({ switched: true, differing: 0 });
    expect(await idsOf(database)).toEqual([post]);
  });

  it('control: made and compared by two snapshots, such a like is taken for a difference', async () => {
    const naive = { ...trendingModel, oneSnapshot: false };
    expect(await rebuild(likedMeanwhile(), naive, { mend: false, pause: briefPause })).toMatchObject({
      switched: false,
      differing: 1,
    });
    expect(await idsOf(database)).toEqual([post]);
  });

  it('a refresh beside a rebuild, and two who rebuild at once, are in nobody’s way', async () => {
    let over = false;
    const refreshing = (async () => {
      while (!over) await refreshTrending(database, 0);
    })();
    const both = await Promise.all([build(database), build(database)]);
    over = true;
    await refreshing;
    expect(both.map(({ switched }) => switched)).toContain(true);
    expect(both.map(({ differing }) => differing)).toEqual([0, 0]);
    expect(await idsOf(database)).toEqual([post]);
  });

  it('are switched to also where the old ones are in use until the end', async () => {
    const old = await servingOf(database);
    // Nobody waits for long here.
    const hasty: Pick<Database, 'query' | 'transaction'> = {
      query: (...statement) => database.query(...statement),
      transaction: (work) =>
        database.transaction((tx) =>
          work({ ...tx, query: (text, ...rest) => tx.query(text.replace(`'100ms'`, `'1ms'`), ...rest) }),
        ),
    };
    let letGo = (): void => {};
    let holding: Promise<unknown> | undefined;
    let steps = 0;
    const rebuilt = await rebuild(hasty, trendingModel, {
      mend: false,
      pause: () => (holding ? Promise.resolve() : briefPause()),
      onStep: () =>
        new Promise((goOn) => {
          steps += 1;
          if (steps < 16) return goOn();
          holding = database.transaction(async (tx) => {
            await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
            await tx.query(`REFRESH MATERIALIZED VIEW CONCURRENTLY ${viewOf(old)}_1`);
            goOn();
            await new Promise<void>((resolve) => (letGo = resolve));
          });
        }),
    });
    expect(rebuilt).toEqual({ switched: true, differing: 0, resumed: false, notEmptied: true });
    letGo();
    await holding;
    expect([await servingOf(database), await keptIn(database, old)]).toEqual([3 - old, [post]]);
    await refreshTrending(database, 0);
    expect(await keptIn(database, old)).toEqual([]);
  });

  it('are switched to behind a refresh that is under way, so that none of before overtakes the switch', async () => {
    const old = await servingOf(database);
    let building: Promise<Rebuilt> | undefined;
    await database.transaction(async (tx) => {
      await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('trending_slices'))`);
      building = build(database);
      building.catch(() => {});
      expect([await waiting(), await servingOf(database)]).toEqual([expect.stringContaining('advisory'), old]);
    });
    expect([await building, await servingOf(database)]).toMatchObject([{ switched: true }, 3 - old]);
  });

  it('do not go back in time where a refresh that began after the switch is waited for', async () => {
    const old = await servingOf(database);
    const asOf = async () => Date.parse((await pageOf(database, null)).asOf);
    let building: Promise<Rebuilt> | undefined;
    let waited = Number.NaN;
    await database.transaction(async (tx) => {
      await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('trending_slices'))`);
      building = build(database);
      building.catch(() => {});
      expect(await waiting()).toContain('advisory');
      // What has the lock is a refresh, whose now() is behind the beginning of who waits: PostgreSQL tells when that was.
      const [row] = await tx.query<{ waited: Date }>(
        `UPDATE trending_slices SET made_at = clock_timestamp() WHERE slot = ${old}
         RETURNING (SELECT max(xact_start) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()) AS waited`,
      );
      waited = row!.waited.getTime();
    });
    const before = await database.query<{ at: Date }>(
      `SELECT max(made_at) AS at FROM trending_slices WHERE slot = ${old}`,
    );
    expect([await building, await servingOf(database)]).toMatchObject([{ switched: true }, 3 - old]);
    expect(await asOf()).toBeGreaterThanOrEqual(before[0]!.at.getTime());
    // The control: what the switch began with would have been older.
    expect(waited).toBeLessThan(before[0]!.at.getTime());
  });

  it('are refreshed in the version that answers when nobody switches any more, though another one did when the refresh began', async () => {
    const old = await servingOf(database);
    const author = await scene.person();
    const { id } = await publishPost(scene.writing, { viewer: author, body: 'x', inReplyToId: null });
    await like(id);
    const lock = `pg_try_advisory_xact_lock(hashtext('trending_slices'))`;
    // Tries for the lock later, in the statement that tries for it: for then a switch may be over.
    await database.query(
      `CREATE FUNCTION late_lock() RETURNS boolean LANGUAGE sql AS $$
         SELECT pg_advisory_xact_lock(hashtext('late_lock')); SELECT ${lock} $$`,
    );
    const late: Pick<Database, 'kind' | 'transaction'> = {
      kind: database.kind,
      transaction: (work) =>
        database.transaction(async (tx) => {
          // However busy the machine is.
          await tx.query('SET LOCAL lock_timeout = 0');
          await tx.query('SET LOCAL statement_timeout = 0');
          return work({ ...tx, query: (text, ...rest) => tx.query(text.replace(lock, 'late_lock()'), ...rest) });
        }),
    };
    let refreshing: Promise<boolean> | undefined;
    await database.transaction(async (tx) => {
      await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('late_lock'))`);
      refreshing = refreshTrending(late, 0);
      refreshing.catch(() => {});
      expect(await waiting()).toContain('late_lock');
      await database.query(`UPDATE read_models SET serving = ${3 - old} WHERE name = 'trending'`);
    });
    expect([await refreshing, await servingOf(database)]).toEqual([true, 3 - old]);
    expect(await idsOf(database)).toContain(id);
    expect(await keptIn(database, old)).toHaveLength(0);
    await database.query('DROP FUNCTION late_lock');
    await deletePost(scene.writing, { viewer: author, id });
    await refreshTrending(database, 0);
  });

  it('go by all that is counted, also what is not in the row of a post yet', async () => {
    const scoreOf = async (): Promise<number> => {
      await refreshTrending(database, 0);
      return Number((await pageOf(database, null)).posts.find((one) => one.post.id === post)?.score);
    };
    const likes = async (): Promise<number> =>
      (await pageOf(database, null)).posts.find((one) => one.post.id === post)!.post.likeCount;
    const [before, counted] = [await scoreOf(), await likes()];
    await database.query('INSERT INTO count_deltas (post_id, likes) VALUES ($1, 100)', [post]);
    expect(await likes()).toBe(counted + 100);
    // Less than it would be now, because time passes; more than half of it.
    expect(await scoreOf()).toBeGreaterThan((before * (counted + 50)) / counted);
    expect(await build(database)).toMatchObject({ switched: true, differing: 0 });
    await database.query('DELETE FROM count_deltas');
    expect(await scoreOf()).toBeLessThanOrEqual(before);
  });

  it('a slice that is made otherwise is found, and is switched to only where that is asked for', async () => {
    const serving = await servingOf(database);
    const other = 3 - serving;
    const today = (Math.floor(Date.now() / 86_400_000) % 8) + 1;
    const view = `trending_${other}_${today}`;
    const [all] = await database.query<{ text: string }>(`SELECT pg_get_viewdef('${viewOf(other)}') AS text`);
    await database.transaction(async (tx) => {
      await tx.query(`DROP MATERIALIZED VIEW ${view} CASCADE`);
      await tx.query(`CREATE MATERIALIZED VIEW ${view} AS SELECT id, author_id, score / 2 AS score FROM trending_now
        WHERE slice = ${today}`);
      await tx.query(`CREATE UNIQUE INDEX ON ${view} (score, id)`);
      await tx.query(`CREATE VIEW ${viewOf(other)} AS ${all?.text}`);
    });
    expect(await build(database)).toEqual({ switched: false, differing: 1, resumed: false });
    expect(await servingOf(database)).toBe(serving);
    expect(await build(database, true)).toEqual({ switched: true, differing: 1, resumed: false });
    expect(await servingOf(database)).toBe(other);
  });
});
