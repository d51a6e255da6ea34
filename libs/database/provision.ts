import pg from 'pg';
import { DatabaseNotOpened } from './not-opened.js';

/**
 * One PostgreSQL server for all: a database and a role per service, and no role may even connect to another's database.
 * Answers each service's url. Run again it changes nothing but the passwords. `adminUrl` names a superuser, or a role with
 * CREATEDB and CREATEROLE.
 */
export async function provisionServices(
  adminUrl: string,
  services: readonly string[],
  passwords: Readonly<Record<string, string>>,
  options: { readonly prefix?: string } = {},
): Promise<Record<string, string>> {
  const { prefix = 'tributary_' } = options;
  const admin = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 5_000, lock_timeout: 60_000 });
  try {
    await admin.connect();
  } catch (cause) {
    throw new DatabaseNotOpened(`The server of all databases at ${new URL(adminUrl).host}`, 'DATABASE_URL', { cause });
  }
  try {
    // Of several that start together one does it and the others find it done.
    await admin.query(`SELECT pg_advisory_lock(hashtext('tributary provision'))`);
    const urls: Record<string, string> = {};
    for (const service of services) {
      const name = `${prefix}${service}`;
      const password = passwords[service];
      if (!/^[a-z][a-z0-9_]{0,62}$/.test(name))
        throw new Error(`A service is named by [a-z0-9_]; came ${JSON.stringify(name)}`);
      if (!password) throw new Error(`No password for the role of ${service}`);
      await provisionRole(admin, name, password);
      await provisionDatabase(admin, name);
      urls[service] = urlOf(adminUrl, name, password);
    }
    return urls;
  } finally {
    await admin.end();
  }
}

async function provisionRole(admin: pg.Client, name: string, password: string): Promise<void> {
  const { rows } = await admin.query<{ rolsuper: boolean }>('SELECT rolsuper FROM pg_roles WHERE rolname = $1', [name]);
  if (rows[0]?.rolsuper) throw new Error(`The role ${name} is a superuser: it could read every service's tables`);
  const verb = rows.length === 0 ? 'CREATE' : 'ALTER';
  await admin.query(`${verb} ROLE ${name} LOGIN PASSWORD ${admin.escapeLiteral(password)}`);
  // Who is no superuser may give a database only to a role that it is a member of.
  const me = await admin.query<{ rolsuper: boolean }>('SELECT rolsuper FROM pg_roles WHERE rolname = current_user');
  if (!me.rows[0]?.rolsuper) await admin.query(`GRANT ${name} TO CURRENT_USER`);
}

async function provisionDatabase(admin: pg.Client, name: string): Promise<void> {
  const { rows } = await admin.query<{ owner: string }>(
    'SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1',
    [name],
  );
  const owner = rows[0]?.owner;
  if (owner === undefined) await admin.query(`CREATE DATABASE ${name} OWNER ${name}`);
  else if (owner !== name) throw new Error(`The database ${name} is there already and belongs to ${owner}`);
  // PUBLIC may connect to a new database by default.
  await admin.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
}

function urlOf(adminUrl: string, name: string, password: string): string {
  const url = new URL(adminUrl);
  url.username = name;
  url.password = encodeURIComponent(password);
  url.pathname = `/${name}`;
  return url.href;
}
