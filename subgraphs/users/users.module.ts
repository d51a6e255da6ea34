import type { DynamicModule } from '@nestjs/common';
import type { Cache } from '#libs/cache';
import type { Database } from '#libs/database';
import type { AssertionVerifier, TokenIssuer } from '#libs/identity';
import type { Handlers } from '#libs/outbox';
import { subgraphModule } from '#libs/subgraph-kit';
import type { Clock, Logger } from '#libs/telemetry';
import { onOwnEvent } from './on/own-events.js';
import { jwksController } from './read/jwks.controller.js';
import { QueryResolver } from './read/query.resolver.js';
import { userLoaders } from './read/user.loaders.js';
import { UserResolver } from './read/user.resolver.js';
import { UserCache } from './user.cache.js';
import { DeleteAccount } from './write/delete-account.js';
import { EditProfile } from './write/edit-profile.js';
import { LogIn } from './write/log-in.js';
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
  'user-deleted': onOwnEvent,
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
      { provide: QueryResolver, useValue: new QueryResolver(loaders, database) },
    ],
  });
}
