import { Query, ResolveField, Resolver } from '@nestjs/graphql';
import { connectionOf, pageArguments, type Connection, type Database } from '#libs/database';
import { globalId, isId } from '#libs/identity';
import { requireViewer, type RequestContext } from '#libs/subgraph-kit';
import type { Person } from '../user.js';
import { notificationsOf, unreadCountOf, type Notification } from './notification.queries.js';
import type { UserLoaders } from './user.loaders.js';

@Resolver('Notification')
export class NotificationResolver {
  readonly #loaders: (context: RequestContext) => UserLoaders;
  readonly #database: Pick<Database, 'query' | 'until'>;

  constructor(loaders: (context: RequestContext) => UserLoaders, database: Pick<Database, 'query' | 'until'>) {
    this.#loaders = loaders;
    this.#database = database;
  }

  @Query()
  async notifications(
    _: unknown,
    args: { first?: number | null; after?: string | null },
    context: RequestContext,
  ): Promise<Connection<Notification>> {
    const viewer = requireViewer(context);
    const { first, after } = pageArguments(
      args,
      3,
      ([list, of, id = '']) => list === 'notifications' && of === viewer && isId(id),
    );
    const found = await notificationsOf(this.#database.until(context.deadline), viewer, {
      after: after?.[2],
      take: first + 1,
    });
    return connectionOf(
      found,
      first,
      ({ id }) => ['notifications', viewer, id],
      (notification) => notification,
    );
  }

  @Query()
  async unreadNotificationCount(_: unknown, __: unknown, context: RequestContext): Promise<number | null> {
    return context.viewer === null ? null : unreadCountOf(this.#database.until(context.deadline), context.viewer);
  }

  @ResolveField()
  id({ id }: Notification): string {
    return globalId('notification', id);
  }

  @ResolveField()
  kind({ kind }: Notification): string {
    return kind.toUpperCase();
  }

  @ResolveField()
  async actor({ actorId }: Notification, _: unknown, context: RequestContext): Promise<Person | null> {
    return this.#loaders(context).people.load(actorId);
  }

  /** posts says whether it is there, and whether the viewer may see it. */
  @ResolveField()
  post({ postId }: Notification): { __typename: 'Post'; id: string } | null {
    return postId === null ? null : { __typename: 'Post', id: globalId('post', postId) };
  }
}
