import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { Failure, type Code } from '#libs/failure';
import { newId } from '#libs/identity';
import { ChangeRelation } from '../../subgraphs/followers/write/change-relation.js';
import { Waiting } from '../../subgraphs/followers/write/until-heard-of.js';
import type { Writing } from '../../subgraphs/posts/write/as-person.js';
import { likePost } from '../../subgraphs/posts/write/like-post.js';
import { publishPost } from '../../subgraphs/posts/write/publish-post.js';
import { unlikePost } from '../../subgraphs/posts/write/unlike-post.js';
import type { Account, Cast, Stores } from './saga-people.js';
import { keyOf } from './saga-told.js';
import { SERVICES, TABLES, type Service } from './sagas.worker.js';

/** What was done to an account, or by it, and acknowledged. */
export interface Acts {
  /** The first who stays likes its newest post. */
  liked?: boolean;
  /** The second answers that post; the id of the reply. */
  replied?: string;
  /** The third, who followed it, does so no more. */
  unfollowed?: boolean;
  /** Somebody who did not follows it. */
  followed?: boolean;
  /** It likes once more what it liked before. */
  likedAgain?: boolean;
  /** It takes that like back. */
  unliked?: boolean;
  /** It does not follow the fourth any more. */
  left?: boolean;
}

export const KINDS = ['liked', 'replied', 'unfollowed', 'followed', 'likedAgain', 'unliked', 'left'] as const;

export interface Acted {
  readonly of: ReadonlyMap<string, Acts>;
  /** How many were done, by their answers, before the deletion was over. */
  readonly meanwhile: number;
  /** How many were still refused long after it. */
  readonly refused: number;
}

/**
 * Those who do not leave, and those who come back, act as soon as they may while a deletion is taken back: each act is tried until it is
 * not refused any more. They are of a process that nobody kills; what was not answered is tried again, which does nothing twice. So what
 * was done is known.
 */
export class Bystanders {
  readonly #doings = new Map<string, Doing>();
  readonly #inDoubt = new Set<Act>();
  #meanwhile = 0;
  /** When all deletions were over, by `performance.now()`. */
  #overAt: number | undefined;
  #isClosed = false;
  #running: Promise<void> | undefined;

  /** The stores are its own from here on. */
  constructor(
    private readonly stores: Stores,
    private readonly cast: Cast,
  ) {}

  static async of(urls: Readonly<Record<string, string>>, cast: Cast): Promise<Bystanders> {
    const stores: Partial<Record<Service, Database>> = {};
    for (const service of SERVICES)
      stores[service] = await openDatabase({ service, url: urls[service], poolMax: 3, ...TABLES[service] });
    return new Bystanders(stores as Stores, cast);
  }

