import { openCache } from '#libs/cache';
import { openDatabase } from '#libs/database';
import { AssertionVerifier, loadOrCreateSecret, loadOrCreateSigningKey, TokenIssuer } from '#libs/identity';
import { consume, Relay, type Stream } from '#libs/outbox';
import { listen, type RunningSubgraph } from '#libs/subgraph-kit';
import { createLogger, systemClock, type Clock, type Logger } from '#libs/telemetry';
import type { UsersConfig } from './config.js';
import { HEARD, usersModule } from './users.module.js';
import { usersTables } from './users.tables.js';
import { Passwords } from './write/passwords.js';

/** Opens the store, tells its events, and answers the gateway. */
export async function startUsers(
  config: UsersConfig,
  parts: { stream: Stream; logger?: Logger; clock?: Clock },
): Promise<RunningSubgraph> {
  const { stream, logger = createLogger('users'), clock = systemClock } = parts;
  const name = 'users';
  const secret = config.ASSERTION_SECRET ?? (await loadOrCreateSecret(config.DATA_DIR, `assertion-${name}`));
  const key = config.SIGNING_KEY ?? (await loadOrCreateSigningKey(config.DATA_DIR));
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
      ...usersTables,
    });
    closers.push(() => database.close());
    const cache = openCache({ redisUrl: config.REDIS_URL, mode: config.CACHE, logger, clock });
    closers.push(() => cache.close());

    const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience, TOKEN_LIFETIME_S: lifetimeS } = config;
    const module = usersModule({
      database,
      cache,
      tokens: new TokenIssuer({ key, issuer, audience, lifetimeS, clock }),
      passwords: new Passwords({ atOnce: config.HASHES_AT_ONCE }),
      assertions: new AssertionVerifier({ subgraph: name, secret, clock }),
      logger,
      clock,
    });

    const relay = new Relay({ database, stream, pollMs: config.RELAY_POLL_MS, logger, clock });
    const subscription = consume({ database, stream, group: name, hear: HEARD, logger });
    closers.push(() => subscription.close());
    // Closed before the subscription: told to a group that has left, an event would wait for it.
    closers.push(() => relay.close());
    relay.start();

    const listening = await listen(module, { host: config.HOST, port: config.PORT, logger });
    closers.push(() => listening.close());

    const settle = async (): Promise<void> => {
      await relay.settled();
      await subscription.settled();
    };
    return { name, url: listening.url, database, cache, settle, close };
  } catch (error) {
    await close();
    throw error;
  }
}
