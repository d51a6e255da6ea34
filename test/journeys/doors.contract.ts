import { expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { parseGlobalId } from '#libs/identity';
import { alice, bob, PASSWORD } from '../people.js';
import type { Person, World } from '../world.js';
import { act, cast, example, mutation, publish, refusals, told } from './cast.js';
import { hold, untilFrozen } from './held-steps.js';

/** What each door says to whoever is being deleted: all that docs/path-of-a-write.md has in its table. */
export function doors(world: () => World): void {
  it('the page names every mutation but the one that is for who has no account', async () => {
    const { __schema } = await told<{ __schema: { mutationType: { fields: { name: string }[] } } }>(
      world(),
      '{ __schema { mutationType { fields { name } } } }',
    );
    const named = (await table()).flatMap(({ names }) => names);
    const mutations = __schema.mutationType.fields.map(({ name }) => name);
    expect(mutations.filter((name) => !named.includes(name))).toEqual(['signUp']);
  });

  it.each([
    // Who comes to nothing first, and who then has erased nothing when the other has done it.
    ['posts', 'withdraw-posts', 'followers', 'erase-follows'],
    ['followers', 'dissolve-follows', 'posts', 'erase-posts'],
  ] as const)('one thing is said, whoever is late (%s at %s, then %s at %s)', async (first, step, last, erasing) => {
    const [a, b] = (await cast(world(), alice, bob)) as [Person, Person];
    const own = await publish(a, 'to be withdrawn');
    await act(b, 'likePost', own);
    await act(a, 'follow', b.id);
    const tokens = [await logIn(world(), a), await logIn(world(), a), await logIn(world(), a)];
    const asked = await operations(a, b, own, await publish(b, 'not theirs'), tokens);
    await world().settle();

    const goOn = await hold(world()[first].database, step);
    const goOnErasing = await hold(world()[last].database, erasing);
    const { deleteAccount } = await told<{ deleteAccount: { id: string } }>(a, await example('delete-account'), {
      input: { password: PASSWORD },
    });
    const state = async () => {
      const { accountDeletion } = await told<{ accountDeletion: { state: string } }>(
        a,
        await example('account-deletion'),
        { id: deleteAccount.id },
      );
      return accountDeletion.state;
    };
    const said = (phase: 'frozen' | 'gone') => saidAt(world(), a, asked, phase, deleteAccount.id);
    try {
      await untilFrozen(world(), a);
      const frozen = await said('frozen');
      expect(frozen.came).toEqual(frozen.wanted);
      expect(await state()).toBe('RUNNING');
      const read = await told(b, 'query($id: ID!) { post(id: $id) { author { handle } } }', { id: own });
      // Posts may have withdrawn it; where it is still there, its author is gone, which is no error.
      expect(read).toEqual({ post: first === 'posts' ? { author: null } : null });
      // Where follows are still to be ended, the list and the count agree.
      const { me } = await told<{ me: unknown }>(b, '{ me { followerCount followers { edges { node { handle } } } } }');
      if (first === 'followers') expect(me).toEqual({ followerCount: 1, followers: { edges: [{ node: null }] } });
    } finally {
      await goOn();
    }
    try {
      await untilErasing(world(), a, last, erasing);
      const gone = await said('gone');
      expect(gone.came).toEqual(gone.wanted);
      expect(await state()).toBe('RUNNING');
      // The control: by how the person stands there, which goes with the last slice, the late one would still say ACCOUNT_FROZEN.
      expect(await standing(world(), a)).toEqual(
        last === 'posts' ? { posts: 'frozen', followers: 'gone' } : { posts: 'deleted', followers: 'frozen' },
      );
    } finally {
      await goOnErasing();
    }
    await world().settle();
    expect(await state()).toBe('DONE');
    const done = await said('gone');
    expect(done.came).toEqual(done.wanted);
  });

  it('a sign-up that is repeated under its key is told the same, and logs nobody in', async () => {
    const key = { 'idempotency-key': `"${crypto.randomUUID()}"` };
    const handle = `k${crypto.randomUUID().replaceAll('-', '').slice(0, 20)}`;
    const input = { handle, email: `${handle}@example.org`, password: PASSWORD, displayName: 'Kim' };
    const signUp = async () => world().ask(await example('sign-up'), { input }, key);
    const { signUp: session } = (await signUp()).data as { signUp: { token: string } };
    await world().settle();
    const goOn = await hold(world().posts.database, 'withdraw-posts');
    try {
      const leave = { input: { password: PASSWORD } };
      const by = { authorization: `Bearer ${session.token}` };
      expect((await world().ask(await example('delete-account'), leave, by)).errors).toEqual([]);
      expect(refusals(await signUp())).toEqual(['signUp ACCOUNT_FROZEN']);
    } finally {
      await goOn();
    }
    await world().settle();
  });

  it('whom posts has not heard of is told to come again, and is logged in', async () => {
    const [a] = (await cast(world(), alice)) as [Person];
    const { database } = world().posts;
    const [known] = await database.query<object>('DELETE FROM people WHERE id = $1 RETURNING *', [
      parseGlobalId('user', a.id),
    ]);
    const publishing = async () => refusals(await a.ask(await example('publish'), { input: { body: 'first!' } }));
    expect(await publishing()).toEqual(['publishPost NOT_CAUGHT_UP']);
    expect(await told(a, '{ me { id } }')).toEqual({ me: { id: a.id } });
    await database.query('INSERT INTO people SELECT * FROM json_populate_record(NULL::people, $1)', [
      JSON.stringify(known),
    ]);
    expect(await publishing()).toEqual([]);
  });
}

/** What the table wants of each door in it, and what came. */
export async function saidAt(
  world: World,
  who: Person,
  asked: (name: string, deletionId: string) => Operation,
  phase: 'frozen' | 'gone',
  deletionId: string,
  left: readonly string[] = [],
) {
  const rows = (await table()).flatMap(({ names, ...row }) => names.map((name) => ({ name, said: row[phase] })));
  const wanted = rows.filter(({ name }) => !left.includes(name));
  const came = [];
  for (const { name } of wanted) came.push({ name, said: await saidBy(world, who, asked(name, deletionId)) });
  return { wanted, came };
}

/** Of somebody whose deletion was taken back: what is not answered as to anybody else. Log-ins and passwords stay as they are. */
export async function untoldBack(world: World, a: Person, b: Person): Promise<string[]> {
  const own = await publish(a, 'written since');
  const asked = await operations(a, b, own, await publish(b, 'another'), []);
  const left = ['changePassword', 'deleteAccount', 'logOut', 'logIn', 'accountDeletion'];
  const said: string[] = [];
  for (const { names } of await table())
    for (const name of names)
      if (!left.includes(name))
        said.push(...(await saidBy(world, a, asked(name, ''))).map((what) => `${name} ${what}`));
  return said;
}

interface Operation {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  /** By this log-in instead of the person's. */
  readonly token?: string | undefined;
  readonly nobody?: boolean;
}

/** An operation for each name, about a person's own post and another's. */
export async function operations(
  a: Person,
  b: Person,
  own: string,
  other: string,
  tokens: string[],
): Promise<(name: string, deletionId: string) => Operation> {
  const [editProfile, deleteAccount, marking, editing, restoring, publishing, deletion, loggingIn] = await Promise.all(
    [
      'edit-profile',
      'delete-account',
      'mark-notifications-read',
      'edit-post',
      'restore-post',
      'publish',
      'account-deletion',
      'log-in',
    ].map(example),
  );
  const known: Record<string, Operation> = {
    me: { query: '{ me { id } }' },
    unreadNotificationCount: { query: '{ unreadNotificationCount }' },
    notifications: { query: '{ notifications { edges { node { id } } } }' },
    homeTimeline: { query: '{ homeTimeline { edges { node { id } } } }' },
    editProfile: { query: editProfile!, variables: { input: { bio: 'x' } } },
    changePassword: {
      query: 'mutation($input: ChangePasswordInput!) { changePassword(input: $input) { token } }',
      // What is said does not depend on it.
      variables: { input: { password: 'not this one', newPassword: 'another password' } },
    },
    deleteAccount: { query: deleteAccount!, variables: { input: { password: 'not this one' } } },
    markNotificationsRead: { query: marking! },
    publishPost: { query: publishing!, variables: { input: { body: 'x' } } },
    editPost: { query: editing!, variables: { input: { id: own, body: 'x' } } },
    deletePost: { query: mutation('deletePost'), variables: { id: own } },
    restorePost: { query: restoring!, variables: { id: own } },
    likePost: { query: mutation('likePost'), variables: { id: other } },
    unlikePost: { query: mutation('unlikePost'), variables: { id: other } },
    ...Object.fromEntries(
      ['follow', 'unfollow', 'block', 'unblock'].map((verb) => [
        verb,
        { query: mutation(verb), variables: { id: b.id } },
      ]),
    ),
    logIn: { query: loggingIn!, variables: { input: { handle: a.handle, password: PASSWORD } }, nobody: true },
    userByHandle: {
      query: 'query($handle: String!) { userByHandle(handle: $handle) { id } }',
      variables: { handle: b.handle },
    },
    post: { query: 'query($id: ID!) { post(id: $id) { id viewerHasLiked } }', variables: { id: other } },
    node: { query: 'query($id: ID!) { node(id: $id) { id } }', variables: { id: other } },
  };
  return (name, deletionId) => {
    if (name === 'accountDeletion') return { query: deletion!, variables: { id: deletionId } };
    if (name === 'logOut') return { query: 'mutation { logOut { everywhere } }', token: tokens.shift() };
    const operation = known[name];
    if (operation === undefined) throw new Error(`${name} is in the table, and this test does not know what to ask`);
    return operation;
  };
}

/** `null` where its field is null, and the codes of its errors. */
async function saidBy(world: World, who: Person, { query, variables, token, nobody }: Operation): Promise<string[]> {
  const by = nobody === true ? {} : { authorization: `Bearer ${token ?? who.token}` };
  const answer = await world.ask(query, variables, by);
  const isNull = answer.data === null || Object.values(answer.data).every((value) => value === null);
  return [...(isNull ? ['null'] : []), ...refusals(answer).map((refusal) => refusal.split(' ')[1]!)];
}

interface Row {
  readonly names: readonly string[];
  readonly frozen: readonly string[];
  readonly gone: readonly string[];
}

/** As `saidBy` tells it. */
async function table(): Promise<Row[]> {
  const page = await readFile(join(ROOT, 'docs/path-of-a-write.md'), 'utf8');
  const rows = page.split('\n').slice(page.split('\n').findIndex((line) => line.startsWith('| it asks |')) + 2);
  const words = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, word]) => word!);
  const said = (cell: string) => [...(cell.trim().startsWith('null') ? ['null'] : []), ...words(cell)];
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) => {
      const [, names = '', frozen = '', gone = ''] = line.split('|');
      return { names: words(names), frozen: said(frozen), gone: said(gone) };
    });
}

