import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { UP_TO_HEADER, writesText } from '#libs/consistency';
import { provisionServices, type Database } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { forgetCalls } from '#libs/idempotency';
import { ASSERTION_HEADER, AssertionSigner, globalId, IDEMPOTENCY_HEADER, newId } from '#libs/identity';
import { openStream, type Stream } from '#libs/outbox';
import type { RunningSubgraph } from '#libs/subgraph-kit';
import { Metrics, silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { readPostsConfig } from './config.js';
import { startPosts } from './start.js';

const secret = 's'.repeat(32);
const signer = new AssertionSigner({ secrets: () => secret });
const alice = newId();

/** What goes over the wire, and may be read there. */
interface Sent {
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface More {
  readonly write?: string;
  readonly events?: readonly object[];
}

function signed(query: string, headers: Record<string, string> = {}, { write, events }: More = {}): Sent {
  const body = JSON.stringify({ query, ...(events ? { extensions: { tributary: { events } } } : {}) });
  const assertion = signer.sign('posts', globalId('user', alice), { body, headers }, write);
  return { headers: { ...headers, [ASSERTION_HEADER]: assertion }, body };
}

/** Of a gateway of before. */
function timed(query: string): Sent {
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { iss: 'tributary-gateway', aud: 'posts', iat, exp: iat + 30, sub: globalId('user', alice) };
  const [head] = signer.sign('posts', null, {}).split('.');
  const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  const assertion = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  return { headers: { [ASSERTION_HEADER]: assertion }, body: JSON.stringify({ query }) };
}

interface Came {
  readonly status: number;
  readonly data: unknown;
  readonly codes: string[];
}

async function send({ url }: RunningSubgraph, { headers, body }: Sent): Promise<Came> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body,
  });
  const { data, errors = [] } = (await response.json()) as {
    data?: unknown;
    errors?: { extensions: { code: string } }[];
  };
  return { status: response.status, data, codes: errors.map(({ extensions }) => extensions.code) };
}

function start(stream: Stream, env: Record<string, string>, metrics?: Metrics): Promise<RunningSubgraph> {
  const settings = {
    PORT: '0',
    CACHE: 'off',
    ASSERTION_SECRET: secret,
    TRENDING_REFRESH_S: '86400',
    CONSISTENCY_WAIT_MS: '100',
    ...env,
  };
  return startPosts(readPostsConfig(settings), { stream, logger: silent, metrics });
}

/** Somebody whom this service has heard of. */
async function hearOfAlice(stream: Stream, { settle }: RunningSubgraph): Promise<void> {
  await stream.publish([registered(alice, 'alice') as unknown as DomainEvent]);
  await settle();
}

const registered = (userId: string, handle: string): object => ({
  id: newId(),
  type: 'user-registered',
  version: 1,
  source: 'users',
  aggregate: `user:${userId}`,
  aggregateVersion: 1,
  at: new Date().toISOString(),
  actor: null,
  payload: { userId, handle },
});

const bodiesOf = async (database: Database, like: string): Promise<number> =>
  (await database.query('SELECT FROM posts WHERE body LIKE $1', [like])).length;
const publish = (body: string): string => `mutation { publishPost(input: { body: "${body}" }) { id } }`;
const refusedInside = { status: 200, data: { publishPost: null }, codes: ['UNAUTHENTICATED'] };
const refusedAtTheDoor = { status: 401, data: undefined, codes: ['UNAUTHENTICATED'] };

