import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { ROOT } from '../commands/root.js';
import { selfSigned } from '../test/servers/self-signed.js';
import { ENGINES, TinyEngine } from '../test/tiny/tiny-engine.js';
import { startTinyGraph, type TinyGraph, type TinySubgraph } from '../test/tiny/tiny-graph.js';

/**
 * What a subgraph may do wrong, and what a client is told then: the rest of the answer, and an error that says where the hole is.
 * Each row is run through every engine; the last block is the control, `ApolloGateway` as it comes.
 */
type Misbehave = NonNullable<TinySubgraph['misbehave']>;

const MIB = 1024 * 1024;
let tiny: TinyGraph;
beforeAll(async () => void (tiny = await startTinyGraph()));
afterEach(async () => {
  tiny.people.misbehave = undefined;
  tiny.posts.misbehave = undefined;
  for (const close of closers.splice(0)) await close();
});
afterAll(() => tiny.close());

const closers: (() => Promise<void>)[] = [];
async function listening(server: Server, protocol = 'http'): Promise<string> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {}).once('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of open) socket.destroy();
    await closed;
  });
  return `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
}

const answers =
  (body: string | Buffer, status = 200, headers: Record<string, string | number> = {}): Misbehave =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);

/** Begins to answer, and then does something else. */
const begins =
  (then: (response: ServerResponse) => void, headers: Record<string, string | number> = {}): Misbehave =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    then(response);
  };

const entities = (text: string) => answers(`{"data":{"_entities":${text}}}`);
const DRIP = begins((response) => {
  const drip = setInterval(() => response.write(' '), 5);
  response.once('close', () => clearInterval(drip));
});

let sent = 0;
/** A gigabyte, as long as somebody reads it. */
const ENDLESS = begins((response) => {
  sent = 0;
  const chunk = Buffer.alloc(64 * 1024, 32);
  const more = () => {
    while (!response.destroyed && sent < 1024 * MIB) {
      sent += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
});
/** A gigabyte of spaces in a megabyte. */
const bomb = (parts = 100) => Buffer.concat(Array.from({ length: parts }, () => BOMB));
const BOMB = gzipSync(Buffer.alloc(10 * MIB, 32));

const BOMBED =
  (parts = 100): Misbehave =>
  (_request, response) =>
    void response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb(parts));

/**
 * What a process of its own says of such an answer, and by how many MiB it grew at its largest. (Here, what one test frees stays with
 * the process, and the next one takes it without growing.)
 */
async function growth(asks: string): Promise<[string, number]> {
  const code = `
    import { openSubgraphClient } from './dist/gateway/fetch/subgraph-client.js';
    const url = ${JSON.stringify(tiny.posts.url)};
    const plain = () => fetch(url, { method: 'POST', body: '{}' }).then((answer) => answer.arrayBuffer());
    const ours = () => {
      const never = new AbortController().signal;
      const options = { timeoutMs: 30_000, bodyBytesMax: ${8 * MIB}, connections: 8, assertion() {}, forwardResponse: [], clock: Date.now };
      return openSubgraphClient(options).post(
        { subgraph: 'posts', url, type: 'query', body: '{}' },
        { requestId: 'r1', subject: null, headers: new Map(), signal: never, deadline: Date.now() + 60_000, responseHeaders: [] },
      );
    };
    const before = process.resourceUsage().maxRSS;
    const said = await ${asks}().then(() => 'an answer', ({ code }) => code);
    console.log(JSON.stringify([said, (process.resourceUsage().maxRSS - before) / 1024]));
    process.exit();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: ROOT,
  });
  return JSON.parse(stdout) as [string, number];
}

/** As Apollo Server says it. A field that nobody is to know of is what it takes for the one that was meant. */
const NO_SUCH_FIELD = JSON.stringify({
  errors: [
    {
      message: 'Cannot query field "posts" on type "Person". Did you mean "password" at /srv/app.js:12:3?',
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    },
  ],
});

