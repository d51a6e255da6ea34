import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Browser } from 'playwright-core';
import { UP_TO_HEADER, writesText } from '#libs/consistency';
import type { DomainEvent } from '#libs/events';
import { CODES, type Code } from '#libs/failure';
import { ASSERTION_HEADER, AssertionSigner, globalId, newId, parseGlobalId } from '#libs/identity';
import { silent } from '#libs/telemetry';
import { secretsFrom, type Service } from '../../commands/databases.js';
import { gatewayEnvironment } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway, type RunningGateway } from '../../gateway/start.js';
import * as postsBulk from '../../subgraphs/posts/bulk.js';
import * as usersBulk from '../../subgraphs/users/bulk.js';
import { openBrowser } from '../browser.js';
import { cast, publish } from '../journeys/cast.js';
import { alice, bob, carol } from '../people.js';
import { withServer } from '../servers/needs.js';
import { askAt, PATIENT, startWorld, type Answer, type Person, type World } from '../world.js';
import { CookieJar } from './cookie-jar.js';
import { ownServers, type OwnServers } from './own-servers.js';

/** Redis' own number for a place apart. */
const REDIS_DATABASE = 8;
const HOME = '{ homeTimeline(first: 5) { edges { node { id } } } }';
const FOLLOW = 'mutation($id: ID!) { follow(userId: $id) { id viewerFollows } }';
const EDIT = 'mutation { editProfile(input: { bio: "new" }) { id } }';
const BLOCK = 'mutation($id: ID!) { block(userId: $id) { id } }';
const LIKE = 'mutation($id: ID!) { likePost(postId: $id) { id } }';
const REPLY = 'mutation($id: ID!) { publishPost(input: { body: "no", inReplyToId: $id }) { id } }';
const POST = 'query($id: ID!) { post(id: $id) { id } }';

/**
 * Two gateways, one of each engine, on real PostgreSQL and Redis; and a consumer in posts that is held back for as long as
 * a test likes: its effect waits for a lock.
 */
