import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateUsers1763600000002 implements MigrationInterface {
  name = 'CreateUsers1763600000002';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE users (
        id uuid CONSTRAINT users_pkey PRIMARY KEY,
        handle text COLLATE "C" NOT NULL,
        display_name text NOT NULL,
        bio text NOT NULL DEFAULT '',
        avatar_url text,
        email text NOT NULL,
        password_hash text NOT NULL,
        joined_at timestamptz(3) NOT NULL,
        deleted_at timestamptz(3),
        version integer NOT NULL CONSTRAINT users_version CHECK (version >= 0)
      )`);
    // By handle one comes through here: its primary key is what makes handles unique, for all time.
    await runner.query(`
      CREATE TABLE handles (
        handle text COLLATE "C" CONSTRAINT handles_pkey PRIMARY KEY,
        user_id uuid NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['handles', 'users']) await runner.query(`DROP TABLE ${table}`);
  }
}
