import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was done under a client's key, the same in every service's own database. */
export class IdempotencyKeysMigration implements MigrationInterface {
  readonly name = 'IdempotencyKeys1764720000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE idempotency_keys');
  }
}

const UP = [
  `CREATE TABLE idempotency_keys (
     name text COLLATE "C" NOT NULL,
     field text COLLATE "C" NOT NULL,
     payload text COLLATE "C" NOT NULL,
     person uuid,
     done json,
     at timestamptz(3) NOT NULL DEFAULT now(),
     PRIMARY KEY (name, field)
   )`,
  // What is old goes, and what a person was answered goes with them.
  'CREATE INDEX idempotency_keys_at ON idempotency_keys (at)',
  'CREATE INDEX idempotency_keys_person ON idempotency_keys (person)',
];

/** Which calls of a gateway have written, for minutes: the same in every service's own database. */
export class WrittenCallsMigration implements MigrationInterface {
  readonly name = 'WrittenCalls1764892800000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE written_calls (
      id text COLLATE "C" PRIMARY KEY,
      at timestamptz(3) NOT NULL DEFAULT now()
    )`);
    await runner.query('CREATE INDEX written_calls_at ON written_calls (at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE written_calls');
  }
}
