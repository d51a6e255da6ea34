import type { CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { newId } from '#libs/identity';
import { reconcile } from '#libs/read-model';
import * as bulk from '../../subgraphs/posts/bulk.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { homePage, homePageFromSource } from '../../subgraphs/posts/read/home.queries.js';
import type { TimelineLimits } from '../../subgraphs/posts/timeline/lists.js';
import { Member, killOneAt } from './crew.js';
import { drawer } from './draw.js';
import type { Place, Site } from './places.js';
import { untilItFails, wrong, zeros, type Proof, type Row, type Setup } from './proof.js';
import type { TimelinesOrder } from './timelines.worker.js';

/**
 * Home timelines are filled, and built anew, by a process that is killed again and again, and so are the counts of posts, which were
 * wrong before; then every list is compared with what posts and follows say, and every count with its rows.
 */
export const timelines: Proof = {
  name: 'timelines',
  hurriedAt: 'embedded',
  says: 'home timelines lack nothing and show nothing else, and counts are right, whoever fills or rebuilds them is killed',
  async run(setup) {
    const rows: Row[] = [];
    for (const place of setup.places) {
      rows.push(await filled(setup, place));
      if (setup.controls) rows.push(await untilItFails(setup, (setup) => struckOff(setup, place)));
    }
    return rows;
  },
};

const PEOPLE = 200;
const FOLLOWS_EACH = 20;
const LIMITS: TimelineLimits = { pushMax: 1_000, length: 1_000, trimEvery: 32, sliceMax: 5 };
/** Where each job is killed. The last of a rebuild has switched: the next process builds anew. */
const POINTS: Readonly<Record<TimelinesOrder['does'], readonly CrashPoint[]>> = {
  deliver: ['project:backfilled', 'project:delivered', 'commit:before', 'commit:after'],
  rebuild: [
    'project:filled',
    'commit:before',
    'commit:after',
    'project:compared',
    'project:switching',
    'project:switched',
  ],
  recount: ['project:filled', 'project:compared', 'project:switching', 'project:switched'],
  'strike-off': ['commit:before', 'commit:after'],
};

async function filled(setup: Setup, place: Place): Promise<Row> {
  // In a hurry some of the points are taken, and one of the two that are rebuilt, drawn by the seed; embedded some of the points
  // also where it is not asked for by name.
  const isShort = setup.quick || (!setup.whole && place.name === 'embedded');
  const most = isShort ? 2 : Number.POSITIVE_INFINITY;
  const rounds = setup.whole ? 2 : 1;
  const rebuilt = ['rebuild', 'recount'] as const;
  const jobs = ['deliver', ...(setup.quick ? [rebuilt[setup.seed % 2] ?? 'rebuild'] : rebuilt)] as const;
  const { kills, points, counts } = await run(setup, place, { jobs, rounds, most });
  return {
    claim: `killed at ${most === 2 ? 'points drawn from all' : 'every point'}; filled and rebuilt in slices that are gone on with`,
    place: place.name,
    over: `${PEOPLE} lists${jobs.some((job) => job === 'recount') ? ' and the counts of posts and of their authors' : ''}, ${kills} kills at ${points} points`,
    figures: zeros(counts),
  };
}

async function struckOff(setup: Setup, place: Place): Promise<Row> {
  const { counts } = await run(setup, place, { jobs: ['strike-off'], rounds: 1, most: 2 });
  return {
    claim: 'control: a post is struck off before it is delivered',
    place: place.name,
    over: `${PEOPLE} lists, 2 kills`,
    figures: wrong(counts, 'lacking'),
  };
}

interface Plan {
  readonly jobs: readonly TimelinesOrder['does'][];
  readonly rounds: number;
  /** Points of each job. */
  readonly most: number;
}

async function run(setup: Setup, place: Place, { jobs, rounds, most }: Plan) {
  const site = await place.prepare({ posts: postsTables });
  const draw = drawer(setup.seed);
  const pointsOf = (does: TimelinesOrder['does']): CrashPoint[] => {
    const all = POINTS[does];
    // Not by the digit that draws what is rebuilt: each of the two is killed at each of its points.
    const from = all.length > most ? Math.floor(setup.seed / 2) % (all.length - most + 1) : 0;
    return Array.from({ length: rounds }, () => all.slice(from, from + most)).flat();
  };
  const points = jobs.flatMap(pointsOf);
  const kills = points.length;
  const progress = setup.progress(kills + 1, 'kills');
  const members: Member[] = [];
  try {
    const people = await withStore(site, (database) => layOut(database, Math.min(600, setup.size), draw, jobs));
    for (const does of jobs) {
      const hire = (): Member => {
        const order = (): TimelinesOrder => ({ site: { ...site }, limits: LIMITS, does });
        const member = new Member({ job: './timelines.worker.js', order });
        members.push(member);
        return member;
      };
      const member = hire();
      for (const point of pointsOf(does)) {
        // It is switched once.
        await killedAtWork(member, point, point.startsWith('project:switch') ? 1 : 1 + draw(3));
        progress.add(1, point);
      }
      await member.dismiss();
    }
    progress.add(1, 'compared');
    return {
      kills,
      points: new Set(points).size,
      counts: await withStore(site, (database) => compare(database, people, jobs)),
    };
  } finally {
    progress.stop();
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

/** It begins when it is told to, which is after it was armed. */
async function killedAtWork(member: Member, point: CrashPoint, nth: number): Promise<void> {
  await member.ready();
  const go = setInterval(() => member.tell({ go: true }), 50);
  try {
    await killOneAt([member], point, nth);
  } finally {
    clearInterval(go);
  }
}

/** People without posts have empty lists; then they follow each other and write, and nothing of it is delivered. */
async function layOut(
  database: Database,
  posts: number,
  draw: (below: number) => number,
  jobs: Plan['jobs'],
): Promise<string[]> {
  const day = Date.parse('2026-01-01T00:00:00.000Z');
  const people = Array.from({ length: PEOPLE }, (_, nth) => newId({ now: day + nth }));
  const written = Array.from({ length: posts }, (_, nth) => ({
    id: newId({ now: day + 1_000_000 + nth }),
    authorId: people[draw(PEOPLE)] as string,
    body: 'x',
    createdAt: new Date(day + 1_000_000 + nth).toISOString(),
    inReplyToId: null,
  }));
  const follows = people.flatMap((followerId, nth) =>
    Array.from({ length: FOLLOWS_EACH }, (_, k) => ({
      followerId,
      followeeId: people[(nth + 1 + k * 7) % PEOPLE] as string,
    })),
  );
  await bulk.loadPeople(database, people);
  await bulk.fillTimelines(database, LIMITS);
  await bulk.loadEdges(database, follows);
  await bulk.loadPosts(database, written);
  // Nothing has counted them.
  const likers = jobs.includes('recount') ? people.slice(0, 3) : [];
  await bulk.loadLikes(
    database,
    written.flatMap(({ id: postId }) => likers.map((userId) => ({ postId, userId }))),
  );
  // Half of it comes by copying what new followees published; half by delivery, to edges that are copied from already.
  await database.query(
    jobs.includes('strike-off')
      ? 'UPDATE follow_edges SET pushed = true'
      : `UPDATE follow_edges SET pushed = true WHERE followee_id IN (SELECT id FROM people ORDER BY id LIMIT ${PEOPLE / 2})`,
  );
  await database.query('INSERT INTO timeline_work (post_id, author_id) SELECT id, author_id FROM posts');
  return people;
}

async function compare(database: Database, people: readonly string[], jobs: Plan['jobs']) {
  const counts: Record<string, number> & { lacking: number; 'not to be seen': number } = {
    lacking: 0,
    'not to be seen': 0,
  };
  for (const viewer of people) {
    const page = { after: undefined, take: 1_000 };
    const truth = new Set((await homePageFromSource(database, viewer, page)).map(({ id }) => id));
    const shown = new Set((await homePage(database, viewer, page)).map(({ id }) => id));
    counts.lacking += [...truth].filter((id) => !shown.has(id)).length;
    counts['not to be seen'] += [...shown].filter((id) => !truth.has(id)).length;
  }
  const [left] = await database.query<{ n: number }>(
    `SELECT (SELECT count(*) FROM timeline_work)::int + (SELECT count(*) FROM follow_edges WHERE NOT pushed)::int
       + (SELECT count(*) FROM read_models WHERE phase <> 'idle')::int AS n`,
  );
  counts['left undone'] = left?.n ?? 0;
  // Elsewhere nobody was to make them right.
  if (jobs.includes('recount')) {
    const wrong = await Promise.all(postsCounted.map((counted) => reconcile(database, counted, { mend: false })));
    counts['wrong counts'] = wrong.flat().length;
  }
  return counts;
}

async function withStore<T>(site: Site, work: (database: Database) => Promise<T>): Promise<T> {
  const { urls, dataDir } = site;
  const database = await openDatabase({ service: 'posts', url: urls?.['posts'], dataDir, bulk: true, ...postsTables });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
