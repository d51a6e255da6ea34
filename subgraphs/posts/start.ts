import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import { timelineLimits, type PostsConfig } from './config.js';
import { HEARD } from './on/heard.js';
import { postsModule } from './posts.module.js';
import { postsTables } from './posts.tables.js';
import { TimelineWorker } from './timeline/worker.js';

export function startPosts(config: PostsConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  return startService(
    {
      name: 'posts',
      tables: postsTables,
      hear: HEARD,
      module: postsModule,
      background: ({ database, logger }) => {
        const worker = new TimelineWorker({ database, logger, limits: timelineLimits(config) });
        worker.wake();
        return worker;
      },
    },
    config,
    parts,
  );
}
