import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import type { FollowersConfig } from './config.js';
import { followersModule, HEARD } from './followers.module.js';
import { followersTables } from './followers.tables.js';
import { Farewell } from './on/farewell.js';

export function startFollowers(config: FollowersConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  return startService(
    {
      name: 'followers',
      tables: followersTables,
      hear: HEARD,
      module: followersModule,
      background: ({ database, logger, clock }) => {
        const farewell = new Farewell({ database, logger, clock });
        database.afterCommit(async (events) => {
          if (events.some((event) => event.type === 'user-deleted')) farewell.wake();
        });
        farewell.wake();
        return farewell;
      },
    },
    config,
    parts,
  );
}
