import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lockDataDir } from '#libs/database';
import { openRecordCache } from '#libs/cache';
import { LISTENERS } from '#libs/events';
import { requirePorts } from '#libs/lifecycle';
import { openStream } from '#libs/outbox';
import { SettingsError, unheededIn, weakSecretsIn, type Environment } from '#libs/settings';
import type { RunningSubgraph } from '#libs/subgraph-kit';
import { createLogger, Metrics, openTracing, type Logger } from '#libs/telemetry';
import { mistakesInFiles, missingSecrets } from '../gateway/config-files.js';
import { sharedSecretsIn } from '../gateway/config-mistakes.js';
import { gatewaySettings, isOwn, readGatewayConfig, type GatewayConfig } from '../gateway/config.js';
import { startGateway, type RunningGateway } from '../gateway/start.js';
import { readFollowersConfig } from '../subgraphs/followers/config.js';
import { startFollowers } from '../subgraphs/followers/start.js';
import { readPostsConfig } from '../subgraphs/posts/config.js';
import { startPosts } from '../subgraphs/posts/start.js';
import { readUsersConfig, usersSettings } from '../subgraphs/users/config.js';
import { refuseLostKeys } from '../subgraphs/users/lost-keys.js';
import { openSealer } from '../subgraphs/users/sealing.js';
import { startUsers } from '../subgraphs/users/start.js';
import {
  databasesOf,
  naming,
  onServers,
  readSecrets,
  readStartSettings,
  replicasVariable,
  secretsFrom,
  SERVICES,
  startSettings,
  type Secrets,
  type Service,
  type StartSettings,
} from './databases.js';
import { takeOrders } from './orders/take.js';
import { ROOT } from './root.js';
import { openToAll, seedDemo } from './seed/demo.js';
import { startHeeds } from './start-heeds.js';