/** Answers of `posts` to an entity call: the person stays, the posts are a hole that says where it is. */
const HOLES: Record<string, [code: string, misbehave: Misbehave, late?: 'late']> = {
  'FG1 closes the connection': ['SUBGRAPH_UNAVAILABLE', (_request, response) => void response.destroy()],
  'FG2 is silent': ['SUBGRAPH_TIMEOUT', () => {}, 'late'],
  'FG2 sends headers and nothing else': ['SUBGRAPH_TIMEOUT', begins((response) => response.flushHeaders()), 'late'],
  'FG2 sends a byte now and then': ['SUBGRAPH_TIMEOUT', DRIP, 'late'],
  'FG3 500 and JSON': ['SUBGRAPH_UNAVAILABLE', answers('{"errors":[{"message":"at /srv/app.js:12:3"}]}', 500)],
  'FG3 503 and data all the same': ['SUBGRAPH_UNAVAILABLE', answers('{"data":{"_entities":[{"posts":[]}]}}', 503)],
  'FG3 401': ['SUBGRAPH_BAD_RESPONSE', answers('{"errors":[{"message":"who are you"}]}', 401)],
  'FG3 403': ['SUBGRAPH_BAD_RESPONSE', answers('', 403)],
  'FG3 429': ['SUBGRAPH_UNAVAILABLE', answers('', 429)],
  'FG3 204': ['SUBGRAPH_BAD_RESPONSE', answers('', 204)],
  'FG3 HTML': [
    'SUBGRAPH_BAD_RESPONSE',
    answers('<html>at /srv/app.js:12:3</html>', 200, { 'content-type': 'text/html' }),
  ],
  'FG4 JSON that is cut': ['SUBGRAPH_BAD_RESPONSE', answers('{"data":{"_entities":[{"pos')],
  'FG4 nothing': ['SUBGRAPH_BAD_RESPONSE', answers('')],
  'FG4 a reset in the middle': [
    'SUBGRAPH_UNAVAILABLE',
    begins((response) => response.write('{"data":{"_en', () => response.socket?.resetAndDestroy())),
  ],
  'FG4 less than the length says': [
    'SUBGRAPH_UNAVAILABLE',
    begins((response) => response.write('{"data":', () => response.destroy()), { 'content-length': 1000 }),
  ],
  'FG4 gzip that is cut': [
    'SUBGRAPH_BAD_RESPONSE',
    answers(gzipSync('{"data":{"_entities":[{"posts":[]}]}}').subarray(0, 30), 200, { 'content-encoding': 'gzip' }),
  ],
  'FG5 bytes that are no UTF-8': [
    'SUBGRAPH_BAD_RESPONSE',
    answers(Buffer.from('{"data":{"_entities":[{"posts":[{"body":"\u00c3("}]}]}}', 'latin1')),
  ],
  'FG5 UTF-16': [
    'SUBGRAPH_BAD_RESPONSE',
    answers(Buffer.from('{"data":{"_entities":[{"posts":[]}]}}', 'utf16le'), 200, {
      'content-type': 'application/json; charset=utf-16',
    }),
  ],
  'FG6 a text': ['SUBGRAPH_BAD_RESPONSE', answers('"hello"')],
  'FG6 null': ['SUBGRAPH_BAD_RESPONSE', answers('null')],
  'FG6 a list': ['SUBGRAPH_BAD_RESPONSE', answers('[{"data":{"_entities":[{"posts":[]}]}}]')],
  'FG6 an empty object': ['SUBGRAPH_BAD_RESPONSE', answers('{}')],
  'FG6 data that is a list': ['SUBGRAPH_BAD_RESPONSE', answers('{"data":[]}')],
  'FG6 data that is null, without an error': ['SUBGRAPH_BAD_RESPONSE', answers('{"data":null}')],
  'FG6 data without entities': ['SUBGRAPH_BAD_RESPONSE', answers('{"data":{}}')],
  'FG6 entities that are null': ['SUBGRAPH_BAD_RESPONSE', entities('null')],
  'FG6 entities that are a text': ['SUBGRAPH_BAD_RESPONSE', entities('"x"')],
  'FG6 entities that are an object': ['SUBGRAPH_BAD_RESPONSE', entities('{"0":{"posts":[]},"length":1}')],
  'FG6 too few entities': ['SUBGRAPH_BAD_RESPONSE', entities('[]')],
  'FG6 too many entities': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[]},{"posts":[]}]')],
  'FG6 an entity that is a text': ['SUBGRAPH_BAD_RESPONSE', entities('["Person"]')],
  'FG6 an entity that is a list': ['SUBGRAPH_BAD_RESPONSE', entities('[[]]')],
  'FG6 a text for a list': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":"none"}]')],
  'FG6 an object for a list': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":{"body":"x"}}]')],
  'FG6 a number for an object': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[1]}]')],
  'FG6 a list for an object': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[[{"body":"x"}]]}]')],
  'FG6 an object for a text': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[{"body":{"a":1}}]}]')],
  'FG7 null where none may be': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[{"body":null}]}]')],
  'FG7 null for a part of a list where none may be': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[null]}]')],
  'FG7 nothing where null may not be': ['SUBGRAPH_BAD_RESPONSE', entities('[{"posts":[{}]}]')],
  'FG9 200 MB by their length': [
    'SUBGRAPH_BAD_RESPONSE',
    begins((response) => response.flushHeaders(), { 'content-length': 200 * MIB }),
  ],
  'FG9 a gigabyte in chunks': ['SUBGRAPH_BAD_RESPONSE', ENDLESS],
  'FG9 a gigabyte out of a megabyte': ['SUBGRAPH_BAD_RESPONSE', BOMBED()],
  'its own trouble': [
    'INTERNAL_SERVER_ERROR',
    answers(
      '{"errors":[{"message":"select * from posts at /srv/app.js:12:3","extensions":{"stacktrace":["at x"]}}],"data":{"_entities":[null]}}',
    ),
  ],
  'our codes in its mouth': [
    'INTERNAL_SERVER_ERROR',
    answers('{"errors":[{"message":"x","extensions":{"code":"GATEWAY_TIMEOUT"}}],"data":null}'),
  ],
  'that its database is gone': [
    'SUBGRAPH_UNAVAILABLE',
    answers(
      '{"errors":[{"message":"connect ECONNREFUSED 10.0.0.3","extensions":{"code":"SUBGRAPH_UNAVAILABLE"}}],"data":null}',
    ),
  ],
  'FX2 that there is no such field': ['SUBGRAPH_UNAVAILABLE', answers(NO_SUCH_FIELD)],
  'FX2 that there is no such field, and 400': ['SUBGRAPH_UNAVAILABLE', answers(NO_SUCH_FIELD, 400)],
  'an error that is none': ['INTERNAL_SERVER_ERROR', answers('{"data":null,"errors":[null,1,{"path":{}}]}')],
};

