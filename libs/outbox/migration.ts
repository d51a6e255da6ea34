import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The tables of the event path, the same in every service's own database. */
export class OutboxMigration implements MigrationInterface {
  // Before every service's own tables: TypeORM orders migrations by these 13 digits.
  readonly name = 'Outbox1700000000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['quarantine', 'inbox', 'outbox']) await runner.query(`DROP TABLE ${table}`);
  }
}

/** Who publishes what: see leases.ts. */
export class RelayLeasesMigration implements MigrationInterface {
  readonly name = 'RelayLeases1700000000001';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of LEASES) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['relay_leases', 'relays']) await runner.query(`DROP TABLE ${table}`);
    await runner.query('DROP SEQUENCE relay_token');
  }
}

/** The span that recorded an event, where somebody traces: see traced.ts. */
export class OutboxTraceMigration implements MigrationInterface {
  readonly name = 'OutboxTrace1700000000002';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE outbox ADD COLUMN trace text COLLATE "C"');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE outbox DROP COLUMN trace');
  }
}

/** Whether an event in quarantine waits for a program that knows its type and version: see quarantine.ts. */
export class QuarantineNewerMigration implements MigrationInterface {
  readonly name = 'QuarantineNewer1700000000003';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE quarantine ADD COLUMN newer boolean');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE quarantine DROP COLUMN newer');
  }
}

/** What took effect past the stream and is still to be dropped from caches: see drops-due.ts. */
export class DropsDueMigration implements MigrationInterface {
  readonly name = 'DropsDue1700000000004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(DROPS_DUE);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE drops_due');
  }
}

/**
 * How many batches of a range the stream was given: see continuity.ts. Programs of before neither write nor read it, here and in the
 * stream, so the two agree while such programs publish too. But for one that finds a stream that has lost events: it begins that anew and
 * leaves the number that it finds there, mostly none, which a program of this version takes for one more loss: all is published once more.
 */
export class RelayBatchesMigration implements MigrationInterface {
  readonly name = 'RelayBatches1700000000005';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE relay_leases ADD COLUMN batches bigint NOT NULL DEFAULT 0');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE relay_leases DROP COLUMN batches');
  }
}

/** Who this database is, to a Redis that two graphs may have been given: see own-stream.ts. */
export class DatabaseIdentityMigration implements MigrationInterface {
  readonly name = 'DatabaseIdentity1700000000006';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(IDENTITY);
    await runner.query('INSERT INTO database_identity DEFAULT VALUES');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE database_identity');
  }
}

/** All of the event path, for a service's list of migrations. */
export const outboxMigrations = [
  OutboxMigration,
  RelayLeasesMigration,
  OutboxTraceMigration,
  QuarantineNewerMigration,
  DropsDueMigration,
  RelayBatchesMigration,
  DatabaseIdentityMigration,
] as const;

/** One row. */
const IDENTITY = `CREATE TABLE database_identity (
   is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
   id uuid NOT NULL DEFAULT gen_random_uuid()
 )`;

const DROPS_DUE = `CREATE TABLE drops_due (
   consumer text COLLATE "C" NOT NULL,
   aggregate text COLLATE "C" NOT NULL,
   aggregate_version int NOT NULL,
   event jsonb NOT NULL,
   due_at timestamptz(3) NOT NULL,
   PRIMARY KEY (consumer, aggregate, aggregate_version)
 )`;

const LEASES = [
  // Every lease has a token of its own, higher than all before it.
  'CREATE SEQUENCE relay_token',
  `CREATE TABLE relay_leases (
     ranges int NOT NULL,
     nth int NOT NULL,
     holder text COLLATE "C" NOT NULL,
     token bigint NOT NULL UNIQUE,
     until timestamptz NOT NULL,
     again bigint NOT NULL DEFAULT 0,
     PRIMARY KEY (ranges, nth)
   )`,
  // Relays that are there, so that they can share the ranges evenly.
  `CREATE TABLE relays (
     holder text COLLATE "C" PRIMARY KEY,
     ranges int NOT NULL,
     until timestamptz NOT NULL
   )`,
];

const UP = [
  // What this service tells. A row is written with the fact, and marked when the stream has it.
  `CREATE TABLE outbox (
     position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     id uuid NOT NULL,
     type text NOT NULL,
     version int NOT NULL,
     source text NOT NULL,
     aggregate text COLLATE "C" NOT NULL,
     aggregate_version int NOT NULL,
     at timestamptz(3) NOT NULL,
     actor uuid,
     payload jsonb NOT NULL,
     published_at timestamptz(3)
   )`,
  // Two writers who both believe to write an aggregate's next event: one of them fails here.
  `CREATE UNIQUE INDEX outbox_aggregate_version ON outbox (aggregate, aggregate_version)`,
  `CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL`,
  // What this service has heard: the last event of each aggregate, per consumer group.
  `CREATE TABLE inbox (
     consumer text COLLATE "C" NOT NULL,
     aggregate text COLLATE "C" NOT NULL,
     aggregate_version int NOT NULL,
     event_id uuid NOT NULL,
     handled_at timestamptz(3) NOT NULL DEFAULT now(),
     PRIMARY KEY (consumer, aggregate)
   )`,
  // What it has heard and could not handle yet, each aggregate a line of its own.
  `CREATE TABLE quarantine (
     consumer text COLLATE "C" NOT NULL,
     aggregate text COLLATE "C" NOT NULL,
     aggregate_version int NOT NULL,
     event jsonb NOT NULL,
     tries int NOT NULL,
     reason text NOT NULL,
     since timestamptz(3) NOT NULL DEFAULT now(),
     due_at timestamptz(3) NOT NULL,
     PRIMARY KEY (consumer, aggregate, aggregate_version)
   )`,
];