async function standing({ posts, followers }: World, { id }: { id: string }) {
  const uuid = parseGlobalId('user', id);
  const [one] = await posts.database.query<{ state: string }>('SELECT state FROM people WHERE id = $1', [uuid]);
  const [other] = await followers.database.query<{ state: string }>('SELECT state FROM people WHERE user_id = $1', [
    uuid,
  ]);
  return { posts: one?.state, followers: other?.state };
}

async function logIn(world: World, { handle }: Person): Promise<string> {
  type Answer = { logIn: { token: string } };
  return (await told<Answer>(world, await example('log-in'), { input: { handle, password: PASSWORD } })).logIn.token;
}

/** Until the account is past return, one service has erased it, and the other has been asked to. */
async function untilErasing(world: World, { id }: Person, late: 'posts' | 'followers', step: string): Promise<void> {
  const uuid = parseGlobalId('user', id);
  const isErased = async () => {
    const { posts, followers } = await standing(world, { id });
    return late === 'followers' ? posts === 'deleted' : followers === 'gone';
  };
  for (;;) {
    const asked = await world[late].database.query('SELECT FROM deletion_parts WHERE user_id = $1 AND step = $2', [
      uuid,
      step,
    ]);
    if (asked.length > 0 && (await isErased())) return;
    await world.settle();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
