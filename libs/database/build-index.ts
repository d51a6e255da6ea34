import type { QueryRunner } from 'typeorm';

/**
 * Builds an index on a table that may be large, while others write it: for a migration with `transaction = false`. Whoever is stopped in
 * between leaves an index that is not valid, which the next start drops and builds again. `on`: what stands behind ON. It waits for
 * older transactions for as long as they take and keeps nobody waiting, so it has no deadline.
 */
export async function buildIndex(runner: QueryRunner, name: string, on: string): Promise<void> {
  if (runner.isTransactionActive) throw new Error(`${name}: an index is built in a migration with transaction = false`);
  const [there] = (await runner.query('SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)', [
    name,
  ])) as { valid: boolean }[];
  if (there?.valid) return;
  await runner.query('SET lock_timeout = 0');
  try {
    if (there !== undefined) await runner.query(`DROP INDEX CONCURRENTLY ${name}`);
    await runner.query(`CREATE INDEX CONCURRENTLY ${name} ON ${on}`);
  } finally {
    await runner.query('RESET lock_timeout');
  }
}
