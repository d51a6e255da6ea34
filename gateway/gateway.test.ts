import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { silent } from '#libs/telemetry';
import { auditsBy, WARNED } from '../test/attack/b-audits.js';
import { send } from '../test/attack/send.js';
import { selfSigned } from '../test/servers/self-signed.js';
import { POSTS_SDL, startTinyGraph, startTinySubgraph, type TinyGraph } from '../test/tiny/tiny-graph.js';
import { LEAK } from '../test/tiny/tiny-http.js';
import { readGatewayConfig } from './config.js';
import { openGateway, startGateway, type RunningGateway } from './start.js';
import { compose } from './supergraph/compose.js';

/** The whole program, Nest and all, before two real subgraphs. The rules of HTTP have their own tests in http/, and what is sent to break in is in test/attack. */
let tiny: TinyGraph;
let gateway: RunningGateway;
let folder: string;

beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = mkdtempSync(join(tmpdir(), 'gateway-'));
  writeFileSync(join(folder, 'supergraph.graphql'), tiny.sdl);
  gateway = await startGateway(
    readGatewayConfig({
      SUPERGRAPH: join(folder, 'supergraph.graphql'),
      PORT: '0',
      SUPERGRAPH_POLL_MS: '100',
      // Nothing here is about time, and a busy machine plans a hundred operations slowly.
      SUBGRAPH_TIMEOUT_MS: '60000',
      REQUEST_TIMEOUT_MS: '60000',
    }),
    { logger: silent },
  );
  await gateway.ready();
}, 180_000);

afterAll(async () => {
  await gateway.close();
  await tiny.close();
  rmSync(folder, { recursive: true });
});

async function ask(
  query: string,
  variables?: object,
  url = gateway.url,
): Promise<{
  status: number;
  body: { data?: unknown; errors?: { message: string; path?: unknown[]; extensions: { code: string } }[] };
}> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, body: (await response.json()) as never };
}

describe('GraphQL over HTTP', () => {
  it('passes the 61 audits of graphql-http: none fails, and the three that want 200 for a refusal get 400', async () => {
    const audits = auditsBy((message) => send(gateway.url, message));
    const results = await Promise.all(audits.map((audit) => audit.fn()));
    const of = (status: string) => results.filter((result) => result.status === status).map(({ id }) => id);
    expect(audits).toHaveLength(61);
    expect(of('error')).toEqual([]);
    expect(of('notice')).toEqual([]);
    expect(of('warn').sort()).toEqual([...WARNED].sort());
    expect(of('ok')).toHaveLength(58);
  }, 180_000);

  it('warns once of an address for a subgraph that the supergraph does not have, and names those that it has', async () => {
    const said: object[] = [];
    const logger = { ...silent, warn: (fields: object) => void said.push(fields) };
    const SUPERGRAPH = join(folder, 'supergraph.graphql');
    const started = (more: Record<string, string>) =>
      startGateway(readGatewayConfig({ SUPERGRAPH, PORT: '0', ...more }), { logger });
    const typo = await started({ SUBGRAPH_URL_PEOPEL: tiny.people.url, SUBGRAPH_URL_POSTS: tiny.posts.url });
    await typo.ready();
    await typo.refresh();
    await typo.close();
    const variable = { variable: 'SUBGRAPH_URL_PEOPEL', meant: 'SUBGRAPH_URL_PEOPLE' };
    const names = {
      ...variable,
      unknown: ['SUBGRAPH_URL_PEOPEL'],
      known: ['SUBGRAPH_URL_PEOPLE', 'SUBGRAPH_URL_POSTS'],
    };
    expect(said).toEqual([names]);
    // The control: spelt right it is used, and nothing is said.
    const right = await started({ SUBGRAPH_URL_PEOPLE: tiny.people.url });
    await right.ready();
    await right.close();
    expect(said).toEqual([names]);
  });

  it('answers one operation from two services', async () => {
    const { status, body } = await ask('{ me { name posts { body author { name } } } }');
    expect(status).toBe(200);
    expect(body).toEqual({
      data: { me: { name: 'name of 1', posts: [{ body: 'by 1', author: { name: 'name of 1' } }] } },
    });
  });

  it('what is marked inaccessible is not there, in the words for whatever is not there', async () => {
    const hidden = await ask('{ me { secret } }');
    const absent = await ask('{ me { sekret } }');
    expect(hidden.status).toBe(400);
    expect(hidden.body.errors![0]!.message).toBe(absent.body.errors![0]!.message.replace('sekret', 'secret'));
  });
});

