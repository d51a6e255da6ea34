import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGlobalId } from '#libs/identity';

/** One thing that a client did, Jepsen's way: `info` is a write of which nobody knows whether it happened. */
export interface Op {
  readonly kind: 'publish' | 'like' | 'follow' | 'read';
  readonly outcome: 'ok' | 'fail' | 'info';
  /** Of a publish: its body, which is written once and never again. */
  readonly body?: string;
  /** Of a publish that was answered. */
  readonly id?: string;
  /** Of a like and a follow: ids as the databases have them. */
  readonly like?: { readonly postId: string; readonly userId: string };
  readonly follow?: { readonly followerId: string; readonly followeeId: string; readonly begins: boolean };
  /** Of a write that was tried again: how often nobody knew what became of it. */
  readonly unanswered?: number;
  /** The code of each error that it was told, of whatever try; `no answer` where one had none. */
  readonly told?: readonly string[];
  /** How long its longest request took, ms. */
  readonly requestMs: number;
  /** When it ended, ms. */
  readonly at: number;
}

/** Those of which somebody noticed that something was wrong, also where they were told in the end. */
export function noticed(ops: readonly Op[]): Op[] {
  return ops.filter(({ outcome, unanswered = 0 }) => outcome !== 'ok' || unanswered > 0);
}

interface Person {
  readonly id: string;
  readonly handle: string;
  readonly token: string;
  readonly email: string;
  followsNext: boolean;
  readonly repeats: boolean;
}

type Outcome = Pick<Op, 'outcome' | 'unanswered' | 'told' | 'requestMs'>;
type Written = Outcome & Pick<Answer, 'data'>;

interface Answer {
  data?: Record<string, unknown> | null;
  errors?: { extensions?: { code?: string } }[];
}

/** An answer as it came. */
export interface Heard {
  readonly status: number;
  readonly text: string;
}

/** One request, whatever came of it. */
interface Asked {
  readonly answer: Answer | undefined;
  readonly told: readonly string[];
  readonly requestMs: number;
}

const PAUSE_MS = 20;
const WAIT_MS = 15_000;
const NO_ANSWER = 'no answer';
/** A write that failed with one of these may have been carried out. */
const UNKNOWN = new Set([
  NO_ANSWER,
  'SUBGRAPH_TIMEOUT',
  'SUBGRAPH_UNAVAILABLE',
  'SUBGRAPH_BAD_RESPONSE',
  'GATEWAY_TIMEOUT',
]);

/** How long whoever repeats goes on, ms, and how long between two tries. */
const REPEATS_MS = 20_000;
const AGAIN_MS = 100;

/**
 * Six people who publish, like, follow and read, each one thing after another, until they are told to stop. Every second one sends
 * each write with an Idempotency-Key, and again where nobody knows what became of it, until somebody does.
 */
export class Crowd {
  readonly ops: Op[] = [];
  /** Answers in which somebody was told what belongs to somebody else. */
  foreign = 0;
  /** Told of whatever is answered to anybody. */
  heard: ((answer: Heard) => void) | undefined;
  readonly #people: Person[] = [];
  readonly #graphql: string;
  readonly #run = randomBytes(3).toString('hex');
  #stopped = true;
  #working: Promise<unknown> = Promise.resolve();
  #nth = 0;

  constructor(graphql: string) {
    this.#graphql = graphql;
  }

