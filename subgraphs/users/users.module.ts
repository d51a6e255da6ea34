import type { DynamicModule } from '@nestjs/common';
import type { Cache } from '#libs/cache';
import type { Database } from '#libs/database';
import type { AssertionVerifier, TokenIssuer } from '#libs/identity';
import type { Handlers } from '#libs/outbox';
import { subgraphModule } from '#libs/subgraph-kit';
import type { Clock, Logger } from '#libs/telemetry';
import {
  blockEnded,
  blockStarted,
  followEnded,
  followStarted,
  postDeleted,
  postLiked,
  postPublished,
  postUnliked,
  userDeleted,
} from './on/notify.js';
import { onOwnEvent } from './on/own-events.js';
import { jwksController } from './read/jwks.controller.js';
import { NotificationResolver } from './read/notification.resolver.js';
import { unreadCountOf } from './read/notification.queries.js';
import { QueryResolver } from './read/query.resolver.js';
import { userLoaders } from './read/user.loaders.js';
import { UserResolver } from './read/user.resolver.js';
import { UserCache } from './user.cache.js';
import { DeleteAccount } from './write/delete-account.js';
import { EditProfile } from './write/edit-profile.js';
import { LogIn } from './write/log-in.js';
import { markNotificationsRead } from './write/mark-notifications-read.js';
import type { Passwords } from './write/passwords.js';
import { SignUp } from './write/sign-up.js';
import { UserMutations } from './write/user.mutations.js';

export interface UsersParts {
  readonly database: Database;
  readonly cache: Cache;
  readonly tokens: TokenIssuer;
  readonly passwords: Passwords;
  readonly assertions: AssertionVerifier;
  readonly logger: Logger;
  readonly clock: Clock;
}

export const HEARD: Handlers = {
  'user-registered': onOwnEvent,
  'profile-edited': onOwnEvent,
  'user-deleted': userDeleted,
  'follow-started': followStarted,
  'follow-ended': followEnded,
  'block-started': blockStarted,
  'block-ended': blockEnded,
  'post-published': postPublished,
  'post-deleted': postDeleted,
  'post-liked': postLiked,
  'post-unliked': postUnliked,
};

export function usersModule({
  database,
  cache,
  tokens,
  passwords,
  assertions,
  logger,
  clock,
}: UsersParts): DynamicModule {
  const userCache = new UserCache(cache);
  database.afterCommit((events) => cache.drop(events.flatMap((event) => userCache.staleKeys(event))));

  const writes = {
    signUp: new SignUp({ database, passwords, clock }),
    logIn: new LogIn({ database, passwords }),
    editProfile: new EditProfile({ database, clock }),
    deleteAccount: new DeleteAccount({ database, passwords, clock }),
    markNotificationsRead: async (viewer: string, upTo: string | undefined) => {
      await markNotificationsRead(database, viewer, upTo);
      return unreadCountOf(database, viewer);
    },
  };
  const loaders = userLoaders({ database, cache: userCache });

  return subgraphModule({
    name: 'users',
    schemaPath: new URL('./schema.graphql', import.meta.url),
    assertions,
    logger,
    ready: () => database.query('SELECT 1'),
    controllers: [jwksController(tokens)],
    open: ['/.well-known/jwks.json'],
    providers: [
      // write
      { provide: UserMutations, useValue: new UserMutations(writes, tokens) },
      // read
      { provide: UserResolver, useValue: new UserResolver(loaders) },
      { provide: NotificationResolver, useValue: new NotificationResolver(loaders, database) },
      { provide: QueryResolver, useValue: new QueryResolver(loaders, database) },
    ],
  });
}
