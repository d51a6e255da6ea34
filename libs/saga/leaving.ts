import type { Statements } from '#libs/database';
import { Failure, noAccount } from '#libs/failure';

/**
 * What somebody is told in whose name a service that takes part does nothing, because their account is frozen there: ACCOUNT_FROZEN as long
 * as it may come back. Once this service has been asked to erase it, it cannot any more, and users knows of no account; erasing may take
 * long, and nobody is told another thing before and after its last slice. `erasing`: the step that has no way back.
 */
export async function whyNothingIsDone(
  statements: Statements,
  userId: string,
  erasing: 'erase-posts' | 'erase-follows',
): Promise<Failure> {
  const isErased = await statements.query('SELECT FROM deletion_parts WHERE user_id = $1 AND step = $2 LIMIT 1', [
    userId,
    erasing,
  ]);
  return isErased.length > 0 ? noAccount() : new Failure('ACCOUNT_FROZEN');
}
