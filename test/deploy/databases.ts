import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { provisionServices } from '#libs/database';

const SERVICES = ['users', 'posts', 'followers'] as const;

/** A database and a role for each service on the tests' server, until `drop`. */
export async function provision(
  adminUrl: string,
  passwordOf: (service: string) => string,
): Promise<{ urls: Readonly<Record<string, string>>; drop(): Promise<void> }> {
  const prefix = `deploy_${randomBytes(4).toString('hex')}_`;
  const passwords = Object.fromEntries(SERVICES.map((service) => [service, passwordOf(service)]));
  const urls = await provisionServices(adminUrl, SERVICES, passwords, { prefix });
  const drop = async (): Promise<void> => {
    const admin = new pg.Client({ connectionString: adminUrl });
    await admin.connect();
    for (const service of SERVICES) {
      await admin.query(`DROP DATABASE ${prefix}${service} WITH (FORCE)`);
      await admin.query(`DROP ROLE ${prefix}${service}`);
    }
    await admin.end();
  };
  return { urls, drop };
}
