import type { Database } from '#libs/database';
import { LATE, othersOfNow } from './late.js';
import type { Part, Slice } from './part.js';

/** What accounts that are gone may have left in a service: its older versions erased less. SQL written by us. */
export interface LeftBehind<Step extends string> {
  /** The next accounts behind $1 that are gone and have left something, by id, at most $2. */
  readonly accounts: string;
  /** What erases an account; done again it finds what is left. */
  readonly step: Step;
  readonly slice: Slice<Step>;
}

type Store = Pick<Database, 'query' | 'transaction'>;

/** Accounts of one look. */
const CHUNK = 200;

/**
 * Finds the accounts that have left something and, where that is asked for, erases it, a slice per transaction. Whoever is killed is gone
 * on with by whoever calls next: what was erased is not found again. Answers how many accounts there were.
 */
export async function eraseLeftBehind<Step extends string>(
  database: Store,
  { accounts, step, slice }: LeftBehind<Step>,
  { mend }: { readonly mend: boolean },
): Promise<number> {
  let found = 0;
  for (let after = NIL; ;) {
    const some = await database.query<{ id: string }>(accounts, [after, CHUNK]);
    const erase = async (id: string, from: string): Promise<string | undefined> => {
      const part: Omit<Part<Step>, 'cursor'> = { deletionId: id, userId: id, saga: 'choreographed', step };
      let cursor: string | undefined = from;
      do {
        const at: string = cursor;
        cursor = await database.transaction((tx) => slice(tx, { ...part, cursor: at }));
      } while (cursor !== undefined && cursor !== LATE);
      return cursor;
    };
    const late: string[] = [];
    for (const { id } of mend ? some : []) if ((await erase(id, '')) === LATE) late.push(id);
    // What each of them had left is gone by now, so whoever is waited for is the same for all: the first waits, the others find it over.
    const moment = late.length === 0 ? '' : await database.transaction((tx) => othersOfNow(tx, ''));
    for (const id of late) await erase(id, `${LATE} ${moment}`);
    found += some.length;
    const last = some.at(-1);
    if (last === undefined || some.length < CHUNK) return found;
    after = last.id;
  }
}

const NIL = '00000000-0000-0000-0000-000000000000';
