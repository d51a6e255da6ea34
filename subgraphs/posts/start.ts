import { openCache } from '#libs/cache';
import { openDatabase } from '#libs/database';
import { AssertionVerifier, loadOrCreateSecret } from '#libs/identity';
import { consume, Relay, type Stream } from '#libs/outbox';
import { listen, type RunningSubgraph } from '#libs/subgraph-kit';
import { createLogger, systemClock, type Clock, type Logger } from '#libs/telemetry';
import type { PostsConfig } from './config.js';
import { HEARD } from './on/heard.js';
import { postsModule } from './posts.module.js';
import { postsTables } from './posts.tables.js';

/** Opens the store, hears events, tells its own, and answers the gateway. */
export async function startPosts(
  config: PostsConfig,
  parts: { stream: Stream; logger?: Logger; clock?: Clock },
): Promise<RunningSubgraph> {
  const { stream, logger = createLogger('posts'), clock = systemClock } = parts;
  const name = 'posts';
  const secret = config.ASSERTION_SECRET ?? (await loadOrCreateSecret(config.DATA_DIR, `assertion-${name}`));
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const database = await openDatabase({
      service: name,
      url: config.DATABASE_URL,
      dataDir: config.DATA_DIR,
      poolMax: config.DATABASE_POOL_MAX,
      logger,
      ...postsTables,
    });
    closers.push(() => database.close());
    const cache = openCache({ redisUrl: config.REDIS_URL, mode: config.CACHE, logger, clock });
    closers.push(() => cache.close());

    const assertions = new AssertionVerifier({ subgraph: name, secret, clock });
    const module = postsModule({ database, cache, cached: config.CACHE === 'on', assertions, logger, clock });

    const relay = new Relay({ database, stream, pollMs: config.RELAY_POLL_MS, logger, clock });
    closers.push(() => relay.close());
    const subscription = consume({ database, stream, group: name, hear: HEARD, logger });
    closers.push(() => subscription.close());
    relay.start();

    const listening = await listen(module, { host: config.HOST, port: config.PORT, logger });
    closers.push(() => listening.close());

    const settle = async (): Promise<void> => {
      await subscription.settled();
      await relay.settled();
    };
    return { name, url: listening.url, database, cache, settle, close };
  } catch (error) {
    await close();
    throw error;
  }
}
