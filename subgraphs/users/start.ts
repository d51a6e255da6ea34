import { loadOrCreateSigningKey, TokenIssuer } from '#libs/identity';
import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import { systemClock } from '#libs/telemetry';
import type { UsersConfig } from './config.js';
import { usersGauges } from './gauges.js';
import { heardBy } from './on/heard.js';
import { LateSteps } from './on/late-steps.js';
import { usersModule } from './users.module.js';
import { usersTables } from './users.tables.js';
import { Passwords } from './write/passwords.js';

export async function startUsers(config: UsersConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience, TOKEN_LIFETIME_S: lifetimeS } = config;
  const key = config.SIGNING_KEY ?? (await loadOrCreateSigningKey(config.DATA_DIR));
  const tokens = new TokenIssuer({ key, issuer, audience, lifetimeS, clock: parts.clock ?? systemClock });
  const passwords = new Passwords({ atOnce: config.HASHES_AT_ONCE });
  const patience = { stepTimeoutMs: config.DELETION_STEP_TIMEOUT_MS, triesMax: config.DELETION_TRIES };
  return startService(
    {
      name: 'users',
      tables: usersTables,
      hear: heardBy(patience),
      gauges: usersGauges,
      module: (built) => usersModule({ ...built, tokens, passwords, saga: config.DELETION_SAGA, patience }),
      background: ({ database, logger }) => new LateSteps({ database, logger, ...patience }),
    },
    config,
    parts,
  );
}
