import { ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import type { Connection } from '#libs/database';
import { globalId, parseGlobalId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import type { CountedPost } from '../post.js';
import { pageOf, postConnection, type ConnectionArguments, type List } from './post.connection.js';
import type { ReadsOf } from './reads.js';
import { historyConnection, historyPage } from './revision.connection.js';
import type { Revision } from './revision.queries.js';
import type { UserReference } from './user.resolver.js';

@Resolver('Post')
export class PostResolver {
  constructor(private readonly readsOf: ReadsOf) {}

  @ResolveReference()
  async reference({ id }: { id: string }, context: RequestContext): Promise<CountedPost | null> {
    return this.readsOf(context).post(parseGlobalId('post', id));
  }

  @ResolveField()
  id(post: CountedPost): string {
    return globalId('post', post.id);
  }

  @ResolveField()
  author(post: CountedPost): UserReference {
    return { __typename: 'User', id: post.authorId };
  }

  @ResolveField()
  async viewerHasLiked(post: CountedPost, _: unknown, context: RequestContext): Promise<boolean | null> {
    return context.viewer === null ? null : (await this.readsOf(context).liked.load(post.id)) !== null;
  }

  @ResolveField()
  async inReplyTo(post: CountedPost, _: unknown, context: RequestContext): Promise<CountedPost | null> {
    return post.inReplyToId === null ? null : this.readsOf(context).post(post.inReplyToId);
  }

  @ResolveField()
  async replies(
    post: CountedPost,
    args: ConnectionArguments,
    context: RequestContext,
  ): Promise<Connection<CountedPost>> {
    const list: List = { name: 'replies', of: post.id };
    const page = pageOf(list, args);
    return postConnection(list, await this.readsOf(context).repliesTo(post.id, page), page.first);
  }

  @ResolveField()
  async history(post: CountedPost, args: ConnectionArguments, context: RequestContext): Promise<Connection<Revision>> {
    const { first, afterVersion } = historyPage(post.id, args);
    const key = { postId: post.id, afterVersion, take: first + 1 };
    const revisions = await this.readsOf(context).history.load(key);
    return historyConnection(post.id, revisions ?? [], first);
  }

  @ResolveField()
  async asOf(post: CountedPost, { at }: { at: string }, context: RequestContext): Promise<Revision | null> {
    // Most questions about the time before are answered without asking; and no year is too early for PostgreSQL then.
    if (at < post.createdAt) return null;
    return this.readsOf(context).revisions.load({ postId: post.id, at });
  }
}
