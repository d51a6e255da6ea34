import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { provisionServices } from '#libs/database';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { freePort } from '../../test/servers/free-port.js';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { ROOT } from '../root.js';

export const SERVICES = ['users', 'posts', 'followers'] as const;
export type ServiceName = (typeof SERVICES)[number];
export type ProgramName = ServiceName | 'gateway';

/** All of it as it is deployed: programs, PostgreSQL and Redis, with a door that can fail in front of each. */
export interface Town {
  readonly graphql: string;
  /** Another one after `moveDatabases`. */
  readonly postgres: PostgresServer;
  /** Another one after `restartRedis` and `moveRedis`. */
  readonly redis: RedisServer;
  /** Past the doors that fail, wherever the databases are. */
  readonly databaseUrls: Readonly<Record<ServiceName | 'admin', string>>;
  readonly proxies: {
    readonly redis: FaultProxy;
    /** Between a service and its database. */
    readonly database: Readonly<Record<ServiceName, FaultProxy>>;
    /** Between the gateway and a service. */
    readonly service: Readonly<Record<ServiceName, FaultProxy>>;
  };
  signal(name: ProgramName, signal: NodeJS.Signals): void;
  /** Starts again what has ended; the names of those whom no signal of ours had ended. */
  revive(): Promise<ProgramName[]>;
  /** Starts a program that has ended, this time with `settings` besides its own, and with room for `openFiles`; resolves when it is ready. */
  restart(name: ProgramName, settings?: Readonly<Record<string, string>>, openFiles?: number): Promise<void>;
  /** How it ended, by itself or not: an exit code or a signal. Whoever asks expects it, so `revive` does not tell of it. */
  ended(name: ProgramName): Promise<number | NodeJS.Signals>;
  /** One more process of a service, which hears and tells beside the first and is asked nothing; ended by what is answered. */
  second(name: ServiceName): Promise<() => Promise<void>>;
  /** A Redis that kept nothing, at the same port. */
  restartRedis(): Promise<void>;
  /** Everybody's way leads to the other one from now on, and the one before is stopped. */
  moveRedis(to: RedisServer): Promise<void>;
  moveDatabases(to: PostgresServer): Promise<void>;
  /** As the record of a name that has changed: whoever connects comes to the other one, and who is connected stays. Who calls stops the one before. */
  leadDatabases(to: PostgresServer, services?: readonly ServiceName[]): void;
  pidOf(name: ProgramName): number;
  /** What a program has logged. */
  logOf(name: ProgramName): string;
  close(): Promise<void>;
}

const READY_MS = 60_000;

export type MoreSettings = Readonly<Partial<Record<ProgramName, Readonly<Record<string, string>>>>>;

/**
 * `moreOf`: settings besides those that all of it needs; of what stands here, Redis has a door that is known only then. With `diskMib`
 * the databases are on a disk of that size, which `fillDisk` can fill.
 */
