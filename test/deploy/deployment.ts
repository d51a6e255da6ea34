import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../servers/free-port.js';
import { startChild, type Account, type Child } from './child.js';
import type { ComposeFile, ComposeService } from './compose-file.js';
import { haproxyHere } from './haproxy-here.js';
import type { Image } from './image.js';
import { programOf } from './wiring.js';

/** What `docker compose up` would have brought up, here. */
export interface Deployment {
  /** Through the one port that compose publishes. */
  readonly door: string;
  readonly children: Readonly<Record<string, Child>>;
  /** By the address that compose has, such as `users:9464`: on which port its metrics are here. */
  readonly metrics: ReadonlyMap<string, number>;
  /** `docker compose run --rm`: its exit code, and what it said. */
  run(service: string, ...command: string[]): Promise<[number, string]>;
  destroy(): Promise<void>;
}

/**
 * The compose file's own programs, in the order and with the environment that it gives them: PATH and nothing else beside.
 * `servers` says where its databases and Redis are on this machine; names of services become 127.0.0.1, ports free ones.
 */
export async function deploy(
  repository: string,
  file: ComposeFile,
  image: Image,
  {
    servers,
    haproxy,
    folder,
    account,
  }: {
    /** By the host that compose has: the url to take instead. */
    servers: Readonly<Record<string, string>>;
    haproxy: string;
    folder: string;
    account: Account | undefined;
  },
): Promise<Deployment> {
  const programs = Object.entries(file.services).filter(([, service]) => programOf(service) && !service.profiles);
  const ports = new Map<string, number>();
  for (const [name] of [...programs, ['door']] as [string][]) ports.set(name, await freePort());
  const metrics = new Map<string, number>();
  for (const [name, { environment }] of programs)
    metrics.set(`${name}:${environment['METRICS_PORT']}`, await freePort());
  const children: Record<string, Child> = {};
  const destroy = async (): Promise<void> => {
    await Promise.all(Object.values(children).map((child) => child.destroy()));
  };

  const start = async (name: string, service: ComposeService): Promise<void> => {
    const env = { PATH: process.env['PATH'], ...image.env, ...environmentHere(name, service, ports, servers, metrics) };
    const command = service.command as [string, ...string[]];
    const child = await startChild(name, command, { cwd: image.folder, env, account });
    children[name] = child;
    await untilHealthy(child, service, { cwd: image.folder, env });
  };

  const run = async (name: string, ...command: string[]): Promise<[number, string]> => {
    const service = file.services[name]!;
    const env = { PATH: process.env['PATH'], ...image.env, ...environmentHere(name, service, ports, servers, metrics) };
    const asked = (command.length > 0 ? command : service.command) as [string, ...string[]];
    const child = await startChild(name, asked, { cwd: image.folder, env, account });
    try {
      return [await child.ended(60_000), child.output()];
    } finally {
      await child.destroy();
    }
  };

  try {
    const begun = new Map<string, Promise<void>>();
    const startAfter = async (name: string, service: ComposeService): Promise<void> => {
      const others = programs.filter(([other]) => service.depends_on[other] !== undefined);
      await Promise.all(others.map(([other, found]) => startOnce(other, found)));
      await start(name, service);
    };
    const startOnce = (name: string, service: ComposeService): Promise<void> => {
      const starting = begun.get(name) ?? startAfter(name, service);
      begun.set(name, starting);
      return starting;
    };
    await Promise.all(programs.map(([name, service]) => startOnce(name, service)));

    const mounted = file.services['door']?.volumes[0]?.split(':')[0] ?? '';
    const gateways = Object.fromEntries([...ports].filter(([name]) => name.startsWith('gateway-')));
    const door = ports.get('door')!;
    const watched = await freePort();
    metrics.set('door:9464', watched);
    const config = join(folder, 'haproxy.cfg');
    await writeFile(config, haproxyHere(readFileSync(join(repository, mounted), 'utf8'), { door, watched, gateways }), {
      mode: 0o644,
    });
    children['door'] = await startChild('door', [haproxy, '-db', '-f', config], { cwd: folder, env: {}, account });
    await until(async () => (await fetch(`http://127.0.0.1:${door}/health/ready`)).ok, children['door']);
    return { door: `http://127.0.0.1:${door}/graphql`, children, metrics, run, destroy };
  } catch (error) {
    await destroy();
    throw error;
  }
}

/** Every address in a service's environment as it is on this machine, and its own port. */
function environmentHere(
  name: string,
  { environment }: ComposeService,
  ports: ReadonlyMap<string, number>,
  servers: Readonly<Record<string, string>>,
  metrics: ReadonlyMap<string, number>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([variable, value]) => {
      if (variable === 'PORT') return [variable, String(ports.get(name))];
      if (variable === 'METRICS_PORT') return [variable, String(metrics.get(`${name}:${value}`))];
      if (!/^[a-z]+:\/\//.test(value)) return [variable, value];
      const { hostname, host } = new URL(value);
      const port = ports.get(hostname);
      if (port === undefined && servers[hostname] === undefined) {
        throw new Error(`${name} is told of ${hostname} in ${variable}; nobody said where that is on this machine`);
      }
      return [variable, servers[hostname] ?? value.replace(host, `127.0.0.1:${port}`)];
    }),
  );
}

/** By the command that compose asks with; as often as a busy machine allows, for as long as compose would. */
async function untilHealthy(
  child: Child,
  { healthcheck }: ComposeService,
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  const [kind, program = '', ...args] = healthcheck?.test ?? [];
  if (kind !== 'CMD') throw new Error(`${child.name} has no health check of the form [CMD, …]`);
  await until(() => promisify(execFile)(program, args, options).then(() => true), child);
}

async function until(holds: () => Promise<boolean>, child: Child): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline || child.exitCode() !== undefined) {
      throw new Error(`${child.name} did not become healthy. It printed:\n${child.output()}`);
    }
    await sleep(100);
  }
}
