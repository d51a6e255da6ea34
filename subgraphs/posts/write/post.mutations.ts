import { Mutation, Resolver } from '@nestjs/graphql';
import type { Database } from '#libs/database';
import { globalId, parseGlobalId } from '#libs/identity';
import { requireViewer, writingFor, type RequestContext } from '#libs/subgraph-kit';
import { noSuchPost, type CountedPost } from '../post.js';
import type { Writing } from './as-person.js';
import { deletePost } from './delete-post.js';
import { editPost } from './edit-post.js';
import { likePost } from './like-post.js';
import { publishPost } from './publish-post.js';
import { restorePost } from './restore-post.js';
import { unlikePost } from './unlike-post.js';

/** GraphQL arguments to commands, nothing else. */
@Resolver()
export class PostMutations {
  constructor(
    private readonly writing: Writing & { readonly database: Database },
    /** Told after each write, so that the request does not show what it read before. */
    private readonly written: (context: RequestContext) => void,
    /** A post as the viewer may see it now. */
    private readonly shown: (context: RequestContext, id: string) => Promise<CountedPost | null>,
  ) {}

  @Mutation()
  async publishPost(
    _: unknown,
    { input }: { input: { body: string; inReplyToId?: string | null } },
    context: RequestContext,
  ): Promise<CountedPost> {
    const viewer = requireViewer(context);
    const parent = input.inReplyToId ?? null;
    const inReplyToId = parent === null ? null : parseGlobalId('post', parent);
    return this.#done(context, await publishPost(this.#writing(context), { viewer, body: input.body, inReplyToId }));
  }

  @Mutation()
  async editPost(
    _: unknown,
    { input }: { input: { id: string; body: string; expectedVersion?: number | null } },
    context: RequestContext,
  ): Promise<CountedPost> {
    const viewer = requireViewer(context);
    const { body, expectedVersion } = input;
    const id = parseGlobalId('post', input.id);
    return this.#done(context, await editPost(this.#writing(context), { viewer, id, body, expectedVersion }));
  }

  @Mutation()
  async deletePost(_: unknown, args: { id: string }, context: RequestContext): Promise<{ id: string }> {
    const viewer = requireViewer(context);
    const { id } = await deletePost(this.#writing(context), { viewer, id: parseGlobalId('post', args.id) });
    return this.#done(context, { id: globalId('post', id) });
  }

  @Mutation()
  async restorePost(_: unknown, args: { id: string }, context: RequestContext): Promise<CountedPost> {
    const viewer = requireViewer(context);
    return this.#done(
      context,
      await restorePost(this.#writing(context), { viewer, id: parseGlobalId('post', args.id) }),
    );
  }

  @Mutation()
  async likePost(_: unknown, args: { postId: string }, context: RequestContext): Promise<CountedPost> {
    const viewer = requireViewer(context);
    const postId = parseGlobalId('post', args.postId);
    const post = this.#done(context, await likePost(this.#writing(context), { viewer, postId }));
    return post ?? this.#again(context, postId);
  }

  @Mutation()
  async unlikePost(_: unknown, args: { postId: string }, context: RequestContext): Promise<CountedPost> {
    const viewer = requireViewer(context);
    const postId = parseGlobalId('post', args.postId);
    const post = this.#done(context, await unlikePost(this.#writing(context), { viewer, postId }));
    return post ?? this.#again(context, postId);
  }

  #writing(context: RequestContext): Writing {
    return { ...this.writing, database: writingFor(this.writing.database, context) };
  }

  async #again(context: RequestContext, id: string): Promise<CountedPost> {
    const post = await this.shown(context, id);
    if (post === null) throw noSuchPost();
    return post;
  }

  #done<T>(context: RequestContext, answer: T): T {
    this.written(context);
    return answer;
  }
}
