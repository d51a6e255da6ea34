import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Trending posts in two versions of eight slices, so that the one that does not answer can be made anew slice by slice. A slice is what was
 * published on one day (its number modulo 8: seven whole days and what is left of the eighth), at most 500 posts, and the ids sort by
 * time, so it reads a range of the primary key. `trending_now` says what each of them is to hold at this moment; the materialized views
 * keep it; `trending_1` and `trending_2` are the slices of a version. A version that neither answers nor is being built is empty when it is refreshed, so that nothing of
 * an erased account stays in it.
 *
 * `trending_posts` stays as it is: programs of the version before read and refresh it while both run. A later version drops it.
 */
export class TrendingSlices1764806400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(NOW);
    for (const { slot, slice, view } of KEPT) {
      await runner.query(
        `CREATE MATERIALIZED VIEW ${view} AS SELECT id, author_id, score FROM trending_now
         WHERE slice = ${slice} AND (SELECT ${slot} IN (serving, ${BUILDING}) FROM read_models WHERE name = 'trending')`,
      );
      // A page reads in its order, and REFRESH … CONCURRENTLY compares by it.
      await runner.query(`CREATE UNIQUE INDEX ${view}_by_score ON ${view} (score, id)`);
    }
    // Not one view of both: a read would plan, and lock, sixteen of which it reads eight.
    for (const version of [1, 2]) {
      const slices = KEPT.filter(({ slot }) => slot === version).map(
        ({ slice, view }) => `SELECT ${slice} AS slice, id, author_id, score FROM ${view}`,
      );
      await runner.query(`CREATE VIEW trending_${version} AS ${slices.join(' UNION ALL ')}`);
    }
    await runner.query(
      `CREATE TABLE trending_slices (
         slot smallint, slice smallint, made_at timestamptz(3) NOT NULL, CONSTRAINT trending_slices_pk PRIMARY KEY (slot, slice)
       )`,
    );
    await runner.query(
      `INSERT INTO trending_slices SELECT slot, slice, now() FROM generate_series(1, 2) AS slot, generate_series(1, 8) AS slice`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE trending_slices');
    await runner.query('DROP VIEW trending_1, trending_2');
    for (const { view } of KEPT) await runner.query(`DROP MATERIALIZED VIEW ${view}`);
    await runner.query('DROP VIEW trending_now');
    await runner.query(`UPDATE read_models SET serving = 1, building = NULL, phase = 'idle' WHERE name = 'trending'`);
  }
}

const KEPT = [1, 2].flatMap((slot) =>
  [1, 2, 3, 4, 5, 6, 7, 8].map((slice) => ({ slot, slice, view: `trending_${slot}_${slice}` })),
);

/** What was begun longer ago is given up. */
const BUILDING = `CASE WHEN began_at > now() - interval '25 hours' THEN building END`;

const firstIdOf = (ms: string): string => `(lpad(to_hex((${ms})::bigint), 12, '0') || repeat('0', 20))::uuid`;

/** Without an end today: a clock may be ahead. */
const NOW = `
  CREATE VIEW trending_now AS
  SELECT d.slice, t.id, t.author_id, t.score
  FROM (
    SELECT slice, today, today - (today + 1 - slice) % 8 AS day
    FROM generate_series(1, 8) AS slice, (SELECT floor(extract(epoch FROM now()) / 86400)::int AS today) n
  ) d
  CROSS JOIN LATERAL (
    SELECT p.id, p.author_id,
      (p.likes + 2 * p.replies)::float8
        / power(greatest(0, extract(epoch FROM now() - p.created_at)::float8) / 3600 + 2, 1.8) AS score
    FROM (
      SELECT p.id, p.author_id, p.created_at,
        CASE WHEN s.second THEN p.like_count_2 ELSE p.like_count END AS likes,
        CASE WHEN s.second THEN p.reply_count_2 ELSE p.reply_count END AS replies
      FROM posts p CROSS JOIN (SELECT coalesce((SELECT serving = 2 FROM read_models WHERE name = 'post-counts'), false) AS second) s
      WHERE p.state = 'published'
    ) p
    WHERE p.likes + p.replies > 0
      AND p.id >= ${firstIdOf(`greatest(d.day * 86400000.0, extract(epoch FROM now() - interval '7 days') * 1000)`)}
      AND p.id < CASE WHEN d.day = d.today THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE ${firstIdOf('(d.day + 1) * 86400000.0')} END
    ORDER BY score DESC, p.id DESC LIMIT 500
  ) t`;
