import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { PersonState } from './relation.js';

const INSTANT = { type: 'timestamptz', precision: 3 } as const;

/** Everybody that was heard of. Both counts stand in one row, in two versions, kept in the transaction that changes the follows. */
@Entity('people')
@Check(
  'people_counts',
  'greatest(follower_count, follower_count_2) >= 0 AND greatest(following_count, following_count_2) >= 0',
)
@Check('people_state', `state IN ('active', 'frozen', 'gone')`)
export class Person {
  @PrimaryColumn('uuid', { name: 'user_id', primaryKeyConstraintName: 'people_pkey' })
  userId: string;

  @Column('text', { default: 'active' })
  state: PersonState;

  @Column('integer', { name: 'follower_count', default: 0 })
  followerCount: number;

  @Column('integer', { name: 'following_count', default: 0 })
  followingCount: number;

  @Column('integer', { name: 'follower_count_2', default: 0, nullable: true })
  followerCount2: number | null;

  @Column('integer', { name: 'following_count_2', default: 0, nullable: true })
  followingCount2: number | null;
}

/** Two more indexes, because a page is read newest first in both directions; TypeORM's decorators know no DESC. */
@Entity('follows')
@Index('follows_of_followee', { synchronize: false })
@Index('follows_of_follower', { synchronize: false })
export class Follow {
  @PrimaryColumn('uuid', { name: 'follower_id', primaryKeyConstraintName: 'follows_pkey' })
  followerId: string;

  @PrimaryColumn('uuid', { name: 'followee_id', primaryKeyConstraintName: 'follows_pkey' })
  followeeId: string;

  @Column({ ...INSTANT, name: 'followed_at' })
  followedAt: Date;
}

@Entity('blocks')
@Index('blocks_of_blocked', ['blockedId'])
export class Block {
  @PrimaryColumn('uuid', { name: 'blocker_id', primaryKeyConstraintName: 'blocks_pkey' })
  blockerId: string;

  @PrimaryColumn('uuid', { name: 'blocked_id', primaryKeyConstraintName: 'blocks_pkey' })
  blockedId: string;

  @Column(INSTANT)
  at: Date;
}

/** The number of events of each pair, and the row that a writer locks before it looks at the pair. */
@Entity('relations')
@Index('relations_of_high', ['highId'])
@Check('relations_order', 'low_id < high_id')
export class RelationRow {
  @PrimaryColumn('uuid', { name: 'low_id', primaryKeyConstraintName: 'relations_pkey' })
  lowId: string;

  @PrimaryColumn('uuid', { name: 'high_id', primaryKeyConstraintName: 'relations_pkey' })
  highId: string;

  @Column('integer')
  version: number;
}
