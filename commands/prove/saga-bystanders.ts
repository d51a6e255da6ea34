import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { Failure } from '#libs/failure';
import { newId } from '#libs/identity';
import { ChangeRelation } from '../../subgraphs/followers/write/change-relation.js';
import { Waiting } from '../../subgraphs/followers/write/until-heard-of.js';
import type { Writing } from '../../subgraphs/posts/write/as-person.js';
import { likePost } from '../../subgraphs/posts/write/like-post.js';
import { publishPost } from '../../subgraphs/posts/write/publish-post.js';
import { unlikePost } from '../../subgraphs/posts/write/unlike-post.js';
import { keyOf, type Account, type Cast, type Stores } from './saga-people.js';
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

export interface Acted {
  readonly of: ReadonlyMap<string, Acts>;
  /** How many were done before the deletion was over. */
  readonly meanwhile: number;
}

/**
 * Those who do not leave, and those who come back, act as soon as they may while a deletion is taken back: each act is tried until it is
 * not refused any more. They are of a process that nobody kills, so what was done is known.
 */
export class Bystanders {
  readonly #acts = new Map<string, Acts>();
  #meanwhile = 0;
  #isOver = false;
  #running: Promise<void> | undefined;

  private constructor(
    private readonly stores: Stores,
    private readonly cast: Cast,
  ) {}

  static async of(urls: Readonly<Record<string, string>>, cast: Cast): Promise<Bystanders> {
    const stores: Partial<Record<Service, Database>> = {};
    for (const service of SERVICES)
      stores[service] = await openDatabase({ service, url: urls[service], poolMax: 3, ...TABLES[service] });
    return new Bystanders(stores as Stores, cast);
  }

  get acts(): Acted {
    return { of: this.#acts, meanwhile: this.#meanwhile };
  }

  begin(): void {
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /** Rejects with what went wrong and was no refusal. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      await this.#running;
    } finally {
      for (const service of SERVICES) await this.stores[service].close();
    }
  }

  async #run(): Promise<void> {
    const accounts = new Map(this.cast.accounts.map((account) => [account.id, account]));
    const left = new Map<string, Act[]>();
    for (; !this.#isOver; await sleep(10)) {
      const back = await this.stores.users.query<{ id: string; isOver: boolean }>(
        `SELECT user_id AS id, state = 'REVERTED' AS "isOver" FROM account_deletions WHERE state IN ('COMPENSATING', 'REVERTED')`,
      );
      for (const { id, isOver } of back) {
        const acts = this.#acts.get(id) ?? {};
        this.#acts.set(id, acts);
        const still: Act[] = [];
        for (const act of left.get(id) ?? this.#toDo(accounts.get(id)!)) {
          const done = this.#isOver ? undefined : await unlessRefused(act.run);
          if (done === undefined) still.push(act);
          else Object.assign(acts, { [act.name]: done });
          if (done !== undefined && !isOver) this.#meanwhile += 1;
        }
        left.set(id, still);
      }
    }
  }

  #toDo({ id, fails, posts }: Account): Act[] {
    const { liked, staying, stranger } = this.cast;
    const [first = '', second = '', third = '', fourth = ''] = staying;
    const newest = posts.at(-1) ?? '';
    const writing: Writing = { database: this.stores.posts, clock: Date.now, newPostId: () => newId(), pause: sleep };
    const relations = new ChangeRelation({ database: this.stores.followers, clock: Date.now, waiting: new Waiting() });
    const change = (verb: 'follow' | 'unfollow', actor: string, target: string) => async (): Promise<true> => {
      await relations.run(verb, actor, target);
      return true;
    };
    const like =
      (how: typeof likePost | typeof unlikePost, viewer: string, postId: string) => async (): Promise<true> => {
        await how(writing, { viewer, postId });
        return true;
      };
    const reply = async (): Promise<string> =>
      (await publishPost(writing, { viewer: second, body: 'to whom is back', inReplyToId: newest })).id;
    const byOthers: Act[] = [
      { name: 'liked', run: like(likePost, first, newest) },
      { name: 'replied', run: reply },
      { name: 'unfollowed', run: change('unfollow', third, id) },
      { name: 'followed', run: change('follow', stranger, id) },
    ];
    // Of one that fails at once no follow of its own can be ended, whoever asks.
    const wasTold = this.cast.told.has(keyOf(first, 'like', id, liked));
    if (fails === 'at once')
      return !wasTold ? byOthers : [...byOthers, { name: 'likedAgain', run: like(likePost, id, liked) }];
    return [
      ...byOthers,
      { name: 'unliked', run: like(unlikePost, id, liked) },
      { name: 'left', run: change('unfollow', id, fourth) },
    ];
  }
}

interface Act {
  readonly name: keyof Acts;
  readonly run: () => Promise<true | string>;
}

/** What it answers; undefined: it was refused, because an account is frozen or a post withdrawn, or had to wait for too long. */
async function unlessRefused<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
