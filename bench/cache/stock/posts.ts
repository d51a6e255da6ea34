import { Args, Context, Parent, Query, ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import DataLoader from 'dataloader';
import { In, type DataSource } from 'typeorm';
import { globalId, parseGlobalId } from '#libs/identity';
import { FollowEdgeEntity, PersonEntity } from '../../../subgraphs/posts/person.entity.js';
import { LikeEntity, PostEntity } from '../../../subgraphs/posts/post.entity.js';
import type { Asking } from './asking.js';

export function postsLoaders(source: DataSource) {
  return {
    people: new DataLoader<string, PersonEntity | null>(async (ids) => {
      const rows = await source.getRepository(PersonEntity).find({ where: { id: In([...ids]) } });
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
    posts: new DataLoader<string, PostEntity | null>(async (ids) => {
      const rows = await source.getRepository(PostEntity).find({ where: { id: In([...ids]), state: 'published' } });
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
    /** `viewer post` → whether. */
    likes: new DataLoader<readonly [viewer: string, post: string], boolean, string>(
      async (pairs) => {
        const [[userId] = ['']] = pairs;
        const postIds = pairs.map(([, post]) => post);
        const rows = await source
          .getRepository(LikeEntity)
          .find({ where: { userId, postId: In(postIds), liked: true } });
        const liked = new Set(rows.map(({ postId }) => postId));
        return postIds.map((id) => liked.has(id));
      },
      { cacheKeyFn: (pair) => pair.join(' ') },
    ),
  };
}

type Posts = Asking<ReturnType<typeof postsLoaders>>;

/** One more than the page says whether there is a next. */
function connection(rows: readonly PostEntity[], first: number): object {
  const shown = rows.slice(0, first);
  const cursors = shown.map(({ id }) => Buffer.from(id).toString('base64url'));
  return {
    edges: shown.map((node, nth) => ({ cursor: cursors[nth], node })),
    pageInfo: {
      hasNextPage: rows.length > first,
      hasPreviousPage: false,
      startCursor: cursors[0] ?? null,
      endCursor: cursors.at(-1) ?? null,
    },
  };
}

@Resolver('Query')
export class PostsQueryResolver {
  @Query('homeTimeline')
  async homeTimeline(@Args('first') first: number, @Context() { viewer, source }: Posts): Promise<object> {
    const id = parseGlobalId('user', viewer!);
    const rows = await source
      .getRepository(PostEntity)
      .createQueryBuilder('post')
      .where(`post.state = 'published'`)
      .andWhere((query) => {
        const followed = query
          .subQuery()
          .select('edge.followeeId')
          .from(FollowEdgeEntity, 'edge')
          .where('edge.followerId = :id')
          .getQuery();
        return `(post.authorId IN ${followed} OR post.authorId = :id)`;
      })
      .setParameter('id', id)
      .orderBy('post.id', 'DESC')
      .take(first + 1)
      .getMany();
    return connection(rows, first);
  }
}

@Resolver('User')
export class PostsUserResolver {
  @ResolveReference()
  reference({ id }: { id: string }): object {
    return { __typename: 'User', id };
  }

  @ResolveField('postCount')
  async postCount(@Parent() { id }: { id: string }, @Context() { loaders }: Posts): Promise<number | null> {
    return (await loaders.people.load(parseGlobalId('user', id)))?.postCount ?? null;
  }

  @ResolveField('posts')
  async posts(
    @Parent() { id }: { id: string },
    @Args('first') first: number,
    @Context() { source }: Posts,
  ): Promise<object> {
    const rows = await source.getRepository(PostEntity).find({
      where: { authorId: parseGlobalId('user', id), state: 'published' },
      order: { id: 'DESC' },
      take: first + 1,
    });
    return connection(rows, first);
  }
}

@Resolver('Post')
export class PostResolver {
  @ResolveReference()
  reference({ id }: { id: string }, { loaders }: Posts): Promise<PostEntity | null> {
    return loaders.posts.load(parseGlobalId('post', id));
  }

  @ResolveField('id')
  id(@Parent() { id }: PostEntity): string {
    return globalId('post', id);
  }

  @ResolveField('author')
  author(@Parent() { authorId }: PostEntity): object {
    return { __typename: 'User', id: globalId('user', authorId) };
  }

  @ResolveField('inReplyTo')
  inReplyTo(@Parent() { inReplyToId }: PostEntity, @Context() { loaders }: Posts): Promise<PostEntity | null> | null {
    return inReplyToId === null ? null : loaders.posts.load(inReplyToId);
  }

  @ResolveField('viewerHasLiked')
  viewerHasLiked(@Parent() { id }: PostEntity, @Context() { viewer, loaders }: Posts): Promise<boolean> | null {
    return viewer === null ? null : loaders.likes.load([parseGlobalId('user', viewer), id]);
  }
}
