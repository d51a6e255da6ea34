import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cacheExchange, Client, fetchExchange } from '@urql/core';
import { parse } from 'graphql';
import { ClientError, GraphQLClient } from 'graphql-request';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { silent } from '#libs/telemetry';
import { secretsFrom } from '../../commands/databases.js';
import { documentsCommand } from '../../commands/documents.js';
import { gatewayEnvironment } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway, type RunningGateway } from '../../gateway/start.js';
import { PASSWORD } from '../people.js';
import { withServer } from '../servers/needs.js';
import { PATIENT, startWorld, type World } from '../world.js';

/** What a front end's author writes first, with the client as its manual's first page sets it up: an address and no more. */
const MASTER = 'a-secret-of-which-all-others-are-made';
let world: World;
let url: string;
let authorization: string;
beforeAll(async () => {
  world = await startWorld({ SEED: 'demo', ASSERTION_SECRET: MASTER });
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

/** What `npm run documents` wrote from the front end's files, before the same services, by what the clients make of those texts themselves. */
describe('where only registered documents run', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const folder = mkdtempSync(join(tmpdir(), 'front-end-'));
  const out = join(folder, 'documents.json');
  let gateway: RunningGateway;
  const register = (name: string, text: string): void => {
    writeFileSync(join(folder, `${name}.graphql`), text);
    const said: string[] = [];
    expect([documentsCommand([folder, '--typename', '--out', out], (line) => said.push(line)), said]).toEqual([
      0,
      [expect.stringContaining(' 1 of them new')],
    ]);
  };
  beforeAll(async () => {
    register('profile', PROFILE);
    const env = { ...PATIENT, PORT: '0', SAFELIST: 'on', PERSISTED_DOCUMENTS: out, METRICS_PORT: '0' };
    const all = gatewayEnvironment(env, '', secretsFrom(MASTER), world.subgraphs);
    gateway = await startGateway(readGatewayConfig(all), { logger: silent });
    await gateway.ready();
  }, 120_000);
  afterAll(async () => {
    await gateway?.close();
    rmSync(folder, { recursive: true });
  });

  const apollo = (link: ApolloLink) =>
    new ApolloClient({
      link: ApolloLink.concat(link, new HttpLink({ uri: gateway.url })),
      cache: new InMemoryCache(),
    });
  const asked = async (body: object): Promise<[number, unknown]> => {
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ variables: { handle: 'alice' }, ...body }),
    });
    const { data, errors } = (await response.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] };
    return [response.status, errors?.[0]?.extensions.code ?? data];
  };

  it('Apollo Client is answered by its hash, and by its text; urql by its text', async () => {
    const texts: (string | undefined)[] = [];
    const watched = new ApolloLink((operation, forward) => {
      texts.push(
        (operation.getContext()['http'] as { includeQuery?: boolean } | undefined)?.includeQuery === false
          ? undefined
          : 'text',
      );
      return forward(operation);
    });
    for (const link of [ApolloLink.from([new PersistedQueryLink({ sha256 }), watched]), watched]) {
      const { data } = await apollo(link).query({ query: parse(PROFILE), variables: { handle: 'alice' } });
      expect(data).toMatchObject({ userByHandle: alice });
    }
    // Once, without the text: the hash is the one that was registered.
    expect(texts).toEqual([undefined, 'text']);
    const urql = new Client({ url: gateway.url, exchanges: [cacheExchange, fetchExchange] });
    const { error, data } = await urql.query(PROFILE, { handle: 'alice' }).toPromise();
    expect([error, data]).toEqual([undefined, { userByHandle: alice }]);
  });

  it('control: what nobody registered is refused, as a text and by its hash', async () => {
    const link = new PersistedQueryLink({ sha256 });
    const told = await apollo(link)
      .query({ query: parse(TIMELINE) })
      .catch((error: unknown) => error);
    expect(CombinedGraphQLErrors.is(told) && told.errors[0]?.extensions?.['code']).toBe('FORBIDDEN');
    expect(await asked({ query: TIMELINE })).toEqual([403, 'FORBIDDEN']);
    expect(await asked({ documentId: sha256(TIMELINE) })).toEqual([200, 'PERSISTED_QUERY_NOT_FOUND']);
  });

  it('the documents of the next release are known while it runs, and it tells of a file that is broken', async () => {
    const NEXT = 'query Next($handle: String!) { userByHandle(handle: $handle) { handle } }';
    const next = {
      documentId: sha256(
        'query Next($handle: String!) {\n  userByHandle(handle: $handle) {\n    handle\n    __typename\n  }\n}',
      ),
    };
    const told = async (): Promise<(string | undefined)[]> => {
      const figures = await (await fetch(gateway.metricsUrl()!)).text();
      return ['registered', 'served'].map(
        (what) => new RegExp(`^tributary_documents_${what} (\\d)$`, 'm').exec(figures)?.[1],
      );
    };
    const until = async (what: readonly string[]): Promise<void> => {
      for (const deadline = Date.now() + 60_000; String(await told()) !== String(what) && Date.now() < deadline;)
        await new Promise((go) => setTimeout(go, 50));
      expect(await told()).toEqual(what);
    };
    expect([await told(), await asked(next)]).toEqual([
      ['1', '1'],
      [200, 'PERSISTED_QUERY_NOT_FOUND'],
    ]);
    register('next', NEXT);
    await until(['2', '1']);
    expect(await asked(next)).toEqual([200, { userByHandle: { handle: 'alice', __typename: 'User' } }]);
    rmSync(out);
    await until(['2', '0']);
    expect(gateway.readiness()).toMatchObject({ ready: true, documents: 'the newest are not served' });
    expect((await asked(next))[0]).toBe(200);
    rmSync(join(folder, 'next.graphql'));
    register('profile', PROFILE);
    await until(['1', '1']);
    expect(gateway.readiness()).not.toHaveProperty('documents');
  }, 180_000);
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
