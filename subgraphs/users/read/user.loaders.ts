import { byKeys, type Database } from '#libs/database';
import { keyed, perRequest, type Loader } from '#libs/loader';
import type { Sealer } from '#libs/sealing';
import type { RequestContext } from '#libs/subgraph-kit';
import type { Person } from '../user.js';
import type { UserCache } from '../user.cache.js';
import { emailsOf, peopleByHandles, peopleByIds } from './user.queries.js';

/** The loaders of one request, so of one viewer. */
export interface UserLoaders {
  readonly people: Loader<string, Person | null>;
  readonly byHandle: Loader<string, Person | null>;
  readonly emails: Loader<string, string | null>;
}

export function userLoaders(parts: {
  database: Pick<Database, 'query' | 'reader'>;
  sealer: Sealer;
  cache: UserCache;
  /** Whether `cache` keeps anything. Who must not be shown what is kept is answered past it. */
  cached: boolean;
}): (context: RequestContext) => UserLoaders {
  const { database, sealer, cache } = parts;
  return perRequest<UserLoaders, RequestContext>((context) => {
    const { fresh } = context;
    const find = byKeys(database, context, database.reader(context));
    const emails = keyed<string, string>((ids) => find(ids, (from, missing) => emailsOf(from, sealer, missing)));
    // The statement that finds people by their handles brings them: whoever asked does not ask again. What was read by id before may be of an older moment.
    const known = (people: Loader<string, Person | null>, found: Iterable<Person | Error>): void => {
      for (const person of found) if (!(person instanceof Error)) people.clear(person.id).prime(person.id, person);
    };
    if (fresh || !parts.cached) {
      const people = keyed<string, Person>((ids) => find(ids, peopleByIds));
      const byHandle = keyed<string, Person>(async (handles) => {
        const found = await find(handles, peopleByHandles);
        known(people, found.values());
        return found;
      });
      return { people, byHandle, emails };
    }
    // What the cache loads, others may wait for as well, and longer; and it may not be older than what was dropped.
    const people = keyed<string, Person>((ids) => cache.byId.getMany(ids, (missing) => peopleByIds(database, missing)));
    const byHandle = keyed<string, Person>(async (handles) => {
      const ids = await cache.byHandle.getMany(handles, async (missing) => {
        const found = await peopleByHandles(database, missing);
        known(people, found.values());
        return new Map([...found].map(([handle, { id }]) => [handle, id]));
      });
      const found = await people.loadMany([...ids.values()]);
      return new Map(found.flatMap((person) => (isPerson(person) ? [[person.handle, person]] : [])));
    });
    return { people, byHandle, emails };
  });
}

function isPerson(found: Person | Error | null): found is Person {
  if (found instanceof Error) throw found;
  return found !== null;
}
