import type { Environment } from '#libs/settings';
import { LISTENERS } from '#libs/events';
import { openStream } from '#libs/outbox';
import type { RunningSubgraph, ServiceParts } from '#libs/subgraph-kit';
import { silent } from '#libs/telemetry';
import { secretsFrom } from '../../commands/databases.js';
import { readPostsConfig } from '../../subgraphs/posts/config.js';
import { startPosts } from '../../subgraphs/posts/start.js';
import { readUsersConfig } from '../../subgraphs/users/config.js';
import { startUsers } from '../../subgraphs/users/start.js';
import type { OwnServers } from './own-servers.js';

/** A service once more, on the database and the Redis of the first. */
export interface SecondProcess {
  readonly name: string;
  readonly url: string;
  /** Ends it, and starts the next one where it listened: of what was in its memory nothing is left. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const START: Readonly<Record<'users' | 'posts', (env: Environment, parts: ServiceParts) => Promise<RunningSubgraph>>> =
  {
    users: (env, parts) => startUsers(readUsersConfig(env), parts),
    posts: (env, parts) => startPosts(readPostsConfig(env), parts),
  };

export async function secondProcess(
  name: 'users' | 'posts',
  servers: OwnServers,
  env: Environment,
): Promise<SecondProcess> {
  const start = async (port: string): Promise<Pick<RunningSubgraph, 'url' | 'close'>> => {
    const stream = openStream({ redisUrl: servers.env['REDIS_URL'], logger: silent, listeners: LISTENERS });
    const own = {
      ...env,
      HOST: '127.0.0.1',
      PORT: port,
      DATABASE_URL: servers.env[`${name.toUpperCase()}_DATABASE_URL`],
      ASSERTION_SECRET: secretsFrom(servers.master).of('assertion', name),
    };
    try {
      const running = await START[name](own, { stream, logger: silent });
      const close = async (): Promise<void> => {
        await running.close();
        await stream.close();
      };
      return { url: running.url, close };
    } catch (error) {
      await stream.close();
      throw error;
    }
  };
  let running = await start('0');
  const { url } = running;
  return {
    name,
    url,
    async restart() {
      await running.close();
      running = await start(new URL(url).port);
    },
    close: () => running.close(),
  };
}