withServer(['postgres', 'redis'], 'who has written, through two gateways', (adminUrl = '', redisUrl = '') => {
  let servers: OwnServers;
  let world: World;
  let other: RunningGateway;
  let openOther: () => Promise<void>;
  let posts: pg.Client;
  let held = false;

  beforeAll(async () => {
    servers = await ownServers(adminUrl, redisUrl, REDIS_DATABASE);
    const env = {
      ...servers.env,
      CONSISTENCY_WAIT_MS: '3000',
      // What asks by itself every second or two is not counted as somebody's read.
      ENDED_SESSIONS_POLL_MS: '600000',
      RELAY_LEASE_MS: '60000',
      ENGINE: 'tributary',
      ...PATIENT,
    };
    world = await startWorld(env);
    openOther = async () => {
      const own = { ...env, ENGINE: 'apollo', PORT: '0' };
      const settings = gatewayEnvironment(own, '', secretsFrom(servers.master), world.subgraphs);
      other = await startGateway(readGatewayConfig(settings), { logger: silent });
      await other.ready();
    };
    await openOther();
    posts = new pg.Client({ connectionString: servers.postsUrl });
    await posts.connect();
  });
  afterEach(async () => {
    if (held) await release();
    await world.settle();
  });
  afterAll(async () => {
    await posts?.end();
    await other?.close();
    await world?.close();
    await servers?.drop();
  });

  async function holdBack(): Promise<void> {
    await posts.query('BEGIN');
    await posts.query('LOCK TABLE follow_edges, block_edges IN SHARE ROW EXCLUSIVE MODE');
    held = true;
  }

  /** What one tells reaches the other no more: somebody else has the right to read it. Until the function that is answered is called. */
  async function holdStream(from = 'followers', to = 'posts'): Promise<() => Promise<void>> {
    const redis = new Redis(servers.env['REDIS_URL'] ?? '');
    const lease = `tributary:{events}:${from}:reader:${to}`;
    await redis.set(lease, 'nobody');
    return async () => {
      await redis.del(lease);
      redis.disconnect();
    };
  }

  async function release(): Promise<void> {
    held = false;
    await posts.query('COMMIT');
  }

  /** Until the consumer stands at the lock: from then on whoever is not shown the effect is shown what is old. */
  async function untilHeldBack(): Promise<void> {
    await untilBlocked(posts, 'follow_edges', 'block_edges');
  }

  function ask(
    gateway: RunningGateway,
    who: Person | null,
    query: string,
    variables: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return askAt(gateway.url, query, variables, {
      ...(who ? { authorization: `Bearer ${who.token}` } : {}),
      ...headers,
    });
  }

  /** As a gateway asks a service. */
  async function direct(name: string, who: Person, asked: object, upTo?: string) {
    const secrets = secretsFrom(servers.master);
    const signer = new AssertionSigner({ secrets: (service) => secrets.of('assertion', service as Service) });
    const { url } = world.subgraphs.find((one) => one.name === name)!;
    const body = JSON.stringify(asked);
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [ASSERTION_HEADER]: signer.sign(name, who.id, { body }),
        ...(upTo === undefined ? {} : { [UP_TO_HEADER]: upTo }),
      },
      body,
    });
    // Whatever came; a test says what it has to be.
    return { headers: response.headers, body: JSON.parse(await response.text()) };
  }

  const tokenOf = ({ headers }: Answer): string => headers.get('consistency-token') ?? '';
  const home = ({ data }: Answer): string[] =>
    (data!['homeTimeline'] as { edges: { node: { id: string } }[] }).edges.map(({ node }) => node.id);

  describe.each(['tributary then apollo', 'apollo then tributary'])('%s', (order) => {
    const first = () => (order.startsWith('tributary') ? world.gateway : other);
    const second = () => (order.startsWith('tributary') ? other : world.gateway);

    it('reads the timeline with the follow that another gateway took a moment ago', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      await holdBack();
      const written = await ask(first(), a, FOLLOW, { id: b.id });
      expect(written.errors).toEqual([]);
      await untilHeldBack();
      // The control: the same read without the token is answered now, and is too old.
      expect(home(await ask(second(), a, HOME))).toEqual([]);
      const reading = ask(second(), a, HOME, {}, { 'consistency-token': tokenOf(written) });
      await untilWaiting(world);
      await release();
      expect(home(await reading)).toEqual([id]);
    });

    it('reads what it has asked for twice, because the first answer was lost', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      await holdBack();
      await ask(first(), a, FOLLOW, { id: b.id });
      await untilHeldBack();
      const repeated = await ask(second(), a, FOLLOW, { id: b.id });
      // The control is above: the same read without the token is too old.
      const reading = ask(second(), a, HOME, {}, { 'consistency-token': tokenOf(repeated) });
      await untilWaiting(world);
      await release();
      expect(home(await reading)).toEqual([id]);
    });

    it('is not shown what was blocked a moment ago; the browser sends the token by itself', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      expect((await ask(second(), a, POST, { id })).data).toEqual({ post: { id } });
      await holdBack();
      const written = await ask(first(), a, BLOCK, { id: b.id });
      await untilHeldBack();
      expect((await ask(second(), a, POST, { id })).data).toEqual({ post: { id } });
      const cookie = written.headers.get('set-cookie')?.split(';')[0] ?? '';
      const reading = ask(second(), a, POST, { id }, { cookie });
      await untilWaiting(world);
      await release();
      const read = await reading;
      expect(read.data).toEqual({ post: null });
      expect(read.headers.get('cache-control')).toBe('private, no-store');
    });

    it('is shown both of two writes that were under way at once, whichever answer its browser is told last', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      await holdBack();
      const [follow, edit] = await Promise.all([ask(first(), a, FOLLOW, { id: b.id }), ask(second(), a, EDIT)]);
      expect([follow.errors, edit.errors]).toEqual([[], []]);
      await untilHeldBack();
      const [editLast, followLast] = [
        [follow, edit],
        [edit, follow],
      ].map((told) => {
        const jar = new CookieJar();
        for (const { headers } of told) for (const cookie of headers.getSetCookie()) jar.set(cookie);
        return jar;
      }) as [CookieJar, CookieJar];
      // The control: of one cookie for all answers the last is left, and the read is answered now, and is too old.
      const one = editLast.header((name) => name === 'consistency-token') ?? '';
      expect(home(await ask(second(), a, HOME, {}, { cookie: one }))).toEqual([]);
      // So it is with a header of the last answer; a program that sends both is shown both.
      const headers = [
        ...[editLast, followLast].map((jar) => ({ cookie: jar.header() ?? '' })),
        { 'consistency-token': [follow, edit].map(tokenOf).join(', ') },
      ];
      const reading = headers.map((sent) => ask(second(), a, HOME, {}, sent));
      await untilWaiting(world);
      await release();
      for (const read of await Promise.all(reading)) expect(home(read)).toEqual([id]);
    });

    it('is answered by the database where a service keeps it, when it asks for monotonic reads; who may not is told', async () => {
      const [a] = (await cast(world, alice)) as [Person];
      const query = 'query($handle: String!) { userByHandle(handle: $handle) { bio } }';
      // The fewest of three: what a service does by itself now and then is counted as well.
      const statements = async (who: Person | null, headers: Record<string, string>): Promise<number> => {
        const counts: number[] = [];
        for (let nth = 0; nth < 3; nth += 1) {
          const cost = await world.count(() => ask(second(), who, query, { handle: a.handle }, headers));
          counts.push(cost.statements['users'] ?? 0);
        }
        return Math.min(...counts);
      };
      await statements(a, {});
      expect(await statements(a, {})).toBe(0);
      // What a page sends along with `cache: 'no-store'` asks for nothing of the kind.
      expect(await statements(a, { 'cache-control': 'no-cache' })).toBe(0);
      const monotonic = { 'tributary-consistency': 'monotonic' };
      expect(await statements(a, monotonic)).toBeGreaterThan(0);
      const { headers } = await ask(second(), a, query, { handle: a.handle }, monotonic);
      expect(headers.get('cache-control')).toBe('private, no-store');
      const refusals = await Promise.all([
        ask(second(), null, query, { handle: a.handle }, monotonic),
        ask(second(), a, query, { handle: a.handle }, { 'tributary-consistency': 'linearizable' }),
      ]);
      expect(refusals.map(({ errors }) => errors[0]?.extensions.code)).toEqual(['FORBIDDEN', 'BAD_REQUEST']);
    });

    it('is told NOT_CAUGHT_UP, and nothing old, when it takes too long; others are answered', async () => {
      const [a, b, c] = (await cast(world, alice, bob, carol)) as [Person, Person, Person];
      await holdBack();
      const token = tokenOf(await ask(first(), a, FOLLOW, { id: b.id }));
      const late = await ask(second(), a, HOME, {}, { 'consistency-token': token });
      expect(late.data).toEqual({ homeTimeline: null });
      expect(late.errors.map(({ extensions }) => extensions.code)).toEqual(['NOT_CAUGHT_UP']);
      expect(home(await ask(second(), c, HOME))).toEqual([]);
      await release();
      expect((await ask(second(), a, HOME, {}, { 'consistency-token': token })).errors).toEqual([]);
    });

    it('carries what it wrote first along with what it wrote then', async () => {
      const [a, b, c] = (await cast(world, alice, bob, carol)) as [Person, Person, Person];
      const ids = [await publish(b, 'one'), await publish(c, 'two')];
      await world.settle();
      await holdBack();
      const one = await ask(first(), a, FOLLOW, { id: b.id });
      const two = await ask(second(), a, FOLLOW, { id: c.id }, { 'consistency-token': tokenOf(one) });
      expect(tokenOf(two).length).toBeGreaterThan(tokenOf(one).length);
      const reading = ask(first(), a, HOME, {}, { 'consistency-token': tokenOf(two) });
      await untilWaiting(world);
      await release();
      expect(home(await reading)).toEqual(ids.toReversed());
    });

    it('waits in the same operation for what the operation wrote', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      await holdBack();
      const asking = ask(
        first(),
        a,
        'mutation($id: ID!) { block(userId: $id) { id posts(first: 1) { edges { node { id } } } } }',
        { id: b.id },
      );
      await untilHeldBack();
      await release();
      const { data, errors } = await asking;
      expect(errors).toEqual([]);
      expect(data).toEqual({ block: { id: b.id, posts: { edges: [] } } });
      expect(id).not.toBe('');
    });
  });

  it('goes back behind nothing that it was shown, at no gateway and after no restart, when it asks for monotonic reads', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const written = await ask(world.gateway, a, 'mutation { editProfile(input: { bio: "mine" }) { id } }');
    await world.settle();
    const token = { 'consistency-token': tokenOf(written) };
    const monotonic = { ...token, 'tributary-consistency': 'monotonic' };
    const bio = async (gateway: RunningGateway, headers: Record<string, string>) => {
      const query = 'query($handle: String!) { userByHandle(handle: $handle) { bio } }';
      const { data, errors } = await ask(gateway, a, query, { handle: b.handle }, headers);
      expect(errors).toEqual([]);
      return (data!['userByHandle'] as { bio: string }).bio;
    };
    // The first time the person comes with the handle, and only from the second on is kept.
    await bio(other, token);
    const before = await bio(other, token);
    // The drop of this write is lost: what users keeps of it stays for up to a minute.
    await world.users.database.query('UPDATE users SET bio = $1 WHERE handle = $2', ['theirs', b.handle]);
    expect(await bio(world.gateway, monotonic)).toBe('theirs');
    // The control: the token says nothing of what others wrote, and the other gateway is answered by what is kept.
    expect(await bio(other, token)).toBe(before);
    expect(await bio(other, monotonic)).toBe('theirs');
    await other.close();
    await openOther();
    expect(await bio(other, token)).toBe(before);
    expect(await bio(other, monotonic)).toBe('theirs');
  });

  it('reads from the source what no stream brings: through both gateways, each time that it writes, and who asks later', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const id = await publish(b, 'hello');
    await world.settle();
    const heldStream = await holdStream();
    try {
      const read = async (query: string, variables: Record<string, unknown>, token: string) => {
        const answers = await Promise.all(
          [world.gateway, other].map((one) => ask(one, a, query, variables, { 'consistency-token': token })),
        );
        expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
        return answers;
      };
      const followed = tokenOf(await ask(world.gateway, a, FOLLOW, { id: b.id }));
      // The control: the same read without the token is too old.
      expect(home(await ask(other, a, HOME))).toEqual([]);
      expect((await read(HOME, {}, followed)).map(home)).toEqual([[id], [id]]);
      // The service has heard it by now, so nobody has to bring it any more.
      expect(home(await ask(other, a, HOME))).toEqual([id]);
      const blocked = tokenOf(await ask(other, a, BLOCK, { id: b.id }, { 'consistency-token': followed }));
      expect((await ask(world.gateway, a, POST, { id })).data).toEqual({ post: { id } });
      const [posts, homes] = await Promise.all([read(POST, { id }, blocked), read(HOME, {}, blocked)]);
      expect(posts.map(({ data }) => data)).toEqual([{ post: null }, { post: null }]);
      expect(homes.map(home)).toEqual([[], []]);
    } finally {
      await heldStream();
    }
    await world.settle();
    // The stream has brought it all once more, and it had no effect.
    expect(home(await ask(other, a, HOME))).toEqual([]);
  });

  it('writes by what it has written before, though no stream brings it: what it has blocked it can neither like nor answer', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const ids = [await publish(b, 'one'), await publish(b, 'two')] as const;
    await world.settle();
    const heldStream = await holdStream();
    try {
      const blocked = tokenOf(await ask(world.gateway, a, BLOCK, { id: b.id }));
      // The control: without the token posts goes by its copy, and shows what is hidden from whoever blocks.
      expect((await ask(other, a, LIKE, { id: ids[0] })).data).toEqual({ likePost: { id: ids[0] } });
      for (const gateway of [world.gateway, other])
        for (const [query, variables] of [
          [LIKE, { id: ids[1] }],
          [REPLY, { id: ids[1] }],
        ] as const) {
          const refused = await ask(gateway, a, query, variables, { 'consistency-token': blocked });
          expect(refused.errors.map(({ extensions }) => extensions.code)).toEqual(['NOT_FOUND']);
          expect(Object.values(refused.data ?? {})).toEqual([null]);
        }
    } finally {
      await heldStream();
    }
  });

  it('is brought what it has changed of a post that was loaded in bulk, though no event tells of how that began', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    await world.settle();
    const heldStream = await holdStream('posts', 'users');
    try {
      const codesOf = async (who: Person, counted: boolean) => {
        const [id, authorId] = [newId(), parseGlobalId('user', who.id) ?? ''];
        if (counted) await usersBulk.loadPosts(world.users.database, [id]);
        const post = { id, authorId, body: 'loaded', createdAt: new Date().toISOString(), inReplyToId: null };
        await postsBulk.loadPosts(world.posts.database, [post]);
        await postsBulk.recount(world.posts.database);
        const asked = { id: globalId('post', id) };
        const deleted = await ask(world.gateway, who, 'mutation($id: ID!) { deletePost(id: $id) { id } }', asked);
        expect(deleted.errors).toEqual([]);
        const token = tokenOf(deleted);
        const { errors } = await ask(other, who, '{ unreadNotificationCount }', {}, { 'consistency-token': token });
        return errors.map(({ extensions }) => extensions.code);
      };
      // The control: where users does not count it as heard, only the stream may begin behind what nobody has told.
      expect(await Promise.all([codesOf(a, true), codesOf(b, false)])).toEqual([[], ['NOT_CAUGHT_UP']]);
    } finally {
      await heldStream();
    }
  });

  it('is told NOT_CAUGHT_UP where that cannot be, of which nothing was done; what needs no copy is done', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const id = await publish(b, 'hello');
    const own = await publish(a, 'mine');
    const ids = [await publish(a, 'one'), await publish(a, 'two')] as const;
    await world.settle();
    await holdBack();
    const token = tokenOf(await ask(world.gateway, a, BLOCK, { id: b.id }));
    const headers = { 'consistency-token': token };
    const likes = async () =>
      (await posts.query('SELECT FROM likes WHERE post_id = $1', [parseGlobalId('post', id)])).rowCount;
    const edit = 'mutation($id: ID!) { editPost(input: { id: $id, body: "edited" }) { body } }';
    expect((await ask(other, a, edit, { id: own }, headers)).data).toEqual({ editPost: { body: 'edited' } });
    // So is what has fields in its answer that do, of which only these are refused.
    const more = (body: string, field: string) =>
      `mutation($id: ID!) { editPost(input: { id: $id, body: "${body}" }) { body ${field} { __typename } } }`;
    const told = async (gateway: RunningGateway, field: string) => {
      const { data, errors } = await ask(gateway, a, more(field, field), { id: own }, headers);
      return [data, errors.map(({ path, extensions }) => [path, extensions.code])];
    };
    // What cannot be null takes along what it is a part of; it is done all the same, and its client is told so.
    const sent = async (of: string, isToComeAgain: (code: Code) => boolean) => {
      const edited = `mutation($id: ID!) { editPost(input: { id: $id, body: "sent", expectedVersion: 1 }) { replies { __typename } } }`;
      const codes: Code[] = [];
      do {
        const { data, errors } = await ask(other, a, edited, { id: of }, headers);
        expect(data).toEqual({ editPost: null });
        codes.push(errors[0]?.extensions.code as Code);
      } while (codes.length < 2 && isToComeAgain(codes.at(-1)!));
      return codes;
    };
    // Each of them waits for as long as a gateway may: all at once, as they have nothing in common.
    const [late, shown, ...sents] = await Promise.all([
      ask(other, a, LIKE, { id }, headers),
      told(world.gateway, 'inReplyTo'),
      sent(ids[0], (code) => CODES[code].retry),
      sent(ids[1], () => true),
    ]);
    expect([late.data, late.errors.map(({ extensions }) => extensions.code)]).toEqual([
      { likePost: null },
      ['NOT_CAUGHT_UP'],
    ]);
    expect(await likes()).toBe(0);
    expect(shown).toEqual([
      { editPost: { body: 'inReplyTo', inReplyTo: null } },
      [[['editPost', 'inReplyTo'], 'DONE_NOT_SHOWN']],
    ]);
    // The control: whoever goes by null alone sends it again, and is told of their own edit as if it were somebody else's.
    expect(sents).toEqual([['DONE_NOT_SHOWN'], ['DONE_NOT_SHOWN', 'CONFLICT']]);
    const bodies = 'SELECT DISTINCT body FROM posts WHERE id = ANY($1)';
    const { rows } = await posts.query(bodies, [ids.map((one) => parseGlobalId('post', one))]);
    expect(rows).toEqual([{ body: 'sent' }]);
    expect((await ask(other, a, more('last', 'inReplyTo'), { id: own })).errors).toEqual([]);
    // The control: who does not say what they have written does what they may no more.
    expect((await ask(other, a, LIKE, { id })).errors).toEqual([]);
    expect(await likes()).toBe(1);
    await release();
    expect((await ask(other, a, LIKE, { id }, headers)).errors.map(({ extensions }) => extensions.code)).toEqual([
      'NOT_FOUND',
    ]);
  });

  it('waits for, and is refused, only what needs what it has written', async () => {
    const [a] = (await cast(world, alice)) as [Person];
    await world.settle();
    const users = new pg.Client({ connectionString: servers.env['USERS_DATABASE_URL'] });
    await users.connect();
    try {
      // Users hears nothing from now on, not even what is brought.
      await users.query('BEGIN');
      await users.query('LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE');
      const published = await ask(world.gateway, a, 'mutation { publishPost(input: { body: "hello" }) { id } }');
      const headers = { 'consistency-token': tokenOf(published) };
      const read = async (query: string) => (await ask(other, a, query, {}, headers)) as Answer;
      const both = await read('{ me { id } unreadNotificationCount }');
      expect(both.data).toEqual({ me: { id: a.id }, unreadNotificationCount: null });
      expect(both.errors.map(({ path, extensions }) => [path, extensions.code])).toEqual([
        [['unreadNotificationCount'], 'NOT_CAUGHT_UP'],
      ]);
      // The inbox is not even asked.
      const ME = '{ me { id } }';
      // The fewest of several: the consumer that is held back tries again now and then, and is counted too.
      const statements = async (run: () => Promise<unknown>): Promise<number> => {
        let fewest = Infinity;
        for (let tries = 0; tries < 5; tries += 1)
          fewest = Math.min(fewest, (await world.count(run)).statements['users'] ?? 0);
        return fewest;
      };
      const plain = await statements(() => ask(other, a, ME));
      expect(await statements(async () => expect((await read(ME)).errors).toEqual([]))).toBeLessThanOrEqual(plain);
      await users.query('COMMIT');
      expect((await read('{ me { id } unreadNotificationCount }')).errors).toEqual([]);
    } finally {
      await users.end();
    }
  });

  it('nothing else is heard by this way than what the reader waits for, and nothing told but what the service itself has recorded', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const [me, them] = [a, b].map(({ id }) => parseGlobalId('user', id)) as [string, string];
    const pair = `relation:${[me, them].sort().join(':')}`;
    await ask(world.gateway, a, FOLLOW, { id: b.id });
    await world.settle();
    const to = (name: string, extensions: object, upTo?: string) =>
      direct(name, a, { query: name === 'posts' ? HOME : '{__typename}', extensions }, upTo);
    const tell = [{ aggregate: pair, from: 1, to: 9 }];
    const told = await to('followers', { tributary: { tell } });
    expect(told.body.extensions.tributary.events).toMatchObject([{ type: 'follow-started', aggregate: pair }]);
    expect((await to('users', { tributary: { tell } })).body.extensions).toEqual({ tributary: { events: [] } });

    const [event] = told.body.extensions.tributary.events as DomainEvent[];
    const ended = { ...event!, id: newId(), type: 'follow-ended', aggregateVersion: 2 };
    const isFollowed = async () =>
      (await posts.query('SELECT FROM follow_edges WHERE follower_id = $1', [me])).rowCount;
    // Of another pair than the reader waits for, of another source, later than awaited, or no event at all.
    const version = (of: string, nth: number) =>
      writesText([{ source: 'followers', aggregate: of, version: nth, at: 1 }]);
    for (const [brought, upTo] of [
      [[ended], undefined],
      [[ended], version(`relation:${me}:${newId()}`, 2)],
      [[ended], version(pair, 1)],
      [[{ ...ended, source: 'users' }], version(pair, 2)],
      [[{ ...ended, payload: { followerId: me } }], version(pair, 2)],
      [['x', null, 7, {}, { ['__proto__']: ended }], version(pair, 2)],
      [Array.from({ length: 2_000 }, () => ({ ...ended, at: 'now' })), version(pair, 2)],
    ] as const) {
      await to('posts', { tributary: { events: brought } }, upTo);
      expect(await isFollowed()).toBe(1);
    }
    // The control: what it waits for is heard.
    expect((await to('posts', { tributary: { events: [ended] } }, version(pair, 2))).body.data).toEqual({
      homeTimeline: { edges: [] },
    });
    expect(await isFollowed()).toBe(0);
    const late = await to('posts', { tributary: { events: [] } }, version(pair, 3));
    // Of what it lacks it names the first: it has heard 2.
    const behind = await to('posts', { tributary: { events: [] } }, version(pair, 5));
    expect(
      [late, behind].map(({ body, headers }) => [body.errors[0].extensions.code, headers.get('tributary-behind')]),
    ).toEqual(Array.from({ length: 2 }, () => ['NOT_CAUGHT_UP', version(pair, 3)]));
    for (const wrong of [
      'x',
      [null, {}, { aggregate: pair, from: 0, to: 9 }, { aggregate: pair, from: 1, to: 2 ** 31 }],
      [[]],
    ])
      expect((await to('followers', { tributary: { tell: wrong } })).body.extensions?.tributary?.events ?? []).toEqual(
        [],
      );
  });

  it('is told plainly that a token is another’s, forged or none; a cookie of another is passed over', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const token = tokenOf(await ask(world.gateway, a, FOLLOW, { id: b.id }));
    for (const wrong of [token, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, 'nonsense']) {
      const { status, errors, data } = await ask(other, b, HOME, {}, { 'consistency-token': wrong });
      expect([status, errors[0]?.extensions.code, data]).toEqual([400, 'CONSISTENCY_TOKEN_REFUSED', null]);
      const passed = await ask(other, b, HOME, {}, { cookie: `consistency-token=${wrong}` });
      expect([passed.status, passed.errors]).toEqual([200, []]);
    }
  });

  it('gets a cookie that no script reads and no foreign site sends, Secure behind https', async () => {
    const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
    const plain = await ask(world.gateway, a, FOLLOW, { id: b.id });
    const attributes = 'Max-Age=300; Path=/; HttpOnly; SameSite=Lax';
    const [common, own, ...more] = plain.headers.getSetCookie();
    expect(common).toBe(`consistency-token=${tokenOf(plain)}; ${attributes}`);
    expect(own).toMatch(new RegExp(`^consistency-token\\.[\\w-]{6}=[^;]+; ${attributes}$`));
    expect(more).toEqual([]);
    const https = await ask(world.gateway, a, BLOCK, { id: b.id }, { 'x-forwarded-proto': 'https' });
    for (const cookie of https.headers.getSetCookie()) expect(cookie).toMatch(/; Secure$/);
    expect((await ask(world.gateway, a, HOME)).headers.get('set-cookie')).toBeNull();
  });

  withServer('chromium', 'in a browser', (executablePath) => {
    let browser: Browser;
    let users: pg.Client;
    beforeAll(async () => {
      browser = await openBrowser(executablePath);
      users = new pg.Client({ connectionString: servers.env['USERS_DATABASE_URL'] ?? '' });
      await users.connect();
    }, 120_000);
    afterAll(async () => {
      await users?.end();
      await browser?.close();
    });

    it('is shown what was answered first, when the mutation that was sent before it is answered last', async () => {
      const [a, b] = (await cast(world, alice, bob)) as [Person, Person];
      const id = await publish(b, 'hello');
      await world.settle();
      const page = await browser.newPage();
      await page.goto(new URL('/health/live', world.gateway.url).href);
      const fromPage = (query: string, variables: object = {}): Promise<Pick<Answer, 'data'>> =>
        page.evaluate(
          async ([token, body]) => {
            const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
            return (await fetch('/graphql', { method: 'POST', headers, body })).json() as Promise<Answer>;
          },
          [a.token, JSON.stringify({ query, variables })] as const,
        );
      await holdBack();
      await users.query('BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE');
      const editing = fromPage(EDIT);
      await untilBlocked(users, 'users');
      expect(await fromPage(FOLLOW, { id: b.id })).toMatchObject({ data: { follow: { id: b.id } } });
      await users.query('COMMIT');
      expect(await editing).toMatchObject({ data: { editProfile: { id: a.id } } });
      await untilHeldBack();
      const cookies = await page.context().cookies();
      expect(cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite])).toEqual(
        Array.from({ length: 3 }, () => [true, 'Lax']),
      );
      // The control: so it was with the one that both answers set.
      const common = cookies.find(({ name }) => name === 'consistency-token')?.value ?? '';
      expect(home(await ask(world.gateway, a, HOME, {}, { 'consistency-token': common }))).toEqual([]);
      const reading = fromPage(HOME);
      await untilWaiting(world);
      await release();
      expect(home((await reading) as Answer)).toEqual([id]);
    }, 120_000);
  });

  it('who brings no token waits for nothing and asks nothing more', async () => {
    const [a] = (await cast(world, alice)) as [Person];
    const read = () => world.count(() => ask(world.gateway, a, HOME));
    const [one, two] = [await read(), await read()];
    expect(one.statements['posts']).toBe(two.statements['posts']);
    const [b] = (await cast(world, bob)) as [Person];
    const token = tokenOf(await ask(world.gateway, a, FOLLOW, { id: b.id }));
    await world.settle();
    const seen = await world.count(() => ask(world.gateway, a, HOME, {}, { 'consistency-token': token }));
    expect(seen.statements['posts']).toBe(two.statements['posts']);
  });

  it('a second graph with the same Redis does not start, and says what to do; the first goes on', async () => {
    // Its databases are others, and it reads what this one tells as its own.
    const second = startWorld({ REDIS_URL: servers.env['REDIS_URL'] });
    await expect(second.then((started) => started.close())).rejects.toThrow(
      /^The settings are wrong; nothing was started\.\n {2}REDIS_URL: the Redis at .* another database of (users|posts|followers); .*redis-cli FLUSHDB/,
    );
    const [a] = (await cast(world, alice)) as [Person];
    expect((await ask(world.gateway, a, HOME)).errors).toEqual([]);
  });
});

/** Until somebody waits for a lock of one of these tables. */
async function untilBlocked(client: pg.Client, ...tables: readonly string[]): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      'SELECT FROM pg_locks WHERE relation = ANY ($1::regclass[]) AND NOT granted',
      [tables],
    );
    if (rowCount) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Until some reader's question has reached the inbox of posts: two statements beyond those of answering at once. */
async function untilWaiting(world: World): Promise<void> {
  const before = world.posts.database.statements;
  while (world.posts.database.statements < before + 2) await new Promise((resolve) => setTimeout(resolve, 5));
}
