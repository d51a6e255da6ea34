import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ROOT } from '../../commands/root.js';
import { provisionServices } from '#libs/database';
import { startChild, type Child } from '../deploy/child.js';
import { haproxyHere } from '../deploy/haproxy-here.js';
import { withServer } from '../servers/needs.js';
import { freePort } from '../servers/postgres.js';
import { startTinyGraph, type TinyGraph } from '../tiny/tiny-graph.js';

/** How often both gateways are replaced while requests run; by hand more: `RESTARTS=20 npm test -- test/faults/nothing-dropped`. */
const RESTARTS = Number(process.env['RESTARTS'] ?? 1);
/** How often the supergraph changes while requests run: `RELOADS=50`. */
const RELOADS = Number(process.env['RELOADS'] ?? 5);
const CLIENTS = 8;
/** HAProxy looks ten times as often as in deploy/haproxy.cfg, and one good answer is enough. */
const KNOWN_MS = 1_000;
/** It takes two bad ones, 0.4 s; and a busy machine more. */
const DRAIN_MS = 3_000;
const NAMES = ['gateway-1', 'gateway-2'] as const;

withServer('haproxy', 'two gateways behind one port, replaced one after another while requests run', (haproxy) => {
  let tiny: TinyGraph;
  let folder: string;
  const gateways = new Map<string, Child>();
  const ports = { door: 0, gateways: { 'gateway-1': 0, 'gateway-2': 0 } };
  let door: Child;

  beforeAll(async () => {
    tiny = await startTinyGraph();
    folder = mkdtempSync(join(tmpdir(), 'nothing-dropped-'));
    writeFileSync(supergraph(), tiny.sdl);
    ports.door = await freePort();
    for (const name of NAMES) ports.gateways[name] = await freePort();
    const config = readFileSync(join(ROOT, 'deploy/haproxy.cfg'), 'utf8');
    // Ours asks the other gateway where it cannot connect; other doors do not, and nothing may be left for it to mend.
    const once = config
      .replace(/\n *option redispatch 1\n *retries 2\n/, '\n  retries 0\n')
      .replace('inter 2s', 'inter 200ms');
    expect(once).toMatch(/retries 0[^]*inter 200ms/);
    writeFileSync(join(folder, 'haproxy.cfg'), haproxyHere(once, ports));
    const command = [haproxy, '-db', '-f', join(folder, 'haproxy.cfg')] as const;
    door = await startChild('haproxy', [...command], { cwd: folder, env: { PATH: process.env['PATH'] } });
  }, 60_000);
  afterEach(async () => {
    await Promise.all([...gateways.values()].map((gateway) => gateway.destroy()));
    gateways.clear();
  });
  afterAll(async () => {
    await door.destroy();
    await tiny.close();
    rmSync(folder, { recursive: true });
  });

  async function up(name: (typeof NAMES)[number], drainMs: number): Promise<void> {
    const gateway = await startChild(name, [process.execPath, 'dist/gateway/main.js'], {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        SUPERGRAPH: supergraph(),
        SUPERGRAPH_POLL_MS: '100',
        PORT: String(ports.gateways[name]),
        ENGINE: 'tributary',
        DRAIN_MS: String(drainMs),
        SUBGRAPH_TIMEOUT_MS: '60000',
        REQUEST_TIMEOUT_MS: '60000',
      },
    });
    gateways.set(name, gateway);
    await gateway.said('"Listening"', 120_000);
    while ((await status(ports.gateways[name], '/health/ready')) !== 200) await sleep(50);
  }

  const supergraph = () => join(folder, 'supergraph.graphql');
  const publish = (sdl: string): void => {
    writeFileSync(`${supergraph()}.next`, sdl);
    renameSync(`${supergraph()}.next`, supergraph());
  };

  /** Gives the supergraph another field, or takes it away again, and waits until every gateway serves it so. */
  async function reload(nth: number): Promise<void> {
    const has = nth % 2 === 0;
    const sdl = tiny.sdl.replace(/\bfield24:/, has ? 'fieldNew:' : 'field24:');
    publish(sdl);
    for (const port of Object.values(ports.gateways))
      while ((await status(port, '/graphql', false, '{ fieldNew }')) !== (has ? 200 : 400)) await sleep(20);
  }

  /** Replaces each once, as an orchestrator does: the next one when the one before is ready and known at the door. */
  async function replaceBoth(drainMs: number): Promise<void> {
    for (const name of NAMES) {
      expect(await gateways.get(name)!.end('SIGTERM', 120_000)).toBe(0);
      await up(name, drainMs);
      await sleep(KNOWN_MS);
    }
  }

  async function failuresWhile(
    drainMs: number,
    work: (failed: readonly string[]) => Promise<void>,
  ): Promise<{ failed: string[]; of: number }> {
    for (const name of NAMES) await up(name, drainMs);
    while ((await status(ports.door)) !== 200) await sleep(50);
    const failed: string[] = [];
    let of = 0;
    let stop = false;
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!stop) {
        const seen = await status(ports.door, `/graphql`, agent, `{ person(id: "${client}") { name posts { body } } }`);
        of += 1;
        if (seen !== 200) failed.push(String(seen));
      }
      agent.destroy();
    });
    try {
      await work(failed);
    } finally {
      stop = true;
      await Promise.all(clients);
    }
    return { failed, of };
  }

  it('no request fails', async () => {
    const { failed, of } = await failuresWhile(DRAIN_MS, async () => {
      for (let round = 0; round < RESTARTS; round++) await replaceBoth(DRAIN_MS);
    });
    process.stdout.write(`${failed.length} of ${of} requests failed, ${2 * RESTARTS} gateways replaced\n`);
    expect(failed).toEqual([]);
    expect(of).toBeGreaterThan(100);
  }, 600_000);

  it('no request fails while the supergraph changes', async () => {
    const { failed, of } = await failuresWhile(DRAIN_MS, async () => {
      for (let nth = 0; nth < RELOADS; nth++) await reload(nth);
    });
    publish(tiny.sdl);
    process.stdout.write(`${failed.length} of ${of} requests failed, ${RELOADS} supergraphs\n`);
    expect(failed).toEqual([]);
    expect(of).toBeGreaterThan(100);
  }, 600_000);

  it('(control: gateways that stop at once, with a door that has not noticed, fail some)', async () => {
    const { failed } = await failuresWhile(0, async (already) => {
      for (let round = 0; round < 10 && already.length === 0; round++) {
        await gateways.get('gateway-1')!.end('SIGTERM', 120_000);
        await up('gateway-1', 0);
        await sleep(KNOWN_MS);
      }
    });
    expect(failed.length).toBeGreaterThan(0);
  }, 600_000);
});

