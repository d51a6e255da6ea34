/** Who is read and who reads: both Zipf-distributed, the most followed most often. */
import pg from 'pg';

/** Everybody by rank: who has the most followers first. */
export async function peopleOf(urls, users) {
  const [followers, people] = [
    new pg.Client({ connectionString: urls.followers }),
    new pg.Client({ connectionString: urls.users }),
  ];
  await Promise.all([followers.connect(), people.connect()]);
  try {
    const ranked = await followers.query(
      'SELECT user_id AS id FROM people ORDER BY follower_count DESC, user_id LIMIT $1',
      [users],
    );
    const named = await people.query('SELECT id, handle FROM users WHERE deleted_at IS NULL');
    const handles = new Map(named.rows.map(({ id, handle }) => [id, handle]));
    return ranked.rows.flatMap(({ id }) => (handles.has(id) ? [{ id, handle: handles.get(id) }] : []));
  } finally {
    await Promise.all([followers.end(), people.end()]);
  }
}

/** `count` requests: [variables, headers]. The same each time. */
export async function drawn({ people, tokenOf, globalId }, { reads, viewers }, count) {
  const draw = zipf(people.length, mulberry(7));
  const requests = [];
  for (let nth = 0; nth < count; nth++) {
    const variables = reads === 'profile' ? { handle: people[draw()].handle } : { first: 20 };
    const viewer = viewers ? people[draw()].id : undefined;
    const headers =
      viewer === undefined
        ? {}
        : { authorization: `Bearer ${await tokenOf(viewer)}`, 'x-viewer': globalId('user', viewer) };
    requests.push([variables, headers]);
  }
  return requests;
}

/** The place of the nth is drawn with probability ~ 1/n. */
function zipf(size, random) {
  const sums = new Float64Array(size);
  let sum = 0;
  for (let nth = 0; nth < size; nth++) sums[nth] = sum += 1 / (nth + 1);
  return () => {
    const wanted = random() * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

function mulberry(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
