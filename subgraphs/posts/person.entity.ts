import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** Who exists, as users told it, and how many posts they have, which is ours to say. */
@Entity('people')
@Check('people_state', `state IN ('registered', 'frozen', 'deleted')`)
@Check('people_post_count', `greatest(post_count, post_count_2) >= 0`)
@Index('people_pulled', ['id'], { where: 'pulled' })
export class PersonEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'people_pk' })
  id: string;

  @Column('text')
  /** Frozen: a deletion is under way that may still be taken back. */
  state: 'registered' | 'frozen' | 'deleted';

  @Column('integer', { name: 'post_count', default: 0 })
  postCount: number;

  @Column('integer', { name: 'post_count_2', default: 0, nullable: true })
  postCount2: number | null;

  /** Has so many followers that posts are merged in by those who read the home timeline. */
  @Column('boolean', { default: false })
  pulled: boolean;
}

/** Our copy of who follows whom, as followers told it. */
@Entity('follow_edges')
@Index('follow_edges_of_followee', ['followeeId', 'followerId'])
@Index('follow_edges_unpushed', ['followerId', 'followeeId'], { where: 'NOT pushed' })
export class FollowEdgeEntity {
  @PrimaryColumn('uuid', { name: 'follower_id', primaryKeyConstraintName: 'follow_edges_pk' })
  followerId: string;

  @PrimaryColumn('uuid', { name: 'followee_id', primaryKeyConstraintName: 'follow_edges_pk' })
  followeeId: string;

  /** The followee's posts are in the follower's list. */
  @Column('boolean', { default: false })
  pushed: boolean;
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
