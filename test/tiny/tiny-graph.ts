import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphql, GraphQLScalarType, parse, validate, type GraphQLError, type GraphQLSchema } from 'graphql';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ASSERTION_HEADER } from '#libs/identity';
import { compose } from '../../gateway/supergraph/compose.js';
import { LINK as LINK_ALL, withResolvers, type SubgraphFixture } from '../federation/fixture.js';

/**
 * Two real subgraphs over plain HTTP, small enough to see all of it: people with friends, and what they wrote. For tests of
 * the gateway that need no social graph. What each call carried is kept, so a test can count calls and look at headers.
 */
export interface TinyGraph {
  readonly sdl: string;
  readonly people: TinySubgraph;
  readonly posts: TinySubgraph;
  close(): Promise<void>;
}

export interface TinySubgraph {
  readonly name: string;
  readonly url: string;
  readonly sdl: string;
  readonly calls: { readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** Answers instead of the schema, for the next calls; undefined: the schema answers again. */
  misbehave: ((request: IncomingMessage, response: ServerResponse, body: string) => void) | undefined;
  close(): Promise<void>;
}

const LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@inaccessible"])';

export const PEOPLE_SDL = `${LINK}
scalar JSON
type Query {
  me: Person
  person(id: ID!): Person
  people(first: Int!): [Person!]
  echo(text: String, number: Int, deep: JSON): String
  wrong: Int!
  ${Array.from({ length: 25 }, (_, index) => `field${index}: Int`).join('\n  ')}
}
type Mutation { rename(name: String!): Person }
type Person @key(fields: "id") {
  id: ID!
  name: String!
  prefs: JSON
  secret: String @inaccessible
  friends(first: Int = 1): [Person!]!
}`;

export const POSTS_SDL = `${LINK}
scalar JSON
type Query { newest: Post }
type Person @key(fields: "id") { id: ID! posts: [Post!] draft: Post! mood: JSON }
type Post { id: ID! body: String! author: Person }`;

const JSON_SCALAR = new GraphQLScalarType({ name: 'JSON' });
const person = (id: string) => ({
  id,
  name: `name of ${id}`,
  prefs: { theme: 'dark', ['__proto__']: { no: true } },
  secret: 's3cret',
});

const people = {
  JSON: JSON_SCALAR,
  Query: {
    me: () => person('1'),
    person: (_: unknown, { id }: { id: string }) => (id === '404' ? null : person(id)),
    people: (_: unknown, { first }: { first: number }) => {
      if (first < 0 || first > 100)
        throw Object.assign(new Error('first has to be 0 to 100'), { extensions: { code: 'BAD_USER_INPUT' } });
      return Array.from({ length: first }, (__, index) => person(String(index)));
    },
    echo: (_: unknown, given: object) => JSON.stringify(given),
    wrong: () => {
      throw new Error('select * from users where password = hunter2 at /srv/app.js:12:3');
    },
    ...Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`field${index}`, () => index])),
  },
  Mutation: { rename: (_: unknown, { name }: { name: string }) => ({ ...person('1'), name }) },
  Person: {
    __resolveReference: ({ id }: { id: string }) => person(id),
    friends: ({ id }: { id: string }, { first }: { first: number }) =>
      Array.from({ length: first }, (_, index) => person(`${id}.${index}`.slice(-20))),
  },
};

const posts = {
  JSON: JSON_SCALAR,
  Query: { newest: () => ({ id: 'p9', body: 'newest', author: { id: '1' } }) },
  Person: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    posts: ({ id }: { id: string }) => [{ id: `p${id}`, body: `by ${id}`, author: { id } }],
    draft: ({ id }: { id: string }) => ({ id: `d${id}`, body: 'draft', author: { id } }),
    mood: () => JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
  },
};

export async function startTinyGraph(): Promise<TinyGraph> {
  const [first, second] = await Promise.all([
    startTinySubgraph('people', PEOPLE_SDL, people),
    startTinySubgraph('posts', POSTS_SDL, posts),
  ]);
  return {
    sdl: await composed([first, second]),
    people: first,
    posts: second,
    async close() {
      await Promise.all([first.close(), second.close()]);
    },
  };
}

export function startTinySubgraph(name: string, sdl: string, resolvers: object): Promise<TinySubgraph> {
  return serveSchema(name, sdl, buildSubgraphSchema({ typeDefs: parse(sdl), resolvers: resolvers as never }));
}

/** The subgraphs that are otherwise asked in one process (test/federation), over plain HTTP. Their resolvers are told who asks. */
export async function startFixtures(fixtures: Readonly<Record<string, SubgraphFixture>>): Promise<{
  readonly sdl: string;
  readonly subgraphs: readonly TinySubgraph[];
}> {
  const subgraphs = await Promise.all(
    Object.entries(fixtures).map(([name, { sdl, raw, resolvers = {} }]) => {
      const text = raw ? sdl : LINK_ALL + sdl;
      return serveSchema(name, text, withResolvers(buildSubgraphSchema({ typeDefs: parse(text) }), resolvers));
    }),
  );
  return { sdl: await composed(subgraphs), subgraphs };
}

function composed(subgraphs: readonly TinySubgraph[]): Promise<string> {
  return compose(subgraphs.map(({ name, url, sdl }) => ({ name, url, sdl, from: `${name}.graphql` })));
}

async function serveSchema(name: string, sdl: string, schema: GraphQLSchema): Promise<TinySubgraph> {
  const calls: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      calls.push({ headers: request.headers, body });
      if (subgraph.misbehave) return subgraph.misbehave(request, response, body);
      const { query, variables } = JSON.parse(body) as { query: string; variables?: Record<string, unknown> };
      const contextValue = { subject: subjectOf(request.headers) };
      void graphql({ schema, source: query, variableValues: variables ?? {}, contextValue }).then((result) => {
        const refused = result.data === undefined && validate(schema, parse(query)).length > 0;
        response
          .writeHead(refused ? 400 : 200, { 'content-type': 'application/json' })
          .end(JSON.stringify(refused ? { errors: result.errors!.map(asInvalid) } : result));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const subgraph: TinySubgraph = {
    name,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    sdl,
    calls,
    misbehave: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return subgraph;
}

/** As the gateway says, which is believed here. */
function subjectOf({ [ASSERTION_HEADER]: assertion }: IncomingHttpHeaders): string | null {
  if (typeof assertion !== 'string') return null;
  const claims = Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { sub?: string }).sub ?? null;
}

/** As Apollo Server tells it; graphql-js has no codes. */
function asInvalid({ message, locations }: GraphQLError): object {
  return { message, locations, extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } };
}
