import type pg from 'pg';
import type { Deadline } from '#libs/failure';
import { sqlState } from './trouble.js';

/** Sends one statement on a connection of the pool. `check` looks at the connection first, and may refuse it by an error. */
export async function oneStatement<Row>(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[] | undefined,
  deadline: Deadline | undefined,
  check?: (client: pg.PoolClient) => Promise<void>,
): Promise<Row[]> {
  deadline?.require();
  const client = await pool.connect();
  try {
    deadline?.require();
  } catch (error) {
    client.release();
    throw error;
  }
  try {
    if (check !== undefined) await check(client);
    const rows = await rowsOf<Row>(client, text, values);
    client.release();
    return rows;
  } catch (error) {
    // A refused statement leaves a good connection. pool.query() would throw it away, and its prepared statements.
    client.release(sqlState(error) === undefined ? (error as Error) : undefined);
    throw error;
  }
}

export async function rowsOf<Row>(
  client: pg.ClientBase,
  text: string,
  values: readonly unknown[] | undefined,
): Promise<Row[]> {
  const result = await client.query(text, values as unknown[] | undefined);
  return result.rows as Row[];
}