describe('health', () => {
  const health = async (path: string) => {
    const response = await fetch(new URL(path, gateway.url));
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it('is live, and ready when every subgraph has answered', async () => {
    expect(await health('/health/live')).toEqual({ status: 200, body: { status: 'live' } });
    expect(await health('/health/ready')).toMatchObject({ status: 200, body: { status: 'ready', waitingFor: [] } });
    expect(await health('/health/startup')).toEqual({ status: 200, body: { status: 'started' } });
  });

  it('is not ready before keys and ended log-ins have come once, whoever else has answered; that they go away later changes nothing', async () => {
    const there = new Set<string>();
    const asked: string[] = [];
    const users = createHttpServer(({ url = '' }, response) => {
      const path = url.split('?')[0]!;
      asked.push(path);
      response.statusCode = there.has(path) ? 200 : 404;
      response.end(JSON.stringify({ keys: [], now: Date.now(), sessions: [], people: [] }));
    });
    await once(users.listen(0, '127.0.0.1'), 'listening');
    const at = `http://127.0.0.1:${(users.address() as AddressInfo).port}`;
    const said: string[] = [];
    const named = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: join(folder, 'supergraph.graphql'),
        PORT: '0',
        IDENTITY: 'jwt',
        ...Object.fromEntries(['PEOPLE', 'POSTS', 'USERS'].map((name) => [`ASSERTION_SECRET_${name}`, 's'.repeat(64)])),
        JWKS_URL: `${at}/keys`,
        ENDED_SESSIONS_URL: `${at}/ended`,
        ENDED_SESSIONS_POLL_MS: '100',
      }),
      { logger: { ...silent, warn: (_, line) => void said.push(line) } },
    );
    const waitingFor = async (what: readonly string[]): Promise<void> => {
      while (JSON.stringify(named.readiness().waitingFor) !== JSON.stringify(what)) await sleep(10);
    };
    const [keys, ended] = [
      'keys of tokens (JWKS_URL): cannot be fetched (status 404)',
      'ended log-ins (ENDED_SESSIONS_URL): cannot be fetched (status 404)',
    ];
    try {
      await waitingFor([keys, ended]);
      const status = async (path: string) => (await fetch(new URL(path, named.url))).status;
      expect(await status('/health/ready')).toBe(503);
      // Control: by all that was looked at before it is ready, and answers whoever is not logged in.
      expect(await status('/health/startup')).toBe(200);
      expect((await ask('{ newest { body } }', {}, named.url)).body).not.toHaveProperty('errors');
      expect(said.filter((line) => line.includes('nobody who is logged in is answered'))).toHaveLength(1);
      there.add('/keys');
      await waitingFor([ended]);
      there.add('/ended');
      await named.ready();
      expect(await status('/health/ready')).toBe(200);
      there.clear();
      asked.length = 0;
      while (asked.length < 3) await sleep(10);
      expect(await status('/health/ready')).toBe(200);
      expect(said.join()).toContain('what was known of them still holds');
    } finally {
      await named.close();
      users.close();
    }
  });

  it('is not ready when its event loop was kept from its work for a second, while many wait, and is again by itself', async () => {
    const busy = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: join(folder, 'supergraph.graphql'),
        PORT: '0',
        JOIN: 'off',
        OVERLOAD_MS: '500',
        SUBGRAPH_TIMEOUT_MS: '60000',
        REQUEST_TIMEOUT_MS: '60000',
      }),
      { logger: silent },
    );
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    try {
      await busy.ready();
      expect(busy.readiness().ready).toBe(true);
      tiny.people.misbehave = (_request, response) =>
        void held.then(() => {
          response.setHeader('content-type', 'application/json');
          response.end('{"data":{"me":null}}');
        });
      const before = tiny.people.calls.length;
      let refused = 0;
      const asked = Array.from({ length: 20 }, async () => {
        // On a machine that is busy itself some are sent away before.
        if ((await ask('{ me { id } }', {}, busy.url)).status === 503) refused += 1;
      });
      await until(() => tiny.people.calls.length + refused >= before + 20);
      for (let times = 0; times < 10 && busy.readiness().ready; times += 1) {
        const end = performance.now() + 1_200;
        while (performance.now() < end);
        // Its look at the event loop comes ten times a second.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(busy.readiness().waitingFor).toEqual(['event loop: its steps take too long']);
      release();
      await Promise.all(asked);
      await until(() => busy.readiness().ready);
    } finally {
      release();
      tiny.people.misbehave = undefined;
      await busy.close();
    }
  });

  it('is told, and so are figures, by a gateway that takes nobody more; then its queues are empty', async () => {
    const full = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: join(folder, 'supergraph.graphql'),
        PORT: '0',
        METRICS_PORT: '0',
        JOIN: 'off',
        OVERLOAD_MS: '200',
        SUBGRAPH_TIMEOUT_MS: '60000',
        REQUEST_TIMEOUT_MS: '60000',
      }),
      { logger: silent },
    );
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let late: NodeJS.Timeout | undefined;
    const figure = async (name: string): Promise<number> => {
      const text = await (await fetch(full.metricsUrl()!)).text();
      return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text)?.[1]);
    };
    try {
      await full.ready();
      tiny.people.misbehave = (_request, response) =>
        void held.then(() => {
          response.setHeader('content-type', 'application/json');
          response.end('{"data":{"me":null}}');
        });
      const before = tiny.people.calls.length;
      let refused = 0;
      const asked = Array.from({ length: 40 }, async () => {
        // On a machine that is busy itself some are sent away before.
        if ((await ask('{ me { id } }', {}, full.url)).status === 503) refused += 1;
      });
      await until(() => tiny.people.calls.length + refused >= before + 40);
      const [calls, early] = [tiny.people.calls.length, refused];
      // Its event loop is kept from its work for as long as it is asked.
      late = setInterval(() => {
        const end = performance.now() + 400;
        while (performance.now() < end);
      }, 1);
      await until(() => !full.readiness().ready);
      const [{ status, body }, live, active, limit] = await Promise.all([
        ask('{ me { id } }', {}, full.url),
        fetch(new URL('/health/live', full.url)).then((response) => response.json()),
        figure('http_server_active_requests'),
        figure('tributary_requests_limit'),
      ]);
      expect([status, body.errors?.[0]?.extensions.code]).toEqual([503, 'OVERLOADED']);
      expect([live, active]).toEqual([{ status: 'live' }, 40 - early]);
      // It falls to 16 and no further.
      expect(limit).toBeLessThan(Math.max(40 - early, 17));
      expect(tiny.people.calls).toHaveLength(calls);
      clearInterval(late);
      release();
      await Promise.all(asked);
      await until(() => full.readiness().ready);
      tiny.people.misbehave = undefined;
      expect((await ask('{ me { id } }', {}, full.url)).status).toBe(200);
      for (const name of [
        'http_server_active_requests',
        'http_client_active_requests',
        'tributary_subgraph_calls_waiting',
      ])
        expect([name, await figure(name)]).toEqual([name, 0]);
    } finally {
      clearInterval(late);
      release();
      tiny.people.misbehave = undefined;
      await full.close();
    }
  });

  it('a gateway that is up before everything else says what it waits for, without addresses, and becomes ready by itself', async () => {
    const late = await startTinyGraph();
    const { sdl } = late;
    await late.people.close();
    await late.posts.close();
    const file = join(folder, 'late.graphql');
    const settings = { SUPERGRAPH: file, PORT: '0', SUPERGRAPH_POLL_MS: '100', METRICS_PORT: '0' };
    const early = await startGateway(readGatewayConfig(settings), { logger: silent });
    /** Whether it is ready, whether it has a supergraph, and whether that is the newest. */
    const figures = async (): Promise<number[]> => {
      const text = await (await fetch(early.metricsUrl()!)).text();
      return ['ready{service="gateway"}', 'supergraph_missing', 'supergraph_served'].map((name) =>
        Number(text.split(`\ntributary_${name} `)[1]?.[0]),
      );
    };
    try {
      expect(await figures()).toEqual([0, 1, 0]);
      expect(early.readiness()).toMatchObject({ ready: false, waitingFor: [expect.stringMatching(/^supergraph: /)] });
      const unserved = await fetch(early.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"query":"{__typename}"}',
      });
      expect([unserved.status, unserved.headers.get('retry-after')]).toEqual([503, '1']);
      const startup = () => fetch(new URL('/health/startup', early.url));
      expect(await (await startup()).json()).toEqual({
        status: 'starting',
        waitingFor: [expect.stringMatching(/^supergraph: /)],
      });
      expect((await startup()).status).toBe(503);
      writeFileSync(file, sdl);
      await until(() => early.readiness().waitingFor.length === 2);
      await until(() => early.readiness().waitingFor.every((line) => line.endsWith('it cannot be reached')));
      expect(JSON.stringify(early.readiness())).not.toMatch(LEAK);
      expect(await figures()).toEqual([0, 0, 1]);
      // No service keeps a gateway from having started: whoever starts it again for that has it start for ever.
      expect((await startup()).status).toBe(200);
      writeFileSync(file, sdl.replaceAll(late.people.url, tiny.people.url).replaceAll(late.posts.url, tiny.posts.url));
      await until(() => early.readiness().ready);
      expect(await figures()).toEqual([1, 0, 1]);
      writeFileSync(file, 'type Query { me: Int }');
      await until(() => early.readiness()['newest'] !== undefined);
      expect(await figures()).toEqual([1, 0, 0]);
    } finally {
      await early.close();
    }
  });
});

