import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { alice, bob, PASSWORD } from '../people.js';
import type { Answer, Person, World } from '../world.js';
import { act, cast, example, publish, refusals, told } from './cast.js';

/** Whoever has lost the answer of a mutation asks again with the same Idempotency-Key. */
export function repeats(world: () => World): void {
  const send = async (
    who: Pick<Person, 'token'> | null,
    query: string,
    variables: Record<string, unknown>,
    key: string,
  ): Promise<Answer> =>
    world().ask(query, variables, {
      'idempotency-key': key,
      ...(who === null ? {} : { authorization: `Bearer ${who.token}` }),
    });
  const newKey = (): string => `"${randomUUID()}"`;
  const bodiesOf = async (who: Person): Promise<string[]> => {
    type Page = { userByHandle: { posts: { edges: { node: { body: string } }[] } } };
    const { userByHandle } = await told<Page>(who, await example('profile-page'), { handle: who.handle });
    return userByHandle.posts.edges.map(({ node }) => node.body);
  };

  describe('a mutation that is repeated with its Idempotency-Key', () => {
    it('is done once and answered alike, with a token of what was written; control: without a key it is done twice', async () => {
      const [a] = (await cast(world(), alice)) as [Person];
      const input = { input: { body: 'once' } };
      const key = newKey();
      const first = await send(a, await example('publish'), input, key);
      const again = await send(a, await example('publish'), input, key);
      // As most clients write it.
      const bare = await send(a, await example('publish'), input, key.slice(1, -1));
      expect(first.errors).toEqual([]);
      expect([again.text, bare.text]).toEqual([first.text, first.text]);
      if (first.headers.has('consistency-token')) expect(again.headers.has('consistency-token')).toBe(true);
      expect(await bodiesOf(a)).toEqual(['once']);

      await publish(a, 'naive');
      await publish(a, 'naive');
      expect(await bodiesOf(a)).toEqual(['naive', 'naive', 'once']);
    });

    it('is each of its fields once', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      const both = `mutation($b: ID!) {
        one: publishPost(input: { body: "one" }) { id } two: publishPost(input: { body: "two" }) { id }
        follow(userId: $b) { id viewerFollows } editProfile(input: { bio: "by the river" }) { id bio } }`;
      const key = newKey();
      const first = await send(a, both, { b: b.id }, key);
      const again = await send(a, both, { b: b.id }, key);
      expect(first.errors).toEqual([]);
      expect(again.text).toBe(first.text);
      expect((await bodiesOf(a)).sort()).toEqual(['one', 'two']);
    });

    it('of every kind is answered as the first time', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      const id = await publish(b, 'a post of bob’s');
      const own = await publish(a, 'a post of alice’s');
      for (const [name, variables] of [
        ['like', { postId: id }],
        ['unlike', { postId: id }],
        ['edit-post', { input: { id: own, body: 'edited', expectedVersion: 1 } }],
        ['delete-post', { id: own }],
        ['restore-post', { id: own }],
        ['follow', { userId: b.id }],
        ['unfollow', { userId: b.id }],
        ['block', { userId: b.id }],
        ['unblock', { userId: b.id }],
        ['edit-profile', { input: { displayName: 'Alice again', handle: `${a.handle}_x` } }],
        ['mark-notifications-read', {}],
      ] as const) {
        const key = newKey();
        const query = await example(name);
        const first = await send(a, query, variables, key);
        const again = await send(a, query, variables, key);
        expect([name, first.errors]).toEqual([name, []]);
        expect([name, again.text]).toEqual([name, first.text]);
      }
    });

    it('is refused with 422 when the key came with something else before, and with 400 when it is none', async () => {
      const [a] = (await cast(world(), alice)) as [Person];
      const key = newKey();
      const query = await example('publish');
      await send(a, query, { input: { body: 'first' } }, key);
      for (const [text, variables] of [
        [query, { input: { body: 'second' } }],
        ['mutation { publishPost(input: { body: "first" }) { id } }', {}],
        ['mutation { __typename publishPost(input: { body: "first" }) { id } }', {}],
        ['mutation { other: publishPost(input: { body: "first" }) { id } }', {}],
      ] as const) {
        const refused = await send(a, text, variables, key);
        expect([refused.status, refused.errors[0]?.extensions.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
        expect(refused.text).not.toContain('"data"');
      }
      for (const none of ['""', '"a', 'a b', '"a", "b"', `"${'a'.repeat(256)}"`]) {
        const refused = await send(a, query, { input: { body: 'none' } }, none);
        expect([none, refused.status, refused.errors[0]?.extensions.code]).toEqual([none, 400, 'BAD_REQUEST']);
      }
      expect(await bodiesOf(a)).toEqual(['first']);
      // A query may be repeated as it is.
      expect((await send(a, '{ me { handle } }', {}, '"a')).status).toBe(200);
    });

    it('while the first is under way is refused with 409, and may be tried again', async () => {
      const input = { handle: `twice_${randomUUID().slice(0, 8)}`, displayName: 'T', email: 't@example.org' };
      const key = newKey();
      const query = 'mutation($input: SignUpInput!) { signUp(input: $input) { user { id } } }';
      const signUp = () => send(null, query, { input: { ...input, password: PASSWORD } }, key);
      // A password takes a while to be hashed.
      const all = await Promise.all(Array.from({ length: 8 }, signUp));
      const busy = all.filter(({ status }) => status === 409);
      expect(busy.length).toBeGreaterThan(0);
      for (const { errors, headers } of busy) {
        expect(errors[0]?.extensions.code).toBe('IDEMPOTENCY_KEY_IN_USE');
        expect(headers.get('retry-after')).toBe('1');
      }
      const later = await signUp();
      expect(later.errors).toEqual([]);
      const answers = all.filter(({ status }) => status === 200).map(({ text }) => text);
      expect(new Set([...answers, later.text]).size).toBe(1);
    });

    it('by somebody else with the same key is theirs', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      const key = newKey();
      const query = await example('publish');
      const mine = await send(a, query, { input: { body: 'same' } }, key);
      const theirs = await send(b, query, { input: { body: 'same' } }, key);
      expect(theirs.errors).toEqual([]);
      expect(theirs.data).not.toEqual(mine.data);
      expect([await bodiesOf(a), await bodiesOf(b)]).toEqual([['same'], ['same']]);
    });

    it('of somebody else’s post keeps nothing of it, and shows it as its viewer may see it now', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      const postId = await publish(b, `bob’s, ${b.handle}`);
      const shows = (field: string) => `mutation($postId: ID!) { ${field}(postId: $postId) { body likeCount } }`;
      const keys = { likePost: newKey(), unlikePost: newKey() };
      const all = async (): Promise<Answer[]> => {
        const answers: Answer[] = [];
        for (const [field, key] of Object.entries(keys)) answers.push(await send(a, shows(field), { postId }, key));
        return answers;
      };
      const first = await all();
      expect(first.map(({ data }) => data)).toEqual([
        { likePost: { body: `bob’s, ${b.handle}`, likeCount: 1 } },
        { unlikePost: { body: `bob’s, ${b.handle}`, likeCount: 0 } },
      ]);
      const { database } = world().posts;
      const kept = JSON.stringify(await database.query('SELECT done FROM idempotency_keys'));
      expect(kept).not.toContain(`bob’s, ${b.handle}`);
      expect((await all()).flatMap(refusals)).toEqual([]);
      await act(b, 'block', a.id);
      await world().settle();
      expect((await all()).flatMap(refusals)).toEqual(['likePost NOT_FOUND', 'unlikePost NOT_FOUND']);
    });

    it('that failed is tried again', async () => {
      const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
      const key = newKey();
      const query = await example('follow');
      await act(b, 'block', a.id);
      const refused = await send(a, query, { userId: b.id }, key);
      expect([refused.status, refusals(refused)]).toEqual([200, [expect.stringContaining('follow ')]]);
      await act(b, 'unblock', a.id);
      expect((await send(a, query, { userId: b.id }, key)).errors).toEqual([]);
    });

    it('signs up once, and nobody is told by the key alone', async () => {
      const handle = `repeat_${randomUUID().slice(0, 8)}`;
      const input = { handle, displayName: 'R', email: 'r@example.org', password: PASSWORD };
      const key = newKey();
      const query = await example('sign-up');
      type Session = { signUp: { token: string; user: { id: string } } | null };
      const first = (await send(null, query, { input }, key)).data as unknown as Session;
      const again = (await send(null, query, { input }, key)).data as unknown as Session;
      expect(again.signUp?.user).toEqual(first.signUp?.user);
      const me = await world().ask('{ me { handle } }', {}, { authorization: `Bearer ${again.signUp?.token}` });
      expect(me.data).toEqual({ me: { handle } });

      // The log-in that began with it has ended: whoever has the request has no way back in.
      const change = 'mutation($input: ChangePasswordInput!) { changePassword(input: $input) { token } }';
      const to = (newPassword: string, password: string) => ({ input: { password, newPassword } });
      const changed = newKey();
      const next = await send({ token: again.signUp!.token }, change, to('a second password', PASSWORD), changed);
      const { token } = (next.data as unknown as { changePassword: { token: string } }).changePassword;
      expect(refusals(await send(null, query, { input }, key))).toEqual(['signUp UNAUTHENTICATED']);
      expect((await send({ token }, change, to('a second password', PASSWORD), changed)).errors).toEqual([]);
      const third = await send({ token }, change, to('a third password', 'a second password'), newKey());
      const last = (third.data as unknown as { changePassword: { token: string } }).changePassword;
      const late = await send(last, change, to('a second password', PASSWORD), changed);
      expect(refusals(late)).toEqual(['changePassword UNAUTHENTICATED']);

      const stranger = await send(null, query, { input: { ...input, password: 'another password' } }, key);
      expect(refusals(stranger)).toEqual(['signUp CONFLICT']);
      expect(refusals(await world().ask(query, { input }))).toEqual(['signUp CONFLICT']);
    });

    it('changes a password and deletes an account once, though neither could be asked for again', async () => {
      const [a] = (await cast(world(), alice)) as [Person];
      const change = { input: { password: PASSWORD, newPassword: 'another password' } };
      const query = 'mutation($input: ChangePasswordInput!) { changePassword(input: $input) { token user { id } } }';
      const key = newKey();
      type Session = { changePassword: { token: string } };
      const first = (await send(a, query, change, key)).data as unknown as Session;
      const token = first.changePassword.token;
      const again = await send({ token }, query, change, key);
      expect([again.errors, again.data]).toEqual([
        [],
        { changePassword: { token: expect.any(String), user: { id: a.id } } },
      ]);
      const naive = await world().ask(query, change, { authorization: `Bearer ${token}` });
      expect(refusals(naive)).toEqual(['changePassword FORBIDDEN']);

      const farewell = { input: { password: 'another password' } };
      const bye = newKey();
      const gone = await send({ token }, await example('delete-account'), farewell, bye);
      const still = await send({ token }, await example('delete-account'), farewell, bye);
      expect(gone.errors).toEqual([]);
      // Where it was carried out meanwhile, nobody is left to be answered.
      if (still.errors.length === 0) expect(still.data).toMatchObject({ deleteAccount: { id: deletionOf(gone) } });
      else expect(refusals(still)).toEqual(['deleteAccount UNAUTHENTICATED']);
      await world().settle();
      for (const { name, database } of world().subgraphs) {
        const kept = await database.query<{ done: unknown }>('SELECT done FROM idempotency_keys');
        expect([name, JSON.stringify(kept)]).toEqual([name, expect.not.stringContaining(a.handle)]);
      }
    });
  });
}

function deletionOf({ data }: Answer): string {
  return (data as unknown as { deleteAccount: { id: string } }).deleteAccount.id;
}
