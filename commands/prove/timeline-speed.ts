import { openDatabase, type Database } from '#libs/database';
import { newId } from '#libs/identity';
import { rebuild } from '#libs/read-model';
import { readPostsConfig, timelineLimits } from '../../subgraphs/posts/config.js';
import * as bulk from '../../subgraphs/posts/bulk.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { homePage, homePageFromSource } from '../../subgraphs/posts/read/home.queries.js';
import { deliverStep } from '../../subgraphs/posts/timeline/deliver.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { postIdAt } from '../seed/posts.js';
import { generateWorld } from '../seed/world.js';
import { drawer } from './draw.js';
import { BESIDE, fanOuts, TIMES } from './fan-out.js';
import type { Place } from './places.js';
import type { Figure, Must, Proof, Row, Setup } from './proof.js';

/**
 * How fast home timelines are written, read and built anew, and how long a post is on its way to all lists, in a world of the store of posts alone: `--size` people with 60 follows
 * and 20 posts each, with the degrees of a real network. 50,000 people are 3 million follows.
 */
export const timelineSpeed: Proof = {
  name: 'timeline-speed',
  says: 'deliveries per second, how long a post takes to all lists, the home timeline’s read time, the rate of a rebuild (wants the machine for itself)',
  always: false,
  alone: true,
  async run(setup) {
    const rows: Row[] = [];
    for (const place of setup.places) rows.push(...(await measure(setup, place)));
    return rows;
  },
};

const FOLLOWS_EACH = 60;
const POSTS_EACH = 20;
const LIMITS = timelineLimits(readPostsConfig({}));
/** Posts that are delivered, and pages that are read. */
const DELIVERED_POSTS = 3_000;
const READS = 3_000;
const THRESHOLDS = [100, 500, 2_000, 10_000];
/** On real servers and with so many people deliveries and reads have an aim. */
const AIMED_PEOPLE = 50_000;
const DELIVERIES_MIN = 50_000;
const READ_MS_MAX = 10;

async function measure(setup: Setup, place: Place): Promise<Row[]> {
  const site = await place.prepare({ posts: postsTables });
  const { urls, dataDir } = site;
  const database = await openDatabase({
    service: 'posts',
    url: urls?.['posts'],
    dataDir,
    bulk: true,
    poolMax: 4,
    ...postsTables,
  });
  try {
    const people = await load(setup, database);
    const built = await timed(async () => fill(setup, database, people.length));
    await database.query('ANALYZE');
    await database.query('CHECKPOINT').catch(() => undefined);
    const draw = drawer(setup.seed);
    const deliveries = await deliver(database, people, draw);
    const reads = await read(database, people, draw, homePage);
    const fromSource = await read(database, people, draw, homePageFromSource);
    const rebuilt = await anew(setup, database, people.length);
    const isAimed = place.name === 'servers' && people.length >= AIMED_PEOPLE;
    const all: Row = {
      claim: `${people.length.toLocaleString('en')} people, ${(FOLLOWS_EACH * people.length).toLocaleString('en')} follows`,
      place: place.name,
      over: `${deliveries.count.toLocaleString('en')} deliveries, ${READS.toLocaleString('en')} reads`,
      figures: [
        figure(
          'deliveries',
          deliveries.count / deliveries.seconds,
          '/s',
          isAimed ? { atLeast: DELIVERIES_MIN } : undefined,
        ),
        figure('read p50', reads.p50, 'ms'),
        figure('read p99', reads.p99, 'ms', isAimed ? { atMost: READ_MS_MAX } : undefined),
        figure('from the source p50', fromSource.p50, 'ms'),
        figure('from the source p99', fromSource.p99, 'ms'),
        figure('first filled', people.length / built, 'people/s'),
        figure('rebuilt', rebuilt.people, 'people/s'),
        figure('rebuilt', rebuilt.rows, 'rows/s'),
      ],
    };
    const rows = [all];
    for (const pushMax of THRESHOLDS) rows.push(await withThreshold(pushMax, database, people, draw, place));
    return rows;
  } finally {
    await database.close();
    await site.clear();
  }
}

/** What choosing another TIMELINE_PUSH_MAX would mean: how many are merged in then, how long a post is on its way, and what reading costs. */
async function withThreshold(
  pushMax: number,
  database: Database,
  people: readonly string[],
  draw: (below: number) => number,
  place: Place,
): Promise<Row> {
  const [counted] = await database.query<{ pulled: number; spared: number | null }>(
    `WITH degrees AS (
       SELECT p.id, (SELECT count(*) FROM follow_edges f WHERE f.followee_id = p.id) AS followers FROM people p
     ), changed AS (
       UPDATE people p SET pulled = d.followers > $1 FROM degrees d WHERE d.id = p.id AND p.pulled <> (d.followers > $1)
     )
     SELECT count(*) FILTER (WHERE followers > $1)::int AS pulled,
       (100.0 * sum(followers) FILTER (WHERE followers > $1) / sum(followers))::float8 AS spared FROM degrees`,
    [pushMax],
  );
  await database.query('VACUUM ANALYZE people').catch(() => undefined);
  const reads = await read(database, people, draw, homePage, 1_000);
  const longest = await fanOuts(database, { ...LIMITS, pushMax }, people, draw);
  return {
    claim: `merged in above ${pushMax.toLocaleString('en')} followers`,
    place: place.name,
    over: `1,000 reads, 3 × ${TIMES} posts to ${longest.followers.toLocaleString('en')} followers`,
    figures: [
      figure('people merged in', counted?.pulled ?? 0, ''),
      figure('deliveries spared', counted?.spared ?? 0, '%'),
      figure('longest fan-out alone', longest.alone, 'ms'),
      figure(`beside ${BESIDE} by chance`, longest.besideSome, 'ms'),
      figure(`beside the ${BESIDE} longest`, longest.besideLongest, 'ms'),
      figure('read p50', reads.p50, 'ms'),
      figure('read p99', reads.p99, 'ms'),
    ],
  };
}

