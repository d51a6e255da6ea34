import type { MigrationInterface, QueryRunner } from 'typeorm';

/** One row for each read model of a service: which of its two versions answers, and how far the other one is built. */
export class ReadModelMigration implements MigrationInterface {
  readonly name = 'ReadModels1763680000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE read_models (
         name text COLLATE "C" CONSTRAINT read_models_pk PRIMARY KEY,
         serving smallint NOT NULL DEFAULT 1,
         building smallint,
         phase text NOT NULL DEFAULT 'idle',
         cursor uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
         done bigint NOT NULL DEFAULT 0,
         differing bigint NOT NULL DEFAULT 0,
         began_at timestamptz(3),
         refreshed_at timestamptz(3),
         CONSTRAINT read_models_versions CHECK (serving IN (1, 2) AND building IN (1, 2) AND building <> serving),
         CONSTRAINT read_models_phase CHECK (phase IN ('idle', 'filling', 'comparing'))
       )`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE read_models');
  }
}
