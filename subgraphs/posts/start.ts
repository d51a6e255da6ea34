import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import { timelineLimits, type PostsConfig } from './config.js';
import { postsCounted } from './counters.js';
import { postsGauges } from './gauges.js';
import { postsParticipant } from './on/deletion.js';
import { HEARD } from './on/heard.js';
import { postsModule } from './posts.module.js';
import { postsTables } from './posts.tables.js';
import { TrendingRefresher } from './trending/refresh.js';
import { TimelineWorker } from './timeline/worker.js';

export function startPosts(config: PostsConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  return startService(
    {
      name: 'posts',
      tables: postsTables,
      hear: HEARD,
      module: postsModule,
      gauges: postsGauges,
      counted: postsCounted,
      background: ({ database, logger }) => {
        const worker = new TimelineWorker({
          database,
          logger,
          limits: timelineLimits(config),
          // Once a minute where nothing is said: it finds what a process that died had begun, as the relay does for events.
          lookMs: 300 * config.RELAY_POLL_MS,
        });
        worker.wake();
        const refresher = new TrendingRefresher({ database, logger, everyMs: config.TRENDING_REFRESH_S * 1_000 });
        refresher.start();
        const participant = postsParticipant({ database, logger });
        return {
          settled: async () => {
            await participant.settled();
            await worker.settled();
            await refresher.settled();
          },
          close: async () => {
            await Promise.all([participant.close(), worker.close(), refresher.close()]);
          },
        };
      },
    },
    config,
    parts,
  );
}
