import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { writesText, type Write } from '#libs/consistency';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { RequestConsistency } from '../http/consistency.js';
import { carryingClient } from './carrying.js';
import { openSubgraphClient } from './subgraph-client.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Asked {
  readonly body: { query: string; extensions?: { tributary?: { tell?: unknown[]; events?: unknown[] } } };
  readonly headers: IncomingHttpHeaders;
}
type Answers = (asked: Asked, response: ServerResponse) => void;

const own: Write = { source: 'followers', aggregate: 'relation:a:b', version: 3, at: 1_800_000_000 };
const others: Write = { ...own, aggregate: 'relation:c:d' };
const EVENT = { source: 'followers', type: 'follow-started', aggregate: own.aggregate, aggregateVersion: 3 };
const QUERY = '{"query":"{homeTimeline{id}}"}';

const json = (response: ServerResponse, body: object, headers: Record<string, string> = {}) =>
  void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

/** A service that has not heard, until somebody brings the events. */
const posts =
  (behind: readonly Write[] = [{ ...own, version: 2 }]): Answers =>
  ({ body }, response) => {
    if (body.extensions?.tributary?.events) json(response, ANSWERED, { 'tributary-behind': '' });
    else json(response, { errors: [{ message: 'late' }] }, { 'tributary-behind': writesText(behind) });
  };
const followers: Answers = (_, response) =>
  json(response, { data: { __typename: 'Query' }, extensions: { tributary: { events: [EVENT] } } });

async function subgraph(answers: Answers): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ body: JSON.parse(body) as Asked['body'], headers: request.headers });
      answers(asked.at(-1)!, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, asked };
}

async function scene(answers: { posts?: Answers; followers?: Answers }) {
  const late = await subgraph(answers.posts ?? posts());
  const owner = answers.followers && (await subgraph(answers.followers));
  const outcomes: string[] = [];
  const plain = openSubgraphClient({
    timeoutMs: 3_000,
    bodyBytesMax: 2_000_000,
    connections: 4,
    assertion: (name, subject, _, write) => [name, subject ?? 'nobody', write].filter(Boolean).join(':'),
    forwardResponse: ['x-said'],
    clock: Date.now,
  });
  closers.push(() => plain.close());
  const carrying = carryingClient(plain, {
    urlOf: (name) => (name === 'followers' ? owner?.url : undefined),
    observe: (name, outcome) => void outcomes.push(`${name} ${outcome}`),
  });
  const ask = async (
    client: Pick<typeof plain, 'post'> = carrying,
    type: SubgraphCall['type'] = 'query',
    writes: readonly Write[] | null = [own],
    responseHeaders: RequestContext['responseHeaders'] = [],
  ): Promise<unknown> => {
    const context: RequestContext = {
      requestId: 'r1',
      subject: 'user_1',
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: Date.now() + 10_000,
      responseHeaders,
      ...(writes ? { consistency: new RequestConsistency(writes, () => own.at) } : {}),
    };
    const bytes = await client.post({ subgraph: 'posts', url: late.url, type, body: QUERY }, context);
    return JSON.parse(bytes.toString());
  };
  return { ask, plain, late, owner, outcomes };
}

const REFUSED = { errors: [{ message: 'late' }] };
const ANSWERED = { data: { homeTimeline: [] } };

