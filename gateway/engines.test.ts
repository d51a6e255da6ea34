import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { silent, type Logger } from '#libs/telemetry';
import { startTinyGraph, type TinyGraph, type TinySubgraph } from '../test/tiny/tiny-graph.js';
import { LEAK } from '../test/tiny/tiny-http.js';
import type { Engine, EngineFactory, RequestContext } from './engine.js';
import { openSubgraphClient } from './fetch/subgraph-client.js';
import { Documents } from './http/documents.js';
import { createEngine as createTributary } from './run/engine.js';
import { createEngine as createStock } from './stock/engine.js';
import { readSupergraph, type Supergraph } from './supergraph/supergraph.js';

/** What every engine behind the door has to do with subgraphs that misbehave. The next one is a line in `ENGINES`. */
const ENGINES: Record<string, EngineFactory> = { apollo: createStock, tributary: createTributary };

let tiny: TinyGraph;
let supergraph: Supergraph;
let documents: Documents;
const client = openSubgraphClient({
  timeoutMs: 1_000,
  bodyBytesMax: 64 * 1024,
  connections: 8,
  assertion: () => undefined,
  forwardResponse: [],
  clock: Date.now,
});

beforeAll(async () => {
  tiny = await startTinyGraph();
  supergraph = readSupergraph(tiny.sdl);
  documents = new Documents(supergraph.schema, {
    limits: { tokens: 2_000, depth: 10, aliases: 30, rootFields: 20, directives: 50, selections: 1_000, items: 20_000 },
    introspection: true,
    suggestions: true,
    cacheBytes: 1_000_000,
  });
});
afterEach(() => {
  tiny.people.misbehave = undefined;
  tiny.posts.misbehave = undefined;
});
afterAll(async () => {
  await client.close();
  await tiny.close();
});

interface Told {
  readonly message: string;
  readonly path?: (string | number)[];
  readonly extensions: { readonly code: string; readonly requestId: string };
}

