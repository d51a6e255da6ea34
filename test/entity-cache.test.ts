import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { request } from 'undici';
import { silent } from '#libs/telemetry';
import { secretsFrom } from '../commands/databases.js';
import { gatewayEnvironment } from '../commands/everything.js';
import { readGatewayConfig } from '../gateway/config.js';
import { startGateway, type RunningGateway } from '../gateway/start.js';
import { CookieJar } from './consistency/cookie-jar.js';
import { httpCache } from './tiny/http-cache.js';
import { alice, bob, carol } from './people.js';
import { keepStill } from './still.js';
import { startWorld, type Cost, type Person, type World } from './world.js';

keepStill();

const text = (name: string): Promise<string> =>
  readFile(new URL(`../examples/${name}.graphql`, import.meta.url), 'utf8');
const MASTER = 'a-secret-that-is-long-enough-for-all-of-them';

/** `npm start` with the entity cache on; and a second gateway before the same subgraphs, without one. */
let world: World;
let plain: RunningGateway;
let people: { alice: Person; bob: Person; carol: Person };
let post: string;
let own: string;

beforeAll(async () => {
  // What asks by itself every two seconds belongs to no operation.
  const without = { CACHE: 'off', ASSERTION_SECRET: MASTER, ENDED_SESSIONS_POLL_MS: '600000' };
  world = await startWorld({
    ...without,
    ENTITY_CACHE: 'on',
    ENTITY_CACHE_PORT: '0',
    ENTITY_CACHE_SECRET: MASTER,
  });
  const settings = { ...without, PORT: '0', SUBGRAPH_TIMEOUT_MS: '30000', REQUEST_TIMEOUT_MS: '60000' };
  plain = await startGateway(
    readGatewayConfig(gatewayEnvironment(settings, '', secretsFrom(MASTER), world.subgraphs)),
    { logger: silent },
  );
  await plain.ready();
  people = { alice: await world.signUp(alice), bob: await world.signUp(bob), carol: await world.signUp(carol) };
  await world.settle();
  for (const [who, whom] of [
    ['bob', 'alice'],
    ['carol', 'alice'],
    ['alice', 'bob'],
  ] as const)
    await people[who].ask(await text('follow'), { userId: people[whom].id });
  post = await publish(people.alice, { body: 'a post' });
  own = await publish(people.bob, { body: 'a reply', inReplyToId: post });
  for (let nth = 0; nth < 5; nth++) await publish(people.alice, { body: `post ${nth}` });
  await world.settle();
}, 180_000);
afterAll(async () => {
  await plain?.close();
  await world?.close();
});

async function publish(person: Person, input: object): Promise<string> {
  const answer = await person.ask(await text('publish'), { input });
  return (answer.data as { publishPost: { id: string } }).publishPost.id;
}

type Viewer = 'nobody' | keyof typeof people;

async function ask(viewer: Viewer, name: string, variables: object): Promise<string> {
  const query = await text(name);
  const given = variables as Record<string, unknown>;
  return (viewer === 'nobody' ? await world.ask(query, given) : await people[viewer].ask(query, given)).text;
}

async function withoutCache(viewer: Viewer, name: string, variables: object): Promise<string> {
  const response = await fetch(plain.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(viewer === 'nobody' ? {} : { authorization: `Bearer ${people[viewer].token}` }),
    },
    body: JSON.stringify({ query: await text(name), variables }),
  });
  return response.text();
}

const callsOf = ({ calls }: Cost): number => Object.values(calls).reduce((sum, count) => sum + count, 0);

