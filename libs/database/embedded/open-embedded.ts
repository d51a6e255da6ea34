import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { closePglite, openPglite } from './pglite.js';
import { PgliteSocket, Session } from './pglite-socket.js';
import { copyTemplate } from './template.js';
import { messageOf } from '../trouble.js';

export interface Embedded {
  readonly stream: () => PgliteSocket;
  close(): Promise<void>;
}

/** The service's own PostgreSQL, in this process, as the service's own role: a role that owns its database and may tidy it up, and no more. */
export async function openEmbedded(dataDir: string, service: string): Promise<Embedded> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(service))
    throw new Error(`A service is named by [a-z0-9_]; came ${JSON.stringify(service)}`);
  const folder = resolve(join(dataDir, service));
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await copyTemplate(folder);
  const pglite = await openPglite(folder);
  try {
    await becomeRole(pglite, service);
  } catch (cause) {
    await closePglite(pglite);
    throw new Error(`No role ${service} in ${folder}: ${messageOf(cause)}`);
  }
  const session = new Session(pglite);
  return { stream: () => new PgliteSocket(session), close: () => closePglite(pglite) };
}

async function becomeRole(pglite: PGlite, role: string): Promise<void> {
  const { rows } = await pglite.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
  if (rows.length === 0) {
    await pglite.exec(
      `CREATE ROLE ${role} LOGIN; ALTER DATABASE postgres OWNER TO ${role}; ALTER SCHEMA public OWNER TO ${role}`,
    );
  }
  // Nobody else vacuums there, or writes checkpoints.
  await pglite.exec(`GRANT pg_checkpoint, pg_maintain TO ${role}; SET SESSION AUTHORIZATION ${role}`);
}
