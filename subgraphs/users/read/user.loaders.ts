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
  /** As `cache`, but keeps nothing: for who must not be shown what is kept. */
  source: UserCache;
  /** Whether `cache` keeps anything. */
  cached: boolean;
}): (context: RequestContext) => UserLoaders {
  const { database, sealer } = parts;
  return perRequest<UserLoaders, RequestContext>((context) => {
    const { fresh } = context;
    const cache = fresh ? parts.source : parts.cache;
    const own = database.reader(context);
    // What the cache loads, others may wait for as well, and longer; and it may not be older than what was dropped.
    const find: ReturnType<typeof byKeys> =
      fresh || !parts.cached ? byKeys(database, context, own) : (keys, load) => load(database, keys);
    const people = keyed<string, Person>((ids) => cache.byId.getMany(ids, (missing) => find(missing, peopleByIds)));
    const byHandle = keyed<string, Person>(async (handles) => {
      const ids = await cache.byHandle.getMany(handles, async (missing) => {
        const found = await find(missing, peopleByHandles);
        // The same statement brought the person: whoever asked does not ask again.
        for (const person of found.values()) people.prime(person.id, person);
        return new Map([...found].map(([handle, { id }]) => [handle, id]));
      });
      const found = await people.loadMany([...ids.values()]);
      return new Map(found.flatMap((person) => (isPerson(person) ? [[person.handle, person]] : [])));
    });
    const emails = keyed<string, string>((ids) => emailsOf(own, sealer, ids));
    return { people, byHandle, emails };
  });
}

function isPerson(found: Person | Error | null): found is Person {
  if (found instanceof Error) throw found;
  return found !== null;
}
