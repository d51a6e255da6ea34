import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGlobalId } from '#libs/identity';
import { withClient, type Client } from '../../test/servers/redis.js';
import { underWay } from './checker.js';
import type { Fault, Scene } from './fault.js';
import { restarted } from './restarted.js';
import { until } from './until.js';

/** Not the streams, their marks and their readers: what is wrong there is no kept value (FR8, FR9). */
const KEPT = /^tributary:(?!\{events\})/;
/** Whole answers in the memory of a gateway would keep it from reading what is poisoned. */
const CACHED = { ENTITY_CACHE: 'on', ENTITY_CACHE_ANSWERS_BYTES: '0' };
const HUGE = 'x'.repeat(1_048_576);
/** Longer than anything here lasts. */
const POISON_MS = 60_000;

/** A value, as JSON, in the place of what is kept. */
type Poison = (json: string) => string;

const POISONS: Readonly<Record<string, Poison | 'type' | 'text'>> = {
  'another type': 'type',
  'a text of nobody': 'text',
  'JSON that is cut off': (json) => json.slice(0, json.length / 2),
  'a megabyte': () => `"${HUGE}"`,
  'a name __proto__': () => '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}',
  'an empty object': () => '{}',
  'a list of what is none': () => '[7]',
  'a number': () => '7',
};

/** People whom nobody else touches, so that each answer about them is the one of before, to the byte. */
export const KEPT_VALUES: readonly Fault[] = [
  onCaches(
    'FR11',
    'all that caches keep in Redis is overwritten, again and again: other types, garbage, megabytes, __proto__',
    poisonAll,
  ),
  {
    ...onCaches(
      'control-FR11',
      'of a kept post the body is another, in the form that it has to have: what is told of it is wrong, which has to be found',
      putAnotherBody,
    ),
    control: true,
  },
];

function onCaches(id: string, says: string, strike: (scene: Scene, witness: Witness) => Promise<void>): Fault {
  let witness: Witness;
  return {
    id,
    says,
    unnoticed: true,
    async prepare(scene) {
      await restarted(scene.town, CACHED);
      witness = await witnessOf(scene);
    },
    strike: (scene) => strike(scene, witness),
    tidy: ({ town }) => restarted(town, {}),
  };
}

