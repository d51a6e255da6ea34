import { expect } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { act, example, publish, told, type List } from '../journeys/cast.js';
import { Load } from '../load.js';
import { PASSWORD } from '../people.js';
import type { Answer } from '../world.js';
import { logIn, type Somebody, type Talking } from './all-in-one.js';

/** Somebody who reads and whom nothing changes for; somebody who writes, and somebody who follows them and likes it. */
export interface Cast {
  readonly reader: Somebody;
  readonly writer: Somebody;
  readonly fan: Somebody;
  /** Of this week, by the writer, and touched by nobody more. */
  readonly trends: readonly string[];
  readonly written: string[];
}

export async function castOf(graph: Talking): Promise<Cast> {
  const { users } = await told<{ users: List<{ handle: string }> }>(graph, await example('people'), { first: 1 });
  const reader = await logIn(graph, users.edges[0]?.node.handle ?? '');
  const [writer, fan] = await Promise.all(['the_writer', 'the_fan'].map((handle) => signUp(graph, handle)));
  if (!writer || !fan) throw new Error('nobody signed up');
  await act(fan, 'follow', writer.id);
  const trends = [await publish(writer, 'first'), await publish(writer, 'second')];
  for (const post of trends) {
    await act(fan, 'likePost', post);
    await act(reader, 'likePost', post);
  }
  const own = await publish(reader, 'of the reader');
  await act(fan, 'likePost', own);
  // Until it has come to where it is read.
  type Shown = { trendingPosts: List<{ id: string }>; unreadNotificationCount: number };
  for (;;) {
    const query = '{ trendingPosts(first: 100) { edges { node { id } } } unreadNotificationCount }';
    const { trendingPosts, unreadNotificationCount } = await told<Shown>(reader, query);
    const shown = trendingPosts.edges.map(({ node }) => node.id);
    if ([...trends, own].every((id) => shown.includes(id)) && unreadNotificationCount === 1) break;
    await sleep(50);
  }
  return { reader, writer, fan, trends, written: [...trends] };
}

async function signUp(graph: Talking, handle: string): Promise<Somebody> {
  const input = { handle, email: `${handle}@example.org`, password: PASSWORD, displayName: handle };
  await told(graph, await example('sign-up'), { input });
  return logIn(graph, handle);
}

/** What is liked is a notification each, of which the oldest beyond 500 are forgotten, by chance. */
const WRITTEN_MAX = 400;

/** Over HTTP, as people do: each round of reads is as before, and each round of writes is in all models at the end. */
export class WritesAndReads extends Load {
  rounds = 0;
  reads = 0;
  /** The one that took longest, ms. */
  longestMs = 0;
  readonly wrong: unknown[] = [];
  #before: string | undefined;
  #asOf = '';

  constructor(
    private readonly graph: Talking,
    private readonly cast: Cast,
  ) {
    super();
  }

  override async some(): Promise<void> {
    const { writer, fan, written } = this.cast;
    if (this.rounds % 5 === 0 && written.length < WRITTEN_MAX) {
      const post = await publish(this.as(writer), `number ${written.length}`);
      written.push(post);
      await act(this.as(fan), 'likePost', post);
    }
    await this.#read();
    this.rounds += 1;
  }

  /** They have logged in with another process of the same program. */
  private as({ id, token }: Somebody): Somebody {
    return { id, token, ask: (query, variables) => this.graph.ask(query, variables, token) };
  }

  async #read(): Promise<void> {
    const reader = this.as(this.cast.reader);
    const ask = async (query: string, variables?: Record<string, unknown>): Promise<Answer> => {
      const since = performance.now();
      const answer = await reader.ask(query, variables);
      this.longestMs = Math.max(this.longestMs, performance.now() - since);
      this.reads += 1;
      return answer;
    };
    const asked = await Promise.all([
      ask(await example('home-timeline'), { first: 50 }),
      ask(await example('notifications')),
      ask(
        '{ me { handle followerCount followingCount postCount posts(first: 20) { edges { node { id likeCount replyCount } } } } }',
      ),
      ask(await example('trending-posts'), { first: 100 }),
    ]);
    const [home, notifications, me, trending] = asked.map(({ data }) => data);
    const same = JSON.stringify([home, notifications, me]);
    this.#before ??= same;
    const { asOf = '', edges = [] } = (trending?.['trendingPosts'] ?? {}) as Partial<
      { asOf: string } & List<{ id: string }>
    >;
    const shown = edges.map(({ node }) => node.id);
    const isRight = same === this.#before && asOf >= this.#asOf && this.cast.trends.every((id) => shown.includes(id));
    const errors = asked.flatMap((answer) => answer.errors);
    if (errors.length > 0 || !isRight) this.wrong.push({ errors, same, asOf, shown });
    this.#asOf = asOf;
  }

  told(): string {
    const ms = Math.round(this.longestMs);
    return `${this.reads} reads, the longest ${ms} ms; of ${this.rounds} rounds of four ${this.wrong.length} were wrong or failed\n`;
  }

  async until(rounds: number): Promise<void> {
    while (this.rounds < rounds) await sleep(20);
  }

  /** Everything that was written, in the list of who follows, among the notifications of who wrote, and counted. */
  async isAllThere(): Promise<void> {
    const { writer, fan, written } = this.cast;
    const all = async (): Promise<unknown> => {
      const home = await told<{ homeTimeline: List<{ id: string; likeCount: number }> }>(
        this.as(fan),
        await example('home-timeline'),
        { first: 100 },
      );
      const { data } = await this.as(writer).ask('{ unreadNotificationCount me { postCount } }');
      return { home: home.homeTimeline.edges.map(({ node }) => [node.id, node.likeCount > 0]), data };
    };
    const should = {
      home: written
        .toReversed()
        .slice(0, 100)
        .map((id) => [id, true]),
      data: { unreadNotificationCount: written.length + 2 + 1, me: { postCount: written.length } },
    };
    for (let tries = 0; tries < 500; tries++) {
      if (JSON.stringify(await all()) === JSON.stringify(should)) break;
      await sleep(20);
    }
    expect(await all()).toEqual(should);
  }
}
