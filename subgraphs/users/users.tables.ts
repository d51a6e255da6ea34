import { IdempotencyKeysMigration, WrittenCallsMigration } from '#libs/idempotency';
import { outboxMigrations } from '#libs/outbox';
import { ReadModelMigration } from '#libs/read-model';
import { CreateUsers1763600000002 } from './migrations/0001-users.js';
import { Notifications1763680000003 } from './migrations/0002-notifications.js';
import { AccountDeletions1763740000002 } from './migrations/0003-account-deletions.js';
import { EndedSessions1763800000004 } from './migrations/0004-ended-sessions.js';
import { EndedSessionsOnce1764547200004 } from './migrations/0005-ended-sessions-once.js';
import { GonePosts1764633600004 } from './migrations/0006-gone-posts.js';
import { BlocksByBlocked1764633600007, ErasedAccounts1764633600006 } from './migrations/0007-erased-accounts.js';
import { EndedSessionRow, HandleRow, UserRow } from './user.entity.js';

/** What `openDatabase` needs to know of this service. */
export const usersTables = {
  entities: [UserRow, HandleRow, EndedSessionRow],
  migrations: [
    ...outboxMigrations,
    CreateUsers1763600000002,
    ReadModelMigration,
    Notifications1763680000003,
    AccountDeletions1763740000002,
    EndedSessions1763800000004,
    EndedSessionsOnce1764547200004,
    GonePosts1764633600004,
    ErasedAccounts1764633600006,
    BlocksByBlocked1764633600007,
    IdempotencyKeysMigration,
    WrittenCallsMigration,
  ],
};
