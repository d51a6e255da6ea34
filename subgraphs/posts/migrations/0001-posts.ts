import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What posts owns (posts, their events, likes) and its own copy of what it hears (people, follows, blocks). The copies carry
 * no foreign keys: an edge may be heard before its people.
 */
export class Posts1763600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['block_edges', 'follow_edges', 'people', 'likes', 'post_events', 'posts']) {
      await runner.query(`DROP TABLE ${table}`);
    }
  }
}

const UP = [
  `CREATE TABLE posts (
     id uuid CONSTRAINT posts_pk PRIMARY KEY,
     author_id uuid NOT NULL,
     body text NOT NULL,
     created_at timestamptz(3) NOT NULL,
     edited_at timestamptz(3),
     in_reply_to_id uuid,
     like_count integer NOT NULL DEFAULT 0,
     reply_count integer NOT NULL DEFAULT 0,
     version integer NOT NULL,
     state text NOT NULL,
     CONSTRAINT posts_state CHECK (state IN ('published', 'deleted', 'withdrawn')),
     CONSTRAINT posts_counts CHECK (like_count >= 0 AND reply_count >= 0)
   )`,
  // Keyset pages in both directions; what is gone is not in them, so a page is full without reading tombstones.
  `CREATE INDEX posts_by_author ON posts (author_id, id) WHERE state = 'published'`,
  `CREATE INDEX posts_by_parent ON posts (in_reply_to_id, id) WHERE state = 'published'`,

  `CREATE TABLE post_events (
     post_id uuid NOT NULL,
     version integer NOT NULL,
     fact jsonb NOT NULL,
     actor uuid,
     CONSTRAINT post_events_pk PRIMARY KEY (post_id, version)
   )`,

  // An unlike keeps its row, so that the versions of the aggregate like:<post>:<user> go on without a gap.
  `CREATE TABLE likes (
     post_id uuid NOT NULL,
     user_id uuid NOT NULL,
     liked boolean NOT NULL,
     version integer NOT NULL,
     at timestamptz(3) NOT NULL,
     CONSTRAINT likes_pk PRIMARY KEY (post_id, user_id)
   )`,
  `CREATE INDEX likes_by_user ON likes (user_id, post_id) WHERE liked`,

  `CREATE TABLE people (
     id uuid CONSTRAINT people_pk PRIMARY KEY,
     state text NOT NULL,
     post_count integer NOT NULL DEFAULT 0,
     CONSTRAINT people_state CHECK (state IN ('registered', 'deleted')),
     CONSTRAINT people_post_count CHECK (post_count >= 0)
   )`,

  `CREATE TABLE follow_edges (
     follower_id uuid NOT NULL,
     followee_id uuid NOT NULL,
     CONSTRAINT follow_edges_pk PRIMARY KEY (follower_id, followee_id)
   )`,
  `CREATE INDEX follow_edges_by_followee ON follow_edges (followee_id)`,

  `CREATE TABLE block_edges (
     blocker_id uuid NOT NULL,
     blocked_id uuid NOT NULL,
     CONSTRAINT block_edges_pk PRIMARY KEY (blocker_id, blocked_id)
   )`,
  `CREATE INDEX block_edges_by_blocked ON block_edges (blocked_id)`,
];