withServer('postgres', 'a call that is sent once more, to another process of the service', (adminUrl = '') => {
  const prefix = `replayed_${randomBytes(5).toString('hex')}_`;
  // As far as they go: nobody has to hear here what another one tells.
  const streams = [1, 2, 3].map(() => openStream({ logger: silent }));
  const running: RunningSubgraph[] = [];
  let one: RunningSubgraph;
  let other: RunningSubgraph;
  let lax: RunningSubgraph;
  let database: Database;

  beforeAll(async () => {
    const { posts: url = '' } = await provisionServices(adminUrl, ['posts'], { posts: secret }, { prefix });
    for (const [nth, stream] of streams.entries())
      running.push(await start(stream, { DATABASE_URL: url, ...(nth === 2 ? { TIMED_ASSERTIONS: 'take' } : {}) }));
    [one, other, lax] = running as [RunningSubgraph, RunningSubgraph, RunningSubgraph];
    ({ database } = one);
    await hearOfAlice(streams[0]!, one);
  }, 180_000);
  afterAll(async () => {
    for (const each of running) await each.close();
    for (const each of streams) await each.close();
    const admin = new pg.Client({ connectionString: adminUrl });
    await admin.connect();
    await admin.query(`DROP DATABASE IF EXISTS ${prefix}posts WITH (FORCE)`);
    await admin.query(`DROP ROLE IF EXISTS ${prefix}posts`);
    await admin.end();
  });

  it('has written once; control: what a gateway of before signs writes as often as it comes', async () => {
    const sent = signed(publish('once'));
    expect(await send(one, sent)).toMatchObject({ status: 200, codes: [] });
    expect([await send(one, sent), await send(other, sent)]).toEqual([refusedAtTheDoor, refusedInside]);
    expect(await bodiesOf(database, 'once')).toBe(1);

    const before = timed(publish('again'));
    for (let time = 0; time < 2; time += 1) expect((await send(lax, before)).codes).toEqual([]);
    expect(await bodiesOf(database, 'again')).toBe(2);
  });

  it('undoes nothing that came after it', async () => {
    const { data } = await send(one, signed(publish('liked')));
    const { id } = (data as { publishPost: { id: string } }).publishPost;
    const like = signed(`mutation { likePost(postId: "${id}") { likeCount } }`);
    expect((await send(one, like)).data).toEqual({ likePost: { likeCount: 1 } });
    await send(one, signed(`mutation { unlikePost(postId: "${id}") { likeCount } }`));
    expect(await send(other, like)).toEqual({ status: 200, data: { likePost: null }, codes: ['UNAUTHENTICATED'] });
    expect((await send(one, signed(`{ post(id: "${id}") { likeCount } }`))).data).toEqual({ post: { likeCount: 0 } });
  });

  it('has written all of its fields once, though the first of them had failed', async () => {
    const several = signed(`mutation {
      a: editPost(input: { id: "${globalId('post', newId())}", body: "no" }) { id }
      b: publishPost(input: { body: "several 1" }) { id } c: publishPost(input: { body: "several 2" }) { id } }`);
    expect((await send(one, several)).codes).toHaveLength(1);
    expect((await send(other, several)).data).toEqual({ a: null, b: null, c: null });
    expect(await bodiesOf(database, 'several %')).toBe(2);
  });

  it('has written once also where it was refused, and asked again with what was missing; control: calls that do not say that they are one write twice', async () => {
    const refusedAtFirst = async (body: string, write: { write?: string }): Promise<Came> => {
      const missing = newId();
      const at = Math.floor(Date.now() / 1_000);
      const upTo = writesText([{ source: 'users', aggregate: `user:${missing}`, version: 1, at }]);
      const first = signed(publish(body), { [UP_TO_HEADER]: upTo }, write);
      expect((await send(one, first)).codes).toEqual(['NOT_CAUGHT_UP']);
      const events = [registered(missing, `m${missing.slice(-8)}`)];
      const again = signed(publish(body), { [UP_TO_HEADER]: upTo }, { ...write, events });
      expect((await send(one, again)).codes).toEqual([]);
      expect(await bodiesOf(database, body)).toBe(1);
      return send(other, first);
    };
    expect(await refusedAtFirst('carried', { write: newId() })).toEqual(refusedInside);
    expect(await bodiesOf(database, 'carried')).toBe(1);
    expect((await refusedAtFirst('carried too', {})).codes).toEqual([]);
    expect(await bodiesOf(database, 'carried too')).toBe(2);
  });

  it('at the same moment at each of them has written once', async () => {
    const sent = Array.from({ length: 10 }, (_, nth) => signed(publish(`race ${nth}`)));
    await Promise.all(sent.flatMap((each) => [send(one, each), send(other, each), send(lax, each)]));
    expect(await bodiesOf(database, 'race %')).toBe(10);
  });

  it('is answered as it was where its client’s key says that it may come again, and cannot be parted from that', async () => {
    const key = `${'k'.repeat(43)}.${'p'.repeat(43)}`;
    const sent = signed(publish('with a key'), { [IDEMPOTENCY_HEADER]: key });
    const first = await send(one, sent);
    expect([first.codes, await send(other, sent)]).toEqual([[], first]);
    const { [ASSERTION_HEADER]: assertion = '' } = sent.headers;
    expect(await send(lax, { ...sent, headers: { [ASSERTION_HEADER]: assertion } })).toEqual(refusedAtTheDoor);
    expect(await bodiesOf(database, 'with a key')).toBe(1);
  });

  it('is told, where it reads, what it was told before, and nothing else', async () => {
    const read = signed('{ __typename }');
    expect([await send(one, read), await send(other, read)]).toEqual(
      [1, 2].map(() => ({ status: 200, data: { __typename: 'Query' }, codes: [] })),
    );
    expect([await send(one, read), await send(other, { ...signed('{ nothing }'), headers: read.headers })]).toEqual(
      [1, 2].map(() => refusedAtTheDoor),
    );
  });

  it('is known for minutes: longer than anybody believes what is signed of it, and no longer', async () => {
    await database.query(
      `INSERT INTO written_calls (id, at) SELECT n::text, now() - interval '301 seconds' FROM generate_series(1, 1200) n`,
    );
    await database.query(`INSERT INTO written_calls (id, at) VALUES ('young', now() - interval '60 seconds')`);
    // The services that run here forget on their own as well.
    expect(await forgetCalls(database)).toBeLessThanOrEqual(1_200);
    const left = await database.query(`SELECT id FROM written_calls WHERE id = 'young' OR id ~ '^[0-9]{1,4}$'`);
    expect(left).toEqual([{ id: 'young' }]);
  });
});