export interface Everything {
  readonly users: RunningSubgraph;
  readonly posts: RunningSubgraph;
  readonly followers: RunningSubgraph;
  readonly subgraphs: readonly RunningSubgraph[];
  readonly gateway: RunningGateway;
  /** The playground is shown at the gateway's address. */
  readonly playground: boolean;
  /** The five demo people were put in by this start. */
  readonly seeded: boolean;
  /** Until every event told so far has taken effect everywhere. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Gateway and three subgraphs in one process. The subgraphs listen on free ports of 127.0.0.1 and are spoken to over
 * HTTP, so what runs here is what is deployed. Without databases of their own they live under DATA_DIR, which one process
 * holds at a time.
 */
export async function startEverything(
  env: Environment,
  {
    logger = createLogger('tributary'),
    progress = () => {},
  }: { logger?: Logger; progress?: (text: string) => void } = {},
): Promise<Everything> {
  const dataDir = env['DATA_DIR'] || './data';
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    // The other way round than they were started: nobody is asked by somebody who is still up.
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    // First: where something is missing it may be there under another name.
    const weak = weakSecretsIn(
      { ...gatewaySettings, ...usersSettings, ...startSettings, ...sharedSecretsIn(env) },
      env,
    );
    for (const { says, ...fields } of [...unheededIn(env, startHeeds(env)), ...weak]) logger.warn(fields, says);
    const { start: settings, gateway: asked } = checkSettings(env, dataDir);
    const requireOwnPorts = () => requirePorts(asked.HOST, [asked.PORT, asked.METRICS_PORT, asked.ENTITY_CACHE_PORT]);
    // Who has started it twice is told so by the folder, which says more than the port does.
    const isNew = !existsSync(dataDir);
    if (isNew) await requireOwnPorts();
    const lock = await lockDataDir(dataDir);
    closers.push(() => lock.release());
    if (!isNew) await requireOwnPorts();
    const stream = openStream({ redisUrl: env['REDIS_URL'] || undefined, logger, listeners: LISTENERS });
    closers.push(() => stream.close());

    // Before the first of them is made: what is put back then finds the place empty.
    if (!onServers(settings)) refuseLostKeys({ DATABASE_URL: undefined, DATA_DIR: dataDir });
    const secrets = await readSecrets(settings, dataDir);
    const databases = await databasesOf(settings, secrets);
    const configs = readTogether(configReaders(env, dataDir, secrets, databases, settings));
    const { gateway: gatewayConfig } = configs;
    const tracing = await openTracing(gatewayConfig, logger);
    // The last to go but the lock and the stream: what ends meanwhile ends its spans.
    if (tracing) closers.push(() => tracing.close());
    const records =
      gatewayConfig.ENTITY_CACHE === 'on'
        ? openRecordCache({
            redisUrl: gatewayConfig.REDIS_URL,
            memoryBytesMax: gatewayConfig.ENTITY_CACHE_BYTES,
            logger,
          })
        : undefined;
    if (records) closers.push(() => records.close());
    const metrics = env['METRICS_PORT'] ? await Metrics.open() : undefined;
    const parts = { stream, logger, records, metrics, tracing };
    const start = async <T>(opening: Promise<T & { close(): Promise<void> }>): Promise<T> => {
      const running = await opening;
      closers.push(() => running.close());
      return running;
    };
    const starting = [
      start(naming(settings, 'users', startUsers(configs.users, parts))),
      start(naming(settings, 'posts', startPosts(configs.posts, parts))),
      start(naming(settings, 'followers', startFollowers(configs.followers, parts))),
    ] as const;
    // What one of them left open when another could not start is closed only if it is known by then.
    await Promise.allSettled(starting);
    const [users, posts, followers] = await Promise.all(starting);
    const subgraphs: readonly RunningSubgraph[] = [users, posts, followers];
    let seeded = false;
    if (wantsDemo(settings)) {
      // Who is looked at now is found without a list; what is loaded beside that could be missing in it for good.
      await posts.settle();
      seeded = await seedDemo({
        users: users.database,
        posts: posts.database,
        followers: followers.database,
        sealer: await openSealer(configs.users),
      });
    }
    if (seeded) progress('Seeded alice, bob, carol, dan and eve.');
    const open = isOwn(gatewayConfig) ? [] : await openToAll(users.database);
    if (open.length > 0)
      logger.warn(
        { people: open },
        'Others may reach this, and anybody can log in as people whose password is that of the README: start with SEED=none on an empty DATA_DIR, or change their passwords',
      );

    const gateway = await start(
      startGateway(readGatewayConfig(gatewayEnvironment(env, dataDir, secrets, subgraphs)), {
        logger,
        records,
        metrics,
        tracing,
      }),
    );
    await gateway.ready();
    if (!onServers(settings)) {
      const databases = { users: users.database, posts: posts.database, followers: followers.database };
      const orders = await takeOrders(lock, { databases, env, logger });
      closers.push(() => orders.close());
    }
    // An effect may tell an event of its own, so later rounds look again: a published event has taken effect when the stream is
    // in this process, and is only on its way when it is Redis.
    const rounds = env['REDIS_URL'] ? 4 : 2;
    let mayDelete = false;
    users.database.afterCommit(async (events) => {
      mayDelete ||= events.some(({ type }) => type === 'account-frozen');
    });
    const isDeleting = async (): Promise<boolean> => {
      if (!mayDelete) return false;
      const left = await users.database.query(
        `SELECT FROM account_deletions WHERE state IN ('RUNNING', 'COMPENSATING') LIMIT 1`,
      );
      mayDelete = left.length > 0;
      return mayDelete;
    };
    const settle = async (): Promise<void> => {
      for (let round = 0; round < rounds || (round < DELETION_ROUNDS && (await isDeleting())); round++)
        await Promise.all(subgraphs.map((subgraph) => subgraph.settle()));
    };
    const { playground } = gatewayConfig;
    return { users, posts, followers, subgraphs, gateway, playground, seeded, settle, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * All settings, and the files that they name, before a folder, a connection or a role on a server is made: every mistake at once, each once. What is made only
 * then (secrets, databases) has a stand-in that is as it will be.
 */
function checkSettings(env: Environment, dataDir: string): { start: StartSettings; gateway: GatewayConfig } {
  const anyUrl = SERVICES.some((service) => env[`${service.toUpperCase()}_DATABASE_URL`]) || env['DATABASE_URL'];
  const url = anyUrl ? 'postgres://stand-in' : undefined;
  const databases = { users: url, posts: url, followers: url };
  const secrets = secretsFrom('stand-in');
  return readTogether({
    start: () => readStartSettings(env),
    ...configReaders(env, dataDir, secrets, databases),
    gateway: () =>
      readGatewayConfig(gatewayEnvironment(env, dataDir, secrets, NOWHERE), (values, all) => [
        ...mistakesInFiles(values),
        ...missingSecrets(values, all),
      ]),
  });
}

function configReaders(
  env: Environment,
  dataDir: string,
  secrets: Secrets,
  databases: Readonly<Record<Service, string | undefined>>,
  settings?: StartSettings,
) {
  const environmentOf = (service: Service): Environment => ({
    ...env,
    PORT: '0',
    HOST: '127.0.0.1',
    METRICS_PORT: undefined,
    DATA_DIR: dataDir,
    DATABASE_URL: databases[service],
    DATABASE_REPLICA_URLS: settings?.[replicasVariable(service)].join(','),
    ASSERTION_SECRET: secrets.of('assertion', service),
  });
  return {
    users: () => readUsersConfig(environmentOf('users')),
    posts: () => readPostsConfig(environmentOf('posts')),
    followers: () => readFollowersConfig(environmentOf('followers')),
    // Where they listen is known later.
    gateway: () => readGatewayConfig(gatewayEnvironment(env, dataDir, secrets, NOWHERE)),
  };
}

function readTogether<Configs extends Record<string, unknown>>(readers: {
  [Name in keyof Configs]: () => Configs[Name];
}): Configs {
  const mistakes = new Set<string>();
  const configs: Partial<Configs> = {};
  for (const name of Object.keys(readers) as (keyof Configs)[]) {
    try {
      configs[name] = readers[name]();
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      for (const mistake of error.mistakes) mistakes.add(mistake);
    }
  }
  if (mistakes.size > 0) throw new SettingsError([...mistakes]);
  return configs as Configs;
}

const NOWHERE = SERVICES.map((name) => ({ name, url: 'http://127.0.0.1/graphql' }));

/** The five people come by themselves only where nobody else's data can be: never on a given database. */
function wantsDemo(settings: StartSettings): boolean {
  return settings.SEED === undefined ? !onServers(settings) : settings.SEED === 'demo';
}

/** A deletion goes to and fro between the services; one that cannot end is not waited for. */
const DELETION_ROUNDS = 30;

/** The settings of a gateway before these subgraphs; the tests start a second one with them. */
export function gatewayEnvironment(
  env: Environment,
  dataDir: string,
  secrets: Secrets,
  subgraphs: readonly { name: string; url: string }[],
): Environment {
  const own: Record<string, string | undefined> = {
    CONSISTENCY_SECRET: secrets.of('consistency', 'gateway'),
    SUPERGRAPH: join(ROOT, 'schema/supergraph.graphql'),
    ...env,
    DATA_DIR: dataDir,
    // Not heeded (start-heeds.ts), so neither are they held against others.
    IDENTITY: 'jwt',
    WORKERS: '1',
  };
  for (const { name, url } of subgraphs) {
    own[`SUBGRAPH_URL_${name.toUpperCase()}`] = url;
    own[`ASSERTION_SECRET_${name.toUpperCase()}`] = secrets.of('assertion', name as Service);
    if (name !== 'users') continue;
    own['JWKS_URL'] = new URL('/.well-known/jwks.json', url).href;
    own['ENDED_SESSIONS_URL'] = new URL('/ended-sessions', url).href;
  }
  return own;
}
