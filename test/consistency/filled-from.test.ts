import { expect, it } from '@jest/globals';
import { openCache } from '#libs/cache';
import type { Asker } from '#libs/database';
import { newId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import { RelationReads } from '../../subgraphs/followers/read/relation.reads.js';
import { RelationCache } from '../../subgraphs/followers/relation.cache.js';
import { PostCache } from '../../subgraphs/posts/post.cache.js';
import { Reads } from '../../subgraphs/posts/read/reads.js';
import { userLoaders } from '../../subgraphs/users/read/user.loaders.js';
import { UserCache } from '../../subgraphs/users/user.cache.js';
import { sealer } from '../sealer.js';

const off = () => openCache({ mode: 'off' });
const [viewer, other] = [newId(), newId()];
const asker = (): Asker => ({ mayLag: true });

/** Asked for by their keys, and kept by nobody. */
const NEVER_KEPT = ['email', 'history', 'as of'];
const TWICE = 'replica,primary';

/** Tells which door a read comes through; it finds nothing. */
function doors() {
  const seen = new Set<string>();
  const door = (name: string, asked?: Asker) => ({
    query: async (_text: string, _values?: readonly unknown[], onReplica?: () => void): Promise<never[]> => {
      seen.add(name);
      if (asked?.mayLag) onReplica?.();
      return [];
    },
  });
  const database = {
    ...door('primary'),
    reader: (asked: Asker) => door(asked.mayLag ? 'replica' : 'primary', asked),
  };
  const through = async (read: Promise<unknown>): Promise<string> => {
    await read.catch(() => {});
    const came = [...seen].join();
    seen.clear();
    return came;
  };
  return { database, through };
}

/** Everything that a request may read, and through which door. */
async function readThrough(cached: boolean): Promise<Record<string, string>> {
  const cache = cached ? openCache({ mode: 'on' }) : off();
  const { database, through } = doors();
  const posts = new Reads(
    { database, kept: new PostCache(cache), source: new PostCache(off()), cached },
    viewer,
    asker(),
  );
  const relations = new RelationReads({ database, cache: cached ? new RelationCache(cache) : undefined }, asker());
  const context = { viewer, fresh: false, ...asker() } as RequestContext;
  const users = userLoaders({ database, sealer, cache: new UserCache(cache), cached })(context);
  const page = { first: 10, after: undefined };
  const ask = { userId: other, rows: 10 };
  const seen = {
    person: await through(users.people.load(other)),
    handle: await through(users.byHandle.load('alice')),
    email: await through(users.emails.load(viewer)),
    postCount: await through(posts.people.load(other)),
    post: await through(posts.post(newId())),
    liked: await through(posts.liked.load(newId())),
    'newest posts': await through(posts.postsOf(other, page, true)),
    history: await through(posts.history.load({ postId: newId(), afterVersion: 0, take: 10 })),
    'as of': await through(posts.revisions.load({ postId: newId(), at: new Date(0).toISOString() })),
    'posts behind them': await through(posts.postsOf(other, { first: 10, after: newId() }, true)),
    replies: await through(posts.repliesTo(newId(), page)),
    home: await through(posts.home(viewer, page)),
    trending: await through(posts.trending({ after: undefined, take: 10 })),
    counts: await through(relations.counts([other])),
    edges: await through(relations.edges(viewer, [other])),
    'newest followers': await through(relations.pages('followers', viewer, [{ ...ask, behind: undefined }])),
    'followers behind them': await through(
      relations.pages('followers', viewer, [{ ...ask, behind: [newId(), new Date(0).toISOString()] }]),
    ),
  };
  await cache.close();
  return seen;
}

it('what fills a cache is read from the primary, and what is read for one request alone may come from a replica', async () => {
  const FILLS = [
    'person',
    'handle',
    'postCount',
    'post',
    'liked',
    'newest posts',
    'counts',
    'edges',
    'newest followers',
  ];
  const seen = await readThrough(true);
  const doorOf = (what: string) => (FILLS.includes(what) ? 'primary' : NEVER_KEPT.includes(what) ? TWICE : 'replica');
  expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((what) => [what, doorOf(what)])));
});

it('without a cache all of it may, and who or what is asked for by name and not found there is asked of the primary', async () => {
  const BY_KEY = ['person', 'handle', 'postCount', 'post', ...NEVER_KEPT];
  const seen = await readThrough(false);
  expect(seen).toEqual(
    Object.fromEntries(Object.keys(seen).map((what) => [what, BY_KEY.includes(what) ? TWICE : 'replica'])),
  );
});

it('control: a cache that is filled from a replica behind a drop shows what is old when the replica has long had the new', async () => {
  const [primary, replica] = [new Map([['a', 'new']]), new Map([['a', 'old']])];
  const shownIn = async (filledFrom: ReadonlyMap<string, string>): Promise<string | undefined> => {
    const cache = openCache({ mode: 'on' });
    const aside = cache.aside<string>({ prefix: 'posts.by-id', ttlMs: 60_000 });
    await cache.drop([aside.keyOf('a')]);
    await aside.getMany(['a'], async () => filledFrom);
    // The replica has replayed it, and whoever reads is told what was kept.
    const found = await aside.getMany(['a'], async () => primary);
    await cache.close();
    return found.get('a');
  };
  expect([await shownIn(primary), await shownIn(replica)]).toEqual(['new', 'old']);
});