  async gather(count = 6): Promise<void> {
    for (let nth = 0; nth < count; nth += 1) {
      const handle = `p${this.#run}_${nth}`;
      const email = `canary-${handle}@example.com`;
      const input = { handle, email, displayName: handle, password: 'tributary-fault' };
      const { data } = await this.#ask(
        'mutation($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }',
        { input },
      );
      const { token, user } = data!['signUp'] as { token: string; user: { id: string } };
      this.#people.push({ id: user.id, handle, token, email, followsNext: false, repeats: nth % 2 === 1 });
    }
  }

  start(): void {
    this.#stopped = false;
    this.#working = Promise.all(this.#people.map((person, nth) => this.#live(person, nth)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  /** Forgets what was done, not who is there. */
  forget(): void {
    this.ops.length = 0;
    this.foreign = 0;
  }

  async #live(me: Person, nth: number): Promise<void> {
    const other = this.#people[(nth + 1) % this.#people.length]!;
    let mine: string | undefined;
    for (let turn = 0; !this.#stopped; turn += 1) {
      if (turn % 3 === 0) mine = (await this.#publish(me)) ?? mine;
      else if (turn % 3 === 1) await this.#read(me, other);
      else if (turn % 2 === 0 && mine !== undefined) await this.#like(other, mine);
      else await this.#follow(me, other);
      await sleep(PAUSE_MS);
    }
  }

  async #publish(me: Person): Promise<string | undefined> {
    const body = `op-${this.#run}-${(this.#nth += 1)}`;
    const told = await this.#write(me, 'mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }', {
      input: { body },
    });
    const id = (told.data?.['publishPost'] as { id: string } | null | undefined)?.id;
    this.#record('publish', told, { body, ...(id === undefined ? {} : { id }) });
    return id;
  }

  async #like(me: Person, postId: string): Promise<void> {
    const told = await this.#write(me, 'mutation($postId: ID!) { likePost(postId: $postId) { id } }', { postId });
    this.#record('like', told, {
      like: { postId: parseGlobalId('post', postId), userId: parseGlobalId('user', me.id) },
    });
  }

  async #follow(me: Person, other: Person): Promise<void> {
    const begins = !me.followsNext;
    const field = begins ? 'follow' : 'unfollow';
    const told = await this.#write(me, `mutation($userId: ID!) { ${field}(userId: $userId) { id } }`, {
      userId: other.id,
    });
    if (told.outcome === 'ok') me.followsNext = begins;
    this.#record('follow', told, {
      follow: { followerId: parseGlobalId('user', me.id), followeeId: parseGlobalId('user', other.id), begins },
    });
  }

  async #read(me: Person, other: Person): Promise<void> {
    const { answer, ...asked } = await this.#request(
      `query($handle: String!) { me { id email } userByHandle(handle: $handle) { id handle email followerCount postCount
         posts(first: 5) { edges { node { id body author { handle email } } } } } }`,
      { handle: other.handle },
      me.token,
    );
    const seen = JSON.stringify(answer?.data ?? {}).matchAll(/canary-\w+@example\.com/g);
    for (const [email] of seen) if (email !== me.email) this.foreign += 1;
    this.#record('read', { outcome: asked.told.length === 0 ? 'ok' : 'fail', ...asked });
  }

  async #write(me: Person, query: string, variables: object): Promise<Written> {
    if (!me.repeats) return this.#try(me, query, variables);
    const key = randomUUID();
    const until = performance.now() + REPEATS_MS;
    let told = await this.#try(me, query, variables, key);
    let unanswered = 0;
    const codes = [...(told.told ?? [])];
    let requestMs = told.requestMs;
    while (told.outcome !== 'ok' && performance.now() < until) {
      if (told.outcome === 'info') unanswered += 1;
      if (unanswered === 0) break;
      await sleep(AGAIN_MS);
      told = await this.#try(me, query, variables, key);
      codes.push(...(told.told ?? []));
      requestMs = Math.max(requestMs, told.requestMs);
    }
    // A later refusal says nothing of an earlier try.
    return {
      ...told,
      told: codes,
      requestMs,
      unanswered,
      outcome: unanswered > 0 && told.outcome === 'fail' ? 'info' : told.outcome,
    };
  }

  async #try(me: Person, query: string, variables: object, key?: string): Promise<Written> {
    const { answer, ...asked } = await this.#request(query, variables, me.token, key);
    // What was written and could not be shown is written.
    const isUnknown = asked.told.some((code) => UNKNOWN.has(code));
    const outcome = asked.told.length === 0 ? 'ok' : isUnknown ? 'info' : 'fail';
    return { ...asked, outcome, data: answer?.data ?? null };
  }

  #record(kind: Op['kind'], { outcome, unanswered, told, requestMs }: Outcome, more: Partial<Op> = {}): void {
    this.ops.push({
      kind,
      outcome,
      requestMs,
      at: performance.now(),
      ...(unanswered && { unanswered }),
      ...(told?.length && { told }),
      ...more,
    });
  }

  async #request(query: string, variables: object, token?: string, key?: string): Promise<Asked> {
    const began = performance.now();
    const answer = await this.#ask(query, variables, token, key).catch(() => undefined);
    const codes = answer?.errors?.map(({ extensions }) => extensions?.code ?? 'no code') ?? [];
    return { answer, told: answer === undefined ? [NO_ANSWER] : codes, requestMs: performance.now() - began };
  }

  async #ask(query: string, variables: object, token?: string, key?: string): Promise<Answer> {
    const response = await fetch(this.#graphql, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(key ? { 'idempotency-key': `"${key}"` } : {}),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    const text = await response.text();
    this.heard?.({ status: response.status, text });
    return JSON.parse(text) as Answer;
  }
}
