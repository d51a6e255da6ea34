import { afterAll, expect, it } from '@jest/globals';
import { openRecordCache } from '#libs/cache';
import { federate, type Federation } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { EntityCache } from './entity-cache.js';

/** `CANARIES=100000 npm test -- gateway/cache/canary` for more. */
const REQUESTS = Number(process.env['CANARIES'] ?? 10_000);
const VIEWERS = Array.from({ length: 50 }, (_, nth) => `viewer${String(nth).padStart(2, '0')}`);
const canaryOf = (viewer: string): string => `canary-of-${viewer}-end`;
const asking = (context: unknown): string | null => (context as { subject: string | null }).subject;
const isNoted = (id: string, viewer: string | null): boolean =>
  viewer !== null && (Number(id) + viewer.charCodeAt(7)) % 3 === 0;

/** Private by the schema: a field, a list whose entities are everybody's, a lookup, an entity that only some may see. */
const graphOf = (hints: (sdl: string) => string): Federation =>
  federate({
    people: {
      sdl: hints(`${HINTS}
      type Query { me: Person @cacheControl(maxAge: 60, scope: PRIVATE)  thing(id: ID!): Thing @cacheControl(maxAge: 60)  draft: Thing @cacheControl(maxAge: 60, scope: PRIVATE) }
      type Person @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! name: String! }
      type Thing @key(fields: "id") { id: ID! title: String! @cacheControl(maxAge: 60) note: String @cacheControl(maxAge: 60, scope: PRIVATE) }`),
      resolvers: {
        Query: {
          me: (_: unknown, __: unknown, context: unknown) => {
            const viewer = asking(context);
            return viewer && { id: canaryOf(viewer), name: canaryOf(viewer) };
          },
          thing: (_: unknown, { id }: { id: string }) => ({ id }),
          draft: (_: unknown, __: unknown, context: unknown) => {
            const viewer = asking(context);
            return viewer && { id: `draft-${canaryOf(viewer)}` };
          },
        },
        Person: { __resolveReference: ({ id }: { id: string }) => ({ id, name: id }) },
        Thing: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          title: ({ id }: { id: string }) => `title ${id}`,
          note: (_: unknown, __: unknown, context: unknown) => asking(context) && canaryOf(asking(context)!),
        },
      },
    },
    notes: {
      sdl: hints(`${HINTS}
      type Thing @key(fields: "id") {
        id: ID!
        marks(first: Int): [Mark!] @cacheControl(maxAge: 60, scope: PRIVATE)
        count: Int! @cacheControl(maxAge: 60, scope: PRIVATE)
      }
      type Mark @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! text: String! mine: String @cacheControl(maxAge: 60, scope: PRIVATE) }`),
      resolvers: {
        Thing: {
          __resolveReference: ({ id }: { id: string }, context: unknown) =>
            // Some things are not there for some viewers.
            asking(context) === null || isNoted(id, asking(context)) ? { id } : null,
          marks: ({ id }: { id: string }, _: unknown, context: unknown) =>
            asking(context) === null ? [] : [{ id: `${id}-shared` }, { id: `${id}-${canaryOf(asking(context)!)}` }],
          count: () => 1,
        },
        Mark: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          text: ({ id }: { id: string }) => `text ${id}`,
          mine: (_: unknown, __: unknown, context: unknown) => asking(context) && canaryOf(asking(context)!),
        },
      },
    },
  });
const graph = graphOf((sdl) => sdl);
/** The same, by somebody who did not say what is private. */
const careless = graphOf((sdl) =>
  sdl.replaceAll(', scope: PRIVATE', '').replaceAll('@cacheControl(scope: PRIVATE)', ''),
);
afterAll(() => Promise.all([graph.close(), careless.close()]));

const QUERIES = [
  '{ me { name } }',
  '{ draft { id title } }',
  'query($id: ID!) { thing(id: $id) { title note } }',
  'query($id: ID!) { thing(id: $id) { title count marks(first: 2) { text mine } } me { id } }',
  'query($id: ID!) { a: thing(id: $id) { marks { id } } thing(id: $id) { note count } }',
];

interface Shown {
  /** Somebody was shown what is another's. */
  readonly strangers: readonly string[];
  /** Answers in which a viewer found their own. */
  readonly own: number;
  readonly calls: number;
  /** Answers that differ from an earlier one to the same question of the same viewer. */
  readonly different: number;
}

async function interleaved(of: Federation, requests: number): Promise<Shown> {
  const entities = new EntityCache({ records: openRecordCache({}) });
  const shown = { strangers: [] as string[], own: 0, calls: 0, different: 0 };
  // Plans are made one after the other, before there is a crowd.
  for (const join of [true, false])
    for (const query of QUERIES)
      await of.ask(query, { entities, variables: query.includes('$id') ? { id: '0' } : {}, join });
  const answers = new Map<string, string>();
  let turn = 0;
  const one = async (): Promise<void> => {
    for (let nth = turn++; nth < requests; nth = turn++) {
      const viewer = nth % 11 === 0 ? null : VIEWERS[(nth * 7) % VIEWERS.length]!;
      const query = QUERIES[(nth * 3) % QUERIES.length]!;
      const id = String((nth * 13) % 20);
      const variables = query.includes('$id') ? { id } : {};
      const { body, calls } = await of.ask(query, { entities, subject: viewer, variables, join: nth % 2 === 0 });
      shown.calls += calls.length;
      if (viewer && body.includes(canaryOf(viewer))) shown.own += 1;
      for (const [canary] of body.matchAll(/canary-of-(viewer\d+)-end/g))
        if (viewer === null || canary !== canaryOf(viewer)) shown.strangers.push(`${viewer} was shown ${canary}`);
      const key = JSON.stringify([viewer, query, variables]);
      if ((answers.get(key) ?? body) !== body) shown.different += 1;
      answers.set(key, body);
    }
  };
  await Promise.all(Array.from({ length: 40 }, one));
  return shown;
}

it(`${REQUESTS} interleaved requests of 50 viewers: what is one viewer’s is in nobody else’s bytes`, async () => {
  const { strangers, own, calls, different } = await interleaved(graph, REQUESTS);
  expect(strangers).toEqual([]);
  expect(different).toBe(0);
  expect(own).toBeGreaterThan(REQUESTS / 2);
  // It was the cache that answered.
  expect(calls).toBeLessThan(REQUESTS);
}, 120_000);

it('control: where the schema does not say PRIVATE, the same requests show it to others', async () => {
  expect((await interleaved(careless, 1_000)).strangers.length).toBeGreaterThan(0);
}, 60_000);
