import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloServer } from '@apollo/server';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parseWrites, WROTE_HEADER } from '#libs/consistency';
import { openDatabase, type Database } from '#libs/database';
import { IdempotencyKeysMigration, Once } from '#libs/idempotency';
import { newId } from '#libs/identity';
import { CaughtUp, foundAsAsked, outboxMigrations, recordEvent } from '#libs/outbox';
import { silent } from '#libs/telemetry';
import type { RequestContext } from './context.js';
import { readYourWrites, writingFor } from './read-your-writes.js';

let folder: string;
let users: Database;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-'));
  const migrations = [...outboxMigrations, IdempotencyKeysMigration];
  users = await openDatabase({ service: 'users', dataDir: folder, entities: [], migrations });
});
afterAll(async () => {
  await users.close();
  await rm(folder, { recursive: true, force: true });
});

/** What `signUp` of a process answers the first time, or where another process has done it, and what a later reader of the same process is told. */
async function signUp(handle: string, { isThere, once }: { isThere: boolean; once?: Once }) {
  const aggregate = `user:${newId()}`;
  const event = () => ({
    type: 'user-registered' as const,
    aggregate,
    aggregateVersion: 1,
    actor: null,
    payload: { userId: aggregate.slice(5), handle },
  });
  // By a process that was killed before it dropped anything.
  if (isThere) await users.transaction((tx) => recordEvent(tx, event()));
  const caughtUp = new CaughtUp({ database: users, group: 'users', sources: ['users'], logger: silent });
  const server = new ApolloServer<RequestContext>({
    typeDefs: 'type Query { a: Int } type Mutation { signUp: Boolean }',
    resolvers: {
      Mutation: {
        signUp: async (_: unknown, __: unknown, context: RequestContext) => {
          await writingFor(users, context).transaction((tx) =>
            isThere ? foundAsAsked(tx, aggregate) : recordEvent(tx, event()),
          );
          return context.fresh;
        },
      },
    },
    plugins: [
      readYourWrites({
        caughtUp,
        hearNow: async () => {},
        recorded: async () => [],
        waitMs: 1_000,
        late: 'refuse',
        service: 'users',
        logger: silent,
      }),
    ],
  });
  const contextValue: RequestContext = {
    viewer: null,
    requestId: 'r',
    upTo: [],
    fresh: false,
    once,
    wrote: [],
    found: [],
  };
  const { http, body } = await server.executeOperation({ query: 'mutation { signUp }' }, { contextValue });
  await users.query(
    `INSERT INTO inbox (consumer, aggregate, aggregate_version, event_id, handled_at) VALUES ('users', $1, 1, $2, now())`,
    [aggregate, newId()],
  );
  const { justHeard } = await caughtUp.wait([{ source: 'users', aggregate, version: 1 }], 60_000);
  await Promise.all([server.stop(), caughtUp.close()]);
  const told = parseWrites(http.headers.get(WROTE_HEADER) ?? '');
  const answersFresh = body.kind === 'single' && body.singleResult.data?.['signUp'];
  return { isTold: told?.some((one) => one.aggregate === aggregate), answersFresh, laterAreFresh: justHeard };
}

const key = (): Once => new Once({ name: newId(), payload: 'p' }, 'signUp', null);

it('what another process wrote is told, and never taken for what this one dropped caches for; control: what it wrote itself is', async () => {
  const byAnother = { isTold: true, answersFresh: true, laterAreFresh: true };
  const byItself = { isTold: true, answersFresh: false, laterAreFresh: false };
  expect(await signUp('ann', { isThere: true })).toEqual(byAnother);
  expect(await signUp('bob', { isThere: false })).toEqual(byItself);
  // The same under a key that comes for the first time.
  expect(await signUp('cyd', { isThere: true, once: key() })).toEqual(byAnother);
  expect(await signUp('dan', { isThere: false, once: key() })).toEqual(byItself);
});
