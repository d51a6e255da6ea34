import { byKeys, type Asker, type Database, type Statements } from '#libs/database';
import { keyed, perRequest, type Loader } from '#libs/loader';
import type { RequestContext } from '#libs/subgraph-kit';
import type { CountedPost } from '../post.js';
import { like, pair, type KnownPerson, type PostCache } from '../post.cache.js';
import { homePage, homePageFromSource } from './home.queries.js';
import { trendingPage, type Trending } from './trending.queries.js';
import { pagesByAuthor, pagesByParent, textOf, type PageKey } from './page.queries.js';
import { blockedWith, likedBy, newestPostIds, peopleByIds, postsByIds } from './post.queries.js';
import {
  historyPages,
  historyText,
  momentText,
  revisionsAt,
  type HistoryKey,
  type MomentKey,
  type Revision,
} from './revision.queries.js';

export interface Reading {
  readonly database: Pick<Database, 'query' | 'reader'>;
  readonly kept: PostCache;
  /** As `kept`, but keeps nothing: for who must not be shown what is kept. */
  readonly source: PostCache;
  /** Whether the cache keeps anything. Without it a page comes with its rows and its block check in one statement. */
  readonly cached: boolean;
}

/** What one request has read, and how it reads more: everything in batches, everything once. */
export class Reads {
  readonly people: Loader<string, KnownPerson | null>;
  /** Whether the viewer likes a post. */
  readonly liked: Loader<string, true | null>;
  /** What happened to a post, by page; for whoever was shown the post. Never cached: who asks for the past does so rarely. */
  readonly history: Loader<HistoryKey, Revision[] | null>;
  /** A post as it was. */
  readonly revisions: Loader<MomentKey, Revision | null>;
  readonly #posts: Loader<string, CountedPost | null>;
  /** Whether a block stands between the viewer and a person. */
  readonly #blocks: Loader<string, true | null>;
  readonly #newest: Loader<string, readonly string[] | null>;
  readonly #pages: Loader<PageKey, CountedPost[] | null>;
  readonly #replies: Loader<PageKey, CountedPost[] | null>;
  /** For what is read for nobody else: what the cache loads, others may wait for as well, and longer; and it may not be older than what was dropped. */
  readonly #own: Statements;
  /** Where nothing is kept, nobody else waits for it either. */
  readonly #shared: Statements;

  constructor(
    private readonly reading: Reading,
    private readonly viewer: string | null,
    asked: Asker = {},
    private readonly homePageOf = homePage,
  ) {
    const { database, kept, cached } = reading;
    const own = database.reader(asked);
    this.#own = own;
    const shared = cached ? database : own;
    this.#shared = shared;
    const find = byKeys(database, asked, own);
    this.people = keyed((ids) =>
      cached ? kept.people.getMany(ids, (missing) => peopleByIds(database, missing)) : find(ids, peopleByIds),
    );
    this.#posts = keyed((ids) =>
      cached ? kept.posts.getMany(ids, (missing) => postsByIds(database, missing)) : find(ids, postsByIds),
    );
    this.#newest = keyed((ids) => kept.newest.getMany(ids, (missing) => newestPostIds(shared, missing)));
    this.liked = keyed((ids) => this.#edges(kept.likes, ids, like, likedBy));
    this.#blocks = keyed((ids) => this.#edges(kept.blocks, ids, pair, blockedWith));
    this.#pages = keyed((keys) => pagesByAuthor(own, viewer, keys), { keyOf: textOf });
    this.#replies = keyed((keys) => pagesByParent(own, viewer, keys), { keyOf: textOf });
    this.history = keyed((keys) => find(keys, historyPages, historyText), { keyOf: historyText });
    this.revisions = keyed((keys) => find(keys, revisionsAt, momentText), { keyOf: momentText });
  }