async function load(setup: Setup, database: Database): Promise<string[]> {
  const users = setup.size;
  const world = generateWorld({ seed: 1, users, follows: FOLLOWS_EACH * users, posts: POSTS_EACH * users });
  const { graph, writings } = world;
  const ids = world.people.map(({ id }) => id);
  const progress = setup.progress(graph.followers.length + writings.authors.length, 'rows loaded');
  await bulk.loadPeople(database, ids);
  let edges: bulk.SeedEdge[] = [];
  const flush = async (): Promise<void> => {
    await bulk.loadEdges(database, edges);
    progress.add(edges.length, 'follows');
    edges = [];
  };
  for (let followee = 0; followee < graph.people; followee++) {
    for (let at = graph.start[followee] ?? 0; at < (graph.start[followee + 1] ?? 0); at++)
      edges.push({ followerId: ids[graph.followers[at] ?? 0] ?? '', followeeId: ids[followee] ?? '' });
    if (edges.length >= 20_000) await flush();
  }
  await flush();
  for (let from = 0; from < writings.authors.length; from += 10_000) {
    const rows: bulk.SeedPost[] = [];
    for (let index = from; index < Math.min(writings.authors.length, from + 10_000); index++) {
      const authorId = ids[writings.authors[index] ?? 0] ?? '';
      const id = postIdAt(1, writings, index, () => 0);
      const createdAt = new Date(writings.times[index] ?? 0).toISOString();
      rows.push({ id, authorId, body: 'Somebody left a lantern on the ferry to Accra.', createdAt, inReplyToId: null });
    }
    await bulk.loadPosts(database, rows);
    progress.add(rows.length, 'posts');
  }
  progress.stop();
  await database.query('ANALYZE');
  return ids;
}

async function fill(setup: Setup, database: Database, people: number): Promise<void> {
  const progress = setup.progress(people, 'people filled');
  await bulk.fillTimelines(database, LIMITS, (some) => progress.add(some, 'first lists'));
  progress.stop();
}

/** New posts by people by chance, as many of everybody as they have: worked off by one process, step by step. */
async function deliver(database: Database, people: readonly string[], draw: (below: number) => number) {
  const authors = Array.from({ length: DELIVERED_POSTS }, () => people[draw(people.length)] as string);
  const posts = authors.map((authorId) => ({
    id: newId(),
    authorId,
    body: 'new',
    createdAt: new Date().toISOString(),
    inReplyToId: null,
  }));
  await bulk.loadPosts(database, posts);
  await database.query(
    'INSERT INTO timeline_work (post_id, author_id) SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING',
    [posts.map(({ id }) => id), authors],
  );
  let count = 0;
  const seconds = await timed(async () => {
    for (;;) {
      const step = await deliverStep(database, LIMITS);
      if (step.posts === 0) return;
      count += step.deliveries;
    }
  });
  return { count, seconds };
}

/** First pages of 20, one after the other, of people by chance; each was read once before. */
async function read(
  database: Database,
  people: readonly string[],
  draw: (below: number) => number,
  page: typeof homePage,
  count = READS,
): Promise<{ p50: number; p99: number }> {
  const viewers = Array.from({ length: count }, () => people[draw(people.length)] as string);
  const times: number[] = [];
  for (const pass of ['warm', 'measured']) {
    for (const viewer of viewers) {
      const seconds = await timed(async () => void (await page(database, viewer, { after: undefined, take: 21 })));
      if (pass === 'measured') times.push(1_000 * seconds);
    }
  }
  times.sort((one, other) => one - other);
  return { p50: times[Math.floor(times.length * 0.5)] ?? 0, p99: times[Math.floor(times.length * 0.99)] ?? 0 };
}

async function anew(setup: Setup, database: Database, people: number): Promise<{ people: number; rows: number }> {
  const progress = setup.progress(2 * people, 'people, filled and compared');
  let rows = 0;
  let filledMs = 0;
  const started = performance.now();
  await rebuild(database, homeTimelineModel(LIMITS), {
    mend: false,
    onStep: ({ phase, keys, rows: some }) => {
      progress.add(keys, phase);
      if (phase !== 'filling') return;
      rows += some;
      filledMs = performance.now() - started;
    },
  });
  progress.stop();
  return { people: people / (filledMs / 1_000), rows: rows / (filledMs / 1_000) };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}

function figure(name: string, value: number, unit: string, must?: Must): Figure {
  return { name, value, unit, ...(must === undefined ? {} : { must }) };
}
