import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cacheExchange, Client, fetchExchange } from '@urql/core';
import { parse } from 'graphql';
import { ClientError, GraphQLClient } from 'graphql-request';
import { createHash } from 'node:crypto';
import { chromium } from 'playwright-core';
import { PASSWORD } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type World } from '../world.js';

/** What a front end's author writes first, with the client as its manual's first page sets it up: an address and no more. */
let world: World;
let url: string;
let authorization: string;
beforeAll(async () => {
  world = await startWorld({ SEED: 'demo' });
  ({ url } = world.gateway);
  const answer = await world.ask(LOG_IN, { input: { handle: 'bob', password: PASSWORD } });
  const { token } = answer.data!['logIn'] as { token: string };
  authorization = `Bearer ${token}`;
}, 180_000);
afterAll(() => world?.close());

const LOG_IN = 'mutation LogIn($input: LogInInput!) { logIn(input: $input) { token user { id handle } } }';
const PROFILE = `query Profile($handle: String!) {
  userByHandle(handle: $handle) { id handle followerCount viewerFollows posts(first: 2) { edges { node { id body } } pageInfo { hasNextPage } } }
}`;
const TIMELINE = '{ homeTimeline(first: 1) { edges { node { id } } } }';
const alice = expect.objectContaining({ handle: 'alice', followerCount: 4 }) as unknown;
const followedAlice = expect.objectContaining({ handle: 'alice', viewerFollows: true }) as unknown;

describe('Apollo Client', () => {
  const client = (link: ApolloLink = ApolloLink.empty(), headers: Record<string, string> = {}) =>
    new ApolloClient({
      link: ApolloLink.concat(link, new HttpLink({ uri: url, headers })),
      cache: new InMemoryCache(),
    });
  const passing = new ApolloLink((operation, forward) => forward(operation));

  it('asks, acts and is told what went wrong', async () => {
    const anonymous = client(passing);
    const { data } = await anonymous.query({ query: parse(PROFILE), variables: { handle: 'alice' } });
    expect(data).toMatchObject({ userByHandle: alice });
    const session = await anonymous.mutate({
      mutation: parse(LOG_IN),
      variables: { input: { handle: 'carol', password: PASSWORD } },
    });
    expect(session.data).toMatchObject({ logIn: { user: { handle: 'carol' } } });

    const told = await anonymous.query({ query: parse(TIMELINE) }).catch((error: unknown) => error);
    expect(CombinedGraphQLErrors.is(told) && told.errors[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
    const own = await client(passing, { authorization }).query({
      query: parse(PROFILE),
      variables: { handle: 'alice' },
    });
    expect(own.data).toMatchObject({ userByHandle: followedAlice });
  });

  it('asks by GET where it is told to', async () => {
    const getting = new ApolloClient({
      link: new HttpLink({ uri: url, useGETForQueries: true }),
      cache: new InMemoryCache(),
    });
    const { data } = await getting.query({ query: parse(PROFILE), variables: { handle: 'alice' } });
    expect(data).toMatchObject({ userByHandle: alice });
  });

  it('that would send hashes is told that there are none kept, and sends the text', async () => {
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const { data } = await client(new PersistedQueryLink({ sha256 })).query({
      query: parse(PROFILE),
      variables: { handle: 'alice' },
    });
    expect(data).toMatchObject({ userByHandle: alice });
  });
});

describe('graphql-request', () => {
  it('asks, acts and is told what went wrong', async () => {
    const client = new GraphQLClient(url);
    expect(await client.request(PROFILE, { handle: 'alice' })).toMatchObject({ userByHandle: alice });
    expect(await client.request(LOG_IN, { input: { handle: 'dan', password: PASSWORD } })).toMatchObject({
      logIn: { user: { handle: 'dan' } },
    });
    const told = await client.request(TIMELINE).catch((error: unknown) => error);
    expect(told instanceof ClientError && told.response.errors?.[0]?.extensions['code']).toBe('UNAUTHENTICATED');
    client.setHeader('authorization', authorization);
    expect(await client.request(PROFILE, { handle: 'alice' })).toMatchObject({ userByHandle: followedAlice });
  });
});

/** Relay's fetch function is its user's; this is the one of its manual, and the texts are what its compiler prints. */
describe('Relay', () => {
  const fetchGraphQL = async (text: string, variables: object): Promise<unknown> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: text, variables }),
    });
    return response.json();
  };

  it('pages through a connection by node(id:) and the cursor that it was given', async () => {
    const first = (await fetchGraphQL(
      `query AppQuery($handle: String!) { userByHandle(handle: $handle) { ...Posts_user id } }
       fragment Posts_user on User { posts(first: 3) { edges { node { body id __typename } cursor } pageInfo { endCursor hasNextPage } } id }`,
      { handle: 'alice' },
    )) as { data: { userByHandle: Page & { id: string } } };
    const { id, posts } = first.data.userByHandle;
    expect(posts.edges).toHaveLength(3);
    expect(posts.pageInfo.hasNextPage).toBe(true);

    const second = (await fetchGraphQL(
      `query PostsPaginationQuery($count: Int = 3, $cursor: String, $id: ID!) { node(id: $id) { __typename ...Posts_user_1G22uz id } }
       fragment Posts_user_1G22uz on User { posts(first: $count, after: $cursor) { edges { node { body id __typename } cursor } pageInfo { endCursor hasNextPage } } id }`,
      { count: 3, cursor: posts.pageInfo.endCursor, id },
    )) as { data: { node: Page & { __typename: string } } };
    expect(second).not.toHaveProperty('errors');
    expect(second.data.node.__typename).toBe('User');
    const ids = [...posts.edges, ...second.data.node.posts.edges].map(({ node }) => node.id);
    expect(new Set(ids).size).toBe(6);
  });
});

