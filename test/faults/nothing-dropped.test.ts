import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { machine } from '../../commands/machine.js';
import { ROOT } from '../../commands/root.js';
import { provisionServices } from '#libs/database';
import { globalId, newId, signingKeyOf, TokenIssuer } from '#libs/identity';
import { startChild, type Child } from '../deploy/child.js';
import { haproxyHere } from '../deploy/haproxy-here.js';
import { sealingKeys } from '../sealer.js';
import { withServer } from '../servers/needs.js';
import { freePort } from '../servers/free-port.js';
import { startTinyGraph, type TinyGraph } from '../tiny/tiny-graph.js';

/** How often both gateways are replaced while requests run, and each service; by hand more, as README.md says. */
const RESTARTS = Number(process.env['RESTARTS'] ?? 1);
/** How often the supergraph changes while requests run. */
const RELOADS = Number(process.env['RELOADS'] ?? 5);
/** Then all three services are replaced, and it goes on until there were so many requests. */
const LARGE = RESTARTS >= 3 || RELOADS >= 50;
/** SAVE=on: what it measured is written to docs/measured/nothing-dropped.md. */
const SAVE = process.env['SAVE'] === 'on';
const REQUESTS = LARGE ? 10_000 : 100;
const CLIENTS = 8;
/** A program that starts needs the processor too, and so does who runs beside. */
const PAUSE_MS = LARGE ? 10 : 100;
/** HAProxy looks ten times as often as in deploy/haproxy.cfg, and takes two bad answers, 0.4 s; and a busy machine more. */
const DRAIN_MS = 3_000;
const NAMES = ['gateway-1', 'gateway-2'] as const;

/** Of the requests so far. */
interface Seen {
  readonly failed: string[];
  of: number;
}

const measured: string[][] = [];
function tell(what: string, { failed, of }: Seen, meanwhile: string): void {
  process.stdout.write(`${failed.length} of ${of} requests failed, ${meanwhile}\n`);
  measured.push([what, meanwhile, of.toLocaleString('en'), failed.length.toLocaleString('en')]);
}
afterAll(() => {
  if (!SAVE) return;
  const rows = [['what is asked', 'meanwhile', 'requests', 'failed'], ['---', '---', '--:', '--:'], ...measured];
  const day = new Date().toISOString().slice(0, 10);
  const note = `RESTARTS=${RESTARTS} RELOADS=${RELOADS} SAVE=on npm test -- test/faults/nothing-dropped · ${day} · ${machine()}`;
  const table = rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  writeFileSync(join(ROOT, 'docs/measured/nothing-dropped.md'), `# nothing dropped\n\n\`${note}\`\n\n${table}\n`);
});

