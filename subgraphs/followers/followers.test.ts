import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeCursor } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { TIMEOUT_HEADER } from '#libs/failure';
import { ASSERTION_HEADER, AssertionSigner, globalId, newId } from '#libs/identity';
import { openStream } from '#libs/outbox';
import { silent, steadyClock } from '#libs/telemetry';
import { openSubgraphClient } from '../../gateway/fetch/subgraph-client.js';
import { keepStill } from '../../test/still.js';
import { loadFollows, loadPeople, recount } from './bulk.js';
import { readFollowersConfig } from './config.js';
import { startFollowers } from './start.js';

keepStill();

const SECRET = 'a secret of thirty-two characters';
const OLD = Date.now() - 3_600_000;
const dataDir = mkdtempSync(join(tmpdir(), 'tributary-followers-'));
let uncached: Awaited<ReturnType<typeof start>>;
let cached: Awaited<ReturnType<typeof start>>;

beforeAll(async () => {
  [uncached, cached] = await Promise.all([start('off'), start('on')]);
});
afterAll(async () => {
  await Promise.all([uncached?.close(), cached?.close()]);
  rmSync(dataDir, { recursive: true, force: true });
});

describe('the part of the profile page', () => {
  const PROFILE = `query ($ids: [_Any!]!, $first: Int) { _entities(representations: $ids) { ... on User {
    followerCount followingCount viewerFollows followsViewer
    followers(first: $first) { edges { node { id followerCount } } } } } }`;

  it.each([1, 20, 100])('costs 4 statements with %i followers on it and nothing cached', async (first) => {
    const { star, fans } = await celebrity(uncached, 120);
    const before = uncached.statements();
    const { data } = await uncached.ask(PROFILE, { ids: refs([star]), first }, fans[0]);
    expect(uncached.statements() - before).toBe(4);
    expect(data._entities?.[0]?.followers.edges).toHaveLength(first);
    expect(data._entities?.[0]).toMatchObject({ followerCount: 120, viewerFollows: true, followsViewer: false });
  });

  it('costs as much for a hundred people as for one', async () => {
    const { fans } = await celebrity(uncached, 100);
    const before = uncached.statements();
    await uncached.ask(PROFILE, { ids: refs(fans), first: 10 }, fans[0]);
    expect(uncached.statements() - before).toBeLessThanOrEqual(4);
  });

  it.each([1, 20, 100])(
    'costs no statement and two round trips with %i followers on it when it is warm',
    async (first) => {
      const { star, fans } = await celebrity(cached, 120);
      const cold = await cached.ask(PROFILE, { ids: refs([star]), first }, fans[0]);
      const before = [cached.statements(), cached.roundTrips()];
      const warm = await cached.ask(PROFILE, { ids: refs([star]), first }, fans[0]);
      expect([cached.statements() - (before[0] ?? 0), cached.roundTrips() - (before[1] ?? 0)]).toEqual([0, 2]);
      expect(warm).toEqual(cold);
    },
  );
});

