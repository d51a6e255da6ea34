import { afterAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type RequestListener } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CODES, isCode } from '#libs/failure';
import { readGatewayConfig } from '../../gateway/config.js';
import { clientAddress } from '../../gateway/http/rates.js';
import { withServer } from '../servers/needs.js';
import { freePort } from '../servers/free-port.js';
import { startChild } from './child.js';
import { readCompose, variablesOf, type ComposeFile } from './compose-file.js';
import { readDockerfile } from './dockerfile.js';
import { haproxyHere } from './haproxy-here.js';
import { secretsFor } from './secrets.js';
import { addressesOf, mistakesIn, programOf } from './wiring.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const running = readFileSync(join(root, 'docs/running.md'), 'utf8');
const door = readFileSync(join(root, 'deploy/haproxy.cfg'), 'utf8');
const example = readFileSync(join(root, '.env.example'), 'utf8');
const read = (source = text): ComposeFile => readCompose(source, secretsFor(variablesOf(source)));

/** `512m`, `1g`. */
const megabytes = (memory = '0m'): number => parseInt(memory) * (memory.endsWith('g') ? 1_024 : 1);

describe('docker-compose.yml', () => {
  const file = read();
  const services = Object.entries(file.services);
  const ofImage = (image: string) => services.filter(([, service]) => service.image.startsWith(`${image}:`));
  /** What `docker compose up` brings up. */
  const staying = services.filter(([, { profiles }]) => !profiles);
  const programs = (program: string) => services.filter(([, { command }]) => command?.[1] === program);

  it('gives every program what it reads, and nothing else, and leads to services that listen', () => {
    expect(mistakesIn(file)).toEqual([]);
  });

  it('takes its secrets from .env, and .env.example names each of them', () => {
    const named = [...example.matchAll(/^([A-Z_]+)=$/gm)].map((match) => String(match[1]));
    expect(named.sort()).toEqual([...variablesOf(text)].sort());
    // What need not be there it tells of too, with what holds without it.
    const others = [...text.matchAll(/\$\{([A-Z_]+):-([^}]*)\}/g)].map(
      ([, name, otherwise]) => `# ${name}=${otherwise}`,
    );
    expect(example.match(/^# [A-Z_]+=.*$/gm)!.sort()).toEqual([...new Set(others)].sort());
    for (const name of named) {
      expect(() => readCompose(text, { ...secretsFor(variablesOf(text)), [name]: '' })).toThrow(
        `${name} is missing: see .env.example`,
      );
    }
  });

  it('has a PostgreSQL per service, each with a role, a password and a volume of its own', () => {
    const databases = ofImage('postgres');
    expect(databases.map(([name]) => name).sort()).toEqual(['followers-db', 'posts-db', 'users-db']);
    for (const subgraph of ['users', 'posts', 'followers']) {
      const { environment, volumes } = file.services[`${subgraph}-db`]!;
      const url = new URL(file.services[subgraph]!.environment['DATABASE_URL'] ?? '');
      expect(`${url.hostname} ${url.username} ${url.password} ${url.pathname}`).toBe(
        // deploy/owner.sh makes that role: test/deploy/owner.test.ts.
        `${subgraph}-db ${environment['POSTGRES_DB']} ${environment['POSTGRES_PASSWORD']} /${environment['POSTGRES_DB']}`,
      );
      expect(environment['POSTGRES_USER']).toBe('postgres');
      expect(volumes).toEqual([
        `${subgraph}-db:/var/lib/postgresql/data`,
        './deploy/owner.sh:/docker-entrypoint-initdb.d/owner.sh:ro',
      ]);
      expect(Object.keys(file.volumes)).toContain(`${subgraph}-db`);
    }
    expect(new Set(databases.map(([, { environment }]) => environment['POSTGRES_PASSWORD'])).size).toBe(3);
  });

  it('has two gateways that share with each subgraph what that subgraph knows', () => {
    const gateways = programs('dist/gateway/main.js').map(([, { environment }]) => environment);
    expect(gateways).toHaveLength(2);
    for (const environment of gateways) {
      for (const subgraph of ['users', 'posts', 'followers']) {
        const secret = file.services[subgraph]!.environment['ASSERTION_SECRET'];
        expect(environment[`ASSERTION_SECRET_${subgraph.toUpperCase()}`]).toBe(secret);
      }
    }
  });

  it('publishes three ports, on this machine only: what is measured, what is traced, and the door', () => {
    expect(services.filter(([, { ports }]) => ports.length > 0).map(([name, { ports }]) => [name, ports])).toEqual([
      ['grafana', ['127.0.0.1:3000:3000']],
      ['jaeger', ['127.0.0.1:16686:16686']],
      ['door', ['127.0.0.1:4000:4000']],
    ]);
  });

  it('lets nobody log in to Grafana by a password that comes with it', () => {
    expect(file.services['grafana']!.environment).toMatchObject({
      GF_AUTH_DISABLE_LOGIN_FORM: 'true',
      GF_AUTH_BASIC_ENABLED: 'false',
    });
  });

  it('gives Redis an end, at which it refuses and forgets nothing, and a password, which whoever asks it has', () => {
    const { command = [], environment, mem_limit: memory } = file.services['redis']!;
    const after = (flag: string) => command[command.indexOf(flag) + 1];
    expect([after('--maxmemory'), after('--maxmemory-policy')]).toEqual(['512mb', 'noeviction']);
    expect(megabytes(memory)).toBeGreaterThanOrEqual(2 * 512);
    expect(after('--requirepass')).toMatch(/^[0-9a-f]{64}$/);
    const askers = services.filter(([, one]) => one.environment['REDIS_URL'] !== undefined);
    expect(askers).toHaveLength(5);
    for (const [, { environment: own }] of askers)
      expect(new URL(own['REDIS_URL']!).password).toBe(after('--requirepass'));
    expect(environment['REDISCLI_AUTH']).toBe(after('--requirepass'));
  });

  it('lets none take all of the memory or all processes of the machine, and those that only look half a processor', () => {
    for (const [name, { mem_limit: memory, memswap_limit: withSwap, pids_limit: pids, cpus }] of services) {
      expect([name, megabytes(memory) >= 512, pids]).toEqual([name, true, 256]);
      // Without it Docker gives as much again of the machine's swap.
      expect([name, withSwap]).toEqual([name, memory]);
      expect([name, cpus]).toEqual([name, ['prometheus', 'grafana', 'jaeger'].includes(name) ? 0.5 : undefined]);
    }
    // As docs/running.md says.
    expect(running).toContain('Give a gateway and each service a gigabyte');
    for (const [, { mem_limit: memory }] of staying.filter(([, one]) => programOf(one))) expect(memory).toBe('1g');
  });

  it('lets only those speak with one another that have to: whoever is told of an address is on a network with it', () => {
    const networks = (name: string): string[] => file.services[name]!.networks;
    const meet = (one: string, other: string): string[] =>
      networks(one).filter((network) => networks(other).includes(network));
    for (const [name, { environment }] of services) {
      expect([name, networks(name).length > 0]).toEqual([name, true]);
      for (const { variable, host } of addressesOf(environment))
        expect([name, variable, meet(name, host).length > 0]).toEqual([name, variable, true]);
      for (const network of networks(name)) expect(Object.keys(file.networks)).toContain(network);
    }
    const members = (network: string): string[] =>
      services.filter(([name]) => networks(name).includes(network)).map(([name]) => name);
    for (const subgraph of ['users', 'posts', 'followers']) {
      expect(networks(`${subgraph}-db`)).toEqual([`${subgraph}-data`]);
      expect(members(`${subgraph}-data`).toSorted()).toEqual([subgraph, `${subgraph}-db`, 'commands'].toSorted());
      // A service that somebody has taken over gets to no other's database.
      for (const other of ['users', 'posts', 'followers'].filter((one) => one !== subgraph))
        expect(meet(subgraph, `${other}-db`)).toEqual([]);
    }
    // Nor does who has taken the door get to more than the gateways and Prometheus: services take their word from whoever signs it.
    const metByDoor = services.filter(([name]) => name !== 'door' && meet('door', name).length > 0);
    expect(metByDoor.map(([name]) => name).toSorted()).toEqual(['gateway-1', 'gateway-2', 'prometheus']);
    for (const name of ['users', 'posts', 'followers']) expect(meet('door', name)).toEqual([]);
    for (const name of ['gateway-1', 'gateway-2']) {
      expect(meet('door', name)).toContain('front');
      for (const database of ['users-db', 'posts-db', 'followers-db']) expect(meet(name, database)).toEqual([]);
    }
    for (const name of ['gateway-1', 'gateway-2', 'users', 'posts', 'followers'])
      expect(meet('prometheus', name)).toEqual(['watch']);
    expect([meet('prometheus', 'door'), meet('prometheus', 'grafana')]).toEqual([['door-watch'], ['figures']]);
    // What publishes a port needs one that is open, and nothing else is on one.
    const open = Object.entries(file.networks).flatMap(([network, { internal = false }]) =>
      internal ? [] : [network],
    );
    for (const [name, { ports }] of services)
      expect([name, networks(name).some((network) => open.includes(network))]).toEqual([name, ports.length > 0]);
  });

  it('has programs, which are on internal networks only, wait a second for a name that nobody answers for, not ten', () => {
    const ours = services.filter(([, one]) => programOf(one));
    for (const [name, { dns_opt: options, networks: own }] of ours) {
      expect([name, options]).toEqual([name, ['timeout:1', 'attempts:1']]);
      expect(own.every((network) => file.networks[network]!.internal)).toBe(true);
    }
  });

  it('takes from .env how many proxies there are, and which release', () => {
    const told = { ...secretsFor(variablesOf(text)), TRUSTED_PROXIES: '2', RELEASE: '2026-11-30' };
    const { services: other } = readCompose(text, told);
    for (const [name, { environment, image }] of programs('dist/gateway/main.js')) {
      expect([environment['TRUSTED_PROXIES'], image]).toEqual(['1', 'tributary:latest']);
      expect(readGatewayConfig(other[name]!.environment).TRUSTED_PROXIES).toBe(2);
    }
    const ours = Object.values(other).filter(({ command }) => command?.[0] === 'node');
    expect(ours.length).toBeGreaterThan(5);
    expect(new Set(ours.map(({ image }) => image))).toEqual(new Set(['tributary:2026-11-30']));
  });

  it('has one service build the image of all, which the others take and no registry is asked for', () => {
    // Those that are built side by side under one tag are in each other's way; one with a profile is not built by `docker compose build`.
    expect(staying.filter(([, { build }]) => build !== undefined).map(([name]) => name)).toEqual(['users']);
    expect(services.filter(([, { build }]) => build !== undefined)).toHaveLength(1);
    const ours = services.filter(([, { image }]) => image === file.services['users']!.image);
    expect(ours.map(([name]) => name)).toEqual(services.filter(([, one]) => programOf(one)).map(([name]) => name));
    for (const [name, { pull_policy: policy }] of ours) expect([name, policy]).toEqual([name, 'never']);
  });

  it('lets a gateway open a file for each client that it may have, and the door two', () => {
    const { maxconn } = /^global\n[^]*?^ {2}maxconn (?<maxconn>\d+)$/m.exec(door)!.groups!;
    expect(file.services['door']!.ulimits!.nofile).toBeGreaterThan(2 * Number(maxconn) + 1_000);
    for (const [, { ulimits, environment }] of programs('dist/gateway/main.js'))
      expect(ulimits!.nofile).toBeGreaterThan(readGatewayConfig(environment).CONNECTIONS_MAX + 1_000);
  });

  it('gives each client the budget that docs/running.md advises, which both gateways count together', () => {
    const advised = (name: string) => new RegExp(`\`${name}=(\\d+)\``).exec(running)?.[1];
    for (const [, { environment }] of programs('dist/gateway/main.js')) {
      const config = readGatewayConfig(environment);
      for (const name of ['RATE_LIMIT_PERSON', 'RATE_LIMIT_ADDRESS', 'RATE_LIMIT_ADDRESS_PEOPLE'] as const)
        expect([name, String(config[name])]).toEqual([name, advised(name)]);
      expect(config.REDIS_URL).toBeDefined();
    }
  });

  it('lets no log fill the disk', () => {
    const [each] = /(\d+) MB of the log of each container/.exec(running)!.slice(1).map(Number);
    for (const [name, { logging }] of services) {
      const { 'max-size': size = '', 'max-file': files = '' } = logging?.options ?? {};
      expect([name, logging?.driver, parseInt(size) * Number(files)]).toEqual([name, 'json-file', each]);
      expect(size).toMatch(/^\d+m$/);
    }
  });

  it('asks everything for its health, and starts again what ended', () => {
    for (const [name, { healthcheck, restart }] of staying) {
      expect([name, healthcheck?.test.length, restart]).toEqual([name, expect.any(Number), 'unless-stopped']);
    }
  });

  it('takes a database for healthy when its port answers, not while its image still makes it', () => {
    for (const [, { healthcheck }] of ofImage('postgres'))
      expect(healthcheck!.test.join(' ')).toMatch(/pg_isready -h 127\.0\.0\.1 /);
  });

  it('leaves its own programs no file to write to and no rights to gain', () => {
    const ours = services.filter(([, { image }]) => image.startsWith('tributary:'));
    expect(ours.length).toBeGreaterThan(5);
    for (const [, service] of ours) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    }
  });

  it('gives commands that are typed the databases of the services, and does not bring them up', () => {
    const { environment, profiles, restart } = file.services['commands']!;
    expect([profiles, restart]).toEqual([['commands'], 'no']);
    for (const subgraph of ['users', 'posts', 'followers']) {
      const { DATABASE_URL } = file.services[subgraph]!.environment;
      expect(environment[`${subgraph.toUpperCase()}_DATABASE_URL`]).toBe(DATABASE_URL);
    }
    expect(environment['SEALING_KEYS']).toBe(file.services['users']!.environment['SEALING_KEYS']);
  });

  it('stops a gateway and a subgraph after what they may still be answering', () => {
    const slowest = 10;
    for (const [name, service] of staying.filter(([, one]) => programOf(one))) {
      expect([name, parseInt(service.stop_grace_period ?? '10s')]).toEqual([name, expect.any(Number)]);
      expect(parseInt(service.stop_grace_period ?? '10s')).toBeGreaterThan(slowest);
    }
  });

  it('stops the door at once: docs/running.md promises a second without answers', () => {
    expect(running).toContain(
      '`docker compose up --detach --no-deps --force-recreate door prometheus` (nobody is answered for a second)',
    );
    expect(file.services['door']!.stop_grace_period).toBe('1s');
  });

  it('control: what is wrong in a copy is found', () => {
    const planted = (from: string | RegExp, to: string): string[] => {
      const changed = text.replace(from, to);
      expect(changed).not.toBe(text);
      return mistakesIn(read(changed));
    };
    expect(planted("PORT: '4002'", "PORT: '4002'\n      CASHE: 'on'")).toEqual([
      'posts is given CASHE, which it does not read',
    ]);
    expect(planted("PORT: '4001'", "PORT: '40010'")).toContain(
      'gateway-1 has JWKS_URL at users:4001, where no service listens',
    );
    expect(planted('SUBGRAPH_URL_USERS:', 'SUBGRAPH_URL_USER:')).toContain(
      'gateway-2 is given SUBGRAPH_URL_USER, which it does not read',
    );
    for (const name of ['SIGNING_KEY', 'SEALING_KEYS'])
      expect(planted(new RegExp(` {6}${name}: .*\\n`), '').join()).toContain('users does not start');
    expect(planted('POSTGRES_DB: posts', 'POSTGRES_DATABASE: posts')).toEqual([
      'posts-db is given POSTGRES_DATABASE, which it does not read',
    ]);
    expect(() => read(text.replace('restart:', 'restarts:'))).toThrow('restarts');
  });
});