async function poisonAll({ town, ms }: Scene, witness: Witness): Promise<void> {
  const [put, gone] = [new Map<string, number>(), new Map<string, number>()];
  const count = (counts: Map<string, number>, kind: string): void => void counts.set(kind, (counts.get(kind) ?? 0) + 1);
  await withClient(town.redis.port, async (redis) => {
    const end = performance.now() + ms;
    for (let round = 0; performance.now() < end || round < Object.keys(POISONS).length; round += 1) {
      const poisoned = new Map<string, { kind: string; as: string }>();
      for (const [nth, key] of chosen(await redis.keys('tributary:*'), witness).entries()) {
        // Where the state of the cache is gone, nothing of it is read: not each time.
        if (key.includes('}!') && round % 4 !== 3) continue;
        const kinds = Object.keys(POISONS);
        const kind = kinds[(round + nth) % kinds.length]!;
        if (!(await poison(redis, key, POISONS[kind]!))) continue;
        count(put, kind);
        if (witness.isOf(key)) poisoned.set(key, { kind, as: await looks(redis, key) });
      }
      await witness.look();
      for (const [key, { kind, as }] of poisoned) if ((await looks(redis, key)) !== as) count(gone, kind);
      await sleep(20);
    }
  });
  const all = (counts: Map<string, number>): string => [...counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
  process.stderr.write(`FR11: overwritten by ${all(put)}; of the witness thrown away: ${all(gone)}\n`);
  const stayed = Object.keys(POISONS).filter((kind) => !gone.has(kind));
  if (stayed.length > 0) throw new Error(`nothing that was overwritten by ${stayed.join(', ')} was thrown away`);
}

/** All of the witness, and as many others as take no time. */
function chosen(keys: readonly string[], witness: Witness): string[] {
  const kept = keys.filter((key) => KEPT.test(key));
  const others = kept.filter((key) => !witness.isOf(key)).sort(() => Math.random() - 0.5);
  return [...kept.filter(witness.isOf), ...others.slice(0, OTHERS_MAX)];
}

const OTHERS_MAX = 60;

async function putAnotherBody({ town }: Scene, witness: Witness): Promise<void> {
  await withClient(town.redis.port, async (redis) => {
    await until('a post of the witness is kept', async () => {
      await witness.look();
      for (const key of (await redis.keys('tributary:{posts.by-id:*')).filter(witness.isOf)) {
        const text = (await redis.get(key)) ?? '';
        if (!text.includes('"body":"')) continue;
        await redis.set(key, text.replace('"body":"', '"body":"not '), 'PX', POISON_MS);
        // The gateway asks posts again.
        await redis.del(...(await redis.keys('tributary:{entity:*')));
        return true;
      }
      return false;
    });
  });
  await witness.look();
}

/** False: it was dropped or kept anew meanwhile, and is of another type than it was. */
async function poison(redis: Client, key: string, how: (typeof POISONS)[string]): Promise<boolean> {
  try {
    const type = await redis.type(key);
    if (how === 'type' || (how !== 'text' && type !== 'string' && type !== 'hash')) {
      await redis.del(key);
      if (type === 'list') await redis.set(key, 'x');
      else await redis.rpush(key, 'x');
    } else if (how === 'text') {
      await redis.set(key, 'cache:v2:\u0000\uFFFD');
    } else if (type === 'string') {
      const text = (await redis.get(key)) ?? '';
      // Behind the life and the letter that say whose it is.
      const head = /^\S+ V/.exec(text)?.[0] ?? '';
      await redis.set(key, head + how(text.slice(head.length)));
    } else {
      for (const [field, text] of Object.entries(await redis.hgetall(key))) {
        // Behind the times, tags and sum of a field.
        const head = /^(?:[^;]*;){8}/.exec(text)?.[0];
        if (head !== undefined) await redis.hset(key, field, head + how(text.slice(head.length)));
      }
    }
    await redis.pexpire(key, POISON_MS);
    return true;
  } catch (error) {
    if (String(error).includes('WRONGTYPE')) return false;
    throw error;
  }
}

/** Enough of it to see that it is another. */
async function looks(redis: Client, key: string): Promise<string> {
  const type = await redis.type(key);
  if (type === 'string') return (await redis.getrange(key, 0, 200)).toString();
  if (type === 'hash') return JSON.stringify(await redis.hgetall(key));
  return type;
}

/** Somebody with three posts and a follower, whom nobody else knows. */
interface Witness {
  /** Whether a key is about one of them. */
  isOf(key: string): boolean;
  /** Asks about them, with and without a log-in. Whoever is told anything else than before any of it was wrong is an error. */
  look(): Promise<void>;
}

async function witnessOf({ town, databases }: Scene): Promise<Witness> {
  const name = randomBytes(4).toString('hex');
  const [person, follower] = await Promise.all(
    ['w', 'v'].map(async (letter) => {
      const handle = `${letter}_${name}`;
      const input = { handle, email: `${handle}@example.com`, displayName: handle, password: 'tributary-fault' };
      const { signUp } = await done(town.graphql, SIGN_UP, { input });
      return signUp as { token: string; user: { id: string; handle: string } };
    }),
  );
  const posts: string[] = [];
  for (const nth of [1, 2, 3]) {
    const input = { body: `${name} wrote ${nth}` };
    const { publishPost } = await done(town.graphql, PUBLISH, { input }, person!.token);
    posts.push((publishPost as { id: string }).id);
  }
  await done(
    town.graphql,
    'mutation($userId: ID!) { follow(userId: $userId) { id } }',
    { userId: person!.user.id },
    follower!.token,
  );
  await until('all is heard of the witness', async () => (await underWay(databases)) === 0);
  const { id, handle } = person!.user;
  const names = [handle, id, parseGlobalId('user', id), ...posts, ...posts.map((post) => parseGlobalId('post', post))];
  const page = (token?: string): Promise<string> => ask(town.graphql, PAGE, { handle }, token);
  const tokens = [undefined, person!.token, follower!.token];
  const truth = await Promise.all(tokens.map(page));
  for (const text of truth)
    if (!posts.every((post) => text.includes(post)) || text.includes('"errors"'))
      throw new Error(`the witness has ${text}`);
  return {
    isOf: (key) => names.some((one) => key.includes(one)),
    async look() {
      // Once as it is found, once as it is kept anew.
      for (const [at, token] of [...tokens, ...tokens].entries()) {
        const [told, is] = [await page(token), truth[at % tokens.length]!];
        if (told !== is) throw new Error(`somebody was told ${told.slice(0, 2_000)} where it is ${is.slice(0, 2_000)}`);
      }
    },
  };
}

const SIGN_UP = 'mutation($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }';
const PUBLISH = 'mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }';
const PAGE = `query($handle: String!) {
  me { id handle email }
  userByHandle(handle: $handle) {
    id handle displayName followerCount followingCount postCount viewerFollows followsViewer
    posts(first: 5) { edges { node { id body likeCount replyCount viewerHasLiked author { id handle displayName } } } }
    followers(first: 5) { edges { node { id handle } } }
  }
}`;

async function done(
  graphql: string,
  query: string,
  variables: object,
  token?: string,
): Promise<Record<string, unknown>> {
  const text = await ask(graphql, query, variables, token);
  const { data, errors } = JSON.parse(text) as { data?: Record<string, unknown>; errors?: unknown };
  if (!data || errors !== undefined) throw new Error(`the witness was told ${text}`);
  return data;
}

async function ask(graphql: string, query: string, variables: object, token?: string): Promise<string> {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(15_000),
  });
  return response.text();
}
