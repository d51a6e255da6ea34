import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { provisionServices } from '#libs/database';
import { EVENTS, type DomainEvent, type EventType, type Payload } from '#libs/events';
import { ASSERTION_HEADER, AssertionSigner, globalId, newId, parseGlobalId } from '#libs/identity';
import { openStream, type Stream } from '#libs/outbox';
import type { RunningSubgraph } from '#libs/subgraph-kit';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { freePort } from '../../test/servers/free-port.js';
import { keepStill } from '../../test/still.js';
import { readPostsConfig } from './config.js';
import { startPosts } from './start.js';

keepStill();

const secret = 's'.repeat(32);
const signer = new AssertionSigner({ secrets: () => secret });
const user = (uuid: string) => globalId('user', uuid);

interface Answer {
  data?: Record<string, unknown> | null;
  errors?: { message: string; path?: (string | number)[]; extensions: { code: string } }[];
}

interface PostPage {
  edges: { cursor: string; node: { id: string; inReplyTo: { id: string } | null } }[];
  pageInfo: { endCursor: string | null; hasNextPage: boolean };
}

/** The service as its gateway sees it, with somebody who plays users and followers. */
class Service {
  readonly #versions = new Map<string, number>();

  private constructor(
    readonly running: RunningSubgraph,
    private readonly stream: Stream,
    private readonly dataDir: string,
  ) {}

  static async start(cache: string): Promise<Service> {
    const dataDir = await mkdtemp(join(tmpdir(), 'posts-'));
    const stream = openStream({ logger: silent });
    const config = readPostsConfig({
      DATA_DIR: dataDir,
      PORT: '0',
      CACHE: cache,
      ASSERTION_SECRET: secret,
      RELAY_POLL_MS: '60000',
      TRENDING_REFRESH_S: '86400',
    });
    return new Service(await startPosts(config, { stream, logger: silent }), stream, dataDir);
  }

  async person(): Promise<string> {
    const userId = newId();
    await this.tell('user-registered', `user:${userId}`, { userId, handle: 'somebody' });
    return userId;
  }

  follow(followerId: string, followeeId: string): Promise<void> {
    const followedAt = new Date().toISOString();
    return this.tell('follow-started', `relation:${[followerId, followeeId].sort().join(':')}`, {
      followerId,
      followeeId,
      followedAt,
    });
  }

  block(type: 'block-started' | 'block-ended', blockerId: string, blockedId: string): Promise<void> {
    return this.tell(type, `relation:${[blockerId, blockedId].sort().join(':')}`, { blockerId, blockedId });
  }

  async tell<T extends EventType>(type: T, aggregate: string, payload: Payload<T>): Promise<void> {
    const { version, source } = EVENTS[type];
    const aggregateVersion = (this.#versions.get(aggregate) ?? 0) + 1;
    this.#versions.set(aggregate, aggregateVersion);
    const at = new Date().toISOString();
    const event = { id: newId(), type, version, source, aggregate, aggregateVersion, at, actor: null, payload };
    await this.stream.publish([event as unknown as DomainEvent]);
  }

  async ask(viewer: string | null, query: string, variables: object = {}, headers: object = {}): Promise<Answer> {
    const body = JSON.stringify({ query, variables });
    const response = await fetch(this.running.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [ASSERTION_HEADER]: signer.sign('posts', viewer === null ? null : user(viewer), { body }),
        ...headers,
      },
      body,
    });
    return (await response.json()) as Answer;
  }

  /** The data of an answer without errors. */
  async data<T = Record<string, unknown>>(viewer: string | null, query: string, variables: object = {}): Promise<T> {
    const { data, errors } = await this.ask(viewer, query, variables);
    expect(errors).toBeUndefined();
    return data as T;
  }

  /** What the gateway asks of posts for the profile page. */
  async profile(viewer: string, whose: string, posts = 20, after?: string | null) {
    type Person = { postCount: number; posts: PostPage } | null;
    const variables = { ...profile(whose, posts), after };
    return (await this.data<{ _entities: [Person] }>(viewer, PROFILE, variables))._entities[0];
  }

  async home(viewer: string, first: number, after?: string | null): Promise<PostPage> {
    return (await this.data<{ homeTimeline: PostPage }>(viewer, TIMELINE, { first, after })).homeTimeline;
  }

  async publish(viewer: string, body: string, inReplyToId: string | null = null): Promise<string> {
    const query = 'mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }';
    return (await this.data<{ publishPost: { id: string } }>(viewer, query, { input: { body, inReplyToId } }))
      .publishPost.id;
  }

  /** How many statements and round trips to the cache it took. */
  async cost(work: () => Promise<unknown>): Promise<{ sql: number; roundTrips: number }> {
    const { database, cache } = this.running;
    await this.running.settle();
    // The relay looks once more after it was woken: until nothing is sent any more, nothing can be counted.
    for (let seen = -1; seen !== database.statements;) {
      seen = database.statements;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const before = { sql: database.statements, roundTrips: cache.roundTrips };
    await work();
    return { sql: database.statements - before.sql, roundTrips: cache.roundTrips - before.roundTrips };
  }

  async close(): Promise<void> {
    await this.running.close();
    await this.stream.close();
    await rm(this.dataDir, { recursive: true });
  }
}