describe('a gateway that joins others on a port', () => {
  it('is given its supergraph first and listens then, so that its first connection is answered (control: the other way round)', async () => {
    let given: (sdl: string) => void = () => {};
    const sdl = new Promise<string>((resolve) => (given = resolve));
    const source = { from: 'the test', read: () => sdl };
    const config = readGatewayConfig({ SUPERGRAPH: 'not read', PORT: '0' });
    const early = await openGateway(config, { logger: silent, source });
    const right = await openGateway(config, { logger: silent, source });
    try {
      expect((await ask('{ me { id } }', {}, await early.listen())).status).toBe(503);
      given(tiny.sdl);
      await right.refresh();
      expect((await ask('{ me { id } }', {}, await right.listen())).status).toBe(200);
    } finally {
      await Promise.all([early.close(), right.close()]);
    }
  });

  it('can end before it has ever listened', async () => {
    const config = readGatewayConfig({ SUPERGRAPH: join(folder, 'supergraph.graphql'), PORT: '0' });
    const unheard = await openGateway(config, { logger: silent });
    await unheard.refresh();
    await unheard.close();
  });
});

describe('a new supergraph', () => {
  const file = () => join(folder, 'supergraph.graphql');

  it('is switched in while requests run: none fails, and what was under way finishes on the old one', async () => {
    const before = gateway.readiness()['supergraph'];
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    tiny.posts.misbehave = (_request, response) =>
      void held.then(() =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"newest":{"body":"late"}}}'),
      );
    const underWay = ask('{ newest { body } }');
    await until(() => tiny.posts.calls.at(-1)?.body.includes('newest') === true);
    writeFileSync(file(), tiny.sdl.replaceAll('newest: Post', 'latest: Post'));
    let failures = 0;
    await until(async () => {
      if ((await ask('{ me { id } }')).status !== 200) failures += 1;
      return gateway.readiness()['supergraph'] !== before;
    });
    // The text was valid, and known, a moment ago.
    expect((await ask('{ newest { body } }')).status).toBe(400);
    release();
    expect(await underWay).toEqual({ status: 200, body: { data: { newest: { body: 'late' } } } });
    tiny.posts.misbehave = undefined;
    expect(failures).toBe(0);
  });

  it('has the plans of what is asked most before the first of them is asked', async () => {
    const query = '{ people(first: 1) { name posts { body } } }';
    await ask(query);
    const before = gateway.readiness()['supergraph'];
    writeFileSync(file(), `${tiny.sdl}# warm\n`);
    await until(() => gateway.readiness()['supergraph'] !== before);
    const planned = async (text: string) => {
      const response = await fetch(gateway.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'tributary-explain': 'yes' },
        body: JSON.stringify({ query: text }),
      });
      return ((await response.json()) as { extensions: { explain: { planCached: boolean; cost: number } } }).extensions
        .explain;
    };
    // One person, and ten posts, since nothing says how many.
    expect(await planned(query)).toMatchObject({ planCached: true, cost: 11 });
    // Control: nobody has asked this.
    expect((await planned('{ people(first: 1) { name prefs } }')).planCached).toBe(false);
  });

  it('costs nobody the reading of what is asked most (control: what nobody has asked)', async () => {
    const own = join(folder, 'metered.graphql');
    writeFileSync(own, tiny.sdl);
    const metered = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: own,
        PORT: '0',
        SUPERGRAPH_POLL_MS: '100',
        COST_LIMIT: '99',
        RATE_LIMIT_ADDRESS: '99',
        RATE_LIMIT_WINDOW_S: '3600',
        TRUSTED_PROXIES: '1',
      }),
      { logger: silent },
    );
    try {
      await metered.ready();
      const statuses = async (client: string, query: string, count: number, kinds = count): Promise<number[]> => {
        const found: number[] = [];
        for (let turn = 0; turn < count; turn += 1) {
          const [a, b, c] = [1, 2, 4].map((bit) => ((turn % kinds) & bit) === 0);
          const body = JSON.stringify({ query, variables: { a, b, c } });
          const headers = { 'content-type': 'application/json', 'x-forwarded-for': client };
          found.push((await fetch(metered.url, { method: 'POST', headers, body })).status);
        }
        return found;
      };
      const often = 'query Often($a: Boolean!) { people(first: 1) { name posts @include(if: $a) { body } } }';
      for (const client of ['203.0.113.1', '203.0.113.2']) await statuses(client, often, 2);
      const before = metered.readiness()['supergraph'];
      writeFileSync(own, `${tiny.sdl}# another\n`);
      await until(() => metered.readiness()['supergraph'] !== before);
      // One person, and ten posts: nine times eleven is all there is.
      expect(await statuses('203.0.113.3', often, 10)).toEqual([...Array<number>(9).fill(200), 429]);
      expect((await statuses('203.0.113.4', often.replace('Often', 'Never'), 9)).at(-1)).toBe(429);

      // Each combination of conditions is planned: 45 for the first, 28 for each that follows.
      const choose =
        'query Choose($a: Boolean!, $b: Boolean!, $c: Boolean!) { me { id @skip(if: $a) name @skip(if: $b) prefs @skip(if: $c) } }';
      expect(await statuses('203.0.113.5', choose, 8)).toEqual([
        ...Array<number>(3).fill(200),
        ...Array<number>(5).fill(429),
      ]);
      expect(await statuses('203.0.113.6', choose, 19, 3)).toEqual(Array<number>(19).fill(200));
    } finally {
      await metered.close();
    }
  });

  it('that cannot be served leaves the last good one, and /health/ready says so', async () => {
    writeFileSync(file(), 'type Query { me: Int }');
    await until(() => gateway.readiness()['newest'] !== undefined);
    expect(gateway.readiness()).toMatchObject({
      ready: true,
      newest: expect.stringContaining('links no join spec') as unknown,
    });
    expect((await ask('{ me { id } }')).status).toBe(200);
    writeFileSync(file(), tiny.sdl);
    await until(() => gateway.readiness()['newest'] === undefined);
    expect((await ask('{ newest { body } }')).status).toBe(200);
  });

  it.each([
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'http://user:secret@127.0.0.1/graphql',
    'http://169.254.169.254/latest/meta-data/',
    '',
  ])('whose subgraph is at %s is refused', async (url) => {
    writeFileSync(file(), tiny.sdl.replaceAll(tiny.posts.url, url));
    await until(() => gateway.readiness()['newest'] !== undefined);
    expect((await ask('{ newest { body } }')).status).toBe(200);
    writeFileSync(file(), tiny.sdl);
    await until(() => gateway.readiness()['newest'] === undefined);
  });

  it('that names another address is waited for there, and neither asks the old one nor tells of it any more', async () => {
    const left = 'http://127.0.0.1:9';
    const own = join(folder, 'moved.graphql');
    writeFileSync(own, tiny.sdl.replaceAll(tiny.posts.url, `${left}/graphql`));
    const moved = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: own,
        PORT: '0',
        SUPERGRAPH_POLL_MS: '100',
        SUBGRAPH_BREAKER_FAILURES: '1',
        CONNECTIONS_MAX: '2',
        METRICS_PORT: '0',
      }),
      { logger: silent },
    );
    const told = async (): Promise<string> => (await fetch(moved.metricsUrl()!)).text();
    const ready = moved.ready();
    const closed = `tributary_subgraph_breaker_state{server_address="${left}",state="closed"}`;
    await until(async () => (await told()).includes(`${closed} 0\n`));
    writeFileSync(own, tiny.sdl);
    await ready;
    expect(await told()).toContain(`server_address="${new URL(tiny.posts.url).origin}"`);
    expect(await told()).not.toContain(left);

    // And of clients: how many are there, and how many found no place.
    const clients = Array.from({ length: 3 }, () => connect(Number(new URL(moved.url).port), '127.0.0.1'));
    for (const client of clients) client.on('error', () => {});
    await until(async () => (await told()).includes('tributary_rejected_connections_total 1\n'));
    expect(await told()).toContain('tributary_active_connections 2\n');
    for (const client of clients) client.destroy();
    await moved.close();
  });

  it('is asked at https: with certificates that are renewed while it runs, and figures tell until when they are good', async () => {
    const server = selfSigned('localhost');
    const [one, two] = [
      selfSigned('gateway', 'one', ['260101000000Z', '400101000000Z']),
      selfSigned('gateway', 'two', ['250101000000Z', '450101000000Z']),
    ];
    const callers: unknown[] = [];
    const secure = createServer({ ...server, ca: [one.cert, two.cert], requestCert: true }, (request, response) => {
      callers.push((request.socket as TLSSocket).getPeerCertificate().subject.O);
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"me":{"name":"secure"}}}');
    });
    await new Promise<void>((resolve) => secure.listen(0, 'localhost', resolve));
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const certified = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: file('secure.graphql', tiny.sdl),
        PORT: '0',
        METRICS_PORT: '0',
        SUBGRAPH_TIMEOUT_MS: '60000',
        REQUEST_TIMEOUT_MS: '60000',
        SUBGRAPH_URL_PEOPLE: `https://localhost:${(secure.address() as AddressInfo).port}/graphql`,
        SUBGRAPH_TLS_CA: file('tls-ca', server.cert),
        SUBGRAPH_TLS_CERT: file('tls-cert', one.cert),
        SUBGRAPH_TLS_KEY: file('tls-key', one.key),
      }),
      { logger: silent, tlsLookMs: 20 },
    );
    const figures = async (): Promise<string[]> => {
      const text = await (await fetch(certified.metricsUrl()!)).text();
      return text.match(/^tributary_certificate_.*$/gm) ?? [];
    };
    const of = (file: string, from: number, until: number): string[] => [
      `tributary_certificate_expiry_timestamp_seconds{file="${file}"} ${until / 1_000}`,
      `tributary_certificate_lifetime_seconds{file="${file}"} ${(until - from) / 1_000}`,
    ];
    const ca = of('ca', Date.UTC(2020, 0, 1), Date.UTC(2049, 11, 31, 23, 59, 59));
    const day = (year: number): number => Date.UTC(year, 0, 1);
    try {
      await certified.ready();
      const asked = async () => (await ask('{ me { name } }', undefined, certified.url)).body;
      expect([await asked(), callers.at(-1)]).toEqual([{ data: { me: { name: 'secure' } } }, 'one']);
      expect((await figures()).toSorted()).toEqual([...ca, ...of('cert', day(2026), day(2040))].toSorted());
      file('tls-cert', two.cert);
      file('tls-key', two.key);
      const renewed = [...ca, ...of('cert', day(2025), day(2045))].toSorted().join('\n');
      await until(async () => (await figures()).toSorted().join('\n') === renewed);
      expect([await asked(), callers.at(-1)]).toEqual([{ data: { me: { name: 'secure' } } }, 'two']);
    } finally {
      await certified.close();
      secure.closeAllConnections();
      await new Promise((resolve) => secure.close(resolve));
    }
  });

  it('that comes after a service has lost a field (FX2): until then who asks for it has a hole, and nobody else; then it is refused', async () => {
    const sdl = POSTS_SDL.replace('mood: JSON', '');
    const without = await startTinySubgraph('posts', sdl, {
      Query: { newest: () => ({ id: 'p9', body: 'newest', author: { id: '1' } }) },
      Person: { posts: () => [{ id: 'p1', body: 'by 1' }] },
    });
    const own = join(folder, 'ahead.graphql');
    writeFileSync(own, tiny.sdl);
    const ahead = await startGateway(
      readGatewayConfig({
        SUPERGRAPH: own,
        PORT: '0',
        SUPERGRAPH_POLL_MS: '100',
        SUBGRAPH_URL_POSTS: without.url,
        SUBGRAPH_BREAKER_FAILURES: '1',
      }),
      { logger: silent },
    );
    try {
      await ahead.ready();
      const before = ahead.readiness()['supergraph'];
      const lost = '{ me { name mood } }';
      const others = ['{ me { name posts { body } } }', '{ newest { body author { name } } }'];
      for (let times = 0; times < 5; times += 1) {
        const { status, body } = await ask(lost, undefined, ahead.url);
        expect([status, body.data]).toEqual([200, { me: { name: 'name of 1', mood: null } }]);
        expect(body.errors).toMatchObject([{ path: ['me', 'mood'], extensions: { code: 'SUBGRAPH_UNAVAILABLE' } }]);
        expect(JSON.stringify(body)).not.toMatch(LEAK);
        expect(JSON.stringify(body)).not.toContain('Cannot query');
        for (const query of others)
          expect(await ask(query, undefined, ahead.url)).toEqual(await ask(query, undefined, gateway.url));
      }
      // (control: it is the service that refuses it, in its own words)
      expect(await ask('{ _entities(representations: []) { ... on Person { mood } } }', {}, without.url)).toMatchObject(
        {
          body: { errors: [{ message: expect.stringContaining('Cannot query field "mood"') as unknown }] },
        },
      );
      const subgraphs = [tiny.people, without].map((of) => ({
        name: of.name,
        url: of.url,
        sdl: of.sdl,
        from: of.name,
      }));
      writeFileSync(own, await compose(subgraphs));
      await until(() => ahead.readiness()['supergraph'] !== before);
      const { status, body } = await ask(lost, undefined, ahead.url);
      expect([status, body.errors?.map(({ extensions }) => extensions.code)]).toEqual([
        400,
        ['GRAPHQL_VALIDATION_FAILED'],
      ]);
      for (const query of others) expect((await ask(query, undefined, ahead.url)).body.errors).toBeUndefined();
    } finally {
      await ahead.close();
      await without.close();
    }
  });

  it('is composed from what running services say of themselves, and followed when they change', async () => {
    const composed = await startGateway(
      readGatewayConfig({
        SUBGRAPHS: `people=${tiny.people.url},posts=${tiny.posts.url}`,
        PORT: '0',
        SUPERGRAPH_POLL_MS: '100',
      }),
      { logger: silent },
    );
    try {
      await composed.ready();
      const response = await fetch(composed.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"query":"{me{posts{body}}}"}',
      });
      expect(await response.json()).toEqual({ data: { me: { posts: [{ body: 'by 1' }] } } });
      const before = composed.readiness()['supergraph'];
      const sdl = `${tiny.posts.sdl}\ntype Added { id: ID }`;
      tiny.posts.misbehave = (_request, serverResponse) =>
        void serverResponse
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ data: { _service: { sdl } } }));
      await until(() => composed.readiness()['supergraph'] !== before);
      tiny.posts.misbehave = (_request, serverResponse) =>
        void serverResponse
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"data":{"_service":{"sdl":"type Query { broken: Nowhere }"}}}');
      await until(() => composed.readiness()['newest'] !== undefined);
      expect(composed.readiness()['waitingFor']).toEqual([]);
    } finally {
      tiny.posts.misbehave = undefined;
      await composed.close();
    }
  });
});

describe('closing', () => {
  it('ends what is under way, then lets go', async () => {
    const closing = await startGateway(
      readGatewayConfig({ SUPERGRAPH: join(folder, 'supergraph.graphql'), PORT: '0' }),
      { logger: silent },
    );
    await closing.ready();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    tiny.posts.misbehave = (_request, response) =>
      void held.then(() =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"newest":{"body":"late"}}}'),
      );
    const calls = tiny.posts.calls.length;
    const underWay = fetch(closing.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{newest{body}}"}',
    });
    await until(() => tiny.posts.calls.length > calls);
    const closed = closing.close();
    release();
    expect(await (await underWay).json()).toEqual({ data: { newest: { body: 'late' } } });
    await closed;
    tiny.posts.misbehave = undefined;
    await expect(fetch(closing.url)).rejects.toThrow();
  });
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('waited for a minute in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
