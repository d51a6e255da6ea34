import type { Asker, Database, Statements } from '#libs/database';
import { edgeId, type Counts, type Direction, type Edge, type Entry, type RelationCache } from '../relation.cache.js';
import { countsOf, edgesOf, hiddenFrom, pagesOf, type PageAsk } from './relation.queries.js';

/** So many of a list are kept that every page from the start, of up to 100 and one more, is served by them. */
const NEWEST_MAX = 101;
/** A viewer with more blocks than this reads lists from the database. */
const HIDDEN_MAX = 1_000;

/** What a request may ask of this service, for many at once: through the cache where it is kept, else by one statement. */
export class RelationReads {
  readonly #database: Pick<Database, 'query' | 'reader'>;
  readonly #cache: RelationCache | undefined;
  /** For what is read for nobody else: what the cache loads, others may wait for as well, and longer; and it may not be older than what was dropped. */
  readonly #own: Statements;

  /**
   * Without a cache the blocks are part of the page's statement; with it they are kept apart from the pages. `asked`: until when; what
   * is read for them alone is not begun after it, and may come from a replica.
   */
  constructor(
    parts: { database: Pick<Database, 'query' | 'reader'>; cache: RelationCache | undefined },
    asked: Asker = {},
  ) {
    this.#database = parts.database;
    this.#cache = parts.cache;
    this.#own = parts.database.reader(asked);
  }

  counts(userIds: readonly string[]): Promise<Map<string, Counts>> {
    if (this.#cache === undefined) return countsOf(this.#own, userIds);
    return this.#cache.counts.getMany(userIds, (missing) => countsOf(this.#database, missing));
  }

  async edges(viewer: string, targets: readonly string[]): Promise<Map<string, Edge>> {
    if (this.#cache === undefined) return edgesOf(this.#own, viewer, targets);
    const targetOf = new Map(targets.map((target) => [edgeId(viewer, target), target]));
    const kept = await this.#cache.edges.getMany([...targetOf.keys()], async (missing) => {
      const found = await edgesOf(
        this.#database,
        viewer,
        missing.map((id) => targetOf.get(id) ?? ''),
      );
      return new Map([...found].map(([target, edge]) => [edgeId(viewer, target), edge]));
    });
    return new Map([...kept].map(([id, edge]) => [targetOf.get(id) ?? '', edge]));
  }

  /** Pages of lists of one direction, in the order asked. */
  async pages(direction: Direction, viewer: string | null, asks: readonly PageAsk[]): Promise<Entry[][]> {
    const kept = this.#cache === undefined ? undefined : await this.#newest(this.#cache, direction, viewer, asks);
    const pages = asks.map((ask) => kept?.(ask));
    const missing = asks.filter((_, index) => pages[index] === undefined);
    if (missing.length === 0) return pages.map((page) => page ?? []);
    const read = (await pagesOf(this.#own, direction, viewer, missing)).values();
    return pages.map((page) => page ?? read.next().value ?? []);
  }

  /** Answers the pages that begin at the newest from what is kept, less whom this viewer is not shown; undefined when that is too little. */
  async #newest(
    cache: RelationCache,
    direction: Direction,
    viewer: string | null,
    asks: readonly PageAsk[],
  ): Promise<(ask: PageAsk) => Entry[] | undefined> {
    const owners = [...new Set(asks.filter(({ behind }) => behind === undefined).map(({ userId }) => userId))];
    if (owners.length === 0) return () => undefined;
    const [lists, hidden] = await Promise.all([
      cache.newest[direction].getMany(owners, async (missing) => {
        const pages = await pagesOf(
          this.#database,
          direction,
          null,
          missing.map((userId) => ({ userId, rows: NEWEST_MAX, behind: undefined })),
        );
        return new Map(missing.map((userId, index) => [userId, pages[index] ?? []]));
      }),
      viewer === null ? new Set<string>() : this.#hidden(cache, viewer),
    ]);
    return ({ userId, rows, behind }) => {
      const list = lists.get(userId);
      if (behind !== undefined || list === undefined || hidden === undefined) return undefined;
      const shown = list.filter(([id]) => !hidden.has(id)).slice(0, rows);
      return shown.length === rows || list.length < NEWEST_MAX ? shown : undefined;
    };
  }

  async #hidden(cache: RelationCache, viewer: string): Promise<Set<string> | undefined> {
    const kept = await cache.hidden.getMany([viewer], async () => {
      return new Map([[viewer, await hiddenFrom(this.#database, viewer, HIDDEN_MAX + 1)]]);
    });
    const ids = kept.get(viewer) ?? [];
    return ids.length > HIDDEN_MAX ? undefined : new Set(ids);
  }
}
