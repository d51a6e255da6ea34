import type { DynamicModule } from '@nestjs/common';
import type { TokenIssuer } from '#libs/identity';
import type { Saga } from '#libs/saga';
import type { Sealer } from '#libs/sealing';
import { subgraphModule, writingFor, type Copies, type ModuleParts, type Writable } from '#libs/subgraph-kit';
import type { Patience } from './deletion.store.js';
import { deletionOf } from './read/deletion.queries.js';
import { endedSessionsController } from './read/ended-sessions.controller.js';
import { jwksController } from './read/jwks.controller.js';
import { NotificationResolver } from './read/notification.resolver.js';
import { unreadCountOf } from './read/notification.queries.js';
import { QueryResolver } from './read/query.resolver.js';
import { userLoaders } from './read/user.loaders.js';
import { UserResolver } from './read/user.resolver.js';
import { staleEntities, UserCache } from './user.cache.js';
import { ChangePassword } from './write/change-password.js';
import { DeleteAccount } from './write/delete-account.js';
import { EditProfile } from './write/edit-profile.js';
import { generationOf } from './write/end-sessions.js';
import { LogIn } from './write/log-in.js';
import { LogOut } from './write/log-out.js';
import { markNotificationsRead } from './write/mark-notifications-read.js';
import type { Passwords } from './write/passwords.js';
import { SignUp } from './write/sign-up.js';
import type { Throttle } from './write/throttle.js';
import { UserMutations, type Writes } from './write/user.mutations.js';

export interface UsersParts extends ModuleParts {
  readonly tokens: TokenIssuer;
  readonly sealer: Sealer;
  readonly passwords: Passwords;
  readonly saga: Saga;
  readonly patience: Patience;
  readonly throttle: Throttle;
}

export function usersModule({
  database,
  cache,
  cached,
  entities,
  tokens,
  sealer,
  passwords,
  throttle,
  assertions,
  logger,
  clock,
  steady,
  consistency,
  needs,
  saga,
  patience,
}: UsersParts): DynamicModule {
  const userCache = new UserCache(cache);
  database.afterCommit(async (events) => {
    await cache.drop(events.flatMap((event) => userCache.staleKeys(event)));
    await entities.drop(events.flatMap(staleEntities), events);
  });

  const writes = (tellable: Writable): Writes => ({
    signUp: new SignUp({ database: tellable, sealer, passwords, throttle, clock }),
    logIn: new LogIn({ database: tellable, passwords, throttle }),
    logOut: new LogOut({ database: tellable, clock }),
    changePassword: new ChangePassword({ database: tellable, passwords, throttle, clock }),
    editProfile: new EditProfile({ database: tellable, throttle, clock }),
    deleteAccount: new DeleteAccount({ database: tellable, passwords, throttle, clock, saga, patience }),
    markNotificationsRead: async (viewer: string, upTo: string | undefined) => {
      await markNotificationsRead(tellable, viewer, upTo);
      return (await unreadCountOf(database, viewer)) ?? 0;
    },
    again: (run) => tellable.again(run),
  });
  const loaders = userLoaders({
    database,
    sealer,
    cache: userCache,
    cached,
  });

  return subgraphModule({
    name: 'users',
    schemaPath: new URL('./schema.graphql', import.meta.url),
    assertions,
    logger,
    clock: steady,
    consistency,
    copies: COPIES,
    needs,
    controllers: [jwksController(tokens), endedSessionsController(database)],
    open: ['/.well-known/jwks.json'],
    providers: [
      // write
      {
        provide: UserMutations,
        useValue: new UserMutations(
          (context) => writes(writingFor(database, context)),
          tokens,
          (id, owner) => deletionOf(database, id, owner),
          (id) => generationOf(database, id),
        ),
      },
      // read
      { provide: UserResolver, useValue: new UserResolver(loaders) },
      { provide: NotificationResolver, useValue: new NotificationResolver(loaders, database) },
      { provide: QueryResolver, useValue: new QueryResolver(loaders, database) },
    ],
  });
}

/**
 * Notifications are made of what posts and followers tell. A post of one's own and a block take some away; a like and a follow make them for
 * others only.
 */
const COPIES: Copies = {
  'Query.me': [],
  'Query.userByHandle': [],
  'Query.users': [],
  'Query.accountDeletion': [],
  'Query.notifications': ['post', 'relation'],
  'Query.unreadNotificationCount': ['post', 'relation'],
  'Mutation.signUp': [],
  'Mutation.logIn': [],
  'Mutation.logOut': [],
  'Mutation.changePassword': [],
  'Mutation.editProfile': [],
  'Mutation.deleteAccount': [],
  'Mutation.markNotificationsRead': ['post', 'relation'],
  User: [],
};
