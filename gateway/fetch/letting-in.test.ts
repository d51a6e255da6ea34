import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SubgraphCall } from '../engine.js';
import { Begun, LAST } from './begun.js';
import type { Endpoint } from './endpoint.js';
import { letIn } from './letting-in.js';
import { openSubgraphClient } from './subgraph-client.js';
import { Upstreams, type Target } from './upstream.js';

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

/** Of those who come somebody late; who is after all of them comes for nobody. */
const LATE_LOT = 0.999;

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
    for (let nth = 0; nth < 3; nth += 1) under.push(ask(crowded.url, new Begun(false, undefined, 0)));
    now += 6;
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
    expect(new Set(await Promise.all(under))).toEqual(new Set(['ok']));
    return (await asked) === 'ok';
  }

  it('turns away whoever has the last lot, and says so; control: not who has the first', async () => {
    const here = new Begun(false, undefined, LATE_LOT);
    expect(await ask(crowded.url, here)).toBe(REFUSED);
    expect([here.nothing, told]).toEqual([true, ['users']]);
    expect(await isLetIn(ask(crowded.url, new Begun(false, undefined, 0)))).toBe(true);
  });

  it.each([
    ['who has begun there', (other: Begun) => other],
    [
      'who has joined what somebody else has begun there',
      (other: Begun) => {
        const joined = new Begun(false, undefined, LATE_LOT);
        joined.join(other);
        return joined;
      },
    ],
    ['nobody’s call, by which it is seen whether it is there', () => undefined],
  ])('lets in %s', async (_who, of) => {
    const begun = new Begun(false, undefined, LATE_LOT);
    begun.add([...client.upstreams.endpoints][0]!);
    expect(await isLetIn(ask(crowded.url, of(begun)))).toBe(true);
  });

  it('is not asked where another address answers the same; control: alone it turns away', async () => {
    const late = () => new Begun(false, undefined, LATE_LOT);
    expect(await ask(crowded.url, late())).toBe(REFUSED);
    const asked = ask(`${crowded.url},${free.url}`, late());
    await free.comes();
    expect(await isLetIn(asked, free)).toBe(true);
  });

  it('and turns away the first field of a mutation ends all of it; control: of a query others are asked', async () => {
    const after = async (isMutation: boolean, type: SubgraphCall['type']) => {
      const begun = new Begun(isMutation, undefined, LATE_LOT);
      expect(await ask(crowded.url, begun, type)).toBe(REFUSED);
      return ask(free.url, begun, type);
    };
    expect(await after(true, 'mutation')).toBe(REFUSED);
    expect(free.held).toEqual([]);
    expect(await isLetIn(after(false, 'query'), free)).toBe(true);
  });

  it('counts none of those that are asked for nobody, and says nothing of them; control: of somebody’s', async () => {
    const come = async (lot: number) => {
      const all = Array.from({ length: COME }, () => ask(crowded.url, new Begun(false, undefined, lot)));
      expect(new Set(await Promise.all(all))).toEqual(new Set([REFUSED]));
    };
    await come(LAST);
    expect(told).toEqual([]);
    under.push(ask(crowded.url, new Begun(false, undefined, 0.5)));
    await come(LATE_LOT);
    expect(told).toHaveLength(COME);
    expect(await ask(crowded.url, new Begun(false, undefined, 0.5))).toBe(REFUSED);
    expect(await isLetIn(Promise.resolve('ok'))).toBe(true);
  });

  it('shows nothing of a mutation that reached nobody; control: of one that broke off when it had been sent', async () => {
    const cut = createServer((request) => request.socket.destroy());
    await new Promise<void>((go) => cut.listen(0, '127.0.0.1', go));
    closers.push(() => new Promise((go) => cut.close(go)));
    const gone = createServer();
    await new Promise<void>((go) => gone.listen(0, '127.0.0.1', go));
    const urlOf = (server: typeof cut) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
    const goneUrl = urlOf(gone);
    await new Promise((go) => gone.close(go));
    const after = async (url: string) => {
      const begun = new Begun(true, undefined, LATE_LOT);
      expect(await ask(url, begun, 'mutation')).toMatch('SUBGRAPH_UNAVAILABLE');
      return [begun, ask(crowded.url, begun, 'mutation')] as const;
    };
    const [none, refused] = await after(goneUrl);
    expect([await refused, none.nothing, none.isOver]).toEqual([REFUSED, true, true]);
    const [maybe, shown] = await after(urlOf(cut));
    expect(maybe.nothing).toBe(false);
    expect(await isLetIn(shown)).toBe(true);
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

/** Without a network: addresses that bear one call at a time, and who waits there. */
describe('who comes is counted', () => {
  const LATE_MS = 1_000;
  let now: number;

  beforeEach(() => {
    now = 1_000;
  });

  function addresses(count: number) {
    const upstreams = new Upstreams({ connections: 1, timeoutMs: 1_000, clock: () => now, random: () => 0 });
    closers.push(() => upstreams.close());
    const urls = Array.from({ length: count }, (_, nth) => `http://127.0.0.1:${nth + 1}/graphql`);
    const upstream = upstreams.of(urls.join());
    const comes = (lot: number, chosen = upstream.targets[0]!): Target | undefined =>
      letIn(upstream, chosen, false, new Begun(false, undefined, lot), LATE_MS);
    return { upstream, endpoints: upstream.targets.map(({ endpoint }) => endpoint), comes };
  }
  const ask = (endpoint: Endpoint, calls: number, tookMs?: number) => {
    if (tookMs !== undefined) endpoint.places.took(tookMs);
    for (let nth = 0; nth < calls; nth += 1) {
      endpoint.places.line.enter({ deadline: 0, start: () => {} });
      endpoint.asked(false, true);
    }
  };

  it('but for itself: who comes alone is let in, however long calls take; control: not after others', () => {
    const { endpoints, comes } = addresses(1);
    const [one] = endpoints as [Endpoint];
    ask(one, 2, 1_000);
    for (const ms of [0, 6]) {
      now += ms;
      comes(0);
    }
    one.places.line.leave();
    now += 1_500;
    expect([one.waiting, one.inside]).toEqual([0, 1]);
    expect([comes(0.9), comes(0), comes(0), comes(0.9)].map((target) => target !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  it('as of a crowd where a line has stood for a while, and not where one was before; control: a moment later', () => {
    const { endpoints, comes } = addresses(1);
    const [one] = endpoints as [Endpoint];
    ask(one, 2, 40);
    comes(0);
    for (let left = 2; left > 0; left -= 1) one.places.line.leave();
    now += 1_000;
    ask(one, 2);
    for (let many = 20; many > 0; many -= 1) comes(0);
    expect(comes(LATE_LOT)).toBeDefined();
    now += 6;
    expect(comes(LATE_LOT)).toBeUndefined();
  });

  it('where it is asked in the end, which of the others has less to do; control: one that is not crowded takes all', () => {
    const { upstream, endpoints, comes } = addresses(3);
    const [crowded, second, third] = endpoints as [Endpoint, Endpoint, Endpoint];
    ask(crowded, 10, 40);
    ask(second, 4, 40);
    ask(third, 3);
    for (const ms of [0, 6]) {
      now += ms;
      comes(0);
      comes(0, upstream.targets[1]);
    }
    const taken = Array.from({ length: 40 }, (_, nth) => comes(nth / 40)?.endpoint);
    expect(new Set(taken)).toEqual(new Set([third]));
    third.places.took(40);
    now += 6;
    const later = Array.from({ length: 40 }, (_, nth) => comes(nth / 40));
    expect(later.filter((target) => target === undefined).length).toBeGreaterThan(20);
  });
});
