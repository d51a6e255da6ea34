import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SubgraphCall } from '../engine.js';
import { Begun } from './begun.js';
import { openSubgraphClient } from './subgraph-client.js';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Whoever asks it waits, until it is said. */
async function service() {
  const held: (() => void)[] = [];
  const server = createServer((request, response) => {
    const answer = () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{}}');
    request.resume().on('end', () => void held.push(answer));
  });
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((go) => server.close(go));
  });
  const comes = async () => {
    for (const end = Date.now() + 10_000; held.length === 0 && Date.now() < end;)
      await new Promise((go) => setTimeout(go, 2));
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    held,
    comes,
    async next() {
      await comes();
      held.shift()!();
    },
  };
}

/** All come in one moment: more than are answered meanwhile, and for a while one waits. */
describe('a subgraph that is asked more than it answers', () => {
  const LATE_MS = 1_000;
  const TAKES_MS = 40;
  const COME = 20;
  let now: number;
  let told: string[];
  let client: ReturnType<typeof openSubgraphClient>;
  let crowded: Awaited<ReturnType<typeof service>>;
  let free: Awaited<ReturnType<typeof service>>;

  function ask(url: string, begun?: Begun, type: SubgraphCall['type'] = 'query'): Promise<string> {
    const context = {
      requestId: 'r1',
      subject: null,
      headers: new Map(),
      signal: new AbortController().signal,
      deadline: now + 60_000,
      responseHeaders: [],
      begun,
    };
    return client.post({ subgraph: 'users', url, type, body: '{"query":"{__typename}"}' }, context).then(
      () => 'ok',
      ({ code, retryAfterS }: { code?: string; retryAfterS?: number }) => `${code} ${retryAfterS}`,
    );
  }
  const REFUSED = 'OVERLOADED 1';
  let under: Promise<string>[];

  beforeEach(async () => {
    now = 1_000;
    told = [];
    crowded = await service();
    free = await service();
    client = openSubgraphClient({
      timeoutMs: 60_000,
      bodyBytesMax: 1_024,
      connections: 1,
      lateInLineMs: LATE_MS,
      assertion: () => undefined,
      forwardResponse: [],
      clock: () => now,
      random: () => 0,
      turnsAway: (subgraph) => told.push(subgraph),
    });
    closers.push(() => client.close());
    const first = ask(crowded.url, new Begun(false));
    await crowded.comes();
    under = [ask(crowded.url, new Begun(false))];
    now += TAKES_MS;
    await crowded.next();
    await first;
    await crowded.comes();
    // The first of them waits, and the second finds it waiting; whoever comes a little later finds that still so.
    for (let nth = 0; nth < 2; nth += 1) under.push(ask(crowded.url, new Begun(false, undefined, 0)));
    now += 6;
    const come = Array.from({ length: COME }, () => ask(crowded.url, new Begun(false, undefined, 1)));
    expect(new Set(await Promise.all(come))).toEqual(new Set([REFUSED]));
    told = [];
  });

  async function isLetIn(asked: Promise<string>, at = crowded): Promise<boolean> {
    const asking = [...under, asked];
    let open = asking.length;
    for (const one of asking) void one.finally(() => (open -= 1));
    for (const end = Date.now() + 10_000; open > 0 && Date.now() < end;) {
      for (const answer of at.held.splice(0)) answer();
      for (const answer of crowded.held.splice(0)) answer();
      await new Promise((go) => setTimeout(go, 2));
    }
    expect(await Promise.all(under)).toEqual(['ok', 'ok', 'ok']);
    return (await asked) === 'ok';
  }

  it('turns away whoever has the last lot, and says so; control: not who has the first', async () => {
    const here = new Begun(false, undefined, 1);
    expect(await ask(crowded.url, here)).toBe(REFUSED);
    expect([here.nothing, told]).toEqual([true, ['users']]);
    expect(await isLetIn(ask(crowded.url, new Begun(false, undefined, 0)))).toBe(true);
  });

  it.each([
    ['who has begun there', (other: Begun) => other],
    [
      'who has joined what somebody else has begun there',
      (other: Begun) => {
        const joined = new Begun(false, undefined, 1);
        joined.join(other);
        return joined;
      },
    ],
    ['nobody’s call, by which it is seen whether it is there', () => undefined],
  ])('lets in %s', async (_who, of) => {
    const begun = new Begun(false, undefined, 1);
    begun.add([...client.upstreams.endpoints][0]!);
    expect(await isLetIn(ask(crowded.url, of(begun)))).toBe(true);
  });

  it('is not asked where another address answers the same; control: alone it turns away', async () => {
    const last = () => new Begun(false, undefined, 1);
    expect(await ask(crowded.url, last())).toBe(REFUSED);
    const asked = ask(`${crowded.url},${free.url}`, last());
    await free.comes();
    expect(await isLetIn(asked, free)).toBe(true);
  });

  it('and turns away the first field of a mutation ends all of it; control: of a query others are asked', async () => {
    const after = async (isMutation: boolean, type: SubgraphCall['type']) => {
      const begun = new Begun(isMutation, undefined, 1);
      expect(await ask(crowded.url, begun, type)).toBe(REFUSED);
      return ask(free.url, begun, type);
    };
    expect(await after(true, 'mutation')).toBe(REFUSED);
    expect(free.held).toEqual([]);
    expect(await isLetIn(after(false, 'query'), free)).toBe(true);
  });

  it('is told once of each request that begins, however much that asks', async () => {
    let begins = 0;
    const begun = new Begun(true, () => (begins += 1));
    for (const type of ['mutation', 'query', 'query'] as const) {
      const asked = ask(free.url, begun, type);
      await free.next();
      expect(await asked).toBe('ok');
    }
    expect([begins, begun.nothing]).toEqual([1, false]);
    expect(await isLetIn(Promise.resolve('ok'))).toBe(true);
  });
});
