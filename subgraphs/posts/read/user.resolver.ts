import { ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import type { Connection } from '#libs/database';
import { globalId, parseGlobalId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import type { CountedPost } from '../post.js';
import { asked, fromTheStart } from './asked.js';
import { pageOf, postConnection, type ConnectionArguments, type List } from './post.connection.js';
import type { ReadsOf } from './reads.js';

export interface UserReference {
  readonly __typename: 'User';
  /** uuid */
  readonly id: string;
}

/** The part of a person that posts contributes. */
@Resolver('User')
export class UserResolver {
  constructor(private readonly readsOf: ReadsOf) {}

  /** Null for somebody who was never heard of, or was deleted. */
  @ResolveReference()
  async reference(
    { id }: { id: string },
    context: RequestContext,
    info: GraphQLResolveInfo,
  ): Promise<UserReference | null> {
    const uuid = parseGlobalId('user', id);
    const reads = this.readsOf(context);
    if (asked(info, ['posts']).some((posts) => fromTheStart(info, posts))) reads.expectPostsOf(uuid);
    return (await reads.people.load(uuid)) === null ? null : { __typename: 'User', id: uuid };
  }

  @ResolveField()
  id(user: UserReference): string {
    return globalId('user', user.id);
  }

  @ResolveField()
  async postCount(user: UserReference, _: unknown, context: RequestContext): Promise<number | null> {
    return (await this.readsOf(context).people.load(user.id))?.postCount ?? null;
  }

  /** While a block stands it is empty, not null: null is what a client sees when this service fails. */
  @ResolveField()
  async posts(
    user: UserReference,
    args: ConnectionArguments,
    context: RequestContext,
    info: GraphQLResolveInfo,
  ): Promise<Connection<CountedPost>> {
    const list: List = { name: 'posts', of: user.id };
    const page = pageOf(list, args);
    const withLikes = asked(info, ['edges', 'node', 'viewerHasLiked']).length > 0;
    return postConnection(list, await this.readsOf(context).postsOf(user.id, page, withLikes), page.first);
  }
}
