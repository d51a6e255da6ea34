import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What others did that concerns a person, as it was heard (`notification_facts`, one row for each thing that still holds), and the
 * list that is read, in two versions of which one answers. How far somebody has read is theirs, so it is in neither.
 */
export class Notifications1763680000003 implements MigrationInterface {
  name = 'Notifications1763680000003';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['block_edges', 'notification_reads', 'notifications', 'notification_facts'])
      await runner.query(`DROP TABLE ${table}`);
    await runner.query(`DELETE FROM read_models WHERE name = 'notifications'`);
  }
}

const UP = [
  `INSERT INTO read_models (name) VALUES ('notifications')`,
  `CREATE TABLE notification_facts (
     recipient_id uuid NOT NULL,
     kind text NOT NULL,
     actor_id uuid NOT NULL,
     post_id uuid NOT NULL,
     id uuid NOT NULL,
     at timestamptz(3) NOT NULL,
     CONSTRAINT notification_facts_pk PRIMARY KEY (recipient_id, kind, actor_id, post_id),
     CONSTRAINT notification_facts_kind CHECK (kind IN ('follow', 'like', 'reply', 'mention'))
   )`,
  `CREATE INDEX notification_facts_by_age ON notification_facts (recipient_id, id)`,
  `CREATE INDEX notification_facts_by_post ON notification_facts (post_id, actor_id)`,
  `CREATE INDEX notification_facts_by_actor ON notification_facts (actor_id)`,
  `CREATE TABLE notifications (
     slot smallint NOT NULL,
     recipient_id uuid NOT NULL,
     id uuid NOT NULL,
     kind text NOT NULL,
     actor_id uuid NOT NULL,
     post_id uuid NOT NULL,
     at timestamptz(3) NOT NULL,
     CONSTRAINT notifications_pk PRIMARY KEY (recipient_id, id, slot)
   ) PARTITION BY LIST (slot)`,
  `CREATE TABLE notifications_1 PARTITION OF notifications FOR VALUES IN (1)`,
  `CREATE TABLE notifications_2 PARTITION OF notifications FOR VALUES IN (2)`,
  `CREATE TABLE notification_reads (user_id uuid CONSTRAINT notification_reads_pk PRIMARY KEY, read_to uuid NOT NULL)`,
  // Our copy of who blocks whom, as followers told it.
  `CREATE TABLE block_edges (
     blocker_id uuid NOT NULL,
     blocked_id uuid NOT NULL,
     CONSTRAINT block_edges_pk PRIMARY KEY (blocker_id, blocked_id)
   )`,
];