describe.each(['off', 'on'] as const)('with the cache %s', (cache) => {
  const service = () => (cache === 'on' ? cached : uncached);
  const SHOWN = 'id followerCount followingCount viewerFollows followsViewer viewerBlocks';

  it('what a mutation answers is what it has done, for every alias in turn', async () => {
    const [a = '', b = ''] = await people(service(), 2);
    await show(service(), [a, b], a);
    const { data } = await service().ask(
      `mutation ($id: ID!) { one: follow(userId: $id) { ${SHOWN} } two: unfollow(userId: $id) { ${SHOWN} }
         three: block(userId: $id) { ${SHOWN} } four: unblock(userId: $id) { ${SHOWN} } }`,
      { id: globalId('user', b) },
      a,
    );
    const plain = {
      id: globalId('user', b),
      followerCount: 0,
      followingCount: 0,
      viewerFollows: false,
      followsViewer: false,
      viewerBlocks: false,
    };
    expect(data).toEqual({
      one: { ...plain, followerCount: 1, viewerFollows: true },
      two: plain,
      three: { ...plain, viewerBlocks: true },
      four: plain,
    });
  });

  it('the next request shows what was written, to both', async () => {
    const [a = '', b = ''] = await people(service(), 2);
    await show(service(), [a, b], a);
    await show(service(), [a, b], b);
    await service().ask(FOLLOW, { id: globalId('user', b) }, a);
    expect(await show(service(), [b], a)).toMatchObject([{ followerCount: 1, viewerFollows: true }]);
    expect(await show(service(), [a], b)).toMatchObject([
      { followingCount: 1, followsViewer: true, viewerFollows: false },
    ]);
    expect(await show(service(), [b], null)).toMatchObject([
      { followerCount: 1, viewerFollows: null, followsViewer: null, viewerBlocks: null },
    ]);
  });

  it('a walk through a list by cursors meets everybody once, the newest first, also when people come meanwhile', async () => {
    const { star, fans } = await celebrity(service(), 250);
    const met: string[] = [];
    let after: string | null = null;
    do {
      const page: FollowPage = await followersOf(service(), star, null, 70, after);
      met.push(...page.edges.map(({ node }) => node.id));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
      const [late = ''] = await people(service(), 1);
      await service().ask(FOLLOW, { id: globalId('user', star) }, late);
    } while (after !== null);
    expect(met).toEqual(fans.toReversed().map((id) => globalId('user', id)));
  });

  it('neither of two people of whom one blocks the other sees the other in a list, on any page', async () => {
    const { star, fans } = await celebrity(service(), 110);
    const [blocker = '', blocked = '', other = ''] = [fans[109], fans[108], fans[5]];
    await followersOf(service(), star, blocker, 100);
    await followersOf(service(), star, blocked, 100);
    await service().ask(BLOCK, { id: globalId('user', blocked) }, blocker);
    for (const [viewer, unseen] of [
      [blocker, blocked],
      [blocked, blocker],
    ] as const) {
      for (const first of [1, 2, 100]) {
        const page = await followersOf(service(), star, viewer, first);
        expect(page.edges.map(({ node }) => node.id)).not.toContain(globalId('user', unseen));
        expect(page.edges).toHaveLength(first);
      }
      const second = await followersOf(
        service(),
        star,
        viewer,
        10,
        encodeCursor([star, new Date(OLD + 1e6).toISOString()]),
      );
      expect(second.edges.map(({ node }) => node.id)).not.toContain(globalId('user', unseen));
    }
    expect((await followersOf(service(), star, other, 2)).edges.map(({ node }) => node.id)).toEqual(
      [blocker, blocked].map((id) => globalId('user', id)),
    );
  });

  it('somebody nobody has heard of has no followers; somebody who was deleted has no counts', async () => {
    const [a = ''] = await people(service(), 1);
    const stranger = newId({ now: OLD });
    expect(await show(service(), [stranger], null)).toMatchObject([{ followerCount: 0 }]);
    await service().hear(deletion(a));
    await service().settle();
    expect(await show(service(), [a], null)).toMatchObject([{ followerCount: null, followingCount: null }]);
  });

  it('a person is followed in the moment they sign up: the event is waited for', async () => {
    const [a = ''] = await people(service(), 1);
    const b = newId();
    const following = service().ask(FOLLOW, { id: globalId('user', b) }, a);
    await service().hear(registration(b));
    expect(await following).toEqual({ data: { follow: { id: globalId('user', b), followerCount: 1 } } });
  });

  it('the follows of a deleted account end, and that is told', async () => {
    const [a = '', b = ''] = await people(service(), 2);
    const told: DomainEvent[] = [];
    service().stream.subscribe(
      `told ${a}`,
      ['followers'],
      async (events) => void told.push(...(events as DomainEvent[])),
    );
    await service().ask(FOLLOW, { id: globalId('user', b) }, a);
    await show(service(), [b], null);
    await service().hear(deletion(a));
    await service().settle();
    expect(await show(service(), [b], null)).toMatchObject([{ followerCount: 0 }]);
    expect(told.map(({ type, aggregateVersion, actor }) => ({ type, aggregateVersion, actor }))).toEqual([
      { type: 'follow-started', aggregateVersion: 1, actor: a },
      { type: 'follow-ended', aggregateVersion: 2, actor: null },
      { type: 'follows-step-ended', aggregateVersion: 1, actor: null },
    ]);
  });
});

