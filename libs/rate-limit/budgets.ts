import type { RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import type { Logger } from '#libs/telemetry';
import { connect, type Shared } from './redis.js';

export interface BudgetRule {
  /** Part of its keys, and what it is called in the log. */
  readonly name: string;
  /** So much in one window, from the first that is taken; */
  readonly points: number;
  /** s */
  readonly windowS: number;
}

/** So much may somebody take in a while. */
export interface Budget {
  /** Takes `points` of what `key` has. Resolves with 0 when it had as much, else with the milliseconds until it has again. Never rejects. */
  take(key: string, points?: number): Promise<number>;
  /** Gives back all that was taken. */
  forget(key: string): Promise<void>;
}

export interface Budgets {
  of(rule: BudgetRule): Budget;
  close(): Promise<void>;
}

/**
 * Budgets that all processes with the same Redis share (rate-limiter-flexible's fixed windows: one script on one key each, so a
 * Redis Cluster will do). While Redis is away, or without one, each process counts for itself: of N processes each gives as much
 * as they gave together, and nobody is let through uncounted or kept out, nor waits for it but the first who find out, in a cluster one a second
 * of each node that does not answer. A key that
 * has used everything up is refused from memory until its window ends, so a flood is no flood for Redis.
 */
export async function openBudgets({
  redisUrl,
  logger,
  waitMs,
}: {
  readonly redisUrl: string | undefined;
  readonly logger: Logger;
  /** For Redis, 100 where nothing is said; who waits longer is counted here. */
  readonly waitMs?: number;
}): Promise<Budgets> {
  // Only those who limit something load it.
  const { RateLimiterMemory, RateLimiterRedis } = await import('rate-limiter-flexible');
  const together = redisUrl === undefined ? undefined : connect(redisUrl, logger, waitMs);
  return {
    of({ name, points, windowS }) {
      const rule = { keyPrefix: `tributary:budget:${name}`, points, duration: windowS };
      const own = new RateLimiterMemory(rule);
      const shared =
        together &&
        new RateLimiterRedis({
          ...rule,
          storeClient: together.redis,
          rejectIfRedisNotReady: true,
          inMemoryBlockOnConsumed: points + 1,
        });
      const consume = async (limiter: RateLimiterAbstract, key: string, taken: number): Promise<number> => {
        try {
          await limiter.consume(key, Math.max(1, Math.ceil(taken)));
          return 0;
        } catch (refused) {
          return waitOf(refused, windowS);
        }
      };
      return {
        async take(key, taken = 1) {
          const began = performance.now();
          const name = `${rule.keyPrefix}:${key}`;
          try {
            // From memory: this tells nothing of Redis.
            const blockedMs = (shared as unknown as Blocking | undefined)?.getInMemoryBlockMsBeforeExpire(name) ?? 0;
            if (blockedMs > 0) return Math.min(blockedMs, windowS * 1_000);
            if (shared && together?.mayAsk(name)) {
              const wait = await consume(shared, key, taken);
              together.answered(name);
              return wait;
            }
          } catch (error) {
            together?.unanswered(name, error, performance.now() - began);
          }
          // The library's own trouble, if it has any, keeps nobody out.
          return consume(own, key, taken).catch(() => 0);
        },
        async forget(key) {
          // Where a limiter cannot be told, its window ends by itself.
          const began = performance.now();
          const name = `${rule.keyPrefix}:${key}`;
          try {
            if (shared && together?.mayAsk(name)) {
              await shared.delete(key);
              together.answered(name);
            }
          } catch (error) {
            together?.unanswered(name, error, performance.now() - began);
          }
          await own.delete(key).catch(() => false);
        },
      };
    },
    async close() {
      await end(together);
    },
  };
}

/** What the library has and its types do not: how long it refuses a key without asking, ms. */
interface Blocking {
  getInMemoryBlockMsBeforeExpire(name: string): number;
}

/** The library rejects with what is left; an error is no refusal: nothing was counted. */
function waitOf(refused: unknown, windowS: number): number {
  if (refused instanceof Error) throw refused;
  const { msBeforeNext } = refused as RateLimiterRes;
  return Math.min(Math.max(1, msBeforeNext), windowS * 1_000);
}

async function end(together: Shared | undefined): Promise<void> {
  if (!together) return;
  try {
    await together.redis.quit();
  } catch {
    together.redis.disconnect();
  }
}
