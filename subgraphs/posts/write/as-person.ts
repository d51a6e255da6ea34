import type { Database, Tx } from '#libs/database';
import { Failure, noAccount } from '#libs/failure';
import { timeOf } from '#libs/identity';
import { whyNothingIsDone } from '#libs/saga';
import type { Clock } from '#libs/telemetry';

/** What every write needs of the world. */
export interface Writing {
  readonly database: Pick<Database, 'query' | 'transaction'>;
  readonly clock: Clock;
  /** Its time is the post's `createdAt`, its shard the author's. */
  readonly newPostId: (authorId: string) => string;
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * Runs `work` in one transaction in which the person cannot be deleted. Whoever changes the person's row (`post_count`) holds
 * it `to change`; the others only keep it from being deleted, so a person's likes do not wait for each other.
 *
 * A person who signed up a moment ago may act before we heard of them; the id tells its age. So an unheard id younger than
 * 5 s is waited for, 500 ms at the most. Who is unheard of then is told to come again, whatever the id's age: only users can say that
 * there is no such account, and events may have stood still since it was made. Told UNAUTHENTICATED, a client would log them out.
 */
export async function asPerson<T>(
  writing: Writing,
  viewer: string,
  hold: 'to keep' | 'to change',
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  const { database, clock, pause } = writing;
  const attempt = () =>
    database.transaction(async (tx) => {
      await holdPerson(tx, viewer, hold);
      return work(tx);
    });

  const began = clock();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const young = clock() - timeOf(viewer) < YOUNG_MS;
      if (!(error instanceof Unheard) || !young || clock() - began >= WAIT_MS_MAX) throw error;
    }
    await pause(POLL_MS);
  }
}

const YOUNG_MS = 5_000;
const WAIT_MS_MAX = 500;
const POLL_MS = 20;

class Unheard extends Failure {}

async function holdPerson(tx: Tx, id: string, hold: 'to keep' | 'to change'): Promise<void> {
  const [person] = await tx.query<{ state: string }>(
    `SELECT state FROM people WHERE id = $1 FOR ${hold === 'to keep' ? 'KEY SHARE' : 'NO KEY UPDATE'}`,
    [id],
  );
  if (person === undefined) throw new Unheard('NOT_CAUGHT_UP', 'Posts has not heard of the person who writes.');
  if (person.state === 'frozen') throw await whyNothingIsDone(tx, id, 'erase-posts');
  if (person.state !== 'registered') throw noAccount();
}
