import type { DynamicModule } from '@nestjs/common';
import { openCache } from '#libs/cache';
import { newId, shardOf } from '#libs/identity';
import { subgraphModule, type Copies, type ModuleParts } from '#libs/subgraph-kit';
import { PostCache, staleEntities } from './post.cache.js';
import { PostResolver } from './read/post.resolver.js';
import { QueryResolver } from './read/query.resolver.js';
import { readsOf } from './read/reads.js';
import { TrendingResolver } from './read/trending.resolver.js';
import { UserResolver } from './read/user.resolver.js';
import { PostMutations } from './write/post.mutations.js';

export function postsModule(parts: ModuleParts): DynamicModule {
  const { database, cache, cached, entities, assertions, logger, clock, steady, consistency, needs } = parts;
  const kept = new PostCache(cache);
  database.afterCommit(async (events) => {
    await cache.drop(events.flatMap((event) => kept.staleKeys(event)));
    await entities.drop(events.flatMap(staleEntities), events);
  });

  const reads = readsOf({ database, kept, source: new PostCache(openCache({ mode: 'off' })), cached });
  const newPostId = (authorId: string) => newId({ shard: shardOf(authorId) });
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  const writing = { database, clock, newPostId, pause };

  return subgraphModule({
    name: 'posts',
    schemaPath: new URL('./schema.graphql', import.meta.url),
    assertions,
    logger,
    clock: steady,
    consistency,
    copies: COPIES,
    needs,
    providers: [
      // write
      {
        provide: PostMutations,
        useValue: new PostMutations(
          writing,
          (context) => reads(context).forget(),
          (context, id) => reads(context).post(id),
        ),
      },
      // on: no provider; see on/heard.ts
      // read
      { provide: QueryResolver, useValue: new QueryResolver(reads) },
      { provide: TrendingResolver, useValue: new TrendingResolver(reads) },
      { provide: PostResolver, useValue: new PostResolver(reads) },
      { provide: UserResolver, useValue: new UserResolver(reads) },
    ],
  });
}

/** Whom somebody follows and blocks (`relation`) is copied from followers, who there is (`user`) from users. */
const COPIES: Copies = {
  'Query.post': ['relation'],
  'Query.homeTimeline': ['relation', 'user'],
  'Query.trendingPosts': ['relation'],
  'Query.node': ['relation', 'user'],
  'Query.nodes': ['relation', 'user'],
  // What one may do to a post of another's depends on blocks; who may do anything, on who there is.
  'Mutation.publishPost': ['relation', 'user'],
  'Mutation.editPost': ['user'],
  'Mutation.deletePost': ['user'],
  'Mutation.restorePost': ['user'],
  'Mutation.likePost': ['relation', 'user'],
  'Mutation.unlikePost': ['relation', 'user'],
  Post: ['relation'],
  'Post.inReplyTo': ['relation'],
  'Post.replies': ['relation'],
  User: ['user'],
  'User.posts': ['relation'],
};