  /** Null also for a post that a block hides from the viewer. */
  async post(id: string): Promise<CountedPost | null> {
    const post = await this.#posts.load(id);
    return post !== null && (await this.#hidden(post.authorId)) ? null : post;
  }

  /** One post more than `first` when there are more. */
  async postsOf(
    authorId: string,
    page: { first: number; after: string | undefined },
    withLikes: boolean,
  ): Promise<CountedPost[]> {
    if (!this.reading.cached || page.after !== undefined) {
      return this.#rows(this.#pages, { of: authorId, after: page.after, take: page.first + 1 });
    }
    const [hidden, ids] = await Promise.all([this.#hidden(authorId), this.#newest.load(authorId)]);
    if (hidden || ids === null) return [];
    const wanted = ids.slice(0, page.first + 1);
    if (withLikes && this.viewer !== null) for (const id of wanted) early(this.liked.load(id));
    const posts = await Promise.all(wanted.map((id) => this.#posts.load(id)));
    return posts.filter((post) => post !== null); // one may have been deleted since the list of ids was read
  }

  async repliesTo(postId: string, page: { first: number; after: string | undefined }): Promise<CountedPost[]> {
    return this.#rows(this.#replies, { of: postId, after: page.after, take: page.first + 1 });
  }

  async home(viewer: string, page: { first: number; after: string | undefined }): Promise<CountedPost[]> {
    return this.#prime(await this.homePageOf(this.#own, viewer, { after: page.after, take: page.first + 1 }));
  }

  async trending(page: { after: { score: string; id: string } | undefined; take: number }): Promise<Trending> {
    const trending = await trendingPage(this.#own, this.viewer, page);
    this.#prime(trending.posts.map(({ post }) => post));
    return trending;
  }

  /** Asks for what the first page of this person's posts will need, in the round trip that is about to leave. */
  expectPostsOf(authorId: string): void {
    if (!this.reading.cached) return;
    early(this.#newest.load(authorId));
    early(this.#hidden(authorId));
  }

  /** After a write: what was read before it is old. */
  forget(): void {
    for (const loader of [this.people, this.liked, this.#posts, this.#blocks, this.#newest]) loader.clearAll();
    for (const loader of [this.#pages, this.#replies]) loader.clearAll();
    for (const loader of [this.history, this.revisions]) loader.clearAll();
  }

  async #hidden(authorId: string): Promise<boolean> {
    if (this.viewer === null || this.viewer === authorId) return false;
    return (await this.#blocks.load(authorId)) !== null;
  }

  async #rows(loader: Loader<PageKey, CountedPost[] | null>, key: PageKey): Promise<CountedPost[]> {
    return this.#prime((await loader.load(key)) ?? []);
  }

  #prime(posts: CountedPost[]): CountedPost[] {
    for (const post of posts) this.#posts.prime(post.id, post);
    return posts;
  }

  /** Which of the ids have an edge with the viewer; nobody has any. */
  async #edges(
    kept: PostCache['likes'],
    ids: readonly string[],
    key: (viewer: string, id: string) => string,
    load: (database: Statements, viewer: string, ids: readonly string[]) => Promise<string[]>,
  ): Promise<Map<string, true>> {
    const { viewer } = this;
    if (viewer === null) return new Map();
    const idOf = new Map(ids.map((id) => [key(viewer, id), id]));
    const there = await kept.getMany([...idOf.keys()], async (missing) => {
      const wanted = missing.map((edge) => idOf.get(edge) as string);
      const found = await load(this.#shared, viewer, wanted);
      return new Map(found.map((id) => [key(viewer, id), true as const]));
    });
    return new Map([...there.keys()].map((edge) => [idOf.get(edge) as string, true as const]));
  }
}

export type ReadsOf = (context: RequestContext) => Reads;

export function readsOf(reading: Reading): ReadsOf {
  const fresh = { ...reading, kept: reading.source, cached: false };
  return perRequest((context: RequestContext) => {
    const { fresh: isFresh, monotonic, viewer } = context;
    // A page may have a post as soon as it is published, because it was merged in or read from the source, and the next one be of the list,
    // which has it when it was delivered: who must not go back is answered from the source each time.
    const homePageOf = monotonic ? homePageFromSource : homePage;
    return new Reads(isFresh ? fresh : reading, viewer, context, homePageOf);
  });
}

/** What is loaded early is awaited later, through its loader; if it fails, it fails there. */
function early(loading: Promise<unknown>): void {
  loading.catch(() => {});
}