withServer('haproxy', 'two gateways behind one port, replaced one after another while requests run', (haproxy) => {
  let tiny: TinyGraph;
  let folder: string;
  const gateways = new Map<string, Child>();
  const ports = { door: 0, watched: 0, gateways: { 'gateway-1': 0, 'gateway-2': 0 } };
  let door: Child;
  /** What both drain for; undefined while they are not both there. */
  let draining: number | undefined;

  beforeAll(async () => {
    tiny = await startTinyGraph();
    folder = mkdtempSync(join(tmpdir(), 'nothing-dropped-'));
    writeFileSync(supergraph(), tiny.sdl);
    ports.door = await freePort();
    ports.watched = await freePort();
    for (const name of NAMES) ports.gateways[name] = await freePort();
    const config = readFileSync(join(ROOT, 'deploy/haproxy.cfg'), 'utf8');
    // Ours asks the other gateway where it cannot connect; other doors do not, and nothing may be left for it to mend.
    const once = config
      .replace(/\n *option redispatch 1\n *retries 2\n/, '\n  retries 0\n')
      .replace('inter 2s', 'inter 200ms')
      // A gateway that is slow to say so is ready all the same: both here run beside everything else.
      .replace(/^defaults$/m, 'defaults\n  timeout check 10s');
    expect(once).toMatch(/timeout check 10s[^]*retries 0[^]*inter 200ms/);
    writeFileSync(join(folder, 'haproxy.cfg'), haproxyHere(once, ports));
    const command = [haproxy, '-db', '-f', join(folder, 'haproxy.cfg')] as const;
    door = await startChild('haproxy', [...command], { cwd: folder, env: { PATH: process.env['PATH'] } });
  });
  afterAll(async () => {
    await bothGone();
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

  /** Those of the test before go on, unless they drain for another time or are not both there. */
  async function bothUp(drainMs: number): Promise<void> {
    if (drainMs === draining) return;
    await bothGone();
    await Promise.all(NAMES.map((name) => up(name, drainMs)));
    draining = drainMs;
  }

  async function bothGone(): Promise<void> {
    draining = undefined;
    await Promise.all([...gateways.values()].map((gateway) => gateway.destroy()));
    gateways.clear();
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

  /** Until the door knows that both are ready. */
  async function knownAtTheDoor(): Promise<void> {
    const told = async (): Promise<string> => (await fetch(`http://127.0.0.1:${ports.watched}/metrics`)).text();
    const isUp = (name: string) => `haproxy_server_status{proxy="gateways",server="${name}",state="UP"} 1\n`;
    for (let text = ''; !NAMES.every((name) => text.includes(isUp(name))); text = await told()) await sleep(20);
  }

  /** Replaces each once, as an orchestrator does: the next one when the one before is ready and known at the door. */
  async function replaceBoth(drainMs: number): Promise<void> {
    draining = undefined;
    for (const name of NAMES) {
      expect(await gateways.get(name)!.end('SIGTERM', 120_000)).toBe(0);
      await up(name, drainMs);
      await knownAtTheDoor();
    }
    draining = drainMs;
  }

  async function failuresWhile(drainMs: number, work: (seen: Seen) => Promise<void>): Promise<Seen> {
    await bothUp(drainMs);
    await knownAtTheDoor();
    while ((await status(ports.door)) !== 200) await sleep(50);
    const seen: Seen = { failed: [], of: 0 };
    let stop = false;
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!stop) {
        const told = await status(ports.door, `/graphql`, agent, `{ person(id: "${client}") { name posts { body } } }`);
        seen.of += 1;
        if (told !== 200) seen.failed.push(String(told));
        if (!LARGE) await sleep(PAUSE_MS);
      }
      agent.destroy();
    });
    try {
      await work(seen);
    } finally {
      stop = true;
      await Promise.all(clients);
    }
    return seen;
  }

  it('no request fails', async () => {
    let rounds = 0;
    const all = await failuresWhile(DRAIN_MS, async (seen) => {
      for (; rounds < RESTARTS || seen.of < REQUESTS; rounds++) await replaceBoth(DRAIN_MS);
    });
    tell('two gateways behind one port', all, `${2 * rounds} gateways replaced`);
    expect(all.failed).toEqual([]);
    expect(all.of).toBeGreaterThanOrEqual(REQUESTS);
  }, 600_000);

  it('no request fails while the supergraph changes', async () => {
    let nth = 0;
    const all = await failuresWhile(DRAIN_MS, async (seen) => {
      for (; nth < RELOADS || seen.of < REQUESTS; nth++) await reload(nth);
    });
    publish(tiny.sdl);
    tell('two gateways behind one port', all, `${nth} supergraphs`);
    expect(all.failed).toEqual([]);
    expect(all.of).toBeGreaterThanOrEqual(REQUESTS);
  }, 600_000);

  it('(control: gateways that stop at once, with a door that has not noticed, fail some)', async () => {
    const all = await failuresWhile(0, async (seen) => {
      for (let round = 0; round < 10 && seen.failed.length === 0; round++) {
        await gateways.get('gateway-1')!.end('SIGTERM', 120_000);
        await up('gateway-1', 0);
        await knownAtTheDoor();
      }
    });
    tell('the same, of gateways that stop at once (control)', all, 'one replaced until some failed');
    expect(all.failed.length).toBeGreaterThan(0);
  }, 600_000);
});

/** The longest that a gateway leaves an address alone that did not answer is 2.5 s (gateway/fetch/breaker.ts). */
const ASKED_AGAIN_MS = 3_500;
/** Who ask while a process ends, without a pause: a request is then always just on its way. */
const CROWD = 64;
const ISSUED = { issuer: 'tributary', audience: 'tributary', lifetimeS: 3_600 };

type Service = 'users' | 'posts' | 'followers';
/** What ends and what starts is the same code in all three (libs/subgraph-kit). */
const REPLACED: readonly Service[] = LARGE ? ['users', 'posts', 'followers'] : ['posts'];

interface Person {
  readonly id: string;
  readonly token: string;
}
/** What one request was answered; undefined where that is no whole answer. */
type Ask = (query: string) => Promise<Record<string, Record<string, unknown> | null> | undefined>;