describe.each(Object.entries(ENGINES))('%s', (_name, createEngine) => {
  let engine: Engine;
  let logged: object[] = [];
  const logger: Logger = { ...silent, error: (fields) => void logged.push(fields) };

  beforeAll(async () => {
    engine = await createEngine(supergraph, {
      subgraphs: client,
      logger,
      clock: Date.now,
      planner: 'auto',
      merge: 'flow',
      join: true,
    });
  });
  afterEach(() => void (logged = []));
  afterAll(() => engine.close());

  async function ask(text: string, variables: Record<string, unknown> = {}, more: Partial<RequestContext> = {}) {
    const context: RequestContext = {
      requestId: 'r1',
      subject: null,
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: Date.now() + 10_000,
      responseHeaders: [],
      ...more,
    };
    const { body: bytes, hasErrors } = await engine.execute(documents.operation(text, undefined), variables, context);
    const body = bytes.toString();
    const { data, errors } = JSON.parse(body) as { data: Record<string, unknown> | null; errors?: Told[] };
    expect(hasErrors).toBe(errors !== undefined);
    expect(body).not.toMatch(LEAK);
    for (const { path, extensions } of errors ?? []) {
      expect(Array.isArray(path)).toBe(true);
      expect(Object.keys(extensions).sort()).toEqual(['code', 'requestId']);
    }
    return { data, errors, body };
  }

  const answers =
    (body: string | Buffer, status = 200, headers: Record<string, string> = {}) =>
    (_request: unknown, response: ServerResponse) =>
      void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);

  it('answers from two subgraphs, with aliases, variables, fragments and introspection', async () => {
    const { data, errors } = await ask(
      'query Q($id: ID!) { a: person(id: $id) { ...P } b: person(id: "2") { ...P } __schema { queryType { name } } } fragment P on Person { id n: name posts { body author { name } } }',
      { id: '1' },
    );
    expect(errors).toBeUndefined();
    const card = (id: string) => ({
      id,
      n: `name of ${id}`,
      posts: [{ body: `by ${id}`, author: { name: `name of ${id}` } }],
    });
    expect(data).toEqual({ a: card('1'), b: card('2'), __schema: { queryType: { name: 'Query' } } });
  });

  it('names of prototypes are names like others, and nothing is polluted', async () => {
    const { body } = await ask('{ constructor: me { __proto__: prefs prototype: mood toString: name } }');
    expect(body).toContain('"__proto__":{"theme":"dark","__proto__":{"no":true}}');
    expect(JSON.parse(body)).toMatchObject({ data: { constructor: { toString: 'name of 1' } } });
    expect(({} as { polluted?: unknown; no?: unknown; theme?: unknown }).polluted).toBeUndefined();
    expect(({} as { no?: unknown }).no).toBeUndefined();
    expect(typeof Function.prototype.call).toBe('function');
  });

  /** Answers of the posts subgraph to an entity call; in each the person stays and the posts are a hole that says where it is. */
  const HOLES: Record<string, [TinySubgraph['misbehave'], string]> = {
    'FG1 closed connection': [(_request, response) => void response.destroy(), 'SUBGRAPH_UNAVAILABLE'],
    'FG2 silence': [() => {}, 'SUBGRAPH_TIMEOUT'],
    'FG3 500 and JSON': [answers('{"errors":[{"message":"secret-host e0"}]}', 500), 'SUBGRAPH_UNAVAILABLE'],
    'FG3 401': [answers('{"errors":[{"message":"who are you"}]}', 401), 'SUBGRAPH_BAD_RESPONSE'],
    'FG3 403': [answers('', 403), 'SUBGRAPH_BAD_RESPONSE'],
    'FG3 429': [answers('', 429), 'SUBGRAPH_UNAVAILABLE'],
    'FG3 204': [answers('', 204), 'SUBGRAPH_BAD_RESPONSE'],
    'FG3 HTML': [
      answers('<html>at /srv/app.js:12:3</html>', 200, { 'content-type': 'text/html' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'FG4 cut JSON': [answers('{"data":{"_entities":[{"pos'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG5 bytes that are no UTF-8': [
      answers(
        Buffer.from(
          '7b2264617461223a7b225f656e746974696573223a5b7b22706f737473223a5b7b22626f6479223a22c328227d5d7d5d7d7d',
          'hex',
        ),
      ),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'FG6 a text': [answers('"hello"'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG6 an empty object': [answers('{}'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG6 entities are null': [answers('{"data":{"_entities":null}}'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG6 entities are a text': [answers('{"data":{"_entities":"x"}}'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG6 too few': [answers('{"data":{"_entities":[]}}'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG6 too many': [answers('{"data":{"_entities":[{"posts":[]},{"posts":[]}]}}'), 'SUBGRAPH_BAD_RESPONSE'],
    'FG9 too long': [answers(`{"data":"${'x'.repeat(70_000)}"}`), 'SUBGRAPH_BAD_RESPONSE'],
    'FG9 a bomb': [
      answers(gzipSync(Buffer.alloc(20_000_000, 32)), 200, { 'content-encoding': 'gzip' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'FG10 a redirect': [answers('', 302, { location: 'http://127.0.0.1:1/' }), 'SUBGRAPH_BAD_RESPONSE'],
    'its own trouble': [
      answers(
        '{"errors":[{"message":"select * from posts at /srv/app.js:12:3","extensions":{"stacktrace":["at x"]}}],"data":{"_entities":[null]}}',
      ),
      'INTERNAL_SERVER_ERROR',
    ],
    'our codes in its mouth': [
      answers('{"errors":[{"message":"x","extensions":{"code":"SUBGRAPH_TIMEOUT"}}],"data":null}'),
      'INTERNAL_SERVER_ERROR',
    ],
  };

  it.each(Object.entries(HOLES))(
    '%s is a hole in the answer that says where it is, and the log has the rest',
    async (_row, [misbehave, code]) => {
      tiny.posts.misbehave = misbehave;
      const { data, errors } = await ask('{ me { name posts { body } } }');
      expect(data).toEqual({ me: { name: 'name of 1', posts: null } });
      expect(errors).toHaveLength(1);
      expect(errors![0]).toMatchObject({
        path: expect.arrayContaining(['me']) as unknown,
        extensions: { code, requestId: 'r1' },
      });
      expect(logged).toHaveLength(1);
      expect(logged[0]).toMatchObject({ requestId: 'r1', errors: [{ subgraph: 'posts' }] });
    },
  );

  it('a subgraph says in its own words what a client can do something about, and where', async () => {
    const { data, errors } = await ask('{ people(first: 101) { id } me { id } }');
    expect(data).toEqual({ people: null, me: { id: '1' } });
    expect(errors).toEqual([
      {
        message: 'first has to be 0 to 100',
        path: ['people'],
        extensions: { code: 'BAD_USER_INPUT', requestId: 'r1' },
      },
    ]);
    expect(logged).toHaveLength(0);
  });

  it('a list where an object was due, or the other way round, is no 500', async () => {
    for (const data of [
      '{"me":[]}',
      '{"me":"x"}',
      '{"me":{"id":"1","friends":{}}}',
      '{"me":{"id":"1","friends":"x"}}',
      '[]',
      '"x"',
      '7',
    ]) {
      tiny.people.misbehave = answers(`{"data":${data}}`);
      const answer = await ask('{ me { id friends { id posts { body } } } }');
      expect([data, answer.errors === undefined]).toEqual([data, false]);
    }
  });

  it('a null where none may be has an error', async () => {
    tiny.people.misbehave = answers('{"data":{"me":{"id":"1","name":null}}}');
    const { data, errors } = await ask('{ me { id name } }');
    expect(data).toEqual({ me: null });
    expect(errors).toMatchObject([{ extensions: { code: 'SUBGRAPH_BAD_RESPONSE' } }]);
  });

  it('a field that may not be null takes its parent with it, and the error has the path', async () => {
    const { data, errors } = await ask('{ wrong }');
    expect(data).toBeNull();
    expect(errors).toMatchObject([{ message: 'Internal server error', path: ['wrong'] }]);
  });

  it('FG8 of many errors fifty are told, and the log knows how many there were', async () => {
    tiny.people.misbehave = answers(
      JSON.stringify({
        data: { me: null },
        errors: Array.from({ length: 150 }, () => ({ message: 'x'.repeat(100), path: ['me'] })),
      }),
    );
    const { errors } = await ask('{ me { id } }');
    expect(errors).toHaveLength(50);
    expect(logged[0]).toMatchObject({ count: 150 });
  });

  it('FG11 names of prototypes in an answer are data', async () => {
    tiny.people.misbehave = answers(
      '{"data":{"me":{"id":"1","name":"n","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}},"extensions":{"__proto__":{"polluted":true}}}',
    );
    expect((await ask('{ me { id name } }')).data).toEqual({ me: { id: '1', name: 'n' } });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('mutations go in order, once each', async () => {
    const before = tiny.people.calls.length;
    const { data } = await ask(
      'mutation { a: rename(name: "x") { name } b: rename(name: "y") { name posts { body } } }',
    );
    expect(data).toMatchObject({ a: { name: 'x' }, b: { name: 'y' } });
    expect(tiny.people.calls.slice(before).filter(({ body }) => body.includes('mutation')).length).toBeGreaterThan(0);
    tiny.people.misbehave = (_request, response) => void response.destroy();
    const calls = tiny.people.calls.length;
    await ask('mutation { rename(name: "x") { name } }');
    expect(tiny.people.calls.length - calls).toBe(1);
  });

  it('nothing is called for what a directive leaves out', async () => {
    const calls = tiny.posts.calls.length;
    const { data } = await ask('query Q($with: Boolean!) { me { name posts @include(if: $with) { body } } }', {
      with: false,
    });
    expect(data).toEqual({ me: { name: 'name of 1' } });
    expect(tiny.posts.calls.length).toBe(calls);
  });
});
