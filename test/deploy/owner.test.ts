import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openDatabase } from '#libs/database';
import { silent } from '#libs/telemetry';
import { usersTables } from '../../subgraphs/users/users.tables.js';
import { withServer } from '../servers/needs.js';
import { findPostgres, startPostgres, type PostgresServer } from '../servers/postgres.js';
import { readCompose, variablesOf } from './compose-file.js';
import { secretsFor } from './secrets.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

withServer('postgres', 'a database that docker-compose.yml makes', () => {
  const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
  const { services } = readCompose(text, secretsFor(variablesOf(text)));
  const { environment, volumes } = services['users-db']!;
  const script = volumes.find((volume) => volume.includes(':/docker-entrypoint-initdb.d/'))!.split(':')[0]!;
  const PASSWORD = environment['POSTGRES_PASSWORD']!;
  let server: PostgresServer;
  /** Could a service be the superuser, by the password that it has? */
  let before: boolean;

  const connect = async (user: string, password: string, database: string): Promise<pg.Client> => {
    const client = new pg.Client({ host: '127.0.0.1', port: server.port, user, password, database });
    await client.connect();
    return client;
  };

  const mayConnect = (password: string): Promise<boolean> =>
    connect('postgres', password, 'postgres').then(
      (client) => client.end().then(() => true),
      () => false,
    );

  beforeAll(async () => {
    server = await startPostgres();
    const admin = await connect('postgres', '', 'postgres');
    // As the image does before it runs what lies in /docker-entrypoint-initdb.d, and has it in pg_hba.conf for whoever comes over the network.
    await admin.query(`ALTER ROLE postgres PASSWORD ${admin.escapeLiteral(PASSWORD)}`);
    await admin.query(`CREATE DATABASE ${environment['POSTGRES_DB']}`);
    writeFileSync(join(server.dataDir, 'pg_hba.conf'), 'host all all all scram-sha-256\n');
    await admin.query('SELECT pg_reload_conf()');
    await admin.end();
    const end = Date.now() + 30_000;
    while ((await mayConnect('')) && Date.now() < end);
    before = await mayConnect(PASSWORD);
    execFileSync(join(root, script), {
      env: {
        ...environment,
        PATH: `${findPostgres()}${delimiter}${process.env['PATH']}`,
        // The image listens at a socket meanwhile, where nobody needs a password.
        PGHOST: '127.0.0.1',
        PGPORT: String(server.port),
        PGPASSWORD: PASSWORD,
      },
      stdio: 'pipe',
    });
  });
  afterAll(() => server?.stop());

  it('is owned by a role that its service connects as, and that may do nothing else on that server', async () => {
    const url = new URL(services['users']!.environment['DATABASE_URL']!);
    url.host = `127.0.0.1:${server.port}`;
    const database = await openDatabase({ service: 'users', url: url.href, ...usersTables, logger: silent });
    try {
      const [role] = await database.query(
        'SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS mighty FROM pg_roles WHERE rolname = current_user',
      );
      expect(role).toEqual({ mighty: false });
      const [{ owner }] = (await database.query(
        'SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()',
      )) as [{ owner: string }];
      expect(owner).toBe('users');
      // Migrated it is.
      expect(await database.query('SELECT 1 FROM users LIMIT 1')).toEqual([]);
      for (const statement of [
        'CREATE DATABASE other',
        'CREATE ROLE other',
        `COPY users TO '/tmp/x'`,
        'ALTER SYSTEM SET work_mem = 1',
      ])
        await expect(database.query(statement)).rejects.toThrow(/permission denied|must be superuser/);
    } finally {
      await database.close();
    }
    for (const other of ['postgres', 'template1'])
      await expect(connect('users', PASSWORD, other)).rejects.toThrow('permission denied for database');
  });

  it('lets nobody be its superuser over the network; control: before the script the password that the service has did', async () => {
    expect([before, await mayConnect(PASSWORD), await mayConnect('')]).toEqual([true, false, false]);
    await expect(connect('users', 'wrong', 'users')).rejects.toThrow('password authentication failed');
  });
});