withServer('postgres', 'services of two processes, replaced one after another while requests run', (adminUrl = '') => {
  const prefix = `dropped_${randomBytes(5).toString('hex')}_`;
  const secret = randomBytes(32).toString('hex');
  const { privateKey } = generateKeyPairSync('ed25519');
  const sealing = sealingKeys();
  const issuer = new TokenIssuer({ key: signingKeyOf(privateKey), ...ISSUED });
  const ids = Array.from({ length: CROWD }, () => newId());
  const processes = new Map<number, { service: Service; child: Child }>();
  const acknowledged: string[] = [];
  let keys: Server;
  let people: Person[];
  let gateway: Child | undefined;
  let door: number;
  let urls: Record<string, string>;

  beforeAll(async () => {
    urls = await provisionServices(adminUrl, REPLACED, Object.fromEntries(REPLACED.map((name) => [name, secret])), {
      prefix,
    });
    people = await Promise.all(ids.map(async (id) => ({ id: globalId('user', id), token: await issuer.issue(id) })));
    keys = createServer((_, response) => response.end(JSON.stringify(issuer.jwks()))).listen(0, '127.0.0.1');
    await once(keys, 'listening');
    const ports: Partial<Record<Service, number[]>> = {};
    for (const service of REPLACED) ports[service] = [await freePort(), await freePort()];
    door = await freePort();
    gateway = await program('gateway/main', door, {
      SUPERGRAPH: 'schema/supergraph.graphql',
      IDENTITY: 'jwt',
      // A crowd on two processors is more than it would take.
      OVERLOAD_MS: '0',
      SUBGRAPH_TIMEOUT_MS: '60000',
      REQUEST_TIMEOUT_MS: '60000',
      JWKS_URL: `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`,
      ...Object.fromEntries(['USERS', 'POSTS', 'FOLLOWERS'].map((name) => [`ASSERTION_SECRET_${name}`, secret])),
      ...Object.fromEntries(
        Object.entries(ports).map(([service, both]) => [
          `SUBGRAPH_URL_${service.toUpperCase()}`,
          both.map((port) => `http://127.0.0.1:${port}/graphql`).join(','),
        ]),
      ),
    });
    for (const [service, both] of Object.entries(ports))
      await Promise.all(both.map((port) => start(service as Service, port)));
    await known();
    while ((await failuresWhile(async () => {})).failed.length > 0) await sleep(50);
    // Until it has asked both: one that was looked for in vain before it was there is left alone for a while.
    await sleep(ASKED_AGAIN_MS);
    await failuresWhile(async () => {});
  }, 180_000);
  afterAll(async () => {
    for (const child of [gateway, ...[...processes.values()].map((one) => one.child)]) await child?.destroy();
    keys.close();
    const admin = new pg.Client({ connectionString: adminUrl });
    await admin.connect();
    for (const service of REPLACED) {
      await admin.query(`DROP DATABASE IF EXISTS ${prefix}${service} WITH (FORCE)`);
      await admin.query(`DROP ROLE IF EXISTS ${prefix}${service}`);
    }
    await admin.end();
  });

  function program(file: string, port: number, env: Record<string, string>): Promise<Child> {
    return startChild(file, [process.execPath, `dist/${file}.js`], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], PORT: String(port), ...env },
    });
  }

  async function start(service: Service, port: number, drainMs?: number): Promise<void> {
    const child = await program(`subgraphs/${service}/main`, port, {
      DATABASE_URL: urls[service]!,
      ASSERTION_SECRET: secret,
      // Without Redis each would keep what the other changes.
      CACHE: 'off',
      // Else what it is where nobody sets it.
      ...(drainMs === undefined ? {} : { DRAIN_MS: String(drainMs) }),
      ...(service === 'users'
        ? {
            SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
            SEALING_KEYS: sealing,
          }
        : {}),
    });
    processes.set(port, { service, child });
    while ((await status(port, '/health/ready')) !== 200) await sleep(50);
  }

  async function rows(service: Service, statement: string, values: unknown[] = []): Promise<{ id: string }[]> {
    const client = new pg.Client({ connectionString: urls[service] });
    await client.connect();
    try {
      return (await client.query<{ id: string }>(statement, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** As if users had told of them. */
  async function known(): Promise<void> {
    await rows('posts', `INSERT INTO people (id, state) SELECT unnest($1::uuid[]), 'registered'`, [ids]);
    if (REPLACED.includes('followers'))
      await rows('followers', 'INSERT INTO people (user_id) SELECT unnest($1::uuid[])', [ids]);
  }

  /** What a client does again and again: where there is something to write, it writes, and reads what it wrote. */
  const turns: Record<Service, (me: Person, other: Person, ask: Ask) => Promise<boolean>> = {
    users: async (_me, _other, ask) => (await ask('{ users(first: 3) { edges { node { handle } } } }')) !== undefined,
    posts: async (_me, _other, ask) => {
      const id = (await ask('mutation { publishPost(input: { body: "here" }) { id } }'))?.['publishPost']?.['id'];
      if (typeof id !== 'string') return false;
      acknowledged.push(id);
      return (await ask(`{ post(id: "${id}") { id } }`))?.['post']?.['id'] === id;
    },
    followers: async (_me, { id }, ask) => {
      const follows = (await ask(`mutation { follow(userId: "${id}") { viewerFollows } }`))?.['follow'];
      const ended = (await ask(`mutation { unfollow(userId: "${id}") { viewerFollows } }`))?.['unfollow'];
      return follows?.['viewerFollows'] === true && ended?.['viewerFollows'] === false;
    },
  };

  /** What was not answered whole while `work` was done. */
  async function failuresWhile(work: (seen: Seen) => Promise<void>, count = CLIENTS): Promise<Seen> {
    const seen: Seen = { failed: [], of: 0 };
    let stop = false;
    const clients = people.slice(0, count).map(async (me, nth) => {
      const other = people[(nth + 1) % people.length]!;
      let last = '';
      const ask: Ask = async (query) => {
        seen.of += 1;
        last = await sent(me, query).catch(String);
        return last.startsWith('200 {"data":') && !last.includes('"errors":')
          ? JSON.parse(last.slice(4)).data
          : undefined;
      };
      do {
        for (const service of REPLACED)
          if (!(await turns[service](me, other, ask))) seen.failed.push(`${service}: ${last}`);
        if (count < CROWD) await sleep(PAUSE_MS);
      } while (!stop);
    });
    try {
      await work(seen);
    } finally {
      stop = true;
      await Promise.all(clients);
    }
    return seen;
  }

  async function sent({ token }: Person, query: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${door}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
    });
    return `${response.status} ${await response.text()}`;
  }

  /** With what the gateway wrote down of it. */
  function whyOf(failed: string): string {
    const id = /"requestId":"([^"]+)"/.exec(failed)?.[1];
    const lines = gateway!.output().split('\n');
    return [failed, ...lines.filter((line) => id !== undefined && line.includes(id))].join('\n');
  }

  const portsOf = (service: Service): number[] =>
    [...processes].filter(([, one]) => one.service === service).map(([port]) => port);

  async function end(port: number): Promise<void> {
    // So that they are in the middle of it.
    await sleep(200);
    expect(await processes.get(port)!.child.end('SIGTERM', 60_000)).toBe(0);
  }

  async function replace(port: number): Promise<void> {
    await end(port);
    await start(processes.get(port)!.service, port);
    await sleep(ASKED_AGAIN_MS);
  }

  it('no request fails, and what was acknowledged is there once', async () => {
    let ended = 0;
    const all = await failuresWhile(async (seen) => {
      for (let nth = 0; nth < RESTARTS || seen.of < REQUESTS; nth += 1)
        for (const service of REPLACED) {
          await replace(portsOf(service)[nth % 2]!);
          ended += 1;
        }
    });
    tell('queries and mutations', all, `${ended} processes of services replaced`);
    expect(all.failed.slice(0, 5).map(whyOf)).toEqual([]);
    expect(all.of).toBeGreaterThanOrEqual(REQUESTS);
    const stored = (await rows('posts', 'SELECT id FROM posts')).map(({ id }) => globalId('post', id));
    expect(stored.sort()).toEqual([...acknowledged].sort());
  }, 600_000);

  it('nor does one of a crowd (control: where the other process ends too, some do)', async () => {
    const [one, other] = portsOf('posts');
    // Who waited in vain for one of its ten connections to the database was told so, and dropped by nobody.
    const dropped = ({ failed }: Seen): string[] => failed.filter((answer) => !answer.includes('OVERLOADED'));
    expect(
      dropped(await failuresWhile(() => end(one!), CROWD))
        .slice(0, 5)
        .map(whyOf),
    ).toEqual([]);
    const cut = dropped(await failuresWhile(() => end(other!).then(() => sleep(500)), CROWD));
    expect(cut.join('\n')).toContain('SUBGRAPH_UNAVAILABLE');
  }, 600_000);

  // Four in ten such ends cut somebody; a cut that is sure is in libs/subgraph-kit/listen.test.ts.
  if (LARGE)
    it('(control: one that ends at once cuts some)', async () => {
      const [one, other] = portsOf('posts');
      await start('posts', other!);
      let cut: string[] = [];
      for (let tries = 0; tries < 30 && cut.length === 0; tries += 1) {
        await start('posts', one!, 0);
        await sleep(ASKED_AGAIN_MS);
        cut = (await failuresWhile(() => end(one!), CROWD)).failed;
      }
      expect(cut[0]).toContain('SUBGRAPH_UNAVAILABLE');
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
