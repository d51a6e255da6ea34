import { Query, Resolver } from '@nestjs/graphql';
import { connectionOf, pageArguments, type Connection, type Database } from '#libs/database';
import { globalId, isId, parseGlobalId } from '#libs/identity';
import { requireViewer, type RequestContext } from '#libs/subgraph-kit';
import { readHandle, type Person } from '../user.js';
import { deletionOf, type ShownDeletion } from './deletion.queries.js';
import type { UserLoaders } from './user.loaders.js';
import { peopleAfter, requireNotFrozen } from './user.queries.js';

/** What a client may ask of users. */
@Resolver()
export class QueryResolver {
  readonly #loaders: (context: RequestContext) => UserLoaders;
  readonly #database: Pick<Database, 'until' | 'reader'>;

  constructor(loaders: (context: RequestContext) => UserLoaders, database: Pick<Database, 'until' | 'reader'>) {
    this.#loaders = loaders;
    this.#database = database;
  }

  @Query()
  async me(_: unknown, __: unknown, context: RequestContext): Promise<Person | null> {
    const { viewer, deadline } = context;
    if (viewer === null) return null;
    const person = await this.#loaders(context).people.load(viewer);
    if (person === null) await requireNotFrozen(this.#database.until(deadline), viewer);
    return person;
  }

  @Query()
  async userByHandle(_: unknown, { handle }: { handle: string }, context: RequestContext): Promise<Person | null> {
    return this.#loaders(context).byHandle.load(readHandle(handle));
  }

  /** Never kept: it is asked for to see it move. */
  @Query()
  async accountDeletion(_: unknown, args: { id: string }, context: RequestContext): Promise<ShownDeletion | null> {
    const viewer = requireViewer(context);
    const deletion = await deletionOf(
      this.#database.until(context.deadline),
      parseGlobalId('deletion', args.id),
      viewer,
    );
    return deletion && { ...deletion, id: globalId('deletion', deletion.id) };
  }

  @Query()
  async users(
    _: unknown,
    args: { first?: number | null; after?: string | null },
    context: RequestContext,
  ): Promise<Connection<Person>> {
    const { first, after } = pageArguments(args, 1, ([id = '']) => isId(id));
    const people = await peopleAfter(this.#database.reader(context), after?.[0], first + 1);
    return connectionOf(
      people,
      first,
      ({ id }) => [id],
      (person) => person,
    );
  }
}
