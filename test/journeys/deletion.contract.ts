import { expect, it } from '@jest/globals';
import type { Database } from '#libs/database';
import { newId, parseGlobalId } from '#libs/identity';
import type { Saga } from '#libs/saga';
import { messagesOf } from '../../commands/prove/saga-messages.js';
import { halfDoneDeletions, type HalfDone } from '../../commands/half-done.js';
import { endWatch, seenAcrossBlocks, watchBlocks, type Kept } from '../../commands/prove/block-watch.js';
import { partSlice } from '../../subgraphs/followers/on/dissolve-follows.js';
import { alice, bob, carol, dan, PASSWORD } from '../people.js';
import type { Person, World } from '../world.js';
import { act, cast, example, publish, refusals, told } from './cast.js';
import { operations, saidAt, untoldBack } from './doors.contract.js';
import { drift } from './drift.js';
import { hold, untilFrozen } from './held-steps.js';

interface Shown {
  readonly accountDeletion: {
    readonly state: string;
    readonly steps: readonly { readonly name: string; readonly state: string; readonly at: string | null }[];
  };
}

/** The deletion of an account: there, and back again. */
export function deletion(world: () => World): void {
  const shown = async (who: Person, id: string) => {
    const { accountDeletion } = await told<Shown>(who, await example('account-deletion'), { id });
    return { state: accountDeletion.state, steps: accountDeletion.steps.map(({ name, state }) => `${name} ${state}`) };
  };
  const begin = async (who: Person): Promise<string> => {
    const answer = await told<{ deleteAccount: { id: string } }>(who, await example('delete-account'), {
      input: { password: PASSWORD },
    });
    return answer.deleteAccount.id;
  };
  const seen = async (by: Person, whom: Person) =>
    told<Record<string, unknown>>(
      by,
      `query($handle: String!, $id: ID!) {
        userByHandle(handle: $handle) { id postCount followerCount followingCount
          posts { edges { node { id body likeCount } } }
          followers { edges { followedAt node { id } } } following { edges { followedAt node { id } } } }
        me { followerCount followingCount }
        homeTimeline { edges { node { id } } }
        unreadNotificationCount notifications { edges { node { id kind read } } }
        node(id: $id) { id }
      }`,
      { handle: whom.handle, id: whom.id },
    );

  const post = async (by: Person, id: string) =>
    (await told<{ post: unknown }>(by, 'query($id: ID!) { post(id: $id) { id } }', { id })).post;

  it('goes through its steps, by few messages, and leaves nothing personal in any table', async () => {
    const [a, b, c] = (await cast(world(), alice, bob, carol)) as [Person, Person, Person];
    await act(b, 'follow', a.id);
    await act(a, 'follow', b.id);
    await act(a, 'likePost', await publish(b, 'liked'));
    await act(a, 'block', c.id);
    const secret = `secret-${a.handle}`;
    const id = await publish(a, `first ${secret}`);
    const key = { 'idempotency-key': `"${a.handle}"`, authorization: `Bearer ${b.token}` };
    expect((await world().ask(await example('like'), { postId: id }, key)).errors).toEqual([]);
    await told(a, await example('edit-post'), { input: { id, body: `second ${secret}` } });
    await act(a, 'deletePost', await publish(a, `deleted ${secret}`));
    await told(a, await example('edit-profile'), { input: { displayName: secret, bio: secret } });
    type LoggedIn = { logIn: { token: string } };
    const { logIn } = await told<LoggedIn>(world(), await example('log-in'), {
      input: { handle: a.handle, password: PASSWORD },
    });
    const other = { authorization: `Bearer ${logIn.token}` };
    expect((await world().ask('mutation { logOut { everywhere } }', {}, other)).errors).toEqual([]);
    await world().settle();
    expect(await tablesWith(world(), secret)).not.toEqual([]);
    const uuid = parseGlobalId('user', a.id);
    const [kept] = await world().users.database.query<{ email: string }>('SELECT email FROM users WHERE id = $1', [
      uuid,
    ]);
    expect(await tablesWith(world(), kept!.email)).toEqual(['users.users']);
    expect(await tablesWith(world(), uuid)).toEqual(
      expect.arrayContaining([
        'posts.likes',
        'posts.block_edges',
        'followers.relations',
        'users.notifications_1',
        'users.ended_sessions',
      ]),
    );

    const deletionId = await begin(a);
    await world().settle();
    expect(await shown(a, deletionId)).toEqual({
      state: 'DONE',
      steps: [
        'FREEZE_ACCOUNT DONE',
        'WITHDRAW_POSTS DONE',
        'DISSOLVE_FOLLOWS DONE',
        'ERASE_ACCOUNT DONE',
        'ERASE_POSTS DONE',
        'ERASE_FOLLOWS DONE',
      ],
    });
    expect(await messagesOfEach(world(), deletionId)).toBe(MESSAGES[await sagaOf(world(), deletionId)]);
    expect(await tablesWith(world(), secret)).toEqual([]);
    // Sealed, it says nothing to who looks for words.
    expect(await tablesWith(world(), kept!.email)).toEqual([]);
    const places = await tablesWith(world(), uuid);
    expect(places.filter((place) => !KNOWS_THE_ID.includes(place))).toEqual([]);
    // Whose it was can ask; nobody else learns that it was.
    expect(await told(b, await example('account-deletion'), { id: deletionId })).toEqual({ accountDeletion: null });
    expect(await seen(b, a)).toMatchObject({ userByHandle: null, unreadNotificationCount: 0 });
    expect(await halfDone(world())).toEqual([]);
    expect(await drift(world())).toEqual([]);
  });

  it('that cannot be finished brings everything back: posts, likes, follows since when they were, the log-in', async () => {
    const [a, b, c, d] = (await cast(world(), alice, bob, carol, dan)) as [Person, Person, Person, Person];
    await act(a, 'block', d.id);
    for (const [who, whom] of [
      [a, b],
      [b, a],
      [c, a],
    ] as const)
      await act(who, 'follow', whom.id);
    const root = await publish(b, 'a post');
    await act(a, 'likePost', root);
    await publish(a, 'a reply', root);
    await world().settle();
    // Who comes back is not told of again: what was read stays read.
    await told(b, await example('mark-notifications-read'));
    const own = await publish(a, 'hello');
    await act(b, 'likePost', own);
    const deleted = await publish(a, 'not meant');
    await act(a, 'deletePost', deleted);
    await world().settle();
    const before = [await seen(b, a), await seen(a, b), await seen(c, a)];

    const mend = await breakFollows(world().followers.database, parseGlobalId('user', c.id));
    await watchBlocks(world().posts.database, [kept(a, d)]);
    const deletionId = await begin(a);
    await withoutPauses(world(), () =>
      untilState(async () => {
        expect(await post(d, own)).toBeNull();
        return shown(a, deletionId);
      }, 'REVERTED'),
    );
    await mend();
    expect(await shown(a, deletionId)).toEqual({
      state: 'REVERTED',
      steps: [
        'FREEZE_ACCOUNT UNDONE',
        'WITHDRAW_POSTS UNDONE',
        'DISSOLVE_FOLLOWS FAILED',
        'ERASE_ACCOUNT PENDING',
        'ERASE_POSTS PENDING',
        'ERASE_FOLLOWS PENDING',
      ],
    });
    await world().settle();
    expect([await seen(b, a), await seen(a, b), await seen(c, a)]).toEqual(before);
    expect(await post(b, deleted)).toBeNull();
    expect([await post(d, own), await seenAcrossBlocks(world().posts.database)]).toEqual([null, 0]);
    await endWatch(world().posts.database);
    expect(await drift(world())).toEqual([]);
    expect(await halfDone(world())).toEqual([]);
    const logIn = await world().ask(await example('log-in'), { input: { handle: a.handle, password: PASSWORD } });
    expect(logIn.errors).toEqual([]);
    expect(await untoldBack(world(), a, b)).toEqual([]);
    await publish(a, 'I am still here');

    // And now it works.
    const again = await begin(a);
    await world().settle();
    expect(await shown(a, again)).toMatchObject({ state: 'DONE' });
    expect(await seen(b, a)).toMatchObject({ userByHandle: null });
  });

  it('that goes back is no second one: it is refused by a clear code, and when it has come back the account can be deleted', async () => {
    const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
    await act(a, 'follow', b.id);
    const asked = await operations(a, b, await publish(a, 'hello'), await publish(b, 'not withdrawn'), []);
    await world().settle();
    const mend = await breakFollows(world().followers.database, parseGlobalId('user', b.id));
    const goBack = await hold(world().posts.database, 'restore-posts');
    const deletionId = await begin(a);
    await withoutPauses(world(), () => untilState(() => shown(a, deletionId), 'COMPENSATING'));
    await world().settle();
    const choreographed = (await sagaOf(world(), deletionId)) === 'choreographed';
    const query = await example('delete-account');
    const again = (password: string) => a.ask(query, { input: { password } });
    // The account is there again already, where nobody asks for the steps one after the other.
    expect(refusals(await again(PASSWORD))).toEqual([
      choreographed ? 'deleteAccount CONFLICT' : 'deleteAccount ACCOUNT_FROZEN',
    ]);
    expect(refusals(await again('not this one'))).toEqual([
      choreographed ? 'deleteAccount FORBIDDEN' : 'deleteAccount ACCOUNT_FROZEN',
    ]);
    if (!choreographed) {
      const { wanted, came } = await saidAt(world(), a, asked, 'frozen', deletionId, ['logOut']);
      expect(came).toEqual(wanted);
    }
    expect(await shown(a, deletionId)).toMatchObject({ state: 'COMPENSATING' });
    // The control: what keeps it from being in two is that the table refuses it, which says nothing to anybody.
    await expect(
      world().users.database.query(
        `INSERT INTO account_deletions (id, user_id, saga, state) VALUES ($1, $2, 'choreographed', 'RUNNING')`,
        [newId(), parseGlobalId('user', a.id)],
      ),
    ).rejects.toThrow('account_deletions_under_way');
    await mend();
    await goBack();
    await withoutPauses(world(), () => untilState(() => shown(a, deletionId), 'REVERTED'));
    await world().settle();
    const second = await begin(a);
    await withoutPauses(world(), () => untilState(() => shown(a, second), 'DONE'));
    expect(await halfDone(world())).toEqual([]);
  });

  it('a block holds while follows have ended and posts are still there; were it to end with them, they would be seen (control)', async () => {
    const [a, b, d] = (await cast(world(), alice, bob, dan)) as [Person, Person, Person];
    await act(a, 'block', d.id);
    await act(a, 'follow', b.id);
    const id = await publish(a, 'not for dan');
    await world().settle();
    await watchBlocks(world().posts.database, [kept(a, d)]);
    const goOn = await hold(world().posts.database);
    const deletionId = await begin(a);
    await untilFrozen(world(), a);
    await world().settle();
    expect([await post(d, id), await seenAcrossBlocks(world().posts.database)]).toEqual([null, 0]);

    const part = { userId: parseGlobalId('user', a.id) } as Parameters<typeof partSlice>[1];
    await world().followers.database.transaction((tx) => partSlice(tx, part));
    await world().settle();
    expect([await post(d, id), await seenAcrossBlocks(world().posts.database)]).toEqual([{ id }, 1]);
    await endWatch(world().posts.database);
    await goOn();
    await world().settle();
    expect(await shown(a, deletionId)).toMatchObject({ state: 'DONE' });
  });

  it('is refused by a clear code when it is asked twice, and so is everything that a frozen account does', async () => {
    const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
    const post = await publish(b, 'hello');
    await act(a, 'follow', b.id);
    await world().settle();
    const goOn = await hold(world().followers.database);
    const deletionId = await begin(a);
    const inMotion = async () => (await shown(a, deletionId)).state;
    await untilFrozen(world(), a);
    // What is held is all that is left to do.
    while (!(await shown(a, deletionId)).steps.includes('WITHDRAW_POSTS DONE'))
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await inMotion()).toBe('RUNNING');
    for (const [field, query, variables] of [
      ['deleteAccount', await example('delete-account'), { input: { password: PASSWORD } }],
      ['editProfile', await example('edit-profile'), { input: { bio: 'x' } }],
      ['publishPost', await example('publish'), { input: { body: 'x' } }],
      ['likePost', await example('like'), { postId: post }],
      ['follow', await example('follow'), { userId: b.id }],
      ['homeTimeline', await example('home-timeline'), {}],
    ] as const) {
      expect(refusals(await a.ask(query, variables))).toEqual([`${field} ACCOUNT_FROZEN`]);
    }
    const follow = await b.ask(await example('follow'), { userId: a.id });
    expect(refusals(follow)).toEqual(['follow NOT_FOUND']);
    expect(await seen(b, a)).toMatchObject({ userByHandle: null, unreadNotificationCount: 0 });
    expect(await halfDone(world())).toEqual([]);
    expect(await halfDone(world(), 0)).toEqual([
      {
        deletion: parseGlobalId('deletion', deletionId),
        what: expect.stringMatching(/RUNNING .* waits for .*DISSOLVE/),
      },
    ]);
    await goOn();
    await world().settle();
    expect(await inMotion()).toBe('DONE');
    expect(await halfDone(world(), 0)).toEqual([]);
    // What a service lost, from an older backup for example, is found.
    const user = parseGlobalId('user', a.id);
    await world().posts.database.query(`UPDATE people SET state = 'registered' WHERE id = $1`, [user]);
    expect(await halfDone(world())).toEqual([
      { deletion: parseGlobalId('deletion', deletionId), what: 'deleted, and still there in posts' },
    ]);
    await world().posts.database.query(`UPDATE people SET state = 'deleted' WHERE id = $1`, [user]);
    expect(refusals(await a.ask(await example('delete-account'), { input: { password: PASSWORD } }))).toEqual([
      'deleteAccount UNAUTHENTICATED',
    ]);
  });
}

