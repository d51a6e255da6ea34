import { IdempotencyKeysMigration, WrittenCallsMigration } from '#libs/idempotency';
import { outboxMigrations } from '#libs/outbox';
import { ReadModelMigration } from '#libs/read-model';
import { StepsGoOnMigration } from '#libs/saga';
import { CreateRelations1763600000001 } from './migrations/0001-relations.js';
import { DeletionParts1763740000001 } from './migrations/0002-deletion-parts.js';
import { SpreadFollowCounts1764460800000 } from './migrations/0003-spread-counts.js';
import { ErasedRelations1764547200000 } from './migrations/0004-erased-relations.js';
import { FollowCountVersions1764633600001 } from './migrations/0005-count-versions.js';
import { Block, Follow, Person, RelationRow } from './relation.entity.js';

/** What `openDatabase` needs to know of this service. */
export const followersTables = {
  entities: [Person, Follow, Block, RelationRow],
  migrations: [
    ...outboxMigrations,
    CreateRelations1763600000001,
    DeletionParts1763740000001,
    SpreadFollowCounts1764460800000,
    ReadModelMigration,
    StepsGoOnMigration,
    ErasedRelations1764547200000,
    FollowCountVersions1764633600001,
    IdempotencyKeysMigration,
    WrittenCallsMigration,
  ],
};