describe('a read of a service that is behind what the reader has written elsewhere', () => {
  it('is asked again with the events that their owner tells; the control is refused', async () => {
    const { ask, plain, late, owner, outcomes } = await scene({ followers });
    expect(await ask(plain)).toEqual(REFUSED);
    expect(await ask()).toEqual(ANSWERED);
    expect(owner!.asked.map(({ body }) => body)).toEqual([
      { query: '{__typename}', extensions: { tributary: { tell: [{ aggregate: own.aggregate, from: 2, to: 3 }] } } },
    ]);
    expect(owner!.asked[0]!.headers['tributary-assertion']).toBe('followers:user_1');
    expect(late.asked.at(-1)!.body).toEqual({
      query: '{homeTimeline{id}}',
      extensions: { tributary: { events: [EVENT] } },
    });
    expect(outcomes).toEqual(['posts heard']);
  });

  it('is brought nothing beyond what the reader has written, whatever the service says that it lacks', async () => {
    const { ask, owner } = await scene({ posts: posts([others, { ...own, version: 1 }]), followers });
    expect(await ask()).toEqual(ANSWERED);
    expect(owner!.asked[0]!.body.extensions!.tributary!.tell!).toEqual([{ aggregate: own.aggregate, from: 1, to: 3 }]);
    for (const behind of [others, { ...own, version: 4 }, { ...own, source: 'users' }]) {
      const nothing = await scene({ posts: posts([behind]), followers });
      expect(await nothing.ask()).toEqual(REFUSED);
      expect([nothing.owner!.asked, nothing.outcomes]).toEqual([[], ['posts refused']]);
    }
  });

  it('is brought the first of what is more than goes into a request', async () => {
    const many = Array.from({ length: 20 }, (_, nth) => ({
      ...EVENT,
      aggregateVersion: nth,
      payload: 'x'.repeat(90_000),
    }));
    const { ask, late } = await scene({
      followers: (_, response) => json(response, { extensions: { tributary: { events: many } } }),
    });
    expect(await ask()).toEqual(ANSWERED);
    expect(late.asked.at(-1)!.body.extensions!.tributary!.events).toEqual(many.slice(0, 5));
  });

  it('leaves the headers of a refused answer, and of the owner’s, where they are', async () => {
    const { ask } = await scene({
      posts: (asked, response) => {
        response.setHeader('x-said', asked.body.extensions ? 'again' : 'first');
        posts()(asked, response);
      },
      followers: (asked, response) => {
        response.setHeader('x-said', 'owner');
        followers(asked, response);
      },
    });
    const said: RequestContext['responseHeaders'] = [];
    await ask(undefined, undefined, undefined, said);
    expect(said).toEqual([['x-said', 'again']]);
    const refused: RequestContext['responseHeaders'] = [];
    await (
      await scene({ posts: (asked, response) => (response.setHeader('x-said', 'first'), posts()(asked, response)) })
    ).ask(undefined, undefined, undefined, refused);
    expect(refused).toEqual([['x-said', 'first']]);
  });

  it.each<[string, Answers | undefined]>([
    ['is not there', undefined],
    ['answers 500', (_, response) => void response.writeHead(500).end()],
    ['is of before, and tells nothing', (_, response) => json(response, { data: { __typename: 'Query' } })],
    ['tells no list', (_, response) => json(response, { extensions: { tributary: { events: 'all' } } })],
    [
      'tells what is another’s',
      (_, response) => json(response, { extensions: { tributary: { events: [{ ...EVENT, source: 'users' }, null] } } }),
    ],
    ['tells null', (_, response) => json(response, { extensions: null })],
  ])('stays refused when the owner %s', async (_, answers) => {
    const { ask, late, outcomes } = await scene(answers ? { followers: answers } : {});
    expect(await ask()).toEqual(REFUSED);
    expect([late.asked.length, outcomes]).toEqual([1, ['posts refused']]);
  });

  it.each([
    ['still lacks it', (nth: number) => ({ 'tributary-behind': writesText([own]), nth: `${nth}` })],
    ['is of before', (nth: number) => (nth === 1 ? { 'tributary-behind': writesText([own]) } : {})],
  ])('is asked again once, not more, where the service %s', async (_, headersOf) => {
    let nth = 0;
    const { ask, late, outcomes } = await scene({
      posts: (__, response) => json(response, REFUSED, headersOf((nth += 1)) as Record<string, string>),
      followers,
    });
    expect(await ask()).toEqual(REFUSED);
    expect([late.asked.length, outcomes]).toEqual([2, ['posts refused']]);
  });

  it('of a client that has written nothing is left as it is', async () => {
    const { ask, owner } = await scene({ followers });
    expect(await ask(undefined, 'query', null)).toEqual(REFUSED);
    expect(await ask(undefined, 'mutation', null)).toEqual(REFUSED);
    expect(owner!.asked).toEqual([]);
  });
});

describe('a mutation of which nothing was done, for the same reason', () => {
  it('is asked again with the events', async () => {
    const { ask, late, outcomes } = await scene({ followers });
    expect(await ask(undefined, 'mutation')).toEqual(ANSWERED);
    expect([late.asked.length, outcomes]).toEqual([2, ['posts heard']]);
  });

  it('is the same write both times, and has that name alone', async () => {
    const { ask, late, owner } = await scene({ followers });
    for (let nth = 0; nth < 2; nth += 1) await ask(undefined, 'mutation');
    const signed = (asked: readonly Asked[]) => asked.map(({ headers }) => String(headers['tributary-assertion']));
    const [first, again, next, nextAgain] = signed(late.asked);
    expect(first).toMatch(/^posts:user_1:.{36}$/);
    expect([again, nextAgain, next === first]).toEqual([first, next, false]);
    expect(signed(owner!.asked)).toEqual(['followers:user_1', 'followers:user_1']);
  });

  it('is not where something was done, whatever the service says that it lacks', async () => {
    const done = { data: { likePost: null, follow: { id: 'user_1' } } };
    const { ask, late, owner } = await scene({
      posts: (_, response) => json(response, done, { 'tributary-behind': writesText([own]) }),
      followers,
    });
    expect(await ask(undefined, 'mutation')).toEqual(done);
    expect([late.asked.length, owner!.asked]).toEqual([1, []]);
  });

  it('is not said to be late when it is lost the second time: it may have been done; a read still is', async () => {
    const lost: Answers = (asked, response) => {
      if (asked.body.extensions) response.destroy();
      else posts()(asked, response);
    };
    const { ask } = await scene({ posts: lost, followers });
    await expect(ask(undefined, 'mutation')).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(await ask()).toEqual(REFUSED);
  });
});