it('a process that is killed between COMMIT and the drop leaves old entries only until its event is told', async () => {
  const [a = '', b = ''] = await people(cached, 2);
  await show(cached, [b], a);
  // The rows of a follow, as such a process leaves them: committed, told to nobody.
  const event = newId();
  await cached.database.transaction(async (tx) => {
    await tx.query('INSERT INTO follows VALUES ($1, $2, now())', [a, b]);
    await tx.query('UPDATE people SET follower_count = 1 WHERE user_id = $1', [b]);
    await tx.query(
      `INSERT INTO outbox (id, type, version, source, aggregate, aggregate_version, at, actor, payload)
       VALUES ($1, 'follow-started', 1, 'followers', $2, 1, now(), $3, $4)`,
      [
        event,
        `relation:${[a, b].toSorted().join(':')}`,
        a,
        { followerId: a, followeeId: b, followedAt: new Date(OLD).toISOString() },
      ],
    );
  });
  // Control: without the event this is what everybody is shown.
  expect(await show(cached, [b], a)).toMatchObject([{ followerCount: 0, viewerFollows: false }]);
  await cached.settle();
  expect(await show(cached, [b], a)).toMatchObject([{ followerCount: 1, viewerFollows: true }]);
});

describe('for a gateway that has given up', () => {
  const SHOWN = '__typename followerCount followingCount viewerFollows';
  const COUNTS = `query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User { ${SHOWN} } } }`;
  const LIST = (after: string) =>
    `query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User { followers(first: 5${after}) { edges { cursor } } } } }`;
  const behind = `, after: "${encodeCursor([newId(), new Date().toISOString()])}"`;
  const past = { 'cache-control': 'no-cache' };

  it.each<[string, 'off' | 'on', string, Record<string, string>]>([
    ['counts where nothing is kept', 'off', COUNTS, {}],
    ['a list where nothing is kept', 'off', LIST(''), {}],
    ['a page that is not the first', 'on', LIST(behind), {}],
    ['counts past the cache', 'on', COUNTS, past],
    ['a list past the cache', 'on', LIST(''), past],
  ])('%s are not read; control: for one that waits they are', async (_, cache, query, headers) => {
    const service = cache === 'on' ? cached : uncached;
    const [a = '', b = ''] = await people(service, 2);
    const asked = async (ms: string) => {
      const before = service.statements();
      const { errors } = await service.ask(query, { ids: refs([a]) }, b, { ...headers, [TIMEOUT_HEADER]: ms });
      return [service.statements() > before, [...new Set(errors?.map(({ extensions }) => extensions.code))]];
    };
    expect(await asked('0')).toEqual([false, ['SUBGRAPH_TIMEOUT']]);
    expect(await asked('60000')).toEqual([true, []]);
  });
});

describe('called by a gateway', () => {
  const query = 'query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User { followerCount } } }';

  /** As a gateway calls it, on the clock that gateways run on, which has fractions. */
  function gateway(service: Service) {
    const client = openSubgraphClient({
      timeoutMs: 60_000,
      bodyBytesMax: 64 * 1024,
      connections: 16,
      breakerFailures: 1,
      assertion: (...what) => new AssertionSigner({ secrets: () => SECRET }).sign(...what),
      forwardResponse: [],
      clock: steadyClock,
    });
    return {
      ask: async (id: string, leftMs: number): Promise<string> => {
        const body = JSON.stringify({ query, variables: { ids: refs([id]) } });
        const context = { requestId: 'r', subject: null, headers: new Map<string, string>(), responseHeaders: [] };
        const deadline = steadyClock() + leftMs;
        return client
          .post(
            { subgraph: 'followers', url: service.url, type: 'query', body },
            { ...context, deadline, signal: new AbortController().signal },
          )
          .then(String, ({ code }: { code: string }) => code);
      },
      endpoint: () => [...client.upstreams.endpoints][0]!,
      close: () => client.close(),
    };
  }

  /** All connections of its database are lent until the function that it answers is called. */
  async function hold({ database }: Service): Promise<() => Promise<void>> {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let begun = (): void => {};
    const isHeld = new Promise<void>((resolve) => (begun = resolve));
    const holding = database.transaction(async () => {
      begun();
      await held;
    });
    await isHeld;
    return async () => {
      release();
      await holding;
    };
  }

  it('it begins nothing once the time has passed that the gateway had left; control: with time left it does', async () => {
    const [a = ''] = await people(uncached, 1);
    const caller = gateway(uncached);
    const { database } = uncached;
    const asked = async (leftMs: number, heldMs: number) => {
      const release = await hold(uncached);
      const before = database.statements;
      let isOver = false;
      const answer = caller.ask(a, leftMs).finally(() => (isOver = true));
      // On a busy machine its time may be over before it has come as far as that.
      while (database.connections.waiting === 0 && !isOver) await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => setTimeout(resolve, heldMs));
      const last = database.query('SELECT 1');
      await release();
      await last;
      return [await answer, database.statements - before - 1];
    };
    expect(await asked(300.7, 320)).toEqual(['SUBGRAPH_TIMEOUT', 0]);
    expect(await asked(50_000.7, 0)).toEqual([expect.stringContaining('"followerCount":0'), 1]);
    await caller.close();
  });

  it('it says that its connections are exhausted, and is given fewer calls at once, but goes on being called; control: as long as it has some it is given as many', async () => {
    const [a = ''] = await people(uncached, 1);
    const caller = gateway(uncached);
    const asked = () => Promise.all(Array.from({ length: 6 }, () => caller.ask(a, 50_000)));
    expect(await asked()).toEqual(Array<unknown>(6).fill(expect.stringContaining('"followerCount":0')));
    expect(caller.endpoint().places.limit.places).toBe(16);
    const release = await hold(uncached);
    const refused = await asked();
    await release();
    expect(refused).toEqual(Array<unknown>(6).fill(expect.stringContaining('"OVERLOADED"')));
    expect(caller.endpoint().places.limit.places).toBe(12);
    expect(caller.endpoint().breaker.state).toBe('closed');
    expect(await caller.ask(a, 50_000)).toContain('"followerCount":0');
    await caller.close();
  });
});