describe('what a hot page costs', () => {
  // On a slow machine what was kept a minute ago would end in the middle of a test.
  beforeEach(async () => {
    const { status } = await fetch(`${world.gateway.operatorUrl}/drop`, {
      method: 'POST',
      headers: { authorization: `Bearer ${MASTER}` },
      body: JSON.stringify({ subgraphs: ['users', 'posts', 'followers'] }),
    });
    expect(status).toBe(200);
  });

  const costOf = async (viewer: Viewer, name: string, variables: object): Promise<Cost> => {
    let errors = '';
    const cost = await world.count(async () => {
      errors = await ask(viewer, name, variables);
    });
    expect(errors).not.toContain('"errors"');
    return cost;
  };

  it('the profile page, to nobody: no subgraph call, not one SQL statement', async () => {
    await ask('nobody', 'profile-page', { handle: 'alice' });
    const { calls, statements } = await costOf('nobody', 'profile-page', { handle: 'alice' });
    expect(calls).toEqual({ users: 0, posts: 0, followers: 0 });
    expect(statements).toEqual({ users: 0, posts: 0, followers: 0 });
  });

  it('to somebody who asks for monotonic reads: as without a cache', async () => {
    await ask('bob', 'profile-page', { handle: 'alice' });
    const query = await text('profile-page');
    const headers = { authorization: `Bearer ${people.bob.token}`, 'tributary-consistency': 'monotonic' };
    expect(callsOf(await world.count(() => world.ask(query, { handle: 'alice' }, headers)))).toBeGreaterThan(2);
  });

  it('to somebody who sees it for the first time: 2 calls, about what only they are shown', async () => {
    await ask('bob', 'profile-page', { handle: 'alice' });
    const first = await costOf('carol', 'profile-page', { handle: 'alice' });
    expect(callsOf(first)).toBeLessThanOrEqual(2);
    expect(first.calls['users']).toBe(0);
    expect(callsOf(await costOf('carol', 'profile-page', { handle: 'alice' }))).toBe(0);
  });

  it('the home timeline: one call, for which posts are in it', async () => {
    await ask('bob', 'home-timeline', {});
    expect(callsOf(await costOf('bob', 'home-timeline', {}))).toBeLessThanOrEqual(1);
  });

  it('control: the gateway without it asks all three services, each time', async () => {
    for (let nth = 0; nth < 2; nth++) {
      const cost = await world.count(() => withoutCache('nobody', 'profile-page', { handle: 'alice' }));
      expect(Object.values(cost.calls).every((calls) => calls > 0)).toBe(true);
    }
  });
});