/** The longest that a gateway leaves an address alone that did not answer is 2 s (gateway/fetch/breaker.ts). */
const ASKED_AGAIN_MS = 2_500;
const PAUSE_MS = 10;

withServer('postgres', 'a service of two processes, replaced one after another while requests run', (adminUrl = '') => {
  const prefix = `dropped_${randomBytes(5).toString('hex')}_`;
  const secret = randomBytes(32).toString('hex');
  const { privateKey } = generateKeyPairSync('ed25519');
  const users = new Map<number, Child>();
  let gateway: Child;
  let door: number;
  let databaseUrl: string;

  beforeAll(async () => {
    const urls = await provisionServices(adminUrl, ['users'], { users: secret }, { prefix });
    databaseUrl = urls['users']!;
    const ports = [await freePort(), await freePort()];
    door = await freePort();
    gateway = await program('gateway/main', door, {
      SUPERGRAPH: 'schema/supergraph.graphql',
      SUBGRAPH_URL_USERS: ports.map((port) => `http://127.0.0.1:${port}/graphql`).join(','),
      ASSERTION_SECRET_USERS: secret,
      ASSERTION_SECRET_POSTS: secret,
      ASSERTION_SECRET_FOLLOWERS: secret,
      IDENTITY: 'jwt',
      JWKS_URL: `http://127.0.0.1:${ports[0]}/.well-known/jwks.json`,
    });
    await Promise.all(ports.map(startUsers));
    while ((await ask().catch(() => '')) !== WHOLE) await sleep(50);
  }, 120_000);
  afterAll(async () => {
    await Promise.all([gateway, ...users.values()].map((child) => child?.destroy()));
    const admin = new pg.Client({ connectionString: adminUrl });
    await admin.connect();
    await admin.query(`DROP DATABASE IF EXISTS ${prefix}users WITH (FORCE)`);
    await admin.query(`DROP ROLE IF EXISTS ${prefix}users`);
    await admin.end();
  }, 60_000);

  function program(file: string, port: number, env: Record<string, string>): Promise<Child> {
    return startChild(file, [process.execPath, `dist/${file}.js`], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], PORT: String(port), ...env },
    });
  }

  async function startUsers(port: number): Promise<void> {
    const child = await program('subgraphs/users/main', port, {
      DATABASE_URL: databaseUrl,
      ASSERTION_SECRET: secret,
      SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    });
    users.set(port, child);
    while ((await status(port, '/health/ready')) !== 200) await sleep(50);
  }

  const WHOLE = '200 {"data":{"users":{"edges":[]}}}';
  async function ask(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${door}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ users(first: 3) { edges { node { handle } } } }' }),
    });
    return `${response.status} ${await response.text()}`;
  }

  /** What was not answered whole while `work` was done. */
  async function failuresWhile(work: () => Promise<void>): Promise<{ failed: string[]; of: number }> {
    const failed: string[] = [];
    let of = 0;
    let stop = false;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (!stop) {
        const seen = await ask().catch(String);
        of += 1;
        if (seen !== WHOLE) failed.push(seen);
        // A program that starts needs the processor too.
        await sleep(PAUSE_MS);
      }
    });
    try {
      await work();
    } finally {
      stop = true;
      await Promise.all(clients);
    }
    return { failed, of };
  }

  it('no request fails: what one has not answered, the other does', async () => {
    const { failed, of } = await failuresWhile(async () => {
      for (let nth = 0; nth < RESTARTS; nth += 1) {
        const port = [...users.keys()][nth % 2]!;
        expect(await users.get(port)!.end('SIGTERM', 60_000)).toBe(0);
        await startUsers(port);
        await sleep(ASKED_AGAIN_MS);
      }
    });
    process.stdout.write(`${failed.length} of ${of} requests failed, ${RESTARTS} processes of users replaced\n`);
    expect(failed.slice(0, 5)).toEqual([]);
    expect(of).toBeGreaterThan(100);
  }, 600_000);

  it('(control: where both end, some fail; where one does, none)', async () => {
    const [one, other] = [...users.values()];
    const end = async (child: Child): Promise<void> => {
      expect(await child.end('SIGTERM', 60_000)).toBe(0);
      await sleep(500);
    };
    expect((await failuresWhile(() => end(one!))).failed.slice(0, 5)).toEqual([]);
    const { failed } = await failuresWhile(() => end(other!));
    expect(failed[0]).toContain('SUBGRAPH_UNAVAILABLE');
  }, 600_000);
});

/** The status of an answer, or what went wrong instead. */
function status(port: number, path = '/graphql', agent: Agent | false = false, query = '{ __typename }') {
  return new Promise<number | string>((resolve) => {
    const isGraphql = path === '/graphql';
    const asking = request(
      {
        port,
        host: '127.0.0.1',
        agent,
        path,
        method: isGraphql ? 'POST' : 'GET',
        headers: isGraphql ? { 'content-type': 'application/json' } : {},
        timeout: 60_000,
      },
      (response) =>
        response
          .resume()
          .on('end', () => resolve(response.statusCode!))
          .on('error', (error) => resolve(String(error))),
    );
    asking.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asking.end(isGraphql ? JSON.stringify({ query }) : undefined);
  });
}
