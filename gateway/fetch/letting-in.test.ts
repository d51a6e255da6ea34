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
    while (held.length === 0) await new Promise((go) => setTimeout(go, 2));
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

describe('a subgraph for which one call waits that takes a quarter of a second', () => {
  const LATE_MS = 1_000;
  const TAKES_MS = 250;
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
    under.push(ask(crowded.url, new Begun(false)));
  });

  async function isLetIn(asked: Promise<string>, at = crowded): Promise<boolean> {
    const asking = [...under, asked];
    let open = asking.length;
    for (const one of asking) void one.finally(() => (open -= 1));
    while (open > 0) {
      for (const answer of at.held.splice(0)) answer();
      for (const answer of crowded.held.splice(0)) answer();
      await new Promise((go) => setTimeout(go, 2));
    }
    expect(await Promise.all(under)).toEqual(['ok', 'ok']);
    return (await asked) === 'ok';
  }

  it('turns away whoever has the least lot, and says so; control: nobody who has the most, nor who has begun there', async () => {
    const here = new Begun(false, undefined, 0);
    expect(await ask(crowded.url, here)).toBe(REFUSED);
    expect([here.nothing, told]).toEqual([true, ['users']]);
    expect(await isLetIn(ask(crowded.url, new Begun(false, undefined, 1)))).toBe(true);
  });

  it.each([
    ['who has begun there', (other: Begun) => other],
    [
      'who has joined what somebody else has begun there',
      (other: Begun) => {
        const joined = new Begun(false, undefined, 0);
        joined.join(other);
        return joined;
      },
    ],
    ['nobody’s call, by which it is seen whether it is there', () => undefined],
  ])('lets in %s', async (_who, of) => {
    const begun = new Begun(false, undefined, 0);
    begun.add([...client.upstreams.endpoints][0]!);
    expect(await isLetIn(ask(crowded.url, of(begun)))).toBe(true);
  });

  it('is not asked where another address answers the same; control: alone it turns away', async () => {
    const least = () => new Begun(false, undefined, 0);
    expect(await ask(crowded.url, least())).toBe(REFUSED);
    const asked = ask(`${crowded.url},${free.url}`, least());
    await free.comes();
    expect(await isLetIn(asked, free)).toBe(true);
  });

  it('and turns away the first field of a mutation ends all of it; control: of a query others are asked', async () => {
    const after = async (isMutation: boolean, type: SubgraphCall['type']) => {
      const begun = new Begun(isMutation, undefined, 0);
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