/** Where an id may stay that is nobody's any more: see docs/decisions/0016-erasure-by-overwriting.md. */
const KNOWS_THE_ID = [
  ...['users', 'handles', 'ended_sessions', 'account_deletions', 'deletion_parts', 'outbox', 'inbox'].map(
    (name) => `users.${name}`,
  ),
  ...['people', 'posts', 'post_events', 'deletion_parts', 'outbox', 'inbox'].map((name) => `posts.${name}`),
  ...['people', 'deletion_parts', 'outbox', 'inbox', 'idempotency_keys'].map((name) => `followers.${name}`),
];

/** Frozen, deleted, and what posts and followers answer before and after; orchestrated, two steps are asked for besides. */
const MESSAGES = { orchestrated: 8, choreographed: 6 };

async function sagaOf(world: World, deletionId: string): Promise<Saga> {
  const [row] = await world.users.database.query<{ saga: Saga }>('SELECT saga FROM account_deletions WHERE id = $1', [
    parseGlobalId('deletion', deletionId),
  ]);
  return row?.saga as Saga;
}

function messagesOfEach({ subgraphs }: World, deletionId: string): Promise<number> {
  return messagesOf(
    subgraphs.map(({ database }) => database),
    parseGlobalId('deletion', deletionId),
  );
}

