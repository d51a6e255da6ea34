import { badInput, cleanText, Failure } from '#libs/failure';

/** A post, as its events made it. Times are RFC 3339, UTC, milliseconds. */
export interface Post {
  readonly id: string;
  readonly authorId: string;
  /** Empty when the post is gone. */
  readonly body: string;
  readonly createdAt: string;
  readonly editedAt: string | null;
  readonly inReplyToId: string | null;
  /** The number of its events: 1 when it was published. */
  readonly version: number;
  /** `deleted` by its author, `withdrawn` with its author's account. */
  readonly state: 'published' | 'deleted' | 'withdrawn';
}

/** A post and what others did to it. */
export interface CountedPost extends Post {
  readonly likeCount: number;
  readonly replyCount: number;
}

/** What happened to one post. */
export type PostFact =
  | {
      readonly type: 'published';
      readonly authorId: string;
      readonly body: string;
      readonly inReplyToId: string | null;
      readonly at: string;
    }
  | {
      readonly type: 'edited';
      readonly body: string;
      /** The version that the author had read, where they said so; null: they wrote over whatever was there. */
      readonly basedOn: number | null;
      readonly at: string;
    }
  | { readonly type: 'deleted'; readonly reason: 'author' | 'account'; readonly at: string }
  /** Says the body again: a fact that changes the text carries it whole, so each can be shown without the ones before it. */
  | { readonly type: 'restored'; readonly body: string; readonly at: string };

/** What each thing that an author may do adds to a post's facts. Text that is refused is refused before anything is read. */
export const decide = { publish, edit, remove, restore };

function publish(command: { authorId: string; body: string; inReplyToId: string | null; at: string }): PostFact {
  return { type: 'published', ...command, body: cleanBody(command.body) };
}

/** The same body again is no edit: undefined, nothing happens, and `editedAt` stays. */
function edit(
  post: Post | undefined,
  command: { viewer: string; body: string; expectedVersion: number | null; at: string },
): PostFact | undefined {
  const body = cleanBody(command.body);
  const own = ownPost(post, command.viewer, 'edit');
  if (command.expectedVersion !== null && command.expectedVersion !== own.version) {
    throw new Failure(
      'CONFLICT',
      `The post is at version ${own.version}, not ${command.expectedVersion}; read it again.`,
    );
  }
  return body === own.body ? undefined : { type: 'edited', body, basedOn: command.expectedVersion, at: command.at };
}

function remove(post: Post | undefined, command: { viewer: string; at: string }): PostFact {
  ownPost(post, command.viewer, 'delete');
  return { type: 'deleted', reason: 'author', at: command.at };
}

/** Only for its author is a deleted post still something; what went with its account stays gone. */
function restore(post: Post | undefined, command: { viewer: string; body: string; at: string }): PostFact {
  if (post?.state !== 'deleted' || post.authorId !== command.viewer) throw noSuchPost();
  return { type: 'restored', body: command.body, at: command.at };
}

/** The post after one more fact; undefined before the first. */
export function evolve(id: string, post: Post | undefined, fact: PostFact): Post {
  if (fact.type === 'published') {
    const { authorId, body, inReplyToId, at } = fact;
    return { id, authorId, body, createdAt: at, editedAt: null, inReplyToId, version: 1, state: 'published' };
  }
  if (post === undefined) throw new Error(`post ${id}: '${fact.type}' before 'published'`);
  const version = post.version + 1;
  switch (fact.type) {
    case 'edited':
      return { ...post, body: fact.body, editedAt: fact.at, version };
    case 'deleted':
      return { ...post, body: '', state: fact.reason === 'author' ? 'deleted' : 'withdrawn', version };
    case 'restored':
      return { ...post, body: fact.body, state: 'published', version };
  }
}

/** Markup stays as it was written: a front end shows it as text. */
export function cleanBody(body: string): string {
  return cleanText(body, { name: 'body', graphemesMin: 1, graphemesMax: 500, bytesMax: 5_000 });
}

export function cleanExpectedVersion(version: number | null | undefined): number | null {
  if (version !== null && version !== undefined && version < 1) {
    throw badInput('"expectedVersion" is a whole number from 1', version);
  }
  return version ?? null;
}

/** Also said of a post that the viewer may not see. */
export function noSuchPost(): Failure {
  return new Failure('NOT_FOUND', 'There is no such post.');
}

function ownPost(post: Post | undefined, viewer: string, act: string): Post {
  if (post === undefined || post.state !== 'published') throw noSuchPost();
  if (post.authorId !== viewer) throw new Failure('FORBIDDEN', `Only its author can ${act} a post.`);
  return post;
}
