import type { DynamicModule } from '@nestjs/common';
import type { Asker } from '#libs/database';
import { subgraphModule, writingFor, type Copies, type ModuleParts, type RequestContext } from '#libs/subgraph-kit';
import { RelationCache, staleEntities } from './relation.cache.js';
import { relationLoaders } from './read/relation.loaders.js';
import { RelationReads } from './read/relation.reads.js';
import { UserResolver } from './read/user.resolver.js';
import { ChangeRelation } from './write/change-relation.js';
import { RelationMutations } from './write/relation.mutations.js';
import { Waiting } from './write/until-heard-of.js';

export function followersModule(parts: ModuleParts): DynamicModule {
  const { database, cache, cached, entities, assertions, logger, clock, steady, consistency, needs } = parts;
  const relationCache = new RelationCache(cache);
  database.afterCommit(async (events) => {
    await cache.drop(events.flatMap((event) => relationCache.staleKeys(event)));
    await entities.drop(events.flatMap(staleEntities), events);
  });

  const reads = (kept: boolean) => (asked: Asker) =>
    new RelationReads({ database, cache: kept ? relationCache : undefined }, asked);
  const loaders = relationLoaders({ kept: reads(cached), source: reads(false) });
  const waiting = new Waiting(clock);
  const change = (context: RequestContext) =>
    new ChangeRelation({ database: writingFor(database, context), clock, waiting });

  return subgraphModule({
    name: 'followers',
    schemaPath: new URL('./schema.graphql', import.meta.url),
    assertions,
    logger,
    clock: steady,
    consistency,
    copies: COPIES,
    needs,
    providers: [
      // write
      { provide: RelationMutations, useValue: new RelationMutations(change, (context) => loaders(context).clear()) },
      // read
      { provide: UserResolver, useValue: new UserResolver(loaders) },
    ],
  });
}

/** Who there is (`user`) is copied from users; follows and blocks are followers' own. */
const COPIES: Copies = {
  'Mutation.follow': ['user'],
  'Mutation.unfollow': ['user'],
  'Mutation.block': ['user'],
  'Mutation.unblock': ['user'],
  User: [],
  'User.followerCount': ['user'],
  'User.followingCount': ['user'],
};
