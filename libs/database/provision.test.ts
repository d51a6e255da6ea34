import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { withServer } from '../../test/servers/needs.js';
import { tables } from './database.contract.js';
import { openDatabase, provisionServices, type Database } from './index.js';

const SERVICES = ['users', 'posts', 'followers'];

withServer('postgres', 'three services on one PostgreSQL server', (adminUrl) => {
  const prefix = `t${randomUUID().slice(0, 8)}_`;
  const passwords = { users: 'one', posts: "p'ö@st/s:%", followers: 'three' };
  let admin: Database;
  let urls: Record<string, string>;

  beforeAll(async () => {
    admin = await openDatabase({ service: 'admin', url: adminUrl, entities: [], migrations: [] });
    urls = await provisionServices(adminUrl, SERVICES, passwords, { prefix });
    for (const service of SERVICES) await opened(service).then((database) => database.close());
  });

  afterAll(async () => {
    for (const service of SERVICES) {
      await admin.query(`DROP DATABASE IF EXISTS ${prefix}${service} WITH (FORCE)`);
      await admin.query(`DROP ROLE IF EXISTS ${prefix}${service}`);
    }
    await admin.close();
  });

  const opened = (service: string, url = urls[service]) => openDatabase({ service, url, ...tables });
  const elsewhere = (service: string, database: string): string => {
    const url = new URL(urls[service]!);
    url.pathname = `/${prefix}${database}`;
    return url.href;
  };

  it('give each a role that owns its database and is no superuser', async () => {
    const database = await opened('posts');
    const [row] = await database.query(
      `SELECT current_user AS me, pg_get_userbyid(datdba) AS owner, rolsuper OR rolcreaterole OR rolcreatedb AS mighty
       FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`,
    );
    expect(row).toEqual({ me: `${prefix}posts`, owner: `${prefix}posts`, mighty: false });
    await database.close();
  });

  it.each(SERVICES.flatMap((one) => SERVICES.filter((other) => other !== one).map((other) => [one, other] as const)))(
    'refuse the role of %s the database of %s',
    async (one, other) => {
      await expect(opened(one, elsewhere(one, other))).rejects.toThrow('permission denied for database');
    },
  );

  it('refuse it the tables too, where somebody let it connect', async () => {
    await admin.query(`GRANT CONNECT ON DATABASE ${prefix}posts TO ${prefix}users`);
    const intruder = openDatabase({ service: 'users', url: elsewhere('users', 'posts'), entities: [], migrations: [] });
    // It cannot even keep its list of migrations there, nor read what is there.
    await expect(intruder).rejects.toThrow('permission denied for schema public');
    await admin.query(`REVOKE CONNECT ON DATABASE ${prefix}posts FROM ${prefix}users`);
  });

  it('leave what is stored as it is when it is done again, and take a new password', async () => {
    const before = await opened('users');
    await before.query('INSERT INTO accounts VALUES (1, 1) ON CONFLICT DO NOTHING');
    await before.close();
    const again = await Promise.all(
      [1, 2, 3].map(() => provisionServices(adminUrl, SERVICES, { ...passwords, users: 'new' }, { prefix })),
    );
    const after = await opened('users', again[0]!['users']);
    expect(await after.query('SELECT * FROM accounts')).toEqual([{ id: 1, balance: 1 }]);
    await after.close();
  });

  it('may be made by a role that is no superuser', async () => {
    const name = `${prefix}admin`;
    await admin.query(`CREATE ROLE ${name} LOGIN CREATEDB CREATEROLE PASSWORD 'x'`);
    const url = new URL(adminUrl);
    url.username = name;
    url.password = 'x';
    const made = await provisionServices(url.href, ['likes'], { likes: 'y' }, { prefix });
    await openDatabase({ service: 'likes', url: made['likes'], ...tables }).then((database) => database.close());
    for (const statement of [`DROP DATABASE ${prefix}likes`, `DROP ROLE ${prefix}likes`, `DROP ROLE ${name}`])
      await admin.query(statement);
  });

  it.each([
    ['a name that is no name', ['users; DROP TABLE x'], { 'users; DROP TABLE x': 'y' }, 'named by'],
    ['no password', ['users'], {}, 'No password for the role of users'],
    ['a database that belongs to somebody else', ['taken'], { taken: 'y' }, 'is there already and belongs to postgres'],
  ])('are not made with %s', async (_, services, given, message) => {
    await admin.query(`CREATE DATABASE ${prefix}taken`).catch(() => {});
    await expect(provisionServices(adminUrl, services, given as Record<string, string>, { prefix })).rejects.toThrow(
      message,
    );
    await admin.query(`DROP DATABASE ${prefix}taken`);
    await admin.query(`DROP ROLE IF EXISTS ${prefix}taken`);
  });
});
