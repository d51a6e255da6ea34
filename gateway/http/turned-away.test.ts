import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { ENGINES } from '../../test/tiny/tiny-engine.js';
import { startTinyGraph, type TinyGraph, type TinySubgraph } from '../../test/tiny/tiny-graph.js';
import { startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import type { Engine } from '../engine.js';
import { Begun } from '../fetch/begun.js';
import { openSubgraphClient } from '../fetch/subgraph-client.js';
import { readSupergraph } from '../supergraph/supergraph.js';

const LATE_MS = 5_000;
const TAKES_MS = 2_000;

/** HTTP, engine and client before real subgraphs that bear one call at a time, of which each takes two seconds by the gateway's clock. */
describe.each(Object.entries(ENGINES))('more is asked of a subgraph than it answers in time (%s)', (_name, create) => {
  let tiny: TinyGraph;
  let client: ReturnType<typeof openSubgraphClient>;
  let engine: Engine;
  let http: TinyHttp;
  let skewMs: number;
  /** Do requests remember where they have been let in? */
  let remembers: boolean;
  const clock = () => 1_000_000 + skewMs;

  beforeEach(async () => {
    skewMs = 0;
    remembers = true;
    tiny = await startTinyGraph();
  });
  afterEach(async () => {
    await http.close();
    await engine.close();
    await client.close();
    await tiny.close();
  });

  async function start(lateInLineMs = LATE_MS): Promise<void> {
    client = openSubgraphClient({
      timeoutMs: 60_000,
      bodyBytesMax: 64 * 1024,
      connections: 1,
      lateInLineMs,
      assertion: () => undefined,
      forwardResponse: [],
      clock,
    });
    const supergraph = readSupergraph(tiny.sdl);
    const options = { logger: silent, clock, planner: 'auto', merge: 'flow', join: false } as const;
    engine = await create(supergraph, { ...options, subgraphs: client });
    http = await startTinyHttp(
      supergraph.schema,
      {},
      {
        clock,
        timeoutMs: 120_000,
        execute: (operation, variables, context) =>
          engine.execute(operation, variables, {
            ...context,
            ...(!remembers && { begun: new Forgetful(operation.type === 'mutation') }),
          }),
      },
    );
  }

  async function ask(query: string) {
    const response = await fetch(http.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
      signal: AbortSignal.timeout(30_000),
    });
    const { data, errors } = (await response.json()) as {
      data?: unknown;
      errors?: { path?: unknown; extensions: { code: string; retryAfter?: number } }[];
    };
    const told = errors?.map(({ path, extensions: { code, retryAfter } }) => [path, code, retryAfter]);
    return { status: response.status, retryAfter: response.headers.get('retry-after'), data, told };
  }

  /** Its calls wait until each is let go, and are then answered as ever. */
  function hold(subgraph: TinySubgraph) {
    const held: (() => Promise<void>)[] = [];
    const keep: TinySubgraph['misbehave'] = (_request, response, body) =>
      void held.push(async () => {
        subgraph.misbehave = undefined;
        const answer = await fetch(subgraph.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        const text = await answer.text();
        subgraph.misbehave = keep;
        response.writeHead(200, { 'content-type': 'application/json' }).end(text);
      });
    subgraph.misbehave = keep;
    const comes = () => until(() => held.length > 0);
    const next = async (): Promise<void> => {
      await comes();
      await held.shift()!();
    };
    return { held, comes, next };
  }

  const endpointOf = ({ url }: TinySubgraph) =>
    [...client.upstreams.endpoints].find(({ origin }) => origin === new URL(url).origin)!;
  const waits = (subgraph: TinySubgraph, many: number) => until(() => endpointOf(subgraph).waiting === many);

  /** One call to it has taken TAKES_MS, another one that has waited as long is under way, and two wait, of which the second found the first. */
  async function crowd(subgraph: TinySubgraph, query: (name: string) => string) {
    const held = hold(subgraph);
    const first = ask(query('first'));
    await held.comes();
    const second = ask(query('second'));
    await waits(subgraph, 1);
    skewMs += TAKES_MS;
    await held.next();
    await first;
    await held.comes();
    const third = ask(query('third'));
    await waits(subgraph, 1);
    const all = [second, third, ask(query('fourth'))];
    await waits(subgraph, 2);
    skewMs += TAKES_MS / 10;
    return { ...held, all };
  }

  const root = (name: string) => `{ ${name}: me { name posts { body } } }`;
  const whole = (name: string) => ({
    status: 200,
    retryAfter: null,
    data: { [name]: { name: 'name of 1', posts: [{ body: 'by 1' }] } },
    told: undefined,
  });
  const REFUSED = { status: 503, retryAfter: '1', data: undefined, told: [[undefined, 'OVERLOADED', undefined]] };

  it('whoever would begin with it is refused whole, and nobody is asked for them; control: without a bound they wait', async () => {
    await start();
    const { all, next } = await crowd(tiny.people, root);
    const calls = tiny.people.calls.length + tiny.posts.calls.length;
    expect(await ask(root('fifth'))).toEqual(REFUSED);
    expect(await ask('mutation { fifth: rename(name: "x") { name } }')).toEqual(REFUSED);
    expect(tiny.people.calls.length + tiny.posts.calls.length).toBe(calls);
    for (let left = 3; left > 0; left -= 1) await next();
    expect(await Promise.all(all)).toEqual([whole('second'), whole('third'), whole('fourth')]);
    // Nobody waits any more.
    const last = ask(root('last'));
    await next();
    expect(await last).toEqual(whole('last'));

    await Promise.all([http.close(), engine.close(), client.close()]);
    await start(0);
    const patient = await crowd(tiny.people, root);
    const fifth = ask(root('fifth'));
    await waits(tiny.people, 3);
    for (let left = 4; left > 0; left -= 1) await patient.next();
    expect(await fifth).toEqual(whole('fifth'));
  });

  it('whoever needs it later loses its fields alone, is told when to come again, and it is not asked', async () => {
    await start();
    const { all, held, next } = await crowd(tiny.posts, root);
    expect(await ask(root('fifth'))).toEqual({
      status: 200,
      retryAfter: null,
      data: { fifth: { name: 'name of 1', posts: null } },
      told: [[['fifth', 'posts'], 'OVERLOADED', 1]],
    });
    expect(held.length).toBe(1);
    for (let left = 3; left > 0; left -= 1) await next();
    expect(await Promise.all(all)).toEqual([whole('second'), whole('third'), whole('fourth')]);
  });

  const back = '{ me { posts { author { name } } } }';
  const author = [{ author: { name: 'name of 1' } }];

  it.each([
    [true, { posts: author }, undefined],
    // Control.
    [false, expect.anything(), [[expect.anything(), 'OVERLOADED', 1]]],
  ])('whoever has begun with it goes on with it, if that is remembered (%s)', async (isRemembered, me, told) => {
    remembers = isRemembered;
    await start();
    const posts = hold(tiny.posts);
    const begun = ask(back);
    await posts.comes();
    const people = await crowd(tiny.people, (name) => `{ ${name}: me { name } }`);
    await posts.next();
    if (isRemembered) await waits(tiny.people, 3);
    else await begun;
    for (let left = isRemembered ? 4 : 3; left > 0; left -= 1) await people.next();
    expect(await begun).toMatchObject({ status: 200, data: { me }, told });
    expect((await Promise.all(people.all)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  const rename = 'mutation { rename(name: "x") { name posts { body } } }';

  it.each([
    [true, [{ body: 'by 1' }], undefined],
    // Control.
    [false, null, [[['rename', 'posts'], 'OVERLOADED', 1]]],
  ])(
    'what was written is shown from where nobody else is let in, if that is remembered (%s)',
    async (isRemembered, posts, told) => {
      remembers = isRemembered;
      await start();
      const { all, next } = await crowd(tiny.posts, root);
      const renamed = ask(rename);
      if (isRemembered) await waits(tiny.posts, 3);
      else await renamed;
      for (let left = isRemembered ? 4 : 3; left > 0; left -= 1) await next();
      expect(await renamed).toMatchObject({ status: 200, data: { rename: { name: 'x', posts } }, told });
      expect(await Promise.all(all)).toEqual([whole('second'), whole('third'), whole('fourth')]);
    },
  );
});

/** The naive way: each call is somebody who has just come. */
class Forgetful extends Begun {
  override passes(): boolean {
    return false;
  }
}

async function until(holds: () => boolean): Promise<void> {
  const never = new Error('It never came to that');
  for (const end = Date.now() + 30_000; !holds(); await new Promise((go) => setTimeout(go, 2)))
    if (Date.now() > end) throw never;
}
