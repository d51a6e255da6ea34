import { Args, Context, Parent, ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import DataLoader from 'dataloader';
import { In, type DataSource } from 'typeorm';
import { globalId, parseGlobalId } from '#libs/identity';
import { Follow, Person } from '../../../subgraphs/followers/relation.entity.js';
import type { Asking } from './asking.js';

export function followersLoaders(source: DataSource) {
  return {
    people: new DataLoader<string, Person | null>(async (ids) => {
      const rows = await source.getRepository(Person).find({ where: { userId: In([...ids]) } });
      const byId = new Map(rows.map((row) => [row.userId, row]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
    follows: new DataLoader<readonly [follower: string, followee: string], boolean, string>(
      async (pairs) => {
        const rows = await source
          .getRepository(Follow)
          .find({ where: pairs.map(([followerId, followeeId]) => ({ followerId, followeeId })) });
        const there = new Set(rows.map(({ followerId, followeeId }) => `${followerId} ${followeeId}`));
        return pairs.map((pair) => there.has(pair.join(' ')));
      },
      { cacheKeyFn: (pair) => pair.join(' ') },
    ),
  };
}

type Followers = Asking<ReturnType<typeof followersLoaders>>;

@Resolver('User')
export class FollowersUserResolver {
  @ResolveReference()
  reference({ id }: { id: string }): object {
    return { __typename: 'User', id };
  }

  @ResolveField('followerCount')
  async followerCount(@Parent() { id }: { id: string }, @Context() { loaders }: Followers): Promise<number> {
    return (await loaders.people.load(parseGlobalId('user', id)))?.followerCount ?? 0;
  }

  @ResolveField('followingCount')
  async followingCount(@Parent() { id }: { id: string }, @Context() { loaders }: Followers): Promise<number> {
    return (await loaders.people.load(parseGlobalId('user', id)))?.followingCount ?? 0;
  }

  @ResolveField('viewerFollows')
  viewerFollows(@Parent() { id }: { id: string }, @Context() { viewer, loaders }: Followers): Promise<boolean> | null {
    if (viewer === null) return null;
    return loaders.follows.load([parseGlobalId('user', viewer), parseGlobalId('user', id)]);
  }

  @ResolveField('followsViewer')
  followsViewer(@Parent() { id }: { id: string }, @Context() { viewer, loaders }: Followers): Promise<boolean> | null {
    if (viewer === null) return null;
    return loaders.follows.load([parseGlobalId('user', id), parseGlobalId('user', viewer)]);
  }

  @ResolveField('followers')
  async followers(
    @Parent() { id }: { id: string },
    @Args('first') first: number,
    @Context() { source }: Followers,
  ): Promise<object> {
    const rows = await source.getRepository(Follow).find({
      where: { followeeId: parseGlobalId('user', id) },
      order: { followedAt: 'DESC', followerId: 'DESC' },
      take: first + 1,
    });
    const shown = rows.slice(0, first);
    const cursors = shown.map(({ followerId }) => Buffer.from(followerId).toString('base64url'));
    return {
      edges: shown.map(({ followerId, followedAt }, nth) => ({
        cursor: cursors[nth],
        followedAt,
        node: { __typename: 'User', id: globalId('user', followerId) },
      })),
      pageInfo: {
        hasNextPage: rows.length > first,
        hasPreviousPage: false,
        startCursor: cursors[0] ?? null,
        endCursor: cursors.at(-1) ?? null,
      },
    };
  }
}
