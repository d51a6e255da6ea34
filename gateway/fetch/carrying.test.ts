import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { parseWrites, writesText, type Write } from '#libs/consistency';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { RequestConsistency } from '../http/consistency.js';
import { carryingClient } from './carrying.js';
import { openSubgraphClient } from './subgraph-client.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Asked {
  readonly body: { query: string; extensions?: { tributary?: { tell?: string; events?: unknown[] } } };
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
  (behind: readonly Write[] = [own]): Answers =>
  ({ body }, response) => {
    if (body.extensions?.tributary?.events) json(response, { data: { homeTimeline: [] } });
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
    assertion: (name, subject) => `${name}:${subject ?? 'nobody'}`,
    forwardResponse: [],
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
  ): Promise<unknown> => {
    const context: RequestContext = {
      requestId: 'r1',
      subject: 'user_1',
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: Date.now() + 10_000,
      responseHeaders: [],
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
      { query: '{__typename}', extensions: { tributary: { tell: writesText([own]) } } },
    ]);
    expect(owner!.asked[0]!.headers['tributary-assertion']).toBe('followers:user_1');
    expect(late.asked.at(-1)!.body).toEqual({
      query: '{homeTimeline{id}}',
      extensions: { tributary: { events: [EVENT] } },
    });
    expect(outcomes).toEqual(['posts heard']);
  });

  it('is brought nothing of what others have written, whatever the service says that it lacks', async () => {
    const { ask, owner } = await scene({ posts: posts([others, own]), followers });
    expect(await ask()).toEqual(ANSWERED);
    expect(parseWrites(owner!.asked[0]!.body.extensions!.tributary!.tell!)).toEqual([own]);
    const nothing = await scene({ posts: posts([others]), followers });
    expect(await nothing.ask()).toEqual(REFUSED);
    expect(nothing.owner!.asked).toEqual([]);
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
    [
      'tells more than is brought',
      (_, response) =>
        json(response, { extensions: { tributary: { events: [{ ...EVENT, payload: 'x'.repeat(600_000) }] } } }),
    ],
  ])('stays refused when the owner %s', async (_, answers) => {
    const { ask, late } = await scene(answers ? { followers: answers } : {});
    expect(await ask()).toEqual(REFUSED);
    expect(late.asked).toHaveLength(1);
  });

  it('is asked again once, not more', async () => {
    const { ask, late, outcomes } = await scene({
      posts: (_, response) => json(response, REFUSED, { 'tributary-behind': writesText([own]) }),
      followers,
    });
    expect(await ask()).toEqual(REFUSED);
    expect([late.asked.length, outcomes]).toEqual([2, ['posts refused']]);
  });

  it('that is a mutation, or of a client that has written nothing, is left as it is', async () => {
    const { ask, owner } = await scene({ followers });
    expect(await ask(undefined, 'mutation')).toEqual(REFUSED);
    expect(await ask(undefined, 'query', null)).toEqual(REFUSED);
    expect(owner!.asked).toEqual([]);
  });
});