describe('urql', () => {
  const client = (fetching = fetch) => new Client({ url, exchanges: [cacheExchange, fetchExchange], fetch: fetching });

  it('asks by GET, acts, and is told what went wrong', async () => {
    const methods: unknown[] = [];
    const watched: typeof fetch = (input, init) => {
      methods.push(init?.method);
      return fetch(input, init ?? {});
    };
    const urql = client(watched);
    const page = await urql.query(PROFILE, { handle: 'alice' }).toPromise();
    expect([page.error, page.data]).toEqual([undefined, { userByHandle: alice }]);
    const session = await urql.mutation(LOG_IN, { input: { handle: 'eve', password: PASSWORD } }).toPromise();
    expect([session.error, session.data]).toEqual([undefined, { logIn: expect.anything() as unknown }]);
    const told = await urql.query(TIMELINE, {}).toPromise();
    expect(told.error?.graphQLErrors[0]?.extensions['code']).toBe('UNAUTHENTICATED');
    expect(methods).toEqual(['GET', 'POST', 'GET']);
  });

  withServer('chromium', 'in a browser', (executablePath) => {
    it('asks by GET from our own page, and from nobody else’s', async () => {
      // What urql hands to the browser's fetch, word for word; the browser adds what only a browser can.
      let sent: [string, Sent] | undefined;
      const urql = client(((input: string, init: Sent) => {
        sent = [input, init];
        return Promise.reject(new Error('asked in the browser'));
      }) as typeof fetch);
      await urql.query(PROFILE, { handle: 'alice' }).toPromise();
      const [address, { method, headers }] = sent!;

      const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
      try {
        const page = await browser.newPage();
        const statusFrom = async (place: string, mode: 'cors' | 'no-cors'): Promise<number> => {
          await page.goto(place);
          const responding = page.waitForResponse((response) => response.url() === address);
          await page.evaluate(([target, init]) => void fetch(target, init), [
            address,
            { method, headers, mode },
          ] as const);
          return (await responding).status();
        };
        expect(await statusFrom(url, 'cors')).toBe(200);
        // Control: what a page of another site can send without asking first. This machine's other name is another site.
        const elsewhere = new URL('/health/live', url.replace('127.0.0.1', 'localhost')).href;
        expect(await statusFrom(elsewhere, 'no-cors')).toBe(400);
      } finally {
        await browser.close();
      }
    }, 180_000);
  });
});

interface Sent {
  readonly method: string;
  readonly headers: Record<string, string>;
}

interface Page {
  readonly posts: {
    readonly edges: readonly { readonly node: { readonly id: string } }[];
    readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
  };
}
