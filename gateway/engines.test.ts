import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ENGINES, TinyEngine } from '../test/tiny/tiny-engine.js';
import { startTinyGraph, type TinyGraph } from '../test/tiny/tiny-graph.js';

/** What every engine behind the door does alike. What subgraphs may do to them: misbehaving-subgraphs.test.ts. */
let tiny: TinyGraph;
beforeAll(async () => void (tiny = await startTinyGraph()));
afterEach(() => void (tiny.people.misbehave = undefined));
afterAll(() => tiny.close());

describe.each(Object.entries(ENGINES))('%s', (_name, createEngine) => {
  let engine: TinyEngine;
  beforeAll(async () => void (engine = await TinyEngine.open(createEngine, tiny)));
  afterEach(() => engine.reset());
  afterAll(() => engine.close());

  it('answers from two subgraphs, with aliases, variables, fragments and introspection', async () => {
    const { data, errors } = await engine.ask(
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
    const { body } = await engine.ask('{ constructor: me { __proto__: prefs prototype: mood toString: name } }');
    expect(body).toContain('"__proto__":{"theme":"dark","__proto__":{"no":true}}');
    expect(JSON.parse(body)).toMatchObject({ data: { constructor: { toString: 'name of 1' } } });
    expect(({} as { polluted?: unknown; no?: unknown; theme?: unknown }).polluted).toBeUndefined();
    expect(({} as { no?: unknown }).no).toBeUndefined();
    expect(typeof Function.prototype.call).toBe('function');
  });

  it('an answer that is too long by one byte is told to be so, with nothing of it; control: else all of it goes out', async () => {
    const asked = '{a:people(first:100){id name posts{author{n:name}}}}';
    const { body, errors } = await engine.ask(asked);
    expect([errors, body.length > 5_000]).toEqual([undefined, true]);
    const ofAtMost = async (bytes: number) => {
      const one = await TinyEngine.open(createEngine, tiny, undefined, bytes);
      const answer = await one.ask(asked);
      await one.close();
      return answer;
    };
    expect((await ofAtMost(body.length)).body).toBe(body);
    const { data, errors: told } = await ofAtMost(body.length - 1);
    expect(data).toBeNull();
    expect(told).toMatchObject([{ path: ['a'], extensions: { code: 'ANSWER_TOO_LONG' } }]);
    expect(told![0]!.message).toMatch(/^The answer would have more than [\d,]+ bytes; ask for less at once\.$/);
  });

  it('a subgraph says in its own words what a client can do something about, and where', async () => {
    const { data, errors } = await engine.ask('{ people(first: 101) { id } me { id } }');
    expect(data).toEqual({ people: null, me: { id: '1' } });
    expect(errors).toEqual([
      {
        message: 'first has to be 0 to 100',
        path: ['people'],
        extensions: { code: 'BAD_USER_INPUT', requestId: 'r1' },
      },
    ]);
    expect(engine.logged).toHaveLength(0);
  });

  it.each<[unknown, number | undefined]>([
    [30, 30],
    ['30', undefined],
    [-1, undefined],
    [1e9, undefined],
    [{ at: 'http://10.0.0.1/' }, undefined],
  ])('a subgraph that has enough says how long to wait: %j is told as %j', async (said, told) => {
    for (const [data, code, message] of [
      ['{"me":null}', 'RATE_LIMITED', 'Too many requests; wait.'],
      ['null', 'RATE_LIMITED', 'Too many requests; wait.'],
      ['{"me":null}', 'OVERLOADED', 'The service is busy; try again.'],
    ]) {
      tiny.people.misbehave = (_request, response) => {
        const errors = [{ message: 'wait', path: ['me'], extensions: { code, retryAfter: said } }];
        response.setHeader('content-type', 'application/json');
        response.end(`{"data":${data},"errors":${JSON.stringify(errors)}}`);
      };
      const { errors } = await engine.ask('{ me { id } }');
      expect(errors).toMatchObject([{ message, extensions: { code } }]);
      expect(errors![0]!.extensions.retryAfter).toBe(told);
      // Whoever says when to come again has turned somebody away on purpose, and has a line of its own of it; control: else it is a failure.
      expect(engine.logged).toHaveLength(code === 'OVERLOADED' && told === undefined ? 1 : 0);
    }
  });

  it('a field that may not be null takes its parent with it, and the error has the path', async () => {
    const { data, errors } = await engine.ask('{ wrong }');
    expect(data).toBeNull();
    expect(errors).toMatchObject([{ message: 'Internal server error', path: ['wrong'] }]);
  });

  it('mutations go in order, once each', async () => {
    const before = tiny.people.calls.length;
    const { data } = await engine.ask(
      'mutation { a: rename(name: "x") { name } b: rename(name: "y") { name posts { body } } }',
    );
    expect(data).toMatchObject({ a: { name: 'x' }, b: { name: 'y' } });
    expect(tiny.people.calls.slice(before).filter(({ body }) => body.includes('mutation')).length).toBeGreaterThan(0);
    tiny.people.misbehave = (_request, response) => void response.destroy();
    const calls = tiny.people.calls.length;
    await engine.ask('mutation { rename(name: "x") { name } }');
    expect(tiny.people.calls.length - calls).toBe(1);
  });

  it('nothing is called for what a directive leaves out', async () => {
    const calls = tiny.posts.calls.length;
    const { data } = await engine.ask('query Q($with: Boolean!) { me { name posts @include(if: $with) { body } } }', {
      with: false,
    });
    expect(data).toEqual({ me: { name: 'name of 1' } });
    expect(tiny.posts.calls.length).toBe(calls);
  });
});
