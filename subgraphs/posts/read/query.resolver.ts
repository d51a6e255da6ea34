import { Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { Connection } from '#libs/database';
import { badInput } from '#libs/failure';
import { kindOfGlobalId, parseGlobalId } from '#libs/identity';
import { requireViewer, type RequestContext } from '#libs/subgraph-kit';
import type { CountedPost } from '../post.js';
import { pageOf, postConnection, type ConnectionArguments, type List } from './post.connection.js';
import type { ReadsOf } from './reads.js';
import type { UserReference } from './user.resolver.js';

type Node = CountedPost | UserReference;

@Resolver('Node')
export class QueryResolver {
  constructor(private readonly readsOf: ReadsOf) {}

  @Query()
  async post(_: unknown, { id }: { id: string }, context: RequestContext): Promise<CountedPost | null> {
    return this.readsOf(context).post(parseGlobalId('post', id));
  }

  @Query()
  async homeTimeline(_: unknown, args: ConnectionArguments, context: RequestContext): Promise<Connection<CountedPost>> {
    const viewer = requireViewer(context);
    const list: List = { name: 'home', of: viewer };
    const page = pageOf(list, args);
    return postConnection(list, await this.readsOf(context).home(viewer, page), page.first);
  }

  @Query()
  async node(_: unknown, { id }: { id: string }, context: RequestContext): Promise<Node | null> {
    const reads = this.readsOf(context);
    if (kindOfGlobalId(id) === 'post') return reads.post(parseGlobalId('post', id));
    const uuid = parseGlobalId('user', id);
    return (await reads.people.load(uuid)) === null ? null : { __typename: 'User', id: uuid };
  }

  /** A malformed id is an error at its own place: the others are answered. */
  @Query()
  nodes(_: unknown, { ids }: { ids: readonly string[] }, context: RequestContext): Promise<Node | null>[] {
    if (ids.length > NODES_MAX) throw badInput(`"ids" holds at most ${NODES_MAX} ids`, ids.length);
    return ids.map((id) => this.node(_, { id }, context));
  }

  @ResolveField()
  __resolveType(node: Node): string {
    return 'authorId' in node ? 'Post' : 'User';
  }
}

const NODES_MAX = 100;