describe('what is wrong is refused, and changes nothing', () => {
  const anybody = globalId('user', newId({ now: OLD }));
  const list = (args: string) =>
    `query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User { followers${args} { edges { cursor } } } } }`;
  const good = encodeCursor([newId(), new Date().toISOString()]);

  it.each([
    ['first: -1', list('(first: -1)')],
    ['first: 101', list('(first: 101)')],
    ['an empty cursor', list('(after: "")')],
    ['a cursor of nothing', list('(after: "x")')],
    ['a cursor that was cut', list(`(after: "${good.slice(0, -4)}")`)],
    ['a cursor of three', list(`(after: "${encodeCursor([newId(), new Date().toISOString(), ''])}")`)],
    ['a cursor of SQL', list(`(after: "${encodeCursor([newId(), "now()'; DROP TABLE follows; --"])}")`)],
    ['a cursor of no time', list(`(after: "${encodeCursor([newId(), '2026-99-99T00:00:00.000Z'])}")`)],
    ['a cursor of no id', list(`(after: "${encodeCursor(['1', new Date().toISOString()])}")`)],
    ['a cursor of 10 KB', list(`(after: "${'a'.repeat(10_000)}")`)],
  ])('%s', async (_, query) => {
    const { errors } = await uncached.ask(query, { ids: [{ __typename: 'User', id: anybody }] }, null);
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });

  it.each([
    '',
    'user_',
    '1',
    'user_01h455vb4pex5vsknk084sn02',
    anybody.replace('user', 'post'),
    anybody.toUpperCase(),
    "' OR 1=1 --",
  ])('the id %j', async (id) => {
    const [viewer = ''] = await people(uncached, 1);
    for (const verb of ['follow', 'unfollow', 'block', 'unblock']) {
      const query = `mutation ($id: ID!) { ${verb}(userId: $id) { id } }`;
      const { data, errors } = await uncached.ask(query, { id }, viewer);
      expect([data, errors?.[0]?.extensions.code]).toEqual([{ [verb]: null }, 'BAD_USER_INPUT']);
    }
    const { errors } = await uncached.ask(list(''), { ids: [{ __typename: 'User', id }] }, null);
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  it('a mutation of nobody, and one of somebody whose account was deleted', async () => {
    const [a = '', b = ''] = await people(uncached, 2);
    const anonymous = await uncached.ask(FOLLOW, { id: globalId('user', b) }, null);
    expect(anonymous.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    await uncached.hear(deletion(a));
    const deleted = await uncached.ask(FOLLOW, { id: globalId('user', b) }, a);
    expect(deleted.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    expect(await show(uncached, [b], null)).toMatchObject([{ followerCount: 0 }]);
  });
});

it('the entities describe the tables that the migrations made', async () => {
  const { upQueries } = await uncached.database.source.driver.createSchemaBuilder().log();
  expect(upQueries.map(({ query }) => query)).toEqual([]);
});

const FOLLOW = 'mutation ($id: ID!) { follow(userId: $id) { id followerCount } }';
const BLOCK = 'mutation ($id: ID!) { block(userId: $id) { id } }';

interface FollowPage {
  edges: { cursor: string; followedAt: string; node: { id: string } }[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}
interface Answer {
  data: Record<string, unknown> & { _entities?: (Record<string, unknown> & { followers: FollowPage })[] };
  errors?: { extensions: { code: string } }[];
}

async function start(cache: 'on' | 'off') {
  const stream = openStream({ logger: silent });
  const config = readFollowersConfig({
    CACHE: cache,
    DATA_DIR: join(dataDir, cache),
    PORT: '0',
    ASSERTION_SECRET: SECRET,
    // The relay's own look at the outbox is a statement too; here it looks when it is woken.
    RELAY_POLL_MS: '60000',
  });
  const running = await startFollowers(config, { stream, logger: silent });
  const signer = new AssertionSigner({ secrets: () => SECRET });
  return {
    stream,
    url: running.url,
    database: running.database,
    settle: running.settle,
    statements: () => running.database.statements,
    roundTrips: () => running.cache.roundTrips,
    hear: (event: DomainEvent) => stream.publish([event]),
    async ask(
      query: string,
      variables: object,
      viewer: string | null | undefined,
      headers: Record<string, string> = {},
    ): Promise<Answer> {
      const subject = viewer ? globalId('user', viewer) : null;
      const body = JSON.stringify({ query, variables });
      const assertion = signer.sign('followers', subject, { body });
      const response = await fetch(running.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [ASSERTION_HEADER]: assertion, ...headers },
        body,
      });
      return (await response.json()) as Answer;
    },
    async close() {
      await running.close();
      await stream.close();
    },
  };
}

type Service = Awaited<ReturnType<typeof start>>;

async function people({ database }: Service, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newId({ now: OLD }));
  await loadPeople(database, ids);
  return ids;
}

/** Somebody with followers, each a second later than the one before. */
async function celebrity(service: Service, count: number): Promise<{ star: string; fans: string[] }> {
  const [star = '', ...fans] = await people(service, count + 1);
  await loadFollows(
    service.database,
    fans.map((fan, index) => ({
      followerId: fan,
      followeeId: star,
      followedAt: new Date(OLD + index * 1_000).toISOString(),
    })),
  );
  await recount(service.database);
  return { star, fans };
}

async function show(service: Service, ids: readonly string[], viewer: string | null): Promise<unknown> {
  const { data } = await service.ask(
    `query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User {
       followerCount followingCount viewerFollows followsViewer viewerBlocks } } }`,
    { ids: refs(ids) },
    viewer,
  );
  return data._entities;
}

async function followersOf(
  service: Service,
  id: string,
  viewer: string | null | undefined,
  first: number,
  after: string | null = null,
): Promise<FollowPage> {
  const { data } = await service.ask(
    `query ($ids: [_Any!]!, $first: Int, $after: String) { _entities(representations: $ids) { ... on User {
       followers(first: $first, after: $after) { edges { cursor followedAt node { id } } pageInfo { hasNextPage endCursor } } } } }`,
    { ids: refs([id]), first, after },
    viewer,
  );
  const page = data._entities?.[0]?.followers;
  if (page === undefined) throw new Error('no page');
  return page;
}

function refs(ids: readonly string[]): object[] {
  return ids.map((id) => ({ __typename: 'User', id: globalId('user', id) }));
}

function registration(userId: string): DomainEvent {
  return { ...envelope(userId, 1), type: 'user-registered', payload: { userId, handle: 'somebody' } };
}

function deletion(userId: string): DomainEvent {
  return { ...envelope(userId, 1), type: 'user-deleted', payload: { userId, handle: 'somebody' } };
}

function envelope(userId: string, aggregateVersion: number) {
  return {
    id: newId(),
    version: 1,
    source: 'users',
    aggregate: `user:${userId}`,
    aggregateVersion,
    at: new Date().toISOString(),
    actor: userId,
  } as const;
}