describe('a call that is sent once more, to a service that was started anew', () => {
  it('has written once, and is counted by why it was refused, once however many fields it has', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'replayed-'));
    const stream = openStream({ logger: silent });
    try {
      const sent = signed(
        'mutation { a: publishPost(input: { body: "once" }) { id } b: publishPost(input: { body: "too" }) { id } }',
      );
      const before = await start(stream, { DATA_DIR: dataDir });
      await hearOfAlice(stream, before);
      expect(await send(before, sent)).toMatchObject({ status: 200, codes: [] });
      await before.close();
      const metrics = await Metrics.open();
      const after = await start(stream, { DATA_DIR: dataDir }, metrics);
      const counted = async (): Promise<string[]> => {
        const lines = (await metrics.text()).matchAll(
          /^tributary_refused_calls_total\{service="posts",why="(\w+)"\} (.+)$/gm,
        );
        return [...lines].map(([, why, count]) => `${why} ${count}`).filter((one) => !one.endsWith(' 0'));
      };
      expect(await counted()).toEqual([]);
      const inside = await send(after, sent);
      expect(inside).toEqual({
        status: 200,
        data: { a: null, b: null },
        codes: ['UNAUTHENTICATED', 'UNAUTHENTICATED'],
      });
      expect(await bodiesOf(after.database, 'once')).toBe(1);
      expect(await counted()).toEqual(['written 1']);
      for (let time = 0; time < 2; time += 1) expect(await send(after, sent)).toEqual(refusedAtTheDoor);
      expect(await counted()).toEqual(['replayed 2', 'written 1']);
      await after.close();
    } finally {
      await stream.close();
      await rm(dataDir, { recursive: true });
    }
  });
});