export async function openTown(
  moreOf: (here: { redisUrl: string }) => MoreSettings = () => ({}),
  { diskMib }: { readonly diskMib?: number | undefined } = {},
): Promise<Town> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    // What was acknowledged has to be there after a crash of the server; a crash of the machine is nobody's test here.
    const postgres = await startPostgres({
      settings: { synchronous_commit: 'on' },
      ...(diskMib === undefined ? {} : { diskMib }),
    });
    const now = { postgres } as { postgres: PostgresServer; redis: RedisServer };
    closers.push(() => now.postgres.stop());
    const redis = (now.redis = await startRedis());
    closers.push(() => now.redis.stop());
    const proxy = async (port: number): Promise<FaultProxy> => {
      const made = await startFaultProxy({ port });
      closers.push(() => made.close());
      return made;
    };
    const each = async <T>(make: (service: ServiceName) => Promise<T>): Promise<Record<ServiceName, T>> =>
      Object.fromEntries(await Promise.all(SERVICES.map(async (name) => [name, await make(name)]))) as Record<
        ServiceName,
        T
      >;
    const secret = (): string => randomBytes(32).toString('hex');
    const databaseUrls = (await provisionServices(postgres.url, SERVICES, await each(async () => secret()))) as Record<
      ServiceName,
      string
    >;
    const ports = await each(() => freePort());
    const gatewayPort = await freePort();
    const aside = await proxy(postgres.port);
    const proxies = {
      redis: await proxy(redis.port),
      database: await each(() => proxy(postgres.port)),
      service: await each((name) => proxy(ports[name])),
    };
    const redisUrl = `redis://127.0.0.1:${proxies.redis.port}`;
    const more = moreOf({ redisUrl });
    const assertions = await each(async () => secret());
    const signingKey = generateKeyPairSync('ed25519')
      .privateKey.export({ format: 'der', type: 'pkcs8' })
      .toString('base64');
    const sealingKeys = `1:${randomBytes(32).toString('base64')}`;
    const through = (url: string, { port }: FaultProxy): string => {
      const changed = new URL(url);
      changed.port = String(port);
      return changed.href;
    };
    const environments: Record<ProgramName, Record<string, string>> = {
      ...(await each(async (name) => ({
        PORT: String(ports[name]),
        DATABASE_URL: through(databaseUrls[name], proxies.database[name]),
        REDIS_URL: redisUrl,
        ASSERTION_SECRET: assertions[name],
        // One process of each: nobody else could be asked.
        DRAIN_MS: '0',
        ...(name === 'users' ? { SIGNING_KEY: signingKey, SEALING_KEYS: sealingKeys } : {}),
      }))),
      gateway: {
        PORT: String(gatewayPort),
        SUPERGRAPH: join(ROOT, 'schema/supergraph.graphql'),
        IDENTITY: 'jwt',
        JWKS_URL: `http://127.0.0.1:${ports.users}/.well-known/jwks.json`,
        CONSISTENCY_SECRET: secret(),
        ENDED_SESSIONS_URL: `http://127.0.0.1:${ports.users}/ended-sessions`,
        REDIS_URL: redisUrl,
        // Counted, and more than anybody spends.
        RATE_LIMIT_PERSON: '1000000000',
        RATE_LIMIT_ADDRESS: '1000000000',
        ...Object.fromEntries(
          SERVICES.flatMap((name) => [
            [`SUBGRAPH_URL_${name.toUpperCase()}`, `http://127.0.0.1:${proxies.service[name].port}/graphql`],
            [`ASSERTION_SECRET_${name.toUpperCase()}`, assertions[name]],
          ]),
        ),
      },
    };
    const programs = new Map<ProgramName, { child: ChildProcess; ended: Promise<number | NodeJS.Signals> }>();
    const signalled = new Set<ProgramName>();
    const logs: Record<string, string[]> = {};

    const run = (
      name: ProgramName,
      port: number,
      settings: Readonly<Record<string, string>> = {},
      openFiles?: number,
    ) => {
      const file = name === 'gateway' ? 'dist/gateway/main.js' : `dist/subgraphs/${name}/main.js`;
      const env = { ...environments[name], ...more[name], ...settings, PORT: String(port) };
      const program = [process.execPath, join(ROOT, file)];
      const limited = ['/bin/sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, name, ...program];
      const [command = '', ...args] = openFiles === undefined ? program : limited;
      const child = spawn(command, args, {
        cwd: ROOT,
        // As the image sets it, and `npm start`.
        env: { PATH: process.env['PATH'], NODE_ENV: 'production', MALLOC_ARENA_MAX: '2', ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const log = (logs[name] ??= []);
      child.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()));
      const ended = new Promise<number | NodeJS.Signals>((resolve) =>
        child.once('exit', (code, signal) => resolve(signal ?? code ?? 0)),
      );
      const ready = async (): Promise<void> => {
        const deadline = Date.now() + READY_MS;
        while (!(await isReady(port))) {
          if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline)
            throw new Error(`${name} did not become ready. It logged:\n${log.join('').slice(-4_000)}`);
          await sleep(50);
        }
      };
      return { child, ended, ready };
    };
    const restart: Town['restart'] = async (name, settings, openFiles) => {
      await programs.get(name)?.ended;
      const running = run(name, name === 'gateway' ? gatewayPort : ports[name], settings, openFiles);
      programs.set(name, running);
      signalled.delete(name);
      await running.ready();
    };
    const seconds = new Set<ChildProcess>();
    const killAll = (): void => {
      for (const child of [...[...programs.values()].map(({ child }) => child), ...seconds]) child.kill('SIGKILL');
    };
    process.once('exit', killAll);
    closers.push(async () => {
      killAll();
      await Promise.all([...programs.values()].map(({ ended }) => ended));
      process.off('exit', killAll);
    });
    const town: Town = {
      graphql: `http://127.0.0.1:${gatewayPort}/graphql`,
      get postgres() {
        return now.postgres;
      },
      get redis() {
        return now.redis;
      },
      databaseUrls: {
        ...(await each(async (name) => through(databaseUrls[name], aside))),
        admin: through(postgres.url, aside),
      },
      proxies,
      signal(name, signal) {
        if (signal === 'SIGKILL' || signal === 'SIGTERM') signalled.add(name);
        programs.get(name)!.child.kill(signal);
      },
      async revive() {
        const gone = [...programs].filter(([, { child }]) => child.exitCode !== null || child.signalCode !== null);
        const unexpected = gone.map(([name]) => name).filter((name) => !signalled.has(name));
        for (const [name] of gone) await restart(name);
        return unexpected;
      },
      restart,
      ended(name) {
        signalled.add(name);
        return programs.get(name)!.ended;
      },
      async second(name) {
        const { child, ended, ready } = run(name, await freePort());
        seconds.add(child);
        await ready();
        return async () => {
          child.kill('SIGTERM');
          await ended;
          seconds.delete(child);
        };
      },
      restartRedis: async () => {
        now.redis = await startRedis({ port: now.redis.port });
      },
      async moveRedis(to) {
        const before = now.redis;
        now.redis = to;
        proxies.redis.moveTo(to.port);
        await before.stop();
      },
      async moveDatabases(to) {
        const before = now.postgres;
        now.postgres = to;
        for (const door of [aside, ...Object.values(proxies.database)]) door.moveTo(to.port);
        await before.stop();
      },
      leadDatabases(to, services = SERVICES) {
        now.postgres = to;
        aside.moveTo(to.port);
        for (const name of services) proxies.database[name].leadTo(to.port);
      },
      pidOf: (name) => programs.get(name)!.child.pid!,
      logOf: (name) => (logs[name] ?? []).join(''),
      close,
    };
    await Promise.all(SERVICES.map((name) => restart(name)));
    await restart('gateway');
    return town;
  } catch (error) {
    await close();
    throw error;
  }
}

/** Ended as its operator would, and started with `settings` besides its own. */
export async function replaced(
  town: Town,
  name: ProgramName,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  town.signal(name, 'SIGTERM');
  await town.restart(name, settings);
}

async function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
}