/** Where a shape is so wrong that stock's walk over the answer ends, nothing is left for its client but the error. */
const STOCK_SHOWS_NOTHING = new Set([
  'FG6 a text for a list',
  'FG6 an object for a list',
  'FG6 a number for an object',
]);

describe.each(Object.entries(ENGINES))('%s', (name, createEngine) => {
  let engine: TinyEngine;
  beforeAll(async () => void (engine = await TinyEngine.open(createEngine, tiny, 8 * MIB)));
  afterEach(() => engine.reset());
  afterAll(() => engine.close());

  const QUERY = '{ me { name posts { body } } }';
  const hole = async (code: string, row = '') => {
    const { data, errors, body } = await engine.ask(QUERY);
    const nothing = name === 'apollo' && STOCK_SHOWS_NOTHING.has(row);
    expect(data).toEqual(nothing ? null : { me: { name: 'name of 1', posts: null } });
    expect(errors!.length).toBeGreaterThan(0);
    for (const error of errors!) {
      expect(error.extensions).toEqual({ code: nothing ? 'INTERNAL_SERVER_ERROR' : code, requestId: 'r1' });
      expect(error.path!.slice(0, 2)).toEqual(nothing ? ['me'] : ['me', 'posts']);
    }
    expect(engine.logged).toHaveLength(1);
    return body;
  };

  it.each(Object.entries(HOLES))('%s', async (row, [code, misbehave, late]) => {
    tiny.posts.misbehave = misbehave;
    if (late) engine.postsMs = 100;
    const began = performance.now();
    await hole(code, row);
    // At its time, and not at that of the call (30 s); a busy machine may take its own.
    if (late) expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('FG1 nobody listens: what others know comes, and a field that may not be null takes no more than its parent', async () => {
    const gone = createHttpServer();
    engine.postsAt = await listening(gone);
    for (const close of closers.splice(0)) await close();
    await hole('SUBGRAPH_UNAVAILABLE');
    const { data, errors } = await engine.ask(
      '{ me { name draft { body } } other: person(id: "2") { name } newest { body } }',
    );
    expect(data).toEqual({ me: null, other: { name: 'name of 2' }, newest: null });
    expect(errors!.map(({ path }) => path!.join('.')).sort()).toEqual(['me.draft', 'newest']);
  });

  describe('a service that has not caught up with what its client wrote', () => {
    const MUTATION = 'mutation { rename(name: "new") { name friends { id } draft { body } } }';
    const said = (path?: readonly (string | number)[], data?: object | null) =>
      answers(
        JSON.stringify({
          ...(data === undefined ? {} : { data }),
          errors: [{ message: 'late', ...(path && { path }), extensions: { code: 'NOT_CAUGHT_UP' } }],
        }),
      );
    const codes = async (query: string) => {
      const { data, errors } = await engine.ask(query);
      return [data, [...new Set(errors!.map(({ extensions }) => extensions.code))]];
    };
    const nothing = { rename: null };

    // What of the answer cannot be null takes the mutation's field along, so null says nothing of whether it was done.
    it.each<[string, 'people' | 'posts', Misbehave]>([
      ['below it', 'people', said(['rename', 'friends'], nothing)],
      ['below one that is never null', 'people', said(['rename', 'friends'], null)],
      ['in what another service says of it', 'posts', said(['_entities', 0, 'draft'], { _entities: [null] })],
      ['in all that another says of it', 'posts', said(['_entities', 0], { _entities: [null] })],
      ['by another as a whole', 'posts', said()],
    ])('tells a mutation that is done that it is done, where it refuses %s', async (_, who, misbehave) => {
      tiny[who].misbehave = misbehave;
      const [data, told] = await codes(MUTATION);
      expect(told).toEqual(['DONE_NOT_SHOWN']);
      expect([null, nothing]).toContainEqual(data);
    });

    it.each<[string, Misbehave]>([
      ['as a whole', said()],
      ['in its field', said(['rename'], nothing)],
    ])(
      'control: tells one of which nothing was done that it may come again, where it refuses %s',
      async (_, refuses) => {
        tiny.people.misbehave = refuses;
        expect(await codes(MUTATION)).toEqual([nothing, ['NOT_CAUGHT_UP']]);
      },
    );

    it('control: tells a query, of whatever it refuses, that it may come again', async () => {
      tiny.posts.misbehave = said(['_entities', 0, 'posts'], { _entities: [{ posts: null }] });
      expect(await codes('{ me { posts { body } } }')).toEqual([{ me: { posts: null } }, ['NOT_CAUGHT_UP']]);
    });
  });

  it('FG8 of ten thousand errors fifty are told, in a few thousand bytes, and the log knows how many there were', async () => {
    tiny.posts.misbehave = answers(
      JSON.stringify({
        data: { _entities: [{ posts: null }] },
        errors: Array.from({ length: 10_000 }, (_, i) => ({
          message: `e${i} ${'x'.repeat(100)}`,
          path: ['_entities', 0, 'posts'],
          extensions: { serviceName: 'posts' },
        })),
      }),
    );
    const { errors, body } = await engine.ask(QUERY);
    expect(errors).toHaveLength(50);
    expect(body).not.toContain('serviceName');
    expect(body.length).toBeLessThan(20_000);
    expect(engine.logged[0]).toMatchObject({ count: 10_000 });
  });

  it('what a client is told of what it sent is not logged beside what failed', async () => {
    const said = 'a handle takes 2 to 30 characters; came "alice@example.org"';
    tiny.people.misbehave = answers(
      JSON.stringify({
        data: { me: null },
        errors: [{ message: said, path: ['me'], extensions: { code: 'BAD_USER_INPUT' } }],
      }),
    );
    tiny.posts.misbehave = answers(
      '{"data":{"newest":null},"errors":[{"message":"relation is gone","path":["newest"]}]}',
    );
    const { errors } = await engine.ask('{ me { id } newest { body } }');
    // The control: the client is told all of it.
    expect(errors!.map(({ message }) => message).sort()).toEqual(['Internal server error', said]);
    expect(engine.logged).toHaveLength(1);
    const logged = engine.logged[0]!['errors'] as Record<string, unknown>[];
    expect(logged.find(({ path }) => path === 'me')).toEqual({
      path: 'me',
      code: 'BAD_USER_INPUT',
      subgraph: 'people',
    });
    expect(logged.find(({ path }) => path === 'newest')).toMatchObject({ message: 'relation is gone' });
    expect(JSON.stringify(engine.logged)).not.toContain('alice');
  });

  it.each([
    ['an object for a text', 'people', '{"data":{"me":{"id":"1","name":{"first":"Alice"}}}}'],
    ['a text for an entity', 'posts', '{"data":{"_entities":["Alice"]}}'],
    ['no JSON', 'posts', '{"data":{"_entities":[Alice]}}'],
  ] as const)('of what a subgraph answered the log has no word: %s', async (what, who, body) => {
    tiny[who].misbehave = answers(body);
    await engine.ask(who === 'people' ? '{ me { name } }' : '{ me { posts { body } } }');
    expect(engine.logged).toHaveLength(1);
    // The control: what went wrong is there.
    expect(JSON.stringify(engine.logged)).toContain(what === 'no JSON' ? 'is not JSON' : 'SUBGRAPH_BAD_RESPONSE');
    expect(JSON.stringify(engine.logged)).not.toContain('Alice');
  });

  it('FG9 of a gigabyte no more is taken than the limit and what is on its way', async () => {
    tiny.posts.misbehave = ENDLESS;
    await hole('SUBGRAPH_BAD_RESPONSE');
    expect(sent).toBeLessThan(64 * MIB);
  });

  it.each([
    ['in chunks', ENDLESS],
    ['out of a megabyte', BOMBED()],
  ])('FG9 a gigabyte (%s) is what a client is told who asked for much, and wakes nobody', async (_what, misbehave) => {
    tiny.posts.misbehave = misbehave;
    const fetched = { bytes: 0 };
    const { data, errors } = await engine.ask(QUERY, {}, { cost: 202, fetched });
    expect(data).toEqual({ me: { name: 'name of 1', posts: null } });
    const [error] = errors!;
    expect(error).toMatchObject({ path: ['me', 'posts'], extensions: { code: 'ANSWER_TOO_LONG' } });
    expect(error!.message).toBe('A part of the answer would have more than 8,388,608 bytes; ask for less at once.');
    expect(engine.logged).toEqual([]);
    expect(fetched.bytes).toBeGreaterThan(8 * MIB);
    // The control: as many bytes for seven objects are nobody's wish, and one line of the log.
    tiny.posts.misbehave = misbehave;
    const control = await engine.ask(QUERY, {}, { cost: 7 });
    expect(control.errors![0]!.extensions.code).toBe('SUBGRAPH_BAD_RESPONSE');
    expect(engine.logged).toHaveLength(1);
  });

  it.each([301, 302, 303, 307, 308])('FG10 a redirect (%s), to wherever, is not followed', async (status) => {
    let hits = 0;
    const target = createHttpServer((_request, response) => {
      hits += 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"_entities":[{"posts":[]}]}}');
    });
    const elsewhere = await listening(target);
    for (const location of [elsewhere, `${tiny.posts.url}?again`, 'file:///etc/passwd', '/graphql', '']) {
      const before = tiny.posts.calls.length;
      tiny.posts.misbehave = answers('', status, { location });
      engine.logged.length = 0;
      await hole('SUBGRAPH_BAD_RESPONSE');
      expect(tiny.posts.calls.length - before).toBe(1);
    }
    expect(hits).toBe(0);
  });

  it('FG11 keys of prototypes are data, wherever in the answer, and pollute nothing', async () => {
    const evil = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}';
    tiny.posts.misbehave = answers(
      `{"data":{${evil},"_entities":[{${evil},"posts":[{"body":"b",${evil}}]}]},"errors":[{"message":"m","path":["_entities",0,"__proto__"],${evil},"extensions":{${evil}}}],"extensions":{${evil}},${evil}}`,
    );
    const { data } = await engine.ask(QUERY);
    expect(data).toEqual({ me: { name: 'name of 1', posts: [{ body: 'b' }] } });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
  });

  it('FG5 not a byte of what is right is changed', async () => {
    const texts = ['ünï ☃ 👩‍🚀', '\u2028\u2029', '\u0000\u001f', '"\\/', '\ufeff', '\ud800 alone', '</script>', ''];
    tiny.posts.misbehave = answers(
      `{"data":{"_entities":[{"posts":${JSON.stringify(texts.map((body) => ({ body })))}}]}}`,
    );
    const { data, errors } = await engine.ask(QUERY);
    expect(errors).toBeUndefined();
    expect(data).toEqual({ me: { name: 'name of 1', posts: texts.map((body) => ({ body })) } });
  });

  it('FG12 a certificate that nobody vouches for is refused before anything is said', async () => {
    let hits = 0;
    engine.postsAt = await listening(
      createHttpsServer(selfSigned(), (_request, response) => {
        hits += 1;
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"_entities":[{"posts":[]}]}}');
      }),
      'https',
    );
    await hole('SUBGRAPH_UNAVAILABLE');
    expect(hits).toBe(0);
  });

  it('FG12 HTTP/1.0, whose answer ends with the connection, is an answer', async () => {
    engine.postsAt = await listening(
      createTcpServer((socket) => {
        socket.once('data', () =>
          socket.end(
            'HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{"data":{"_entities":[{"posts":[{"body":"old"}]}]}}',
          ),
        );
      }),
    );
    const { data, errors } = await engine.ask(QUERY);
    expect(errors).toBeUndefined();
    expect(data).toEqual({ me: { name: 'name of 1', posts: [{ body: 'old' }] } });
  });

  it('FG12 no HTTP at all', async () => {
    engine.postsAt = await listening(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    await hole('SUBGRAPH_UNAVAILABLE');
  });

  it('FG12 a kept connection that is reset: a query goes once more and is answered', async () => {
    let requests = 0;
    engine.postsAt = await listening(
      createTcpServer((socket) => {
        let turn = 0;
        socket.on('data', () => {
          requests += 1;
          turn += 1;
          if (turn > 1) return socket.resetAndDestroy();
          const body = '{"data":{"_entities":[{"posts":[]}]}}';
          socket.write(
            `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
          );
        });
      }),
    );
    for (let i = 0; i < 2; i += 1) {
      const { data, errors } = await engine.ask(QUERY);
      expect({ data, errors }).toEqual({ data: { me: { name: 'name of 1', posts: [] } }, errors: undefined });
    }
    expect(requests).toBe(3);
  });

  it('FG12 a mutation whose connection breaks is sent once', async () => {
    tiny.people.misbehave = (_request, response) => void response.destroy();
    const before = tiny.people.calls.length;
    const { data, errors } = await engine.ask('mutation { rename(name: "x") { name } }');
    expect(data).toEqual({ rename: null });
    expect(errors).toMatchObject([{ path: ['rename'], extensions: { code: 'SUBGRAPH_UNAVAILABLE' } }]);
    expect(tiny.people.calls.length - before).toBe(1);
  });

  describe('a root field', () => {
    it.each([
      '{"me":[]}',
      '{"me":"x"}',
      '{"me":{"id":"1","friends":{}}}',
      '{"me":{"id":"1","friends":"x"}}',
      '[]',
      '"x"',
      '7',
    ])('FG6 answered with %s', async (data) => {
      tiny.people.misbehave = answers(`{"data":${data}}`);
      const answer = await engine.ask('{ me { id friends { id posts { body } } } }');
      expect([{ me: null }, ...(name === 'apollo' ? [null] : [])]).toContainEqual(answer.data);
      expect(answer.errors![0]!.path![0]).toBe('me');
    });

    it.each(['{ me { name } }', 'mutation { rename(name: "x") { name } }'])(
      'FG6 that the answer does not have is null, and an error says so: %s',
      async (query) => {
        const key = query.startsWith('{') ? 'me' : 'rename';
        tiny.people.misbehave = answers('{"data":{}}');
        const { data, errors } = await engine.ask(query);
        expect(data).toEqual({ [key]: null });
        // Stock takes it for a null that was said: the control.
        const told = name === 'apollo' ? undefined : [{ path: [key], extensions: { code: 'SUBGRAPH_BAD_RESPONSE' } }];
        if (told === undefined) expect(errors).toBeUndefined();
        else expect(errors).toMatchObject(told);
        // The control: a null that is said is no error.
        tiny.people.misbehave = answers(`{"data":{"${key}":null}}`);
        expect(await engine.ask(query)).toMatchObject({ data: { [key]: null }, errors: undefined });
      },
    );

    it('FG7 whose null may not be takes its parent with it', async () => {
      tiny.people.misbehave = answers('{"data":{"me":{"id":"1","name":null}}}');
      const { data, errors } = await engine.ask('{ me { id name } }');
      expect(data).toEqual({ me: null });
      expect(errors).toMatchObject([{ path: ['me', 'name'], extensions: { code: 'SUBGRAPH_BAD_RESPONSE' } }]);
    });
  });
});

describe('a gigabyte (FG9) costs no more than 64 MiB of memory', () => {
  it.each([
    ['in chunks', ENDLESS],
    ['out of a megabyte', BOMBED()],
  ])('%s', async (_, misbehave) => {
    tiny.posts.misbehave = misbehave;
    const [said, grew] = await growth('ours');
    expect(said).toBe('SUBGRAPH_BAD_RESPONSE');
    expect(grew).toBeLessThan(64);
  });

  it('control: a client as it comes inflates a fifth of it to its end, and takes more', async () => {
    tiny.posts.misbehave = BOMBED(20);
    const [said, grew] = await growth('plain');
    expect(said).toBe('an answer');
    expect(grew).toBeGreaterThan(64);
  });
});

describe('control: ApolloGateway as it comes', () => {
  let asks: (query: string) => Promise<{ data?: unknown; errors?: readonly object[] }>;
  beforeAll(async () => {
    process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
    const { ApolloGateway } = await import('@apollo/gateway');
    const { parse, getOperationAST } = await import('graphql');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    const gateway = new ApolloGateway({ supergraphSdl: tiny.sdl, logger: quiet });
    const { executor } = await gateway.load();
    asks = (query) => {
      const document = parse(query);
      return executor({
        request: { query, variables: {}, http: { headers: new Map() } },
        document,
        operation: getOperationAST(document)!,
        operationName: null,
        queryHash: query,
        source: query,
        context: {},
        metrics: {},
        logger: quiet,
        overallCachePolicy: { restrict() {}, replace() {}, policyIfCacheable: () => null },
        cache: undefined,
        schema: undefined,
      } as never) as never;
    };
    closers.length = 0;
    stop = () => gateway.stop();
  });
  let stop: () => Promise<void>;
  afterAll(() => stop());

  it('changes bytes that are no UTF-8 and says nothing (FG5)', async () => {
    tiny.posts.misbehave = HOLES['FG5 bytes that are no UTF-8']![1];
    const { data, errors } = await asks('{ me { posts { body } } }');
    expect({ data: JSON.stringify(data), errors }).toEqual({
      data: '{"me":{"posts":[{"body":"\ufffd("}]}}',
      errors: undefined,
    });
  });

  it('throws for a shape that it did not expect (FG6)', async () => {
    tiny.people.misbehave = answers('{"data":{"me":{"id":"1","friends":"x"}}}');
    await expect(asks('{ me { id friends { id posts { body } } } }')).rejects.toThrow('flatMap');
  });

  it('has no error for a null that should not be (FG7)', async () => {
    tiny.people.misbehave = answers('{"data":{"me":{"id":"1","name":null}}}');
    const { data, errors } = await asks('{ me { id name } }');
    expect([JSON.stringify(data), errors]).toEqual(['{"me":null}', undefined]);
  });

  it('follows a redirect with all that it carries (FG10)', async () => {
    let hits = 0;
    const target = await listening(
      createHttpServer((_request, response) => {
        hits += 1;
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"_entities":[{"posts":[]}]}}');
      }),
    );
    tiny.posts.misbehave = answers('', 307, { location: target });
    await asks('{ me { posts { body } } }');
    expect(hits).toBe(1);
  });

  it('waits for as long as a subgraph is silent (FG2)', async () => {
    let heard!: () => void;
    const asked = new Promise<void>((resolve) => (heard = resolve));
    let end!: () => void;
    tiny.posts.misbehave = (_request, response) => {
      end = () => answers('{"data":{"_entities":[{"posts":[]}]}}')(_request, response, '');
      heard();
    };
    const answer = asks('{ me { posts { body } } }');
    await asked;
    const first = await Promise.race([
      answer.then(() => 'answered'),
      new Promise((resolve) => setTimeout(resolve, 500, 'waits')),
    ]);
    end();
    await answer;
    expect(first).toBe('waits');
  });
});
