import { OutboxMigration } from '#libs/outbox';
import { Posts1763600000000 } from './migrations/0001-posts.js';
import { BlockEdgeEntity, FollowEdgeEntity, PersonEntity } from './person.entity.js';
import { LikeEntity, PostEntity, PostEventEntity } from './post.entity.js';

/** What `openDatabase` needs to know of this service. */
export const postsTables = {
  entities: [PostEntity, PostEventEntity, LikeEntity, PersonEntity, FollowEdgeEntity, BlockEdgeEntity],
  migrations: [OutboxMigration, Posts1763600000000],
};