const PROFILE = `query($r: [_Any!]!, $posts: Int, $after: String) { _entities(representations: $r) { ... on User {
  postCount posts(first: $posts, after: $after) {
    edges { cursor node { id body createdAt editedAt likeCount replyCount viewerHasLiked author { id } } }
    pageInfo { endCursor hasNextPage hasPreviousPage startCursor } } } } }`;
const profile = (uuid: string, posts: number) => ({ r: [{ __typename: 'User', id: user(uuid) }], posts });
const TIMELINE = `query($first: Int, $after: String) { homeTimeline(first: $first, after: $after) {
  edges { cursor node { id body author { id } inReplyTo { id author { id } } } } pageInfo { endCursor hasNextPage } } }`;

describe.each(['on', 'off'])('posts, with the cache %s', (cache) => {
  let service: Service;
  let alice: string;
  let bob: string;
  let carol: string;

  beforeAll(async () => {
    service = await Service.start(cache);
    [alice, bob, carol] = [await service.person(), await service.person(), await service.person()];
  });
  afterAll(() => service.close());

  it('answers a publisher at once and everybody after: the post, the count, the page', async () => {
    const dan = await service.person();
    expect(await service.profile(bob, dan)).toMatchObject({
      postCount: 0,
      posts: { edges: [], pageInfo: { hasNextPage: false, endCursor: null } },
    });

    const query =
      'mutation($input: PublishPostInput!) { publishPost(input: $input) { id body createdAt author { id postCount } } }';
    type Published = { publishPost: { id: string; createdAt: string } };
    const { publishPost } = await service.data<Published>(dan, query, { input: { body: 'hello' } });
    expect(publishPost).toMatchObject({ body: 'hello', author: { id: user(dan), postCount: 1 } });
    expect(publishPost.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

    expect(await service.profile(bob, dan)).toMatchObject({
      postCount: 1,
      posts: { edges: [{ node: { id: publishPost.id, viewerHasLiked: false } }] },
    });
  });

  it('shows every write to whoever reads next, also within one request', async () => {
    const dan = await service.person();
    const id = await service.publish(dan, 'first');
    const read = 'query($id: ID!) { post(id: $id) { body editedAt likeCount viewerHasLiked } }';
    expect((await service.data(bob, read, { id }))['post']).toEqual({
      body: 'first',
      editedAt: null,
      likeCount: 0,
      viewerHasLiked: false,
    });
    type Author = { author: { postCount: number } };
    const answer = await service.data<{ e: Author; f: Author }>(
      bob,
      `mutation($id: ID!) {
        a: likePost(postId: $id) { likeCount viewerHasLiked } b: unlikePost(postId: $id) { likeCount viewerHasLiked }
        c: likePost(postId: $id) { likeCount viewerHasLiked } d: likePost(postId: $id) { likeCount viewerHasLiked }
        e: publishPost(input: { body: "one" }) { author { postCount } } f: publishPost(input: { body: "two" }) { author { postCount } } }`,
      { id },
    );
    const [yes, no] = [
      { likeCount: 1, viewerHasLiked: true },
      { likeCount: 0, viewerHasLiked: false },
    ];
    expect(answer).toMatchObject({ a: yes, b: no, c: yes, d: yes });
    expect(answer.f.author.postCount - answer.e.author.postCount).toBe(1);

    await service.data(dan, 'mutation($i: EditPostInput!) { editPost(input: $i) { editedAt } }', {
      i: { id, body: 'second' },
    });
    expect((await service.data(bob, read, { id }))['post']).toEqual({
      body: 'second',
      editedAt: expect.any(String),
      ...yes,
    });
    expect((await service.data(null, read, { id }))['post']).toMatchObject({ likeCount: 1, viewerHasLiked: null });

    const reply = await service.publish(bob, 'reply', id);
    const thread =
      'query($id: ID!) { post(id: $id) { replyCount replies { edges { node { id inReplyTo { id } } } } } }';
    expect((await service.data(dan, thread, { id }))['post']).toEqual({
      replyCount: 1,
      replies: { edges: [{ node: { id: reply, inReplyTo: { id } } }] },
    });
    expect(await service.data(dan, 'mutation($id: ID!) { deletePost(id: $id) { id } }', { id })).toEqual({
      deletePost: { id },
    });
    expect((await service.data(bob, read, { id }))['post']).toBeNull();
    const orphan = 'query($id: ID!) { post(id: $id) { body inReplyTo { id } } }';
    expect((await service.data(dan, orphan, { id: reply }))['post']).toEqual({ body: 'reply', inReplyTo: null });
  });

  it('shows what happened to a post, and what it was at any time, to whoever may see it', async () => {
    const [dan, eve] = [await service.person(), await service.person()];
    const id = await service.publish(dan, 'one');
    const act = (mutation: string, variables: object = { id }) => service.data<Acted>(dan, mutation, variables);
    type Acted = Record<string, { version: number; body: string }>;
    const { editPost } = await act(
      'mutation($i: EditPostInput!) { editPost(input: $i) { version body history { edges { node { body } } } } }',
      { i: { id, body: 'two', expectedVersion: 1 } },
    );
    expect(editPost).toMatchObject({
      version: 2,
      history: { edges: [{ node: { body: 'one' } }, { node: { body: 'two' } }] },
    });
    const [published, edited] = (await history(eve, id)) ?? [];
    expect(published).toEqual({ version: 1, change: 'PUBLISHED', at: expect.any(String), body: 'one', basedOn: null });
    expect(edited).toEqual({ version: 2, change: 'EDITED', at: expect.any(String), body: 'two', basedOn: 1 });
    expect(await history(null, id)).toEqual([published, edited]);

    // While it is gone nobody reads any of it, not by any way; also not its author.
    await act('mutation($id: ID!) { deletePost(id: $id) { id } }');
    for (const viewer of [eve, dan, null]) {
      const { text } = await anyWay(viewer, id, published?.at ?? '');
      expect(text).not.toMatch(/one|two/);
      expect(await history(viewer, id)).toBeUndefined();
    }
    const { restorePost } = await act('mutation($id: ID!) { restorePost(id: $id) { version body } }');
    expect(restorePost).toEqual({ version: 4, body: 'two' });
    const [, , deleted, restored] = (await history(eve, id)) ?? [];
    expect([deleted, restored]).toEqual([
      { version: 3, change: 'DELETED', at: expect.any(String), body: null, basedOn: null },
      { version: 4, change: 'RESTORED', at: expect.any(String), body: 'two', basedOn: null },
    ]);
    expect((await service.profile(eve, dan))?.postCount).toBe(1);

    // To whom a block hides the post, it hides what it was.
    await service.block('block-started', dan, eve);
    expect(await history(eve, id)).toBeUndefined();
    expect((await anyWay(eve, id, restored?.at ?? '')).text).not.toMatch(/one|two/);
    expect(await history(alice, id)).toHaveLength(4);
  });

  it('is, as of a time, what it was then: null before it was published and while it was deleted', async () => {
    const dan = await service.person();
    const start = Date.now() - 60_000;
    const at = (second: number) => new Date(start + second * 1_000).toISOString();
    const uuid = newId({ now: start });
    const facts = [
      { type: 'published', authorId: dan, body: 'one', inReplyToId: null, at: at(0) },
      { type: 'edited', body: 'two', at: at(10) },
      { type: 'deleted', reason: 'author', at: at(20) },
      { type: 'restored', body: 'two', at: at(30) },
    ];
    await service.running.database.query(
      `INSERT INTO post_events (post_id, version, fact, actor)
       SELECT $1, n, fact, $3 FROM unnest($2::jsonb[]) WITH ORDINALITY AS f (fact, n)`,
      [uuid, facts.map((fact) => JSON.stringify(fact)), dan],
    );
    await service.running.database.query(
      `INSERT INTO posts (id, author_id, body, created_at, edited_at, version, state) VALUES ($1, $2, 'two', $3, $4, 4, 'published')`,
      [uuid, dan, at(0), at(10)],
    );
    const asOf = async (time: string) =>
      (
        await service.data<{ post: { asOf: unknown } }>(
          bob,
          'query($id: ID!, $at: DateTime!) { post(id: $id) { asOf(at: $at) { version change at body } } }',
          { id: globalId('post', uuid), at: time },
        )
      ).post.asOf;
    const one = { version: 1, change: 'PUBLISHED', at: at(0), body: 'one' };
    const two = { version: 2, change: 'EDITED', at: at(10), body: 'two' };
    const again = { version: 4, change: 'RESTORED', at: at(30), body: 'two' };
    const seen: [string, unknown][] = [
      ['0000-01-01T00:00:00.000Z', null],
      [at(-0.001), null],
      [at(0), one],
      [at(9.999), one],
      [at(10), two],
      [at(19.999), two],
      [at(20), null],
      [at(29.999), null],
      [at(30), again],
      ['9999-12-31T23:59:59.999Z', again],
    ];
    for (const [time, shown] of seen) expect([time, await asOf(time)]).toEqual([time, shown]);
  });

  it.each([['yesterday'], ['2026-02-30T00:00:00.000Z'], ['2026-11-20T25:00:00.000Z'], ['2026-11-20'], [`2026'; --`]])(
    'knows no time %s',
    async (at) => {
      const query = 'query($id: ID!, $at: DateTime!) { post(id: $id) { asOf(at: $at) { body } } }';
      const { errors } = await service.ask(bob, query, { id: somePost, at });
      expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    },
  );

  it('pages through a history, oldest first, and reads those of a whole page of posts by one statement', async () => {
    const dan = await service.person();
    const id = await service.publish(dan, 'v1');
    const edit = 'mutation($i: EditPostInput!) { editPost(input: $i) { id } }';
    for (let nth = 2; nth <= 5; nth++) await service.data(dan, edit, { i: { id, body: `v${nth}` } });
    const page = `query($id: ID!, $first: Int, $after: String) { post(id: $id) { history(first: $first, after: $after) {
      edges { node { version } } pageInfo { endCursor hasNextPage } } } }`;
    type Paged = {
      post: {
        history: { edges: { node: { version: number } }[]; pageInfo: { endCursor: string; hasNextPage: boolean } };
      };
    };
    const versions: number[] = [];
    for (let after: string | null = null, more = true; more;) {
      const paged: Paged = await service.data<Paged>(bob, page, { id, first: 2, after });
      versions.push(...paged.post.history.edges.map(({ node }) => node.version));
      ({ endCursor: after, hasNextPage: more } = paged.post.history.pageInfo);
    }
    expect(versions).toEqual([1, 2, 3, 4, 5]);

    const posts = (size: number) => `{ node(id: "${user(dan)}") { ... on User { posts(first: ${size}) {
      edges { node { history { edges { node { body } } } asOf(at: "2100-01-01T00:00:00.000Z") { body } } } } } } }`;
    for (let nth = 0; nth < 3; nth++) await service.publish(dan, 'another');
    const cost = async (size: number) => (await service.cost(() => service.data(bob, posts(size)))).sql;
    await service.data(bob, posts(4)); // what the cache keeps, it has now
    expect(await cost(4)).toBe(await cost(1));
  });

  interface ToldRevision {
    version: number;
    change: string;
    at: string;
    body: string | null;
    basedOn: number | null;
  }
  /** Undefined: there is no such post for this viewer. */
  async function history(viewer: string | null, id: string): Promise<ToldRevision[] | undefined> {
    const query = 'query($id: ID!) { post(id: $id) { history { edges { node { version change at body basedOn } } } } }';
    type Told = { post: { history: { edges: { node: ToldRevision }[] } } | null };
    return (await service.data<Told>(viewer, query, { id })).post?.history.edges.map(({ node }) => node);
  }

  /** Every way to a post's text, past and present. */
  async function anyWay(viewer: string | null, id: string, at: string): Promise<{ text: string }> {
    const past = `history { edges { node { body } } } asOf(at: $at) { body }`;
    const query = `query($id: ID!, $at: DateTime!, $r: [_Any!]!) { post(id: $id) { body ${past} }
      node(id: $id) { ... on Post { body ${past} } } nodes(ids: [$id]) { ... on Post { body ${past} } }
      _entities(representations: $r) { ... on Post { body ${past} } } }`;
    return { text: JSON.stringify(await service.ask(viewer, query, { id, at, r: [{ __typename: 'Post', id }] })) };
  }

  it('pages through a person’s posts, a thread and the home timeline without a gap or a repeat', async () => {
    const [dan, eve] = [await service.person(), await service.person()];
    await service.follow(eve, dan);
    const root = await service.publish(alice, 'root');
    const ids: string[] = [];
    for (let nth = 0; nth < 7; nth++) ids.push(await service.publish(dan, `${nth}`, root));
    const newest = [...ids].reverse();

    const all = async (page: (after: string | null) => Promise<PostPage | undefined>) => {
      const seen: string[] = [];
      for (let after: string | null = null, more = true; more;) {
        const found: PostPage | undefined = await page(after);
        seen.push(...(found?.edges ?? []).map((edge) => edge.node.id));
        after = found?.pageInfo.endCursor ?? null;
        more = found?.pageInfo.hasNextPage ?? false;
      }
      return seen;
    };
    expect(await all(async (after) => (await service.profile(eve, dan, 3, after))?.posts)).toEqual(newest);
    expect(await all((after) => service.home(eve, 2, after))).toEqual(newest);
    const thread = `query($id: ID!, $after: String) { post(id: $id) { replies(first: 3, after: $after) {
      edges { node { id } } pageInfo { endCursor hasNextPage } } } }`;
    type Thread = { post: { replies: PostPage } };
    const replies = async (after: string | null) =>
      (await service.data<Thread>(eve, thread, { id: root, after })).post.replies;
    expect(await all(replies)).toEqual(ids);
    expect((await service.profile(eve, dan, 0))?.posts).toMatchObject({
      edges: [],
      pageInfo: { hasNextPage: true, endCursor: null },
    });
  });

  it('answers every representation: known, twice, unknown, deleted, malformed', async () => {
    const dan = await service.person();
    const id = await service.publish(dan, 'here');
    const gone = await service.person();
    await service.tell('user-deleted', `user:${gone}`, { userId: gone, handle: 'gone' });
    await service.running.settle();
    const query = `query($r: [_Any!]!) { _entities(representations: $r) {
      ... on Post { body } ... on User { postCount posts { edges { node { id } } } } } }`;
    const representations = [
      ['Post', id],
      ['User', user(dan)],
      ['Post', globalId('post', newId())],
      ['User', user(newId())],
      ['User', user(gone)],
      ['Post', id],
      ['Post', user(dan)],
      ['User', 'x'],
    ].map(([__typename, id]) => ({ __typename, id }));
    const { data, errors } = await service.ask(alice, query, { r: representations });
    expect(data?.['_entities']).toEqual([
      { body: 'here' },
      { postCount: 1, posts: { edges: [{ node: { id } }] } },
      null,
      null,
      null,
      { body: 'here' },
      null,
      null,
    ]);
    expect(errors?.map((error) => [error.path?.[1], error.extensions.code])).toEqual([
      [6, 'BAD_USER_INPUT'],
      [7, 'BAD_USER_INPUT'],
    ]);
  });

  it('answers nodes in their order and length, an error at the place of a malformed id', async () => {
    const id = await service.publish(alice, 'node');
    const ids = [user(alice), id, globalId('post', newId()), user(newId()), 'nonsense', id];
    const query = 'query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }';
    const { data, errors } = await service.ask(bob, query, { ids });
    const post = { __typename: 'Post', id };
    expect(data?.['nodes']).toEqual([{ __typename: 'User', id: user(alice) }, post, null, null, null, post]);
    expect(errors?.map((error) => [error.path?.join('.'), error.extensions.code])).toEqual([
      ['nodes.4', 'BAD_USER_INPUT'],
    ]);
    expect((await service.data(null, 'query($id: ID!) { node(id: $id) { __typename id } }', { id }))['node']).toEqual(
      post,
    );
  });

  it.each(['by the author', 'by the viewer'])(
    'while a block stands (%s), a post is nowhere, as if it were not there',
    async (by) => {
      const [dan, eve, fay] = [await service.person(), await service.person(), await service.person()];
      await service.follow(eve, dan);
      await service.follow(eve, fay);
      const older = await service.publish(fay, 'older');
      const root = await service.publish(fay, 'root');
      const hidden = await service.publish(dan, 'hidden', root);
      const shown = await service.publish(fay, 'shown', hidden);
      const places = `query($id: ID!, $shown: ID!, $root: ID!, $r: [_Any!]!) {
      post(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id }
      reply: post(id: $shown) { inReplyTo { id } } thread: post(id: $root) { replyCount replies(first: 1) { edges { node { id } } } }
      homeTimeline(first: 3) { edges { node { id } } }
      _entities(representations: $r) { ... on Post { id } ... on User { postCount posts { edges { node { id } } } } } }`;
      const variables = {
        id: hidden,
        shown,
        root,
        r: [
          { __typename: 'Post', id: hidden },
          { __typename: 'User', id: user(dan) },
        ],
      };
      const look = (viewer: string | null) => service.ask(viewer, places, variables);
      const there = { id: hidden };
      const open = {
        post: there,
        node: there,
        nodes: [there],
        reply: { inReplyTo: there },
        thread: { replyCount: 1, replies: { edges: [{ node: there }] } },
        homeTimeline: { edges: [{ node: { id: shown } }, { node: there }, { node: { id: root } }] },
        _entities: [there, { postCount: 1, posts: { edges: [{ node: there }] } }],
      };
      expect((await look(eve)).data).toEqual(open);

      const [blocker, blocked] = by === 'by the author' ? [dan, eve] : [eve, dan];
      await service.block('block-started', blocker, blocked);
      expect((await look(eve)).data).toEqual({
        post: null,
        node: null,
        nodes: [null],
        reply: { inReplyTo: null },
        thread: { replyCount: 1, replies: { edges: [] } },
        // The page is full all the same.
        homeTimeline: { edges: [{ node: { id: shown } }, { node: { id: root } }, { node: { id: older } }] },
        _entities: [null, { postCount: 1, posts: { edges: [] } }],
      });
      const like = await service.ask(eve, 'mutation($id: ID!) { likePost(postId: $id) { id } }', { id: hidden });
      expect(like.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
      // Nobody else is concerned.
      expect((await look(alice)).data?.['post']).toEqual(there);
      expect((await look(null)).data?.['post']).toEqual(there);

      await service.block('block-ended', blocker, blocked);
      expect((await look(eve)).data).toEqual(open);
    },
  );

  it('reads the home timeline from the posts for who asks for nothing that is kept, and from the list for all others', async () => {
    const [dan, eve] = [await service.person(), await service.person()];
    await service.follow(eve, dan);
    await service.running.settle();
    const id = await service.publish(dan, 'on its way');
    await service.running.settle();
    // As if it were not delivered yet.
    await service.running.database.query('DELETE FROM home_entries WHERE user_id = $1', [eve]);
    const home = async (headers: object): Promise<unknown> =>
      (await service.ask(eve, '{ homeTimeline { edges { node { id } } } }', {}, headers)).data?.['homeTimeline'];
    expect(await home({ 'cache-control': 'no-cache' })).toEqual({ edges: [{ node: { id } }] });
    expect(await home({})).toEqual({ edges: [] });
  });

  it('withdraws what a person wrote when users says that the account is gone', async () => {
    const dan = await service.person();
    const post = await service.publish(alice, 'liked by dan');
    const read = 'query($id: ID!) { post(id: $id) { likeCount replyCount } }';
    await service.data(dan, 'mutation($id: ID!) { likePost(postId: $id) { id } }', { id: post });
    const reply = await service.publish(dan, 'reply', post);
    expect((await service.data(bob, read, { id: post }))['post']).toEqual({ likeCount: 1, replyCount: 1 });
    expect((await service.profile(bob, dan))?.postCount).toBe(1);

    await service.tell('user-deleted', `user:${dan}`, { userId: dan, handle: 'dan' });
    await service.running.settle();
    expect((await service.data(bob, read, { id: post }))['post']).toEqual({ likeCount: 0, replyCount: 0 });
    expect((await service.data(bob, read, { id: reply }))['post']).toBeNull();
    expect(await service.profile(bob, dan)).toBeNull();
  });

  it.each([
    ['homeTimeline', '{ homeTimeline { edges { cursor } } }'],
    ['publishPost', 'mutation { publishPost(input: { body: "x" }) { id } }'],
    ['editPost', 'mutation { editPost(input: { id: "x", body: "x" }) { id } }'],
    ['deletePost', 'mutation { deletePost(id: "x") { id } }'],
    ['restorePost', 'mutation { restorePost(id: "x") { id } }'],
    ['likePost', 'mutation { likePost(postId: "x") { id } }'],
    ['unlikePost', 'mutation { unlikePost(postId: "x") { id } }'],
  ])('asks for a log-in for %s', async (field, query) => {
    expect(await service.ask(null, query)).toEqual({
      data: { [field]: null },
      errors: [{ message: 'Log in first.', path: [field], extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });

  const cursor = (...parts: string[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');
  const lists = {
    homeTimeline: (args: string) => `{ homeTimeline(${args}) { edges { cursor } } }`,
    posts: (args: string) => `{ node(id: "${user(alice)}") { ... on User { posts(${args}) { edges { cursor } } } } }`,
    replies: (args: string) => `{ node(id: "${somePost}") { ... on Post { replies(${args}) { edges { cursor } } } } }`,
    history: (args: string) => `{ node(id: "${somePost}") { ... on Post { history(${args}) { edges { cursor } } } } }`,
  };
  let somePost: string;
  beforeAll(async () => {
    somePost = await service.publish(alice, 'some post');
  });
  /** What a cursor of each list begins with. */
  const own = {
    homeTimeline: () => ['home', bob],
    posts: () => ['posts', alice],
    replies: () => ['replies', parseGlobalId('post', somePost)],
    history: () => ['history', parseGlobalId('post', somePost)],
  };
  const wrongPages: [string, (own: string[]) => string][] = [
    ['first -1', () => 'first: -1'],
    ['first 101', () => 'first: 101'],
    ['first a billion', () => 'first: 1000000000'],
    ['an empty cursor', () => 'after: ""'],
    ['a cursor of 64 KB', () => `after: "${'A'.repeat(65_536)}"`],
    ['a cursor that was cut', (own) => `after: "${cursor(...own, newId()).slice(0, -2)}"`],
    ['a cursor with something behind it', (own) => `after: "${cursor(...own, newId())}="`],
    ['a cursor of another list', () => `after: "${cursor('users', bob, newId())}"`],
    ['a cursor of another’s list', ([list = '']) => `after: "${cursor(list, carol, newId())}"`],
    ['a cursor with another kind of key', (own) => `after: "${cursor(...own, '1 OR 1=1')}"`],
    ['a cursor with NUL in it', (own) => `after: "${cursor(...own, `${newId()}\0`)}"`],
    ['a cursor that is no JSON', () => `after: "${Buffer.from('{').toString('base64url')}"`],
  ];
  describe.each(['homeTimeline', 'posts', 'replies', 'history'] as const)('%s', (list) => {
    it.each(wrongPages)('refuses %s', async (_, args) => {
      const { errors } = await service.ask(bob, lists[list](args(own[list]())));
      expect(errors?.map((error) => error.extensions.code)).toEqual(['BAD_USER_INPUT']);
    });

    it('takes null for nothing said, as clients send a variable without a value', async () => {
      expect((await service.ask(bob, lists[list]('first: null, after: null'))).errors).toBeUndefined();
    });

    it('takes a cursor of its own', async () => {
      expect(
        (await service.ask(bob, lists[list](`after: "${cursor(...own[list](), list === 'history' ? '1' : newId())}"`)))
          .errors,
      ).toBeUndefined();
    });
  });

  it.each([
    ['empty', ''],
    ['of the wrong kind', user(newId())],
    ['a uuid', newId()],
    ['in capitals', globalId('post', newId()).toUpperCase()],
    ['SQL', `post_' OR 1=1 --`],
    ['64 KB', `post_${'0'.repeat(65_536)}`],
    ['NUL', `${globalId('post', newId()).slice(0, -1)}\0`],
  ])('refuses an id that is %s, wherever an id goes, and changes nothing', async (_, id) => {
    const before = await service.running.database.query('SELECT count(*) FROM outbox');
    const fields: [string, string][] = [
      ['post', 'query($id: ID!) { post(id: $id) { id } }'],
      ['likePost', 'mutation($id: ID!) { likePost(postId: $id) { id } }'],
      ['unlikePost', 'mutation($id: ID!) { unlikePost(postId: $id) { id } }'],
      ['deletePost', 'mutation($id: ID!) { deletePost(id: $id) { id } }'],
      ['restorePost', 'mutation($id: ID!) { restorePost(id: $id) { id } }'],
      ['editPost', 'mutation($id: ID!) { editPost(input: { id: $id, body: "x" }) { id } }'],
      ['publishPost', 'mutation($id: ID) { publishPost(input: { body: "x", inReplyToId: $id }) { id } }'],
    ];
    for (const [field, query] of fields) {
      const { data, errors } = await service.ask(bob, query, { id });
      expect({ field, data, code: errors?.[0]?.extensions.code }).toEqual({
        field,
        data: { [field]: null },
        code: 'BAD_USER_INPUT',
      });
    }
    expect(await service.running.database.query('SELECT count(*) FROM outbox')).toEqual(before);
  });

  it('refuses texts, versions and lists that are out of bounds, and changes nothing', async () => {
    const before = await service.running.database.query('SELECT count(*) FROM outbox');
    const publish = 'mutation($body: String!) { publishPost(input: { body: $body }) { id } }';
    for (const body of ['', '   ', 'a'.repeat(501), 'a'.repeat(500_000), 'a\0b', 'a\u001bb', '\u200b']) {
      expect((await service.ask(bob, publish, { body })).errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    }
    const edit = 'mutation($id: ID!, $v: Int) { editPost(input: { id: $id, body: "x", expectedVersion: $v }) { id } }';
    expect((await service.ask(alice, edit, { id: somePost, v: 0 })).errors?.[0]?.extensions.code).toBe(
      'BAD_USER_INPUT',
    );
    expect((await service.ask(alice, edit, { id: somePost, v: 9 })).errors?.[0]?.extensions.code).toBe('CONFLICT');
    expect((await service.ask(bob, edit, { id: somePost })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const nodes = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }';
    expect((await service.ask(bob, nodes, { ids: Array(101).fill(somePost) })).errors?.[0]?.extensions.code).toBe(
      'BAD_USER_INPUT',
    );
    expect((await service.ask(bob, nodes, { ids: Array(100).fill(somePost) })).data?.['nodes']).toHaveLength(100);
    expect(await service.running.database.query('SELECT count(*) FROM outbox')).toEqual(before);
  });

  it('keeps markup as text', async () => {
    const body = '<script>alert("1")</script>&amp;';
    const id = await service.publish(alice, body);
    expect((await service.data(bob, 'query($id: ID!) { post(id: $id) { body } }', { id }))['post']).toEqual({ body });
  });
});

describe('the budget of a profile page: 100 posts, a viewer logged in', () => {
  const services: Service[] = [];
  afterAll(() => Promise.all(services.map((service) => service.close())));

  async function scene(cache: string): Promise<{ service: Service; author: string; viewer: string }> {
    const service = await Service.start(cache);
    services.push(service);
    const [author, viewer] = [await service.person(), await service.person()];
    const ids = Array.from({ length: 120 }, () => newId());
    await service.running.database.query(
      `INSERT INTO posts (id, author_id, body, created_at, version, state) SELECT id, $2, 'x', now(), 1, 'published' FROM unnest($1::uuid[]) AS id`,
      [ids, author],
    );
    return { service, author, viewer };
  }

  it('is three statements without the cache, whatever the size of the page', async () => {
    const { service, author, viewer } = await scene('off');
    for (const size of [1, 20, 100]) {
      expect(await service.cost(() => service.data(viewer, PROFILE, profile(author, size)))).toEqual({
        sql: 3,
        roundTrips: 0,
      });
    }
  });

  it('is no statement and two round trips when everything is kept', async () => {
    const { service, author, viewer } = await scene('on');
    for (const size of [1, 20, 100]) {
      await service.data(viewer, PROFILE, profile(author, size));
      await new Promise((resolve) => setImmediate(resolve));
      expect(await service.cost(() => service.data(viewer, PROFILE, profile(author, size)))).toEqual({
        sql: 0,
        roundTrips: 2,
      });
    }
  });

  it('is the same for ten people as for one', async () => {
    const { service, author, viewer } = await scene('off');
    const people = [author, ...(await Promise.all(Array.from({ length: 9 }, () => service.person())))];
    const r = people.map((id) => ({ __typename: 'User', id: user(id) }));
    expect(await service.cost(() => service.data(viewer, PROFILE, { r, posts: 20 }))).toEqual({
      sql: 3,
      roundTrips: 0,
    });
  });

  it('of the home timeline with its parents is three statements', async () => {
    const { service, author, viewer } = await scene('off');
    await service.follow(viewer, author);
    const first = (await service.home(viewer, 1)).edges[0]?.node.id ?? '';
    for (let nth = 0; nth < 5; nth++) await service.publish(author, 'reply', first);
    const parents: string[] = [];
    const cost = await service.cost(async () => {
      for (const { node } of (await service.home(viewer, 4)).edges) parents.push(node.inReplyTo?.id ?? '');
    });
    expect(parents).toEqual([first, first, first, first]);
    expect(cost).toEqual({ sql: 3, roundTrips: 0 });
  });
});

withServer('postgres', 'a start that waits for its migrations', (adminUrl = '') => {
  it('lives, says what it waits for, also to Prometheus, and is started when they are done', async () => {
    const prefix = `start_${newId().slice(-8)}_`;
    const { posts: url = '' } = await provisionServices(adminUrl, ['posts'], { posts: secret }, { prefix });
    const [port, metricsPort] = [await freePort(), await freePort()];
    const stream = openStream({ logger: silent });
    // The lock of another process that migrates.
    const migrating = new pg.Client({ connectionString: url });
    await migrating.connect();
    await migrating.query(`SELECT pg_advisory_lock(hashtext('tributary migrations'))`);
    const config = readPostsConfig({
      DATABASE_URL: url,
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      CACHE: 'off',
      ASSERTION_SECRET: secret,
    });
    const starting = startPosts(config, { stream, logger: silent });
    const health = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/health/${path}`);
      return { status: response.status, body: (await response.json()) as object };
    };
    const figures = async () => (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    try {
      while ((await health('live').catch(() => undefined)) === undefined) await sleep(10);
      // Or it would be down, which wakes somebody after a minute.
      const end = Date.now() + 30_000;
      while ((await figures().catch(() => undefined)) === undefined && Date.now() < end) await sleep(10);
      expect(await figures()).toContain('\ntributary_ready{service="posts"} 0\n');
      expect(await figures()).not.toContain('tributary_outbox_age_seconds{');
      const waitingFor = ['database: it is being opened, and migrations run'];
      expect(await health('live')).toEqual({ status: 200, body: { status: 'live' } });
      expect(await health('startup')).toEqual({ status: 503, body: { status: 'starting', waitingFor } });
      expect(await health('ready')).toEqual({ status: 503, body: { status: 'waiting', waitingFor } });
    } finally {
      await migrating.end();
    }
    const running = await starting;
    try {
      expect(await health('startup')).toEqual({ status: 200, body: { status: 'started' } });
      expect(await health('ready')).toEqual({ status: 200, body: { status: 'ready', waitingFor: [] } });
      expect(await figures()).toContain('\ntributary_ready{service="posts"} 1\n');
      expect(await figures()).toContain('\ntributary_outbox_age_seconds{service="posts"} ');
    } finally {
      await running.close();
      await stream.close();
      const admin = new pg.Client({ connectionString: adminUrl });
      await admin.connect();
      await admin.query(`DROP DATABASE ${prefix}posts WITH (FORCE)`);
      await admin.query(`DROP ROLE ${prefix}posts`);
      await admin.end();
    }
  });
});
