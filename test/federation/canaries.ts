import { setTimeout as delay } from 'node:timers/promises';
import { HINTS } from './hints.js';
import type { SubgraphFixture } from './fixture.js';

/** What is one viewer’s alone, wherever it is: who finds another’s was shown what is not theirs. */
export const canaryOf = (viewer: string): string => `canary-of-${viewer}-end`;

/** Whose canaries stand in a text, but the viewer's own. */
export function strangersIn(text: string, viewer: string | null): string[] {
  const found = [...text.matchAll(/canary-of-(\w+)-end/g)].map(([, whose = '']) => whose);
  return [...new Set(found)].filter((whose) => whose !== viewer);
}

/** There is one that no gateway knows. */
const SAYS = HINTS.replace('PUBLIC PRIVATE', 'PUBLIC PRIVATE GROUP');
const asking = (context: unknown): string | null => (context as { subject: string | null }).subject;
const ownOf = (_: unknown, __: unknown, context: unknown) => asking(context) && canaryOf(asking(context)!);
const isNoted = (id: string, viewer: string | null): boolean =>
  viewer !== null && (Number(id) + viewer.charCodeAt(viewer.length - 1)) % 3 === 0;

/**
 * A graph of what may be kept for everybody and what for one viewer, by the schema: a field, a list whose entities are everybody's, a lookup, an
 * entity that only some may see; and what may not be kept: an error, what is for a group. `hints` changes what it says of that. The
 * resolvers are told who asks.
 */
export function canaries(hints: (sdl: string) => string = (sdl) => sdl): Readonly<Record<string, SubgraphFixture>> {
  const failed = new Set<string>();
  let counted = 0;
  return {
    people: {
      sdl: hints(`${SAYS}
      type Query { me: Person @cacheControl(maxAge: 60, scope: PRIVATE)  thing(id: ID!): Thing @cacheControl(maxAge: 60)  draft: Thing @cacheControl(maxAge: 60, scope: PRIVATE)  late: String }
      type Mutation { count: Int! }
      type Person @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! name: String! }
      type Thing @key(fields: "id") {
        id: ID! title: String! @cacheControl(maxAge: 60) note: String @cacheControl(maxAge: 60, scope: PRIVATE)
        grouped: String @cacheControl(maxAge: 60, scope: GROUP)
        sealed: String @cacheControl(maxAge: 60) @requiresScopes(scopes: [["read:sealed"]])
        unsteady: String @cacheControl(maxAge: 60)
      }`),
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
          late: async (...asked: Parameters<typeof ownOf>) => {
            // So long that others who ask the same meet it under way.
            await delay(50);
            return ownOf(...asked);
          },
        },
        Mutation: { count: () => (counted += 1) },
        Person: { __resolveReference: ({ id }: { id: string }) => ({ id, name: id }) },
        Thing: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          title: ({ id }: { id: string }) => `title ${id}`,
          note: ownOf,
          grouped: ownOf,
          sealed: ({ id }: { id: string }) => `sealed ${id}`,
          /** The first time that it is asked of a thing there is none. */
          unsteady: ({ id }: { id: string }) => {
            if (failed.has(id)) return `steady ${id}`;
            failed.add(id);
            throw new Error('not yet');
          },
        },
      },
    },
    notes: {
      sdl: hints(`${SAYS}
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
          mine: ownOf,
        },
      },
    },
  };
}

/** What is asked of it again and again; `$id` is a thing's. */
export const CANARY_QUERIES: readonly string[] = [
  '{ me { name } }',
  '{ draft { id title } }',
  'query($id: ID!) { thing(id: $id) { title note } }',
  'query($id: ID!) { thing(id: $id) { title count marks(first: 2) { text mine } } me { id } }',
  'query($id: ID!) { a: thing(id: $id) { marks { id } } thing(id: $id) { note count } }',
];

/** The nth of many that are asked, by so many viewers: every viewer comes to every question. */
export function nthOf(nth: number, viewers: readonly string[]) {
  const viewer = nth % 11 === 0 ? null : viewers[(nth * 7) % viewers.length]!;
  const query = CANARY_QUERIES[(nth * 3) % CANARY_QUERIES.length]!;
  const variables: { id?: string } = query.includes('$id') ? { id: String((nth * 13) % 20) } : {};
  return { viewer, query, variables };
}