  begin(): void {
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /**
   * No deletion is under way any more, and the services still hear: what is left to do is done now. Rejects with what went wrong and was
   * no refusal, and where it is not known whether an act was done.
   */
  async finish(): Promise<Acted> {
    this.#overAt = performance.now();
    await this.#running;
    await this.close();
    const [act] = this.#inDoubt;
    if (act !== undefined) throw new Error(`Nobody knows whether '${act.name}' was done: it was not answered`);
    const doings = [...this.#doings];
    return {
      of: new Map(doings.map(([id, { done }]) => [id, done])),
      meanwhile: this.#meanwhile,
      refused: doings.reduce((sum, [, { left }]) => sum + left.length, 0),
    };
  }

  /** Whatever is left to do. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#running?.catch(() => {});
    for (const service of SERVICES) await this.stores[service].close();
  }

  async #run(): Promise<void> {
    for (; !this.#isClosed; await sleep(10)) {
      // Whoever is brought back is by then.
      const overAt = this.#overAt;
      const left = await this.#round();
      if (overAt !== undefined && (left === 0 || performance.now() > overAt + LEFT_MS_MAX)) return;
    }
  }

  /** Everybody who is back, or about to be, does what is left to do; answers how much is left then. */
  async #round(): Promise<number> {
    const back = await this.#inUsers<{ id: string }>(
      `SELECT user_id AS id FROM account_deletions WHERE state IN ('COMPENSATING', 'REVERTED')`,
    );
    let left = back === undefined ? 1 : 0;
    for (const { id } of back ?? []) {
      const doing = this.#doingOf(id);
      for (const act of doing.left) {
        if (this.#isClosed || !(await this.#isDone(act))) continue;
        doing.left = doing.left.filter((other) => other !== act);
        Object.assign(doing.done, { [act.name]: act.done });
        if (this.#overAt === undefined && (await this.#isUnderWay(id))) this.#meanwhile += 1;
      }
      left += doing.left.length;
    }
    return left;
  }

  async #isDone(act: Act): Promise<boolean> {
    try {
      await act.run();
    } catch (error) {
      if (!(error instanceof Failure) || !(REFUSED.has(error.code) || UNANSWERED.has(error.code))) throw error;
      if (UNANSWERED.has(error.code)) this.#inDoubt.add(act);
      return false;
    }
    this.#inDoubt.delete(act);
    return true;
  }

  async #isUnderWay(id: string): Promise<boolean> {
    const rows = await this.#inUsers(`SELECT FROM account_deletions WHERE user_id = $1 AND state = 'COMPENSATING'`, [
      id,
    ]);
    return rows !== undefined && rows.length > 0;
  }

  /** Undefined: the database has no time for it. */
  async #inUsers<Row>(text: string, values: readonly unknown[] = []): Promise<Row[] | undefined> {
    try {
      return await this.stores.users.query<Row>(text, values);
    } catch (error) {
      if (error instanceof Failure) return undefined;
      throw error;
    }
  }

  #doingOf(id: string): Doing {
    const known = this.#doings.get(id);
    if (known !== undefined) return known;
    const account = this.cast.accounts.find((one) => one.id === id)!;
    const doing = { done: {}, left: this.#toDo(account) };
    this.#doings.set(id, doing);
    return doing;
  }

  #toDo({ id, fails, posts }: Account): Act[] {
    const { liked, staying, stranger } = this.cast;
    const [first = '', second = '', third = '', fourth = ''] = staying;
    const newest = posts.at(-1) ?? '';
    const replyId = newId();
    const writing: Writing = { database: this.stores.posts, clock: Date.now, newPostId: () => replyId, pause: sleep };
    const relations = new ChangeRelation({ database: this.stores.followers, clock: Date.now, waiting: new Waiting() });
    const change = (verb: 'follow' | 'unfollow', actor: string, target: string) => () =>
      relations.run(verb, actor, target);
    const like = (how: typeof likePost | typeof unlikePost, viewer: string, postId: string) => () =>
      how(writing, { viewer, postId });
    const reply = () => publishedOnce(writing, { viewer: second, body: 'to whom is back', inReplyToId: newest });
    const byOthers: Act[] = [
      { name: 'liked', done: true, run: like(likePost, first, newest) },
      { name: 'replied', done: replyId, run: reply },
      { name: 'unfollowed', done: true, run: change('unfollow', third, id) },
      { name: 'followed', done: true, run: change('follow', stranger, id) },
    ];
    // Of one that fails at once no follow of its own can be ended, whoever asks.
    const wasTold = this.cast.told.has(keyOf(first, 'like', id, liked));
    if (fails === 'at once')
      return wasTold ? [...byOthers, { name: 'likedAgain', done: true, run: like(likePost, id, liked) }] : byOthers;
    return [
      ...byOthers,
      { name: 'unliked', done: true, run: like(unlikePost, id, liked) },
      { name: 'left', done: true, run: change('unfollow', id, fourth) },
    ];
  }
}

/** What everybody hears of a deletion that was taken back is on its way for a moment, on a busy machine for some seconds. */
const LEFT_MS_MAX = 60_000;

/** An account is frozen, or a post withdrawn, or somebody not to be found because of it: nothing was done. */
const REFUSED: ReadonlySet<Code> = new Set<Code>(['ACCOUNT_FROZEN', 'NOT_FOUND']);
/** The database has not answered, or has given up: it may be done. */
const UNANSWERED: ReadonlySet<Code> = new Set<Code>(['OVERLOADED', 'SUBGRAPH_TIMEOUT', 'SUBGRAPH_UNAVAILABLE']);

interface Doing {
  readonly done: Acts;
  left: readonly Act[];
}

/** One that is done already is done again without an effect. */
interface Act {
  readonly name: (typeof KINDS)[number];
  /** What is noted then. */
  readonly done: true | string;
  readonly run: () => Promise<unknown>;
}

/** Under one id, so that it is in conflict with nothing but itself: then it was published, and not answered. */
async function publishedOnce(writing: Writing, command: Parameters<typeof publishPost>[1]): Promise<void> {
  try {
    await publishPost(writing, command);
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'CONFLICT')) throw error;
  }
}
