import { IdempotencyKeysMigration, WrittenCallsMigration } from '#libs/idempotency';
import { outboxMigrations } from '#libs/outbox';
import { ReadModelMigration } from '#libs/read-model';
import { StepsGoOnMigration } from '#libs/saga';
import { Posts1763600000000 } from './migrations/0001-posts.js';
import { PostHistory1763670000000 } from './migrations/0002-post-history.js';
import { HomeTimeline1763680000001 } from './migrations/0003-home-timeline.js';
import { TrendingPosts1763680000002 } from './migrations/0004-trending-posts.js';
import { SpreadCounts1763680000004 } from './migrations/0005-spread-counts.js';
import { DeletionParts1763740000000 } from './migrations/0006-deletion-parts.js';
import { ErasedLikes1764547200001 } from './migrations/0007-erased-likes.js';
import { CountVersions1764633600000 } from './migrations/0008-count-versions.js';
import { TrendingCounts1764633600002 } from './migrations/0009-trending-counts.js';
import { TrendingSlices1764806400000 } from './migrations/0010-trending-slices.js';
import { TrendingWholeCounts1764892800001 } from './migrations/0011-trending-whole-counts.js';
import { BlockEdgeEntity, FollowEdgeEntity, PersonEntity } from './person.entity.js';
import { LikeEntity, PostEntity, PostEventEntity, PostSnapshotEntity } from './post.entity.js';

/** What `openDatabase` needs to know of this service. */
export const postsTables = {
  entities: [
    PostEntity,
    PostEventEntity,
    PostSnapshotEntity,
    LikeEntity,
    PersonEntity,
    FollowEdgeEntity,
    BlockEdgeEntity,
  ],
  migrations: [
    ...outboxMigrations,
    Posts1763600000000,
    PostHistory1763670000000,
    ReadModelMigration,
    HomeTimeline1763680000001,
    TrendingPosts1763680000002,
    SpreadCounts1763680000004,
    DeletionParts1763740000000,
    StepsGoOnMigration,
    ErasedLikes1764547200001,
    CountVersions1764633600000,
    TrendingCounts1764633600002,
    IdempotencyKeysMigration,
    TrendingSlices1764806400000,
    WrittenCallsMigration,
    TrendingWholeCounts1764892800001,
  ],
};
