import { Query, Resolver } from '@nestjs/graphql';
import { connectionOf, pageArguments, type Connection } from '#libs/database';
import { isId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import type { CountedPost } from '../post.js';
import type { ConnectionArguments } from './post.connection.js';
import type { ReadsOf } from './reads.js';

@Resolver()
export class TrendingResolver {
  constructor(private readonly readsOf: ReadsOf) {}

  @Query()
  async trendingPosts(
    _: unknown,
    args: ConnectionArguments,
    context: RequestContext,
  ): Promise<Connection<CountedPost> & { asOf: string }> {
    const { first, after } = pageArguments(
      args,
      3,
      ([list, score = '', id = '']) => list === 'trending' && SCORE.test(score) && isId(id),
    );
    const behind = after && { score: after[1] as string, id: after[2] as string };
    const { asOf, posts } = await this.readsOf(context).trending({ after: behind, take: first + 1 });
    const page = connectionOf(
      posts,
      first,
      ({ score, post }) => ['trending', score, post.id],
      ({ post }) => post,
    );
    return { asOf, ...page };
  }
}

/** A number as PostgreSQL writes it. */
const SCORE = /^\d{1,17}(\.\d{1,17})?(e[+-]\d{1,3})?$/;
