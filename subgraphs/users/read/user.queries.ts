import type { Statements } from '#libs/database';
import { Failure } from '#libs/failure';
import type { Sealer } from '#libs/sealing';
import { EMAIL } from '../sealing.js';
import type { Person } from '../user.js';

/** Who exists of these, by id. Deleted accounts do not, nor those that are being deleted. */
export async function peopleByIds(statements: Statements, ids: readonly string[]): Promise<Map<string, Person>> {
  return byId(
    await statements.query<PersonRow>(
      `SELECT ${COLUMNS} FROM users WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND frozen_at IS NULL`,
      [ids],
    ),
  );
}

/** Who has these handles now: a handle that somebody gave up shows nobody. */
export async function peopleByHandles(
  statements: Statements,
  handles: readonly string[],
): Promise<Map<string, Person>> {
  const rows = await statements.query<PersonRow>(
    `SELECT ${COLUMNS} FROM users
     WHERE (id, handle) IN (SELECT user_id, handle FROM handles WHERE handle = ANY($1::text[])) AND deleted_at IS NULL AND frozen_at IS NULL`,
    [handles],
  );
  return new Map(rows.map((row) => [row.handle, personOf(row)]));
}

/** Everybody in the order they joined, behind `after`. */
export async function peopleAfter(statements: Statements, after: string | undefined, limit: number): Promise<Person[]> {
  const rows = await statements.query<PersonRow>(
    `SELECT ${COLUMNS} FROM users WHERE id > $1 AND deleted_at IS NULL AND frozen_at IS NULL ORDER BY id LIMIT $2`,
    [after ?? '00000000-0000-0000-0000-000000000000', limit],
  );
  return rows.map(personOf);
}

/** For their owners only; never kept. One that cannot be opened fails the call: callers ask for one, the viewer's own. */
export async function emailsOf(
  statements: Statements,
  sealer: Sealer,
  ids: readonly string[],
): Promise<Map<string, string>> {
  const rows = await statements.query<{ id: string; email: string }>(
    'SELECT id, email FROM users WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND frozen_at IS NULL',
    [ids],
  );
  return new Map(rows.map(({ id, email }) => [id, sealer.open(EMAIL, id, email)]));
}

/**
 * Of whoever asks, when nobody is found by their id: throws ACCOUNT_FROZEN where that is because the account is being deleted, which may be
 * taken back. For who is logged out by that, or was never anybody, there is nothing.
 */
export async function requireNotFrozen(statements: Statements, viewer: string): Promise<void> {
  const frozen = await statements.query(
    'SELECT FROM users WHERE id = $1 AND frozen_at IS NOT NULL AND deleted_at IS NULL',
    [viewer],
  );
  if (frozen.length > 0) throw new Failure('ACCOUNT_FROZEN');
}

type PersonRow = Omit<Person, 'joinedAt'> & { readonly joinedAt: Date };

const COLUMNS = 'id, handle, display_name AS "displayName", bio, avatar_url AS "avatarUrl", joined_at AS "joinedAt"';

function byId(rows: readonly PersonRow[]): Map<string, Person> {
  return new Map(rows.map((row) => [row.id, personOf(row)]));
}

function personOf(row: PersonRow): Person {
  return { ...row, joinedAt: row.joinedAt.toISOString() };
}
