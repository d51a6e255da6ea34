import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A deletion has steps that can be asked about, and an account that is in one is frozen. */
export class AccountDeletions1763740000002 implements MigrationInterface {
  name = 'AccountDeletions1763740000002';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE account_deletion_steps');
    await runner.query('DROP TABLE account_deletions');
    await runner.query('ALTER TABLE users DROP COLUMN frozen_at');
  }
}

const UP = [
  'ALTER TABLE users ADD COLUMN frozen_at timestamptz(3)',
  `CREATE TABLE account_deletions (
     id uuid CONSTRAINT account_deletions_pkey PRIMARY KEY,
     user_id uuid NOT NULL,
     saga text NOT NULL CONSTRAINT account_deletions_saga CHECK (saga IN ('orchestrated', 'choreographed')),
     state text NOT NULL
       CONSTRAINT account_deletions_state CHECK (state IN ('RUNNING', 'DONE', 'COMPENSATING', 'REVERTED')),
     version integer NOT NULL DEFAULT 0
   )`,
  'CREATE INDEX account_deletions_of_user ON account_deletions (user_id, id)',
  // An account is in one deletion at a time; of two that begin at once, one fails here.
  `CREATE UNIQUE INDEX account_deletions_under_way ON account_deletions (user_id) WHERE state IN ('RUNNING', 'COMPENSATING')`,
  `CREATE TABLE account_deletion_steps (
     deletion_id uuid NOT NULL REFERENCES account_deletions (id),
     nth integer NOT NULL,
     name text NOT NULL,
     state text NOT NULL CONSTRAINT account_deletion_steps_state
       CHECK (state IN ('PENDING', 'RUNNING', 'DONE', 'FAILED', 'UNDOING', 'UNDONE')),
     at timestamptz(3),
     tries integer NOT NULL DEFAULT 0,
     due_at timestamptz(3),
     CONSTRAINT account_deletion_steps_pkey PRIMARY KEY (deletion_id, nth)
   )`,
  'CREATE INDEX account_deletion_steps_due ON account_deletion_steps (due_at) WHERE due_at IS NOT NULL',
];
