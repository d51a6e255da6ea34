import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openRecordCache } from '#libs/cache';
import { federate, type Asked, type AskOptions } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { EntityCache } from './entity-cache.js';

/** Everything may be kept for everybody; who may see it is said by the three directives alone. */
const graph = federate({
  people: {
    sdl: `${HINTS}
      type Query { person(id: ID!): Person @cacheControl(maxAge: 60)  vault: Vault @cacheControl(maxAge: 60) }
      type Person @key(fields: "id") { id: ID! name: String @cacheControl(maxAge: 60) salary: Int @cacheControl(maxAge: 60) @authenticated email: String @cacheControl(maxAge: 60) @requiresScopes(scopes: [["read:email"]]) boss: Person @cacheControl(maxAge: 60) @policy(policies: [["hr"]]) }
      type Vault @authenticated @cacheControl(maxAge: 60) { gold: Int }`,
    resolvers: {
      Query: { person: (_: unknown, { id }: { id: string }) => ({ id }), vault: () => ({ gold: 9 }) },
      Person: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        name: ({ id }: { id: string }) => `name of ${id}`,
        salary: () => 1_234,
        email: ({ id }: { id: string }) => `${id}@example.com`,
        boss: () => ({ id: 'boss' }),
      },
    },
  },
  taxes: {
    sdl: `${HINTS}
      type Person @key(fields: "id") { id: ID! salary: Int @external tax: Int @cacheControl(maxAge: 60) @requires(fields: "salary") @authenticated free: Int @cacheControl(maxAge: 60) }`,
    resolvers: {
      Person: {
        __resolveReference: (row: object) => row,
        tax: ({ salary }: { salary: number }) => salary / 2,
        free: () => 3,
      },
    },
  },
});
afterAll(() => graph.close());

let entities: EntityCache;
beforeEach(() => {
  entities = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
});

async function ask(query: string, options: AskOptions = {}): Promise<Asked> {
  const asked = await graph.ask(query, { entities, ...options });
  await entities.settled();
  return asked;
}

const scoped = { claims: { sub: 'u1', scope: 'read:email' }, subject: 'u1' };
const plain = { claims: { sub: 'u2' }, subject: 'u2' };
const nobody = {};

const QUERIES = [
  '{ person(id: "a") { name salary } }',
  '{ person(id: "a") { name email } }',
  '{ person(id: "a") { name tax free } }',
  '{ person(id: "a") { name boss { name email } } }',
  '{ vault { gold } }',
];

describe.each(QUERIES)('%s', (query) => {
  const viewers: Record<string, AskOptions> = { scoped, plain, nobody };
  it.each(Object.keys(viewers))('%s is told the same as without a cache, whoever has asked before', async (name) => {
    const viewer = viewers[name]!;
    const { body, errors } = await graph.ask(query, viewer);
    for (const other of [scoped, plain, nobody, scoped]) await ask(query, other);
    const asked = await ask(query, viewer);
    expect(asked.body).toBe(body);
    expect(asked.calls).toEqual([]);
    expect(asked.errors?.length).toBe(errors?.length);
  });

  it('what may not be seen is in nobody’s bytes, and has no say in what is kept for others', async () => {
    const first = await ask(query, nobody);
    expect(first.body).not.toMatch(/1234|617|example\.com|boss"?:\{|gold"?:9/);
    const { body } = await graph.ask(query, scoped);
    expect((await ask(query, scoped)).body).toBe(body);
  });
});

it('control: an answer that is kept by its question is shown to whoever asks it next', async () => {
  const kept = new Map<string, string>();
  const naive = async (query: string, options: AskOptions): Promise<string> => {
    const { body } = kept.has(query) ? { body: kept.get(query)! } : await graph.ask(query, options);
    kept.set(query, body);
    return body;
  };
  const [query] = QUERIES as [string];
  await naive(query, plain);
  expect(await naive(query, nobody)).toContain('1234');
});
