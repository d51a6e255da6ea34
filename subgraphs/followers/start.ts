import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import type { FollowersConfig } from './config.js';
import { followersCounted } from './counters.js';
import { followersModule } from './followers.module.js';
import { followersTables } from './followers.tables.js';
import { followersGauges } from './gauges.js';
import { followsParticipant } from './on/deletion.js';
import { HEARD } from './on/heard.js';

export function startFollowers(config: FollowersConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  return startService(
    {
      name: 'followers',
      tables: followersTables,
      hear: HEARD,
      module: followersModule,
      counted: followersCounted,
      gauges: followersGauges,
      background: followsParticipant,
    },
    config,
    parts,
  );
}