describe('the Dockerfile', () => {
  const stages = readDockerfile(readFileSync(join(root, 'Dockerfile'), 'utf8'));

  it('ends in a stage without the builder, run by an account that is not root', () => {
    const last = stages.at(-1)!;
    expect(stages.length).toBeGreaterThan(1);
    expect(last.steps.filter(({ verb }) => verb === 'RUN')).toEqual([]);
    expect(last.user).toBe('node');
    expect(last.env['NODE_ENV']).toBe('production');
  });

  it('control: an instruction that no test carries out is not passed over', () => {
    expect(() => readDockerfile('FROM a\nADD https://example.org/x .')).toThrow('does not know ADD');
    expect(() => readDockerfile('FROM a\nCOPY --chown=node x y')).toThrow('only plain names');
  });
});

interface Door {
  readonly port: number;
  /** Where Prometheus asks it. */
  readonly watched: number;
  /** What it has written about requests: the lines of its log, each as it is read. */
  log(): LogLine[];
  /** Asks from this address of ours: the status, or 0: closed without an answer. */
  from(localAddress: string, path?: string, method?: string): Promise<number>;
}

/** As the log-format of deploy/haproxy.cfg has it. */
type LogLine = Readonly<Record<string, string | number>>;

/** What the door has said to one request. */
interface Told {
  readonly status: number;
  readonly type: string | undefined;
  /** Retry-After. */
  readonly again: string | undefined;
  readonly code: string | undefined;
}
interface Refused {
  readonly errors: readonly { readonly extensions: { readonly code: string } }[];
}

