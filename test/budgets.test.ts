import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { parseGlobalId } from '#libs/identity';
import { BUDGETS } from './budgets.js';
import { crowdAround } from './crowd.js';
import { alice, bob } from './people.js';
import { keepStill } from './still.js';
import { startWorld, type Cost, type Person, type World } from './world.js';

keepStill();

const text = (name: string): Promise<string> =>
  readFile(new URL(`../examples/${name}.graphql`, import.meta.url), 'utf8');

/** A gateway asks users every two seconds which log-ins have ended; that belongs to no operation. */
const QUIET = { ENDED_SESSIONS_POLL_MS: '600000' };

/** The story that the mutations tell in order; each takes what the ones before it made. */
async function variablesOf(name: string, made: Made): Promise<Record<string, unknown>> {
  switch (name) {
    case 'profile-page':
      return { handle: 'alice' };
    case 'thread':
    case 'node':
    case 'post-history':
      return { id: made.post };
    case 'nodes':
      return { ids: [made.post, made.alice.id, made.bob.id] };
    case 'post-as-of':
      return { id: made.post, at: '2100-01-01T00:00:00.000Z' };
    case 'sign-up':
      return { input: { handle: 'zoe', email: 'z@example.org', password: 'tributary', displayName: 'Zoe' } };
    case 'log-in':
      return { input: { handle: 'zoe', password: 'tributary' } };
    case 'edit-profile':
      return { input: { bio: 'by the river' } };
    case 'publish':
      return { input: { body: 'a reply', inReplyToId: made.post } };
    case 'edit-post':
      return { input: { id: made.own, body: 'edited' } };
    case 'delete-post':
    case 'restore-post':
      return { id: made.own };
    case 'like':
    case 'unlike':
      return { postId: made.post };
    case 'follow':
    case 'unfollow':
    case 'block':
    case 'unblock':
      return { userId: made.alice.id };
    case 'account-deletion':
      return { id: 'deletion_01m3veg580e1cs2r068g8q5y7t' };
    case 'delete-account':
      return { input: { password: 'tributary' } };
    default:
      return {};
  }
}

interface Made {
  alice: Person;
  bob: Person;
  /** A post of alice with replies. */
  post: string;
  /** A post of bob. */
  own: string;
}

async function populate(world: World): Promise<Made> {
  const [a, b] = [await world.signUp(alice), await world.signUp(bob)];
  await world.settle();
  const publish = async (person: Person, input: object): Promise<string> => {
    const answer = await person.ask(await text('publish'), { input });
    return (answer.data as { publishPost: { id: string } }).publishPost.id;
  };
  const post = await publish(a, { body: 'a post' });
  await publish(b, { body: 'a reply', inReplyToId: post });
  const own = await publish(b, { body: 'mine' });
  await crowdAround(world, parseGlobalId('user', a.id), 120);
  await world.settle();
  return { alice: a, bob: b, post, own };
}

function over(cost: Cost, name: string): string[] {
  const budget = BUDGETS[name];
  if (!budget) return [`${name} has no budget in test/budgets.ts`];
  return (['users', 'posts', 'followers'] as const).flatMap((service) => [
    ...((cost.calls[service] ?? 0) > budget.calls[service] ? [`${service}: ${cost.calls[service]} calls`] : []),
    ...((cost.statements[service] ?? 0) > budget.statements[service]
      ? [`${service}: ${cost.statements[service]} statements`]
      : []),
  ]);
}

describe('with the cache off', () => {
  let world: World;
  let made: Made;
  beforeAll(async () => {
    world = await startWorld({ ...QUIET, CACHE: 'off' });
    made = await populate(world);
  }, 180_000);
  afterAll(() => world?.close());

  // First of all: nothing has been written since.
  describe('the profile page', () => {
    it('costs the same for 1, 20 and 100 posts and followers', async () => {
      const costs: Cost[] = [];
      for (const size of [1, 20, 100]) {
        const query = (await text('profile-page')).replace('followers(first: 10)', `followers(first: ${size})`);
        const ask = () => made.bob.ask(query, { handle: 'alice', posts: size });
        await ask();
        let answer = '';
        costs.push(await world.count(async () => (answer = (await ask()).text)));
        expect(answer.match(/followerCount/g)).toHaveLength(size + 1);
      }
      expect(costs[1]).toEqual(costs[0]);
      expect(costs[2]).toEqual(costs[0]);
    });

    it('control: asked one by one, the same page costs a statement for each post and follower', async () => {
      const cost = await world.count(async () => {
        for (let n = 0; n < 20; n++)
          await made.bob.ask(
            '{ userByHandle(handle: "alice") { posts(first: 1) { edges { node { viewerHasLiked } } } } }',
          );
      });
      expect(cost.statements['posts']).toBeGreaterThan(BUDGETS['profile-page']?.statements.posts ?? 0);
    });
  });

  it.each(Object.keys(BUDGETS))('%s keeps its budget of subgraph calls and SQL statements', async (name) => {
    const [query, variables] = [await text(name), await variablesOf(name, made)];
    // Once before: plans and keys are fetched once and belong to no operation.
    if (!query.startsWith('mutation')) await made.bob.ask(query, variables);
    let errors: unknown;
    const cost = await world.count(async () => {
      ({ errors } = await made.bob.ask(query, variables));
      // A write is counted with all that follows from it: relay, inbox and effect in every service.
      if (query.startsWith('mutation')) await world.settle();
    });
    expect(errors).toEqual([]);
    expect(over(cost, name)).toEqual([]);
  });

  it('an Idempotency-Key costs a write one statement, and spares the second one all of its own', async () => {
    const query = 'mutation($id: ID!, $body: String!) { editPost(input: { id: $id, body: $body }) { id } }';
    const authorization = `Bearer ${made.alice.token}`;
    const costOf = async (work: () => Promise<unknown>) => {
      const { statements } = await world.count(() => work().then(() => world.settle()));
      return statements['posts'] ?? 0;
    };
    const edit = (body: string, more: Record<string, string>) => async () => {
      const { errors } = await world.ask(query, { id: made.post, body }, { authorization, ...more });
      expect(errors).toEqual([]);
    };
    const key = { 'idempotency-key': '"budget"' };
    const quiet = await costOf(async () => {});
    // The first one after nothing was done has one look of the relay more.
    await costOf(edit('the first', {}));
    const naive = await costOf(edit('without a key', {}));
    expect(naive).toBeGreaterThan(quiet + 2);
    // Two, and no other one by which the call itself could not write twice.
    expect(await costOf(edit('under a key', key))).toBe(naive + 1);
    expect(await costOf(edit('under a key', key))).toBe(quiet + 2);
  });
});

describe('with the cache on and warm', () => {
  let world: World;
  let made: Made;
  beforeAll(async () => {
    world = await startWorld(QUIET);
    made = await populate(world);
  }, 180_000);
  afterAll(() => world?.close());

  it.each(Object.keys(BUDGETS).filter((name) => BUDGETS[name]?.warm))(
    '%s keeps its budget of statements and round trips',
    async (name) => {
      const [query, variables] = [await text(name), await variablesOf(name, made)];
      await made.bob.ask(query, variables);
      const cost = await world.count(() => made.bob.ask(query, variables));
      const statements = Object.values(cost.statements).reduce((sum, count) => sum + count, 0);
      expect(statements).toBeLessThanOrEqual(BUDGETS[name]?.warm?.statements ?? 0);
      expect(cost.roundTrips).toBeLessThanOrEqual(BUDGETS[name]?.warm?.roundTrips ?? 0);
    },
  );
});
