import { ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import { connectionOf, pageArguments, type Connection } from '#libs/database';
import { globalId, isId, parseGlobalId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import type { Direction, Edge, Entry } from '../relation.cache.js';
import type { RelationLoaders } from './relation.loaders.js';

/** A person, as far as this service knows: by id. */
export interface UserStub {
  readonly userId: string;
}

interface PageArguments {
  readonly first?: number | null;
  readonly after?: string | null;
}

/** The fields that followers adds to User. */
@Resolver('User')
export class UserResolver {
  readonly #loaders: (context: RequestContext) => RelationLoaders;

  constructor(loaders: (context: RequestContext) => RelationLoaders) {
    this.#loaders = loaders;
  }

  @ResolveReference()
  reference({ id }: { id: string }): UserStub {
    return { userId: parseGlobalId('user', id) };
  }

  @ResolveField()
  id({ userId }: UserStub): string {
    return globalId('user', userId);
  }

  @ResolveField()
  async followerCount({ userId }: UserStub, _: unknown, context: RequestContext): Promise<number | null> {
    return (await this.#loaders(context).counts.load(userId))?.followers ?? null;
  }

  @ResolveField()
  async followingCount({ userId }: UserStub, _: unknown, context: RequestContext): Promise<number | null> {
    return (await this.#loaders(context).counts.load(userId))?.following ?? null;
  }

  @ResolveField()
  async viewerFollows(user: UserStub, _: unknown, context: RequestContext): Promise<boolean | null> {
    return (await this.#edge(user, context))?.follows ?? null;
  }

  @ResolveField()
  async followsViewer(user: UserStub, _: unknown, context: RequestContext): Promise<boolean | null> {
    return (await this.#edge(user, context))?.followed ?? null;
  }

  @ResolveField()
  async viewerBlocks(user: UserStub, _: unknown, context: RequestContext): Promise<boolean | null> {
    return (await this.#edge(user, context))?.blocks ?? null;
  }

  @ResolveField()
  followers(user: UserStub, args: PageArguments, context: RequestContext): Promise<FollowConnection> {
    return this.#page('followers', user, args, context);
  }

  @ResolveField()
  following(user: UserStub, args: PageArguments, context: RequestContext): Promise<FollowConnection> {
    return this.#page('following', user, args, context);
  }

  async #edge({ userId }: UserStub, context: RequestContext): Promise<Edge | null> {
    return context.viewer === null ? null : this.#loaders(context).edges.load(userId);
  }

  async #page(
    direction: Direction,
    { userId }: UserStub,
    args: PageArguments,
    context: RequestContext,
  ): Promise<FollowConnection> {
    const { first, after } = pageArguments(args, 2, isEntry);
    const behind = after as Entry | undefined;
    const entries = await this.#loaders(context).pages[direction].load({ userId, rows: first + 1, behind });
    return connectionOf(
      entries ?? [],
      first,
      (entry) => entry,
      ([id]) => ({ userId: id }),
      ([, followedAt]) => ({ followedAt }),
    );
  }
}

type FollowConnection = Connection<UserStub, { followedAt: string }>;

function isEntry([id = '', at = '']: readonly string[]): boolean {
  return isId(id) && INSTANT.test(at) && !Number.isNaN(Date.parse(at));
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
