import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** Who exists, as users told it, and how many posts they have, which is ours to say. */
@Entity('people')
@Check('people_state', `state IN ('registered', 'deleted')`)
@Check('people_post_count', `post_count >= 0`)
export class PersonEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'people_pk' })
  id: string;

  @Column('text')
  state: 'registered' | 'deleted';

  @Column('integer', { name: 'post_count', default: 0 })
  postCount: number;
}

/** Our copy of who follows whom, as followers told it. */
@Entity('follow_edges')
@Index('follow_edges_by_followee', ['followeeId'])
export class FollowEdgeEntity {
  @PrimaryColumn('uuid', { name: 'follower_id', primaryKeyConstraintName: 'follow_edges_pk' })
  followerId: string;

  @PrimaryColumn('uuid', { name: 'followee_id', primaryKeyConstraintName: 'follow_edges_pk' })
  followeeId: string;
}

/** Our copy of who blocks whom, as followers told it. */
@Entity('block_edges')
@Index('block_edges_by_blocked', ['blockedId'])
export class BlockEdgeEntity {
  @PrimaryColumn('uuid', { name: 'blocker_id', primaryKeyConstraintName: 'block_edges_pk' })
  blockerId: string;

  @PrimaryColumn('uuid', { name: 'blocked_id', primaryKeyConstraintName: 'block_edges_pk' })
  blockedId: string;
}