function kept(author: Person, from: Person): Kept {
  return { author: parseGlobalId('user', author.id), from: parseGlobalId('user', from.id) };
}

function halfDone({ users, posts, followers }: World, stuckS = 600): Promise<HalfDone[]> {
  const databases = { users: users.database, posts: posts.database, followers: followers.database };
  return halfDoneDeletions(databases, { stuckS, tries: 2, againMs: 10 });
}

/** From now on the database refuses to end the follows of this person. Answers how to mend it. */
async function breakFollows(followers: Database, userId: string): Promise<() => Promise<void>> {
  const name = `broken_${userId.replaceAll('-', '')}`;
  await followers.query(
    `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken by the test'; END $$`,
  );
  await followers.query(
    `CREATE TRIGGER ${name} BEFORE DELETE ON follows FOR EACH ROW
     WHEN (OLD.follower_id = '${userId}' OR OLD.followee_id = '${userId}') EXECUTE FUNCTION ${name}()`,
  );
  return async () => {
    await followers.query(`DROP TRIGGER ${name} ON follows`);
    await followers.query(`DROP FUNCTION ${name}()`);
  };
}

/** A step that fails is tried again at once, not after seconds. */
async function withoutPauses(world: World, work: () => Promise<void>): Promise<void> {
  let over = false;
  // Embedded, a statement is done before anybody else in this process has a turn, so there is a pause after each.
  const untilOver = async (step: () => Promise<unknown>): Promise<void> => {
    while (!over) {
      await step();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const hurrying = Promise.all([
    untilOver(() =>
      world.followers.database.query(
        `UPDATE deletion_parts SET due_at = now() WHERE state = 'working' AND due_at > now()`,
      ),
    ),
    untilOver(() => world.settle()),
  ]);
  try {
    await work();
  } finally {
    over = true;
    await hurrying;
  }
}

async function untilState(look: () => Promise<{ state: string }>, state: string): Promise<void> {
  while ((await look()).state !== state) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** `service.table` of every table of ours in which some row, as text, has the words. */
async function tablesWith(world: World, words: string): Promise<string[]> {
  const found: string[] = [];
  for (const { name, database } of world.subgraphs) {
    const tables = await database.query<{ table: string }>(
      `SELECT quote_ident(tablename) AS table FROM pg_tables WHERE schemaname = 'public'`,
    );
    for (const { table } of tables) {
      const [row] = await database.query(`SELECT FROM ${table} AS t WHERE t::text LIKE $1 LIMIT 1`, [`%${words}%`]);
      if (row !== undefined) found.push(`${name}.${table}`);
    }
  }
  return found;
}