describe('after every kind of write', () => {
  type Page = [name: string, variables: () => object];
  const PAGES: Page[] = [
    ['profile-page', () => ({ handle: 'alice' })],
    ['profile-page', () => ({ handle: 'bob' })],
    ['thread', () => ({ id: post })],
    ['nodes', () => ({ ids: [post, own, people.alice.id, people.bob.id] })],
    ['home-timeline', () => ({})],
  ];
  const OTHERS: Page[] = [
    ['profile-page', () => ({ handle: 'dora' })],
    ['node', () => ({ id: own })],
    ['me', () => ({})],
    ['people', () => ({})],
    ['post-history', () => ({ id: own })],
    ['notifications', () => ({})],
  ];
  const differing = async (pages: readonly Page[]): Promise<string[]> => {
    const found: string[] = [];
    for (const viewer of ['nobody', 'alice', 'bob', 'carol'] as const)
      for (const [name, variables] of pages) {
        const given = variables();
        const [shown, truth] = await Promise.all([ask(viewer, name, given), withoutCache(viewer, name, given)]);
        if (masked(shown) !== masked(truth))
          found.push(`${viewer}, ${name} ${JSON.stringify(given)}:\n${shown}\ninstead of\n${truth}`);
      }
    return found;
  };

  const WRITES: [by: Exclude<Viewer, 'nobody'>, name: string, variables: () => object][] = [
    ['bob', 'edit-profile', () => ({ input: { displayName: 'Bobby', bio: 'by the river' } })],
    ['alice', 'edit-profile', () => ({ input: { handle: 'dora' } })],
    ['alice', 'edit-profile', () => ({ input: { handle: 'alice' } })],
    ['carol', 'like', () => ({ postId: post })],
    ['carol', 'publish', () => ({ input: { body: 'another reply', inReplyToId: post } })],
    ['bob', 'edit-post', () => ({ input: { id: own, body: 'edited' } })],
    ['carol', 'unlike', () => ({ postId: post })],
    ['bob', 'delete-post', () => ({ id: own })],
    ['bob', 'restore-post', () => ({ id: own })],
    ['carol', 'unfollow', () => ({ userId: people.alice.id })],
    ['carol', 'follow', () => ({ userId: people.bob.id })],
    ['bob', 'block', () => ({ userId: people.alice.id })],
    ['bob', 'unblock', () => ({ userId: people.alice.id })],
    ['bob', 'follow', () => ({ userId: people.alice.id })],
    ['bob', 'mark-notifications-read', () => ({})],
    ['alice', 'delete-account', () => ({ input: { password: 'tributary' } })],
  ];
  it('every page of every viewer is as it is without a cache', async () => {
    // Twice: what is kept the first time is shown the second time; after that, by the next write.
    for (let nth = 0; nth < 2; nth++) expect(await differing([...PAGES, ...OTHERS])).toEqual([]);
    for (const [by, name, variables] of WRITES) {
      const answer = await people[by].ask(await text(name), variables() as Record<string, unknown>);
      expect({ name, errors: answer.errors }).toEqual({ name, errors: [] });
      await world.settle();
      expect({ name, differing: await differing(PAGES) }).toEqual({ name, differing: [] });
    }
    expect(await differing([...PAGES, ...OTHERS])).toEqual([]);
  }, 180_000);

  it('control: a write that tells nobody is not seen', async () => {
    const page = { handle: 'bob' };
    await ask('nobody', 'profile-page', page);
    await world.users.database.query(`UPDATE users SET display_name = 'Robert' WHERE handle = 'bob'`);
    expect(await withoutCache('nobody', 'profile-page', page)).toContain('Robert');
    expect(await ask('nobody', 'profile-page', page)).not.toContain('Robert');
  });
});

describe('a browser that asks by GET', () => {
  /** What it reads before and after it writes, through its own cache and with its cookies. */
  async function names(heedsVary: boolean): Promise<string[]> {
    const cache = httpCache('private', { heedsVary });
    const jar = new CookieJar();
    const query = encodeURIComponent('{ userByHandle(handle: "carol") { displayName } }');
    const sent = () => ({ authorization: `Bearer ${people.carol.token}`, ...cookies(jar) });
    const read = async (): Promise<string> => {
      const headers = { ...sent(), 'apollo-require-preflight': '1' };
      const { body } = await request(`${world.gateway.url}?query=${query}`, { headers, dispatcher: cache });
      return ((await body.json()) as { data: { userByHandle: { displayName: string } } }).data.userByHandle.displayName;
    };
    const write = async (displayName: string): Promise<void> => {
      const { headers, body } = await request(world.gateway.url, {
        method: 'POST',
        headers: { ...sent(), 'content-type': 'application/json' },
        body: JSON.stringify({ query: await text('edit-profile'), variables: { input: { displayName } } }),
      });
      for (const cookie of [headers['set-cookie'] ?? []].flat()) jar.set(cookie);
      expect(await body.text()).toContain(displayName);
    };
    await write('Before');
    await world.settle();
    // So long ago that what it wrote then is no longer said.
    for (const name of jar.names()) jar.set(`${name}=; Max-Age=0`);
    const found = [await read(), await read()];
    await write('After');
    found.push(await read());
    await cache.close();
    return found;
  }
  const cookies = (jar: CookieJar) => {
    const cookie = jar.header();
    return cookie === undefined ? {} : { cookie };
  };

  it('is shown what it has just written (control: not by a cache that does not look at Vary)', async () => {
    expect(await names(true)).toEqual(['Before', 'Before', 'After']);
    expect(await names(false)).toEqual(['Before', 'Before', 'Before']);
  });
});

/** A request's own number. */
const masked = (body: string): string => body.replaceAll(/"requestId":"[^"]*"/g, '');
