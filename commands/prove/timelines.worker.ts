import { openDatabase } from '#libs/database';
import { countersModel, rebuild } from '#libs/read-model';
import { createLogger } from '#libs/telemetry';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import type { TimelineLimits } from '../../subgraphs/posts/timeline/lists.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { TimelineWorker } from '../../subgraphs/posts/timeline/worker.js';
import type { Site } from './places.js';
import type { Boss } from './worker.js';

/** What it works off: new edges and posts on their way; everything anew; all counts of posts anew; or, naively, each post struck off before it is delivered. */
export interface TimelinesOrder {
  readonly site: Pick<Site, 'urls' | 'dataDir'>;
  readonly limits: TimelineLimits;
  readonly does: 'deliver' | 'rebuild' | 'recount' | 'strike-off';
}

export async function work({ site, limits, does }: TimelinesOrder, boss: Boss): Promise<void> {
  const logger = createLogger('timelines', 'error');
  const told = new Promise<void>((resolve) => boss.heard(() => resolve()));
  const { urls, dataDir } = site;
  const database = await openDatabase({ service: 'posts', url: urls?.['posts'], dataDir, logger, ...postsTables });
  boss.tell({ ready: true });
  // To go, once it is armed, or to finish.
  await told;
  if (does === 'deliver') {
    const worker = new TimelineWorker({ database, logger, limits });
    worker.wake();
    await worker.settled();
    await worker.close();
  } else if (does === 'rebuild') {
    await rebuild(database, homeTimelineModel(limits), { mend: true });
  } else if (does === 'recount') {
    // Side by side, so that whichever of them is under way may be killed.
    await Promise.all(postsCounted.map((counted) => rebuild(database, countersModel(counted, 20), { mend: true })));
  } else {
    for (;;) {
      const [post] = await database.transaction((tx) =>
        tx.query<{ post_id: string; author_id: string }>(
          'DELETE FROM timeline_work WHERE post_id = (SELECT post_id FROM timeline_work LIMIT 1) RETURNING post_id, author_id',
        ),
      );
      if (post === undefined) break;
      await database.query(
        `INSERT INTO home_entries (slot, user_id, post_id) SELECT 1, follower_id, $1 FROM follow_edges WHERE followee_id = $2
         ON CONFLICT DO NOTHING`,
        [post.post_id, post.author_id],
      );
    }
  }
  await database.close();
}
