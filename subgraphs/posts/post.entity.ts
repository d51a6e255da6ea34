import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { Post } from './post.js';

/** The current row of a post: the fold of its events, and its counts in two versions. */
@Entity('posts')
@Index('posts_by_author', ['authorId', 'id'], { where: `state = 'published'` })
@Index('posts_by_parent', ['inReplyToId', 'id'], { where: `state = 'published'` })
@Index('posts_gone_by_author', ['authorId', 'id'], { where: `state <> 'published'` })
@Check('posts_state', `state IN ('published', 'deleted', 'withdrawn')`)
@Check('posts_counts', `greatest(like_count, like_count_2) >= 0 AND greatest(reply_count, reply_count_2) >= 0`)
export class PostEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'posts_pk' })
  id: string;

  @Column('uuid', { name: 'author_id' })
  authorId: string;

  @Column('text')
  body: string;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'edited_at', precision: 3, nullable: true })
  editedAt: Date | null;

  @Column('uuid', { name: 'in_reply_to_id', nullable: true })
  inReplyToId: string | null;

  @Column('integer', { name: 'like_count', default: 0 })
  likeCount: number;

  @Column('integer', { name: 'reply_count', default: 0 })
  replyCount: number;

  @Column('integer', { name: 'like_count_2', default: 0, nullable: true })
  likeCount2: number | null;

  @Column('integer', { name: 'reply_count_2', default: 0, nullable: true })
  replyCount2: number | null;

  @Column('integer')
  version: number;

  @Column('text')
  state: 'published' | 'deleted' | 'withdrawn';
}

/** What happened to a post, in order. Only ever appended to; the key refuses a second fact of the same version. */
@Entity('post_events')
export class PostEventEntity {
  @PrimaryColumn('uuid', { name: 'post_id', primaryKeyConstraintName: 'post_events_pk' })
  postId: string;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'post_events_pk' })
  version: number;

  /** In the shape of `factVersion`; see stored-fact.ts. */
  @Column('jsonb')
  fact: Record<string, unknown>;

  @Column('integer', { name: 'fact_version', default: 1 })
  factVersion: number;

  @Column('uuid', { nullable: true })
  actor: string | null;
}

/** What a post was at some of its versions. Only saves reading: all of it may be dropped, and what is of another shape is not read. */
@Entity('post_snapshots')
export class PostSnapshotEntity {
  @PrimaryColumn('uuid', { name: 'post_id', primaryKeyConstraintName: 'post_snapshots_pk' })
  postId: string;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'post_snapshots_pk' })
  version: number;

  /** Of the fact that made this version. */
  @Column({ type: 'timestamptz', precision: 3 })
  at: Date;

  @Column('integer')
  shape: number;

  @Column('jsonb')
  post: Post;
}

@Entity('likes')
@Index('likes_by_user', ['userId', 'postId'], { where: 'liked' })
@Index('likes_withdrawn', ['userId', 'postId'], { where: 'withdrawn' })
@Index('likes_undone', ['userId', 'postId'], { where: 'NOT liked AND NOT withdrawn' })
export class LikeEntity {
  @PrimaryColumn('uuid', { name: 'post_id', primaryKeyConstraintName: 'likes_pk' })
  postId: string;

  @PrimaryColumn('uuid', { name: 'user_id', primaryKeyConstraintName: 'likes_pk' })
  userId: string;

  @Column('boolean')
  liked: boolean;

  /** Not liked because the person's account is frozen; comes back with it. */
  @Column('boolean', { default: false })
  withdrawn: boolean;

  @Column('integer')
  version: number;

  @Column({ type: 'timestamptz', precision: 3 })
  at: Date;
}