const question = (answer: string): string => `GET /graphql?answer=${answer} HTTP/1.1\r\nhost: x\r\n\r\n`;

/** These bytes, and the first answer to them. */
async function said(port: number, bytes: string): Promise<Told> {
  const socket = connect({ port, host: '127.0.0.1' }).setEncoding('utf8');
  socket.write(bytes);
  let text = '';
  for await (const chunk of socket) {
    text += chunk as string;
    if (/\r\n\r\n[^]*[}>]/.test(text)) break;
  }
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim();
  return {
    status: Number(head.split(' ')[1]),
    type: header('content-type'),
    again: header('retry-after'),
    code: body.startsWith('{')
      ? (JSON.parse(/^\{.*?\]\}/.exec(body)![0]) as Refused).errors[0]!.extensions.code
      : undefined,
  };
}

/** Until it holds, or for so long. */
async function until(holds: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds() && performance.now() < deadline) await sleep(10);
}

/** Addresses of this machine: the first is a private one to deploy/haproxy.cfg, the others are anybody's. */
const [OURS, CLIENT, ANOTHER] = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];

withServer('haproxy', 'deploy/haproxy.cfg', (haproxy) => {
  const config = door;
  const folder = mkdtempSync(join(tmpdir(), 'tributary-haproxy-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const check = (source: string): string => {
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, source);
    return execFileSync(haproxy, ['-c', '-f', file], { encoding: 'utf8', stdio: 'pipe' });
  };

  it('is what HAProxy understands', () => {
    expect(check(config)).toContain('Configuration file is valid');
  });

  it('control: a word that HAProxy does not know is refused', () => {
    expect(() => check(config.replace('balance', 'ballance'))).toThrow('ballance');
  });

  it('takes a third gateway by the lines that docs/running.md has somebody write at night', () => {
    const three = config
      .replace(/^.*use-server.*\n/gm, '')
      .replace(/^(?!.*txn\.full).*(?:_2\b|gateway-2).*$/gm, (line) => {
        const third = line.replaceAll('_2', '_3').replaceAll('gateway-2', 'gateway-3');
        return `${line}\n${third}`;
      })
      .replace(/^.*set-var\(txn\.full\).*$/m, (line) => {
        const alternatives = line.replaceAll('!room_2', '!room_2 !room_3');
        return `${alternatives} or${alternatives.split(' or').at(-1)!.replace('up_2', 'up_3')}`;
      });
    expect(check(three)).toContain('Configuration file is valid');
    expect(three).toContain('!room_1 !room_2 !room_3 up_3');
    expect(running).toContain('each line of `gateway-2`, and of what ends in `_2`, once more for 3');
    // Control: without its line of room_3 the door would refuse to start.
    expect(() => check(three.replace(/^ {2}acl room_3 .*\n/m, ''))).toThrow('room_3');
  });

  /** A door of this configuration, with both gateways at one port of ours, or each at its own. */
  async function behindDoor(
    source: string,
    gateway: RequestListener,
    work: (door: Door) => Promise<void>,
    second?: RequestListener,
  ) {
    const servers = [gateway, ...(second ? [second] : [])].map((one) => createServer(one).listen(0, '127.0.0.1'));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    const [at, secondAt] = servers.map((server) => (server.address() as AddressInfo).port) as [number, number?];
    const [port, watched] = [await freePort(), await freePort()];
    const file = join(folder, 'running.cfg');
    writeFileSync(
      file,
      haproxyHere(source, { door: port, watched, gateways: { 'gateway-1': at, 'gateway-2': secondAt ?? at } }),
    );
    const child = await startChild('door', [haproxy, '-db', '-f', file], { cwd: folder, env: {} });
    const from = (localAddress: string, path = '/graphql', method = 'GET'): Promise<number> =>
      new Promise((resolve) => {
        const headers = { 'x-forwarded-for': '203.0.113.9' };
        get({ port, host: '127.0.0.1', localAddress, path, method, headers, agent: false }, (response) => {
          response.resume().on('close', () => resolve(response.statusCode!));
        }).on('error', () => resolve(0));
      });
    const log = (): LogLine[] =>
      child
        .output()
        .split('\n')
        // The last has not come whole, or is nothing.
        .slice(0, -1)
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as LogLine);
    try {
      while ((await from(OURS, '/health/live')) === 0) await sleep(20);
      await work({ port, watched, from, log });
    } finally {
      await child.destroy();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    }
  }
  /** The configuration without a line of it. */
  const without = (line: string | RegExp, source = config): string => {
    const changed = source.replace(line, '');
    expect(changed).not.toBe(source);
    return changed;
  };

  /** The configuration with a limit of so many requests of one client. */
  const fewer = (most: string): string => {
    const changed = config.replace(/(sc0_http_req_rate gt) \d+/, `$1 ${most}`);
    expect(changed).not.toBe(config);
    return changed;
  };

  it('takes a tenth of its connections from one address, while others are served; control: without that rule it takes more', async () => {
    const rule = /\n *tcp-request connection reject if \{ sc0_conn_cur gt (\d+) \}/;
    const most = Number(rule.exec(config)![1]);
    const [inAll, ofClients, ofPrometheus] = [...config.matchAll(/^ {2}maxconn (\d+)$/gm)].map(([, of]) => Number(of));
    expect([ofClients, inAll! - ofClients!]).toEqual([10 * most, 2 * ofPrometheus!]);
    const withAsMany = (source: string, work: (from: Door['from']) => Promise<void>) =>
      behindDoor(
        source,
        (_request, response) => response.end('{}'),
        async ({ port, from }) => {
          const held = Array.from({ length: most }, () =>
            connect({ port, host: '127.0.0.1', localAddress: CLIENT }).on('error', () => {}),
          );
          await Promise.all(held.map((socket) => once(socket, 'connect')));
          await work(from);
          for (const socket of held) socket.destroy();
        },
      );
    let isRefused = false;
    // Again where a busy machine took so long to count them that the first were sent away: they say nothing (timeout http-request).
    for (let tries = 0; tries < 5 && !isRefused; tries += 1)
      await withAsMany(config, async (from) => {
        const before = performance.now();
        // Connected is not yet counted.
        while (!isRefused && performance.now() - before < 5_000) isRefused = (await from(CLIENT)) === 0;
        if (isRefused) expect(await from(ANOTHER)).toBe(200);
      });
    expect(isRefused).toBe(true);
    await withAsMany(without(rule), async (from) => {
      expect([await from(CLIENT), await from(ANOTHER)]).toEqual([200, 200]);
    });
    // A proxy of ours brings as many as it likes.
    await withAsMany(config.replace('127.0.0.1 10.', `${CLIENT} 10.`), async (from) => {
      expect([await from(CLIENT), await from(ANOTHER)]).toEqual([200, 200]);
    });
  }, 120_000);

  it('takes no HTTP/2, and tells no gateway of a body that does not come; control: without those lines one connection is a hundred requests', async () => {
    const [h2, whole] = [/\n *option disable-h2-upgrade/, /\n *option http-buffer-request/];
    const head = (length: number): string =>
      `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
    /** How many requests have come to the gateways of a hundred streams of one connection, each without its body, and of one such by HTTP/1.1. */
    const come = async (source: string, all: number): Promise<[number, number]> => {
      let unfinished = 0;
      const seen: [number, number] = [0, 0];
      const gateway: RequestListener = (request, response) => {
        if (request.method === 'GET') return void response.end('{}');
        unfinished += 1;
      };
      await behindDoor(source, gateway, async ({ port, from }) => {
        const session = connectHttp2(`http://127.0.0.1:${port}`, { localAddress: CLIENT } as object);
        const ended = new Promise<void>((resolve) => session.on('error', () => {}).on('close', () => resolve()));
        for (let stream = 0; stream < 100; stream += 1)
          session
            .request({ ':method': 'POST', ':path': '/graphql', 'content-type': 'application/json' })
            .on('error', () => {});
        // The door says that this is no HTTP/1.1, or they all come, or it waits for them.
        await Promise.race([ended, until(() => unfinished === 100, all === 0 ? 500 : 10_000)]);
        seen[0] = unfinished;
        session.destroy();
        const slow = connect({ port, host: '127.0.0.1', localAddress: CLIENT }).on('error', () => {});
        slow.write(head(100));
        await until(() => unfinished > seen[0], all === 0 ? 300 : 10_000);
        seen[1] = unfinished - seen[0];
        slow.destroy();
        expect(await from(ANOTHER)).toBe(200);
      });
      return seen;
    };
    expect(await come(config, 0)).toEqual([0, 0]);
    expect(await come(without(h2), 0)).toEqual([0, 0]);
    expect(await come(without(whole, without(h2)), 100)).toEqual([100, 1]);
  });

  it('brings a long body as it comes, and says 408 where a short one does not', async () => {
    const got: number[] = [];
    const gateway: RequestListener = (request, response) => {
      if (request.method === 'GET') return void response.end('{}');
      request.on('data', (chunk: Buffer) => got.push(chunk.length)).on('end', () => response.end('{}'));
    };
    const hurried = config.replace('timeout http-request 10s', 'timeout http-request 300ms');
    expect(hurried).not.toBe(config);
    await behindDoor(hurried, gateway, async ({ port }) => {
      const sends = async (bytes: number, length: number): Promise<Socket> => {
        const socket = connect({ port, host: '127.0.0.1', localAddress: CLIENT }).setEncoding('utf8');
        socket.write(`POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(bytes)}`);
        return socket;
      };
      const long = await sends(30_000, 60_000);
      await until(() => got.reduce((sum, bytes) => sum + bytes, 0) === 30_000, 10_000);
      long.write('x'.repeat(30_000));
      expect(String(await once(long, 'data'))).toMatch(/^HTTP\/1\.1 200/);
      expect(String(await once(await sends(10, 100), 'data'))).toMatch(/^HTTP\/1\.[01] 408/);
      long.destroy();
    });
  });

  it('gives a gateway fewer requests at once than that takes connections; control: without that bound, all', async () => {
    const bound = / maxconn (\d+)(?= check)/;
    const { CONNECTIONS_MAX } = readGatewayConfig(read().services['gateway-1']!.environment);
    expect(Number(bound.exec(config)![1])).toBeLessThan(CONNECTIONS_MAX);
    const atOnce = async (source: string, expected: number): Promise<number> => {
      let inside = 0;
      const gateway: RequestListener = (request, response) => {
        if (request.url === '/graphql') inside += 1;
        else response.end('{}');
      };
      await behindDoor(source, gateway, async ({ from }) => {
        for (let client = 0; client < 20; client += 1) void from(CLIENT);
        await until(() => inside >= expected, 10_000);
        await sleep(100);
      });
      return inside;
    };
    expect(await atOnce(config.replace(bound, ' maxconn 3'), 6)).toBe(6);
    expect(await atOnce(config.replace(bound, ''), 20)).toBe(20);
  });

  it('refuses at once who asks for more than all at one address may, and what no gateway has; control: without those rules the gateways are asked', async () => {
    const rate = /\n *http-request deny deny_status 429 .* if too_many/;
    const nothing = /\n *http-request deny deny_status 404 .* if !served/;
    const few = fewer('20');
    const asked: string[] = [];
    const gateway: RequestListener = (request, response) => {
      asked.push(request.url!);
      response.end('{}');
    };
    await behindDoor(few, gateway, async ({ port, from }) => {
      const statuses: number[] = [];
      for (let turn = 0; turn < 22; turn += 1) statuses.push(await from(CLIENT));
      expect(statuses).toEqual([...Array.from({ length: 20 }, () => 200), 429, 429]);
      expect([await from(ANOTHER), await from(OURS)]).toEqual([200, 200]);
      const url = `http://127.0.0.1:${port}`;
      for (const path of ['/', '/.env', '/graphql/', '/metrics', '/health', '/graphqlx', '/playground'])
        expect([path, await from(ANOTHER, path)]).toEqual([path, 404]);
      for (const path of ['/graphql?query=x', '/health/ready', '/playground/tabs.js'])
        expect([path, await from(OURS, path)]).toEqual([path, 200]);
      const told = await fetch(`${url}/nothing`);
      expect([told.status, await told.json()]).toEqual([
        404,
        { errors: [expect.objectContaining({ extensions: { code: 'NOT_FOUND' } })] },
      ]);
    });
    expect(asked).not.toContain('/.env');
    await behindDoor(without(nothing, without(rate)), gateway, async ({ from }) => {
      expect(await from(CLIENT, '/.env')).toBe(200);
      for (let turn = 0; turn < 22; turn += 1) expect(await from(CLIENT)).toBe(200);
    });
    expect(asked).toContain('/.env');
  });

  it('brings no more than gateways say that they take, and refuses the others itself; control: without those rules all are brought', async () => {
    const rule = /\n *http-request deny deny_status 503 [^\n]*(?=\n)/;
    const [PLACES, CLIENTS, WORK_MS, LOAD_MS] = [8, 60, 20, 1_000];
    /** Who answers late, and tells how many may be there while it is busy. */
    class Gateway {
      inside = 0;
      most = 0;
      busy = true;
      readonly answer: RequestListener = (request, response) => {
        if (request.method === 'OPTIONS' || request.url !== '/graphql') return void response.end('{}');
        this.most = Math.max(this.most, (this.inside += 1));
        setTimeout(() => {
          if (this.busy) response.setHeader('tributary-places', PLACES);
          this.inside -= 1;
          response.end('{}');
        }, WORK_MS);
      };
    }
    const told = async (port: number): Promise<string> => {
      const { status, headers, text } = await fetch(`http://${OURS}:${port}/graphql`).then(async (response) => ({
        status: response.status,
        headers: response.headers,
        text: await response.text(),
      }));
      expect(headers.get('tributary-places')).toBeNull();
      return [status, headers.get('retry-after'), headers.get('content-type'), text].join(' ');
    };
    const busy = JSON.stringify({
      errors: [{ message: CODES.OVERLOADED.message, extensions: { code: 'OVERLOADED' } }],
    });
    const [whole, refused] = ['200   {}', `503 1 application/json ${busy}`];
    interface Behind extends Door {
      readonly gateways: readonly [Gateway, Gateway];
      /** Each asks again and again, until `over` says so: what they were told. */
      crowd(over: (told: ReadonlySet<string>, ms: number) => boolean): Promise<ReadonlySet<string>>;
    }
    const behind = async (source: string, work: (behind: Behind) => Promise<void>): Promise<void> => {
      const gateways = [new Gateway(), new Gateway()] as const;
      const crowded = async (door: Door): Promise<void> => {
        const crowd: Behind['crowd'] = async (over) => {
          const all = new Set<string>();
          const began = Date.now();
          await Promise.all(
            Array.from({ length: CLIENTS }, async () => {
              do all.add(await told(door.port));
              while (!over(all, Date.now() - began));
            }),
          );
          return all;
        };
        await work({ ...door, gateways, crowd });
      };
      await behindDoor(source, gateways[0].answer, crowded, gateways[1].answer);
    };
    const both: Behind['crowd'] extends (over: infer Over) => unknown ? Over : never = (all, ms) =>
      (all.has(refused) && ms > LOAD_MS) || ms > 20 * LOAD_MS;
    await behind(config, async ({ crowd, gateways, from, watched, log }) => {
      // Who is there before anything was told is let in.
      await crowd(both);
      for (const gateway of gateways) gateway.most = 0;
      expect([...(await crowd(both))].sort()).toEqual([whole, refused]);
      // HAProxy counts in several threads at once.
      for (const { most } of gateways) expect(most).toBeLessThanOrEqual(PLACES + 4);
      const figures = await (await fetch(`http://127.0.0.1:${watched}/metrics`)).text();
      const denied = /^haproxy_backend_requests_denied_total\{proxy="gateways"\} (\d+)$/m.exec(figures)?.[1];
      expect(Number(denied)).toBeGreaterThan(0);
      // Not each is a line of the log.
      expect(log().filter(({ status }) => status === 503).length).toBeLessThan(Number(denied) / 2);
      expect(await from(ANOTHER, '/health/live')).toBe(200);
      // Whoever is full, the other has room, and is who is asked.
      gateways[1].busy = false;
      await until(() => false, 2_100);
      await crowd((_all, ms) => ms > LOAD_MS);
      gateways[0].most = 0;
      expect([...(await crowd((_all, ms) => ms > LOAD_MS))]).toEqual([whole]);
      expect(gateways[0].most).toBeLessThanOrEqual(PLACES + 4);
      expect(gateways[1].most).toBeGreaterThan(2 * PLACES);
    });
    await behind(without(rule), async ({ crowd, gateways }) => {
      expect([...(await crowd((_all, ms) => ms > LOAD_MS))]).toEqual([whole]);
      expect(gateways[0].most + gateways[1].most).toBeGreaterThan(4 * PLACES);
    });
  }, 120_000);

  it('refuses no preflight for that, and nobody where a gateway says nothing any more; control: with preflights not excepted they are refused', async () => {
    /** Whoever is there is one too many. */
    const tells: RequestListener = (_request, response) => response.setHeader('tributary-places', 0).end('{}');
    const preflights = async (source: string): Promise<number[]> => {
      let statuses: number[] = [];
      await behindDoor(source, tells, async ({ from }) => {
        // What was told holds from one refusal to the next, and so between them.
        do {
          while ((await from(OURS)) !== 503);
          statuses = [await from(OURS, '/graphql', 'OPTIONS'), await from(OURS, '/health/live')];
        } while ((await from(OURS)) !== 503);
        // What was told is two seconds old.
        await until(() => false, 2_100);
        statuses.push(await from(OURS));
      });
      return statuses;
    };
    expect(await preflights(config)).toEqual([200, 200, 200]);
    expect(await preflights(config.replaceAll(' !METH_OPTIONS', ''))).toEqual([503, 200, 200]);
  });

  it('counts preflights as requests, so that nobody asks more by them; control: where they are excepted, they are free', async () => {
    const gateway: RequestListener = (_request, response) => response.writeHead(204).end();
    const statuses = async (source: string): Promise<number[]> => {
      const got: number[] = [];
      await behindDoor(source, gateway, async ({ from }) => {
        for (let turn = 0; turn < 12; turn += 1) got.push(await from(CLIENT, '/graphql', 'OPTIONS'));
      });
      return got;
    };
    const [let_in, refused] = [(n: number) => Array<number>(n).fill(204), (n: number) => Array<number>(n).fill(429)];
    expect(await statuses(fewer('10'))).toEqual([...let_in(10), ...refused(2)]);
    expect(await statuses(fewer('10').replace('if too_many\n', 'if too_many !METH_OPTIONS\n'))).toEqual(let_in(12));
    // What docs/running.md says of ten seconds.
    const [tenSeconds] = /sc0_http_req_rate gt (\d+)/.exec(config)!.slice(1).map(Number);
    expect(running).toContain(
      `lets no address\nhave more than ${(tenSeconds! / 10).toLocaleString('en')} requests a second`,
    );
  });

  /** A gateway that answers as the question says. */
  const asAsked: RequestListener = (request, response) => {
    const status = new URL(request.url!, 'http://x').searchParams.get('answer');
    if (status === 'never') return;
    if (status === 'lost') return void request.socket.destroy();
    if (status === 'half') {
      response.writeHead(200, { 'content-length': 100 }).write('{');
      return void setTimeout(() => request.socket.destroy(), 50);
    }
    response.writeHead(Number(status ?? 200), { 'x-request-id': 'request-1' }).end('{}');
  };
  const hurriesGateways = config.replace('timeout server 30s', 'timeout server 300ms');
  const hurriesClients = config.replace('timeout http-request 10s', 'timeout http-request 300ms');

  it('says in JSON what it says itself, with a code of the table, and when to come again where nothing can have been done; control: by itself it says it in HTML', async () => {
    const away = config.replace(/^( {2}server gateway-\d \S+)$/gm, '$1 disabled').replace('option httpchk', '#');
    const unfinished = 'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{';
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const told = async (door: (source: string) => string): Promise<Told[]> => {
      const all: Told[] = [];
      // Only who waits in vain is hurried: of others the door would say the same where a busy machine is late.
      for (const [source, ...texts] of [
        [hurriesClients, unfinished],
        [config, preface, question('lost')],
        [hurriesGateways, question('never')],
      ] as const)
        await behindDoor(door(source), asAsked, async ({ port }) => {
          for (const text of texts) all.push(await said(port, text));
        });
      return all;
    };
    const all = await told((source) => source);
    expect(all.map(({ status, type, code, again }) => [status, type, code, again])).toEqual([
      [408, 'application/json', 'BAD_REQUEST', undefined],
      [400, 'application/json', 'BAD_REQUEST', undefined],
      // It does not know whether it was a mutation, which may be done.
      [502, 'application/json', 'SUBGRAPH_UNAVAILABLE', undefined],
      [504, 'application/json', 'GATEWAY_TIMEOUT', undefined],
    ]);
    const plain = await told((source) => source.replace(/\n {2}http-error .*/g, ''));
    expect(plain.map(({ status, type }) => [status, type])).toEqual(
      [408, 400, 502, 504].map((status) => [status, 'text/html']),
    );
    await behindDoor(away, asAsked, async ({ port }) => {
      expect(await said(port, question('200'))).toEqual({
        status: 503,
        type: 'application/json',
        code: 'OVERLOADED',
        again: '2',
      });
    });
    // Those that nothing here brings about, too: each is a code that clients know, with the status that it has.
    const texts = [...config.matchAll(/http-(?:error|request deny) (?:deny_)?status (\d+) .* string '(.*?)'(.*)/g)];
    expect(texts.map(([, status]) => status).join(' ')).toBe('400 408 500 501 502 503 504 429 404 503');
    for (const [rule, status, body] of texts) {
      const { code } = (JSON.parse(body!) as Refused).errors[0]!.extensions;
      if (!isCode(code)) throw new Error(`${code} is no code`);
      // What is no request is that to a gateway too, whatever the status.
      if (code !== 'BAD_REQUEST') expect([code, String(CODES[code].status)]).toEqual([code, status]);
      const mayBeDone = status === '502' || status === '504';
      expect([rule, /hdr Retry-After \d+/.test(rule)]).toEqual([rule, CODES[code].retry && !mayBeDone]);
    }
  });

  // A thread that finds another one writing a line tries two hundred times, and then drops its own: on a busy machine one of eighty was missing.
  const oneThread = config.replace('global\n', 'global\n  nbthread 1\n');

  it('writes a line for what was refused, lost or cut off, by address, and none for what went well; no query, no token', async () => {
    await behindDoor(oneThread, asAsked, async ({ from, log }) => {
      const secret = 'query=%7Bsecret%7D&token=secret';
      const asked: [string, string][] = [
        [CLIENT, `/graphql?${secret}`],
        [CLIENT, `/graphql?answer=429&${secret}`],
        [ANOTHER, `/graphql?answer=lost&${secret}`],
        [ANOTHER, `/graphql?answer=half&${secret}`],
        [CLIENT, `/a"b\\c?${secret}`],
      ];
      for (const [address, path] of asked) await from(address, path);
      await until(() => log().filter(({ address }) => address !== OURS).length >= 4, 10_000);
      const lines = log().filter(({ address }) => address !== OURS);
      expect(
        lines.map(({ address, path, status, state, server, requestId }) => [
          address,
          path,
          status,
          state,
          server === '<NOSRV>',
          requestId,
        ]),
      ).toEqual([
        [CLIENT, '/graphql', 429, '--', false, 'request-1'],
        [ANOTHER, '/graphql', 502, 'SH', false, '-'],
        [ANOTHER, '/graphql', 200, 'SD', false, '-'],
        [CLIENT, '/a"b\\c', 404, 'PR', true, '-'],
      ]);
      for (const line of lines) {
        expect(Date.parse(String(line['time']))).toBeGreaterThan(Date.now() - 120_000);
        for (const number of ['ms', 'sentMs', 'waitedMs', 'connectMs', 'answerMs', 'bytes'])
          expect([number, typeof line[number]]).toEqual([number, 'number']);
        expect(JSON.stringify(line)).not.toContain('secret');
      }
    });
  });

  it('writes some fifty lines of a client that goes on being refused, and those of others; control: without those rules, all', async () => {
    const lines = async (source: string, atLeast: number): Promise<[number, number]> => {
      const counts: [number, number] = [0, 0];
      await behindDoor(source, asAsked, async ({ from, log }) => {
        const of = (who: string): number => log().filter(({ address }) => address === who).length;
        for (let turn = 0; turn < 40; turn += 1)
          await Promise.all([from(CLIENT, '/.env'), from(CLIENT, '/graphql?answer=401')]);
        await from(ANOTHER, '/.env');
        await until(() => of(ANOTHER) === 1 && of(CLIENT) >= atLeast, 10_000);
        counts[0] = of(CLIENT);
        counts[1] = of(ANOTHER);
      });
      return counts;
    };
    expect(await lines(oneThread, 50)).toEqual([50, 1]);
    const chatty = oneThread.replace(/\n *http-re(quest|sponse) set-log-level silent .*/g, '');
    expect(await lines(chatty, 80)).toEqual([80, 1]);
  });

  it('is asked by Prometheus at a port of its own, also while clients have all of its connections', async () => {
    // Ours are not counted by address.
    const tight = config.replace('maxconn 4000\n', 'maxconn 20\n');
    await behindDoor(tight, asAsked, async ({ port, watched, from }) => {
      const held = Array.from({ length: 30 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => {}));
      await Promise.all(held.map((socket) => once(socket, 'connect')));
      const told = async (): Promise<string> => (await fetch(`http://127.0.0.1:${watched}/metrics`)).text();
      while (!(await told()).includes('haproxy_frontend_current_sessions{proxy="graphql"} 20')) await sleep(20);
      for (const socket of held) socket.destroy();
      expect((await fetch(`http://127.0.0.1:${watched}/`)).status).toBe(404);
      // Of clients nobody may.
      expect(await from(CLIENT, '/metrics')).toBe(404);
    });
    expect(read().services['door']!.ports.join()).not.toContain('9464');
  });

  it('tells no gateway what a stranger calls a request or its trace; control: without those rules it does', async () => {
    const named = ['traceparent', 'tracestate', 'x-request-id'];
    const told = async (source: string): Promise<string[]> => {
      let found: string[] = [];
      const gateway: RequestListener = ({ url, headers }, response) => {
        if (url?.startsWith('/graphql') === true) found = named.filter((name) => headers[name] !== undefined);
        response.end('[{}]');
      };
      const lines = named.map((name) => `${name}: alice_smith_1980\r\n`).join('');
      await behindDoor(source, gateway, ({ port }) =>
        said(port, question('200').replace('host: x\r\n', `host: x\r\n${lines}`)).then(() => undefined),
      );
      return found;
    };
    expect(await told(config)).toEqual([]);
    expect(await told(config.replaceAll(/ {2}http-request del-header \S+\n/g, ''))).toEqual(named);
  }, 60_000);

  it('tells the gateways by whom it was asked, whatever that says itself; control: with fewer TRUSTED_PROXIES all are one', async () => {
    const { TRUSTED_PROXIES } = readGatewayConfig(read().services['gateway-1']!.environment);
    /** Of each request, with one proxy fewer than the compose file says, as many, and one more. */
    const counted: string[][] = [];
    const gateway: RequestListener = (request, response) => {
      if (request.url === '/graphql')
        counted.push([-1, 0, 1].map((more) => clientAddress(request, TRUSTED_PROXIES + more)));
      response.end('{}');
    };
    await behindDoor(config, gateway, async ({ from }) => {
      expect([await from(CLIENT), await from(ANOTHER)]).toEqual([200, 200]);
    });
    // Behind one more proxy, which would have written what these clients say.
    expect(counted).toEqual([CLIENT, ANOTHER].map((address) => [OURS, address, '203.0.113.9']));
  });

  it('serves both gateways of the compose file, and asks whether they are ready', () => {
    const gateways = Object.keys(read().services).filter((name) => name.startsWith('gateway-'));
    const served = [...config.matchAll(/^ {2}server (\S+) (\S+)$/gm)].map(([, name, at]) => [name, at]);
    expect(served).toEqual(gateways.map((name) => [name, `${name}:4000`]));
    expect(config).toContain('option httpchk GET /health/ready');
    expect(haproxyHere(config, { door: 1, watched: 4, gateways: { 'gateway-1': 2, 'gateway-2': 3 } })).not.toContain(
      'gateway-1:4000',
    );
  });
});
