import type { Database } from '#libs/database';
import { parseGlobalId } from '#libs/identity';
import type { Person, World } from '../world.js';

/** From now on a service begins its steps, or one of them, and does not come to them. Answers how it goes on. */
export async function hold(database: Database, step?: string): Promise<() => Promise<void>> {
  await database.query(
    `CREATE FUNCTION held_by_test() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN NEW.due_at = now() + interval '1 hour'; RETURN NEW; END $$`,
  );
  await database.query(
    step === undefined
      ? `CREATE TRIGGER held_by_test BEFORE INSERT ON deletion_parts FOR EACH ROW EXECUTE FUNCTION held_by_test()`
      : `CREATE TRIGGER held_by_test BEFORE INSERT OR UPDATE ON deletion_parts FOR EACH ROW
         WHEN (NEW.step = '${step}') EXECUTE FUNCTION held_by_test()`,
  );
  return async () => {
    await database.query('DROP TRIGGER held_by_test ON deletion_parts');
    await database.query('DROP FUNCTION held_by_test()');
    await database.query('UPDATE deletion_parts SET due_at = now()');
  };
}

/** Until posts and followers have heard that the account is frozen. */
export async function untilFrozen(world: World, { id }: Person): Promise<void> {
  const uuid = parseGlobalId('user', id);
  for (;;) {
    const [one] = await world.posts.database.query(`SELECT FROM people WHERE id = $1 AND state = 'frozen'`, [uuid]);
    const [other] = await world.followers.database.query(`SELECT FROM people WHERE user_id = $1 AND state = 'frozen'`, [
      uuid,
    ]);
    if (one !== undefined && other !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
