import { loadOrCreateSigningKey, TokenIssuer } from '#libs/identity';
import { openBudgets } from '#libs/rate-limit';
import { SealingAnew, type Sealer } from '#libs/sealing';
import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import { createLogger, steadyClock, systemClock } from '#libs/telemetry';
import type { UsersConfig } from './config.js';
import { usersGauges } from './gauges.js';
import { deletionWork } from './on/deletion.js';
import { heardBy } from './on/heard.js';
import { makeSealingKey, openSealerOver, refuseLostKeys } from './lost-keys.js';
import { EMAIL } from './sealing.js';
import { usersModule } from './users.module.js';
import { usersTables } from './users.tables.js';
import { EndedSessionsRetention } from './write/forget-ended-sessions.js';
import { Passwords } from './write/passwords.js';
import { Throttle } from './write/throttle.js';

export async function startUsers(config: UsersConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience, TOKEN_LIFETIME_S: lifetimeS } = config;
  refuseLostKeys(config);
  const key = config.SIGNING_KEY ?? (await loadOrCreateSigningKey(config.DATA_DIR));
  await makeSealingKey(config);
  let sealer!: Sealer;
  const tokens = new TokenIssuer({
    key,
    beside: [config.SIGNING_KEY_NEXT, config.SIGNING_KEY_BEFORE].filter((other) => other !== undefined),
    issuer,
    audience,
    lifetimeS,
    // Where the clock was set ahead while this ran, gateways would take what is signed by it for what is yet to come.
    clock: parts.clock ?? (() => Math.min(systemClock(), steadyClock())),
  });
  const passwords = new Passwords({ atOnce: config.HASHES_AT_ONCE });
  const budgets = await openBudgets({ redisUrl: config.REDIS_URL, logger: parts.logger ?? createLogger('users') });
  const throttle = new Throttle(budgets, {
    logInTries: config.LOG_IN_TRIES,
    signUpsPerHour: config.SIGN_UPS_PER_HOUR,
    renamesPerDay: config.RENAMES_PER_DAY,
  });
  const patience = { stepTimeoutMs: config.DELETION_STEP_TIMEOUT_MS, triesMax: config.DELETION_TRIES };
  try {
    const running = await startService(
      {
        name: 'users',
        tables: usersTables,
        hear: heardBy(patience),
        gauges: (database) => [...usersGauges(database), ...passwords.gauges('users')],
        opened: async (database) => {
          sealer = await openSealerOver(database, config);
        },
        module: (built) =>
          usersModule({ ...built, tokens, sealer, passwords, throttle, saga: config.DELETION_SAGA, patience }),
        background: ({ database, logger }) => {
          const deletions = deletionWork({ database, logger, patience });
          const ended = new EndedSessionsRetention({ database, logger });
          const sealing = new SealingAnew({ database, column: EMAIL, sealer, logger });
          return {
            settled: () => deletions.settled(),
            close: async () => void (await Promise.all([deletions.close(), ended.close(), sealing.close()])),
          };
        },
      },
      config,
      parts,
    );
    return {
      ...running,
      close: async () => {
        await running.close();
        await budgets.close();
      },
    };
  } catch (error) {
    await budgets.close();
    throw error;
  }
}
