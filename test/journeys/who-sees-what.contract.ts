import { expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { refreshTrending } from '../../subgraphs/posts/trending/refresh.js';
import { alice, bob, carol, dan, eve, PASSWORD } from '../people.js';
import { namedOf, typesOf, type Types } from '../schema-types.js';
import type { Answer, Person, World } from '../world.js';
import { act, cast, publish, told, type Asking } from './cast.js';

const FILE = join(ROOT, 'test/journeys/who-sees-what.md');
/** RECORD=1 writes the file anew; what changed shows in review. */
const rewrites = process.env['RECORD'] === '1';

/** What they are to the owner: one who follows, one who does neither, one whom the owner blocks, one who blocks the owner. */
const VIEWERS = ['anonymous', 'owner', 'follower', 'stranger', 'blocked', 'blocking'] as const;
type Viewer = (typeof VIEWERS)[number];
type Cells = Map<string, Partial<Record<Viewer, string>>>;

/**
 * Every field of the graph, asked by everybody of one person and one post. Asks in a world of which no other story has been told: what is
 * listed is counted.
 */
export function whoSeesWhat(world: () => World): void {
  it('every field of every type is shown to whom who-sees-what.md says; RECORD=1 writes down what is', async () => {
    const types = typesOf(await readFile(join(ROOT, 'schema/supergraph.graphql'), 'utf8'));
    const story = await tell(world());
    const cells: Cells = new Map();
    for (const type of types.keys()) if (!LATER.includes(type)) await look(types, cells, story, type);
    await change(world(), types, cells, story);
    await world().settle();
    for (const type of GONE) await look(types, cells, story, type);

    const names = [...types].flatMap(([type, fields]) => [...fields.keys()].map((field) => `${type}.${field}`));
    expect(names.filter((name) => VIEWERS.some((viewer) => cells.get(name)?.[viewer] === undefined))).toEqual([]);
    const page = pageOf(names, cells);
    if (rewrites) await writeFile(FILE, page);
    expect(page.split('\n')).toEqual((await readFile(FILE, 'utf8')).split('\n'));
  });
}

interface Story {
  readonly viewers: Record<Viewer, Asking>;
  readonly owner: Person;
  /** A reply of the owner's that was edited, liked and replied to. */
  readonly post: string;
  /** Another of the owner's, to be deleted. */
  readonly spare: string;
  /** Of the owner's account, when all else has been asked. */
  deletion: string;
}

async function tell(world: World): Promise<Story> {
  const people = (await cast(world, alice, bob, carol, dan, eve)) as [Person, Person, Person, Person, Person];
  const [owner, follower, stranger, blocked, blocking] = people;
  const edit = 'mutation($i: EditProfileInput!) { editProfile(input: $i) { id } }';
  await told(owner, edit, { i: { bio: 'me', avatarUrl: 'https://images.example/me.png' } });
  const root = await publish(follower, 'what do you think?');
  await world.settle();
  const post = await publish(owner, 'this', root);
  await world.settle();
  const change = 'mutation($i: EditPostInput!) { editPost(input: $i) { id } }';
  await told(owner, change, { i: { id: post, body: 'that', expectedVersion: 1 } });
  await publish(follower, 'I see', post);
  await act(follower, 'likePost', post);
  await act(stranger, 'likePost', post);
  const spare = await publish(owner, 'another');
  await act(follower, 'follow', owner.id);
  await act(owner, 'follow', follower.id);
  await act(owner, 'block', blocked.id);
  await act(blocking, 'block', owner.id);
  await world.settle();
  await refreshTrending(world.posts.database, 0);
  return {
    viewers: { anonymous: world, owner, follower, stranger, blocked, blocking },
    owner,
    post,
    spare,
    deletion: '',
  };
}

/** The way from the root to an object of each type; of a list, the last. */
const WAYS: Readonly<Record<string, (story: Story) => readonly string[]>> = {
  Query: () => [],
  Node: ({ post }) => [`node(id:"${post}")`],
  User: ({ owner }) => [`userByHandle(handle:"${owner.handle}")`],
  FollowerConnection: (story) => [...way('User', story), 'followers'],
  FollowerEdge: (story) => [...way('FollowerConnection', story), 'edges'],
  FollowingConnection: (story) => [...way('User', story), 'following'],
  FollowingEdge: (story) => [...way('FollowingConnection', story), 'edges'],
  PostConnection: (story) => [...way('User', story), 'posts'],
  PostEdge: (story) => [...way('PostConnection', story), 'edges'],
  PageInfo: (story) => [...way('PostConnection', story), 'pageInfo'],
  Post: ({ post }) => [`post(id:"${post}")`],
  PostRevisionConnection: (story) => [...way('Post', story), 'history'],
  PostRevisionEdge: (story) => [...way('PostRevisionConnection', story), 'edges'],
  PostRevision: (story) => [...way('PostRevisionEdge', story), 'node'],
  UserConnection: () => ['users'],
  UserEdge: () => ['users', 'edges'],
  TrendingPostConnection: () => ['trendingPosts'],
  NotificationConnection: () => ['notifications'],
  NotificationEdge: () => ['notifications', 'edges'],
  Notification: () => ['notifications', 'edges', 'node'],
  AccountDeletion: ({ deletion }) => [`accountDeletion(id:"${deletion}")`],
  AccountDeletionStep: (story) => [...way('AccountDeletion', story), 'steps'],
};

function way(type: string, story: Story): readonly string[] {
  const found = WAYS[type];
  if (!found) throw new Error(`say in WAYS or in TOLD_BY how one comes to ${type}`);
  return found(story);
}

/** What a field has to be given. */
const GIVEN: Readonly<Record<string, (story: Story) => string>> = {
  'Query.post': ({ post }) => `(id:"${post}")`,
  'Query.node': ({ post }) => `(id:"${post}")`,
  'Query.nodes': ({ post, owner }) => `(ids:["${post}" "${owner.id}"])`,
  'Query.userByHandle': ({ owner }) => `(handle:"${owner.handle}")`,
  'Query.accountDeletion': ({ deletion }) => `(id:"${deletion}")`,
  'Post.asOf': () => `(at:"${new Date().toISOString()}")`,
};

/** In this order, and each by the owner last: what is asked of the owner's is there until then. */
const MUTATIONS: Readonly<Record<string, (story: Story, viewer: Viewer) => string>> = {
  likePost: ({ post }) => `(postId:"${post}")`,
  unlikePost: ({ post }) => `(postId:"${post}")`,
  publishPost: ({ post }) => `(input:{body:"and" inReplyToId:"${post}"})`,
  editPost: ({ post }) => `(input:{id:"${post}" body:"this and that"})`,
  deletePost: ({ spare }) => `(id:"${spare}")`,
  restorePost: ({ spare }) => `(id:"${spare}")`,
  follow: ({ owner }) => `(userId:"${owner.id}")`,
  unfollow: ({ owner }) => `(userId:"${owner.id}")`,
  block: ({ owner }) => `(userId:"${owner.id}")`,
  unblock: ({ owner }) => `(userId:"${owner.id}")`,
  editProfile: () => '(input:{bio:"still me"})',
  markNotificationsRead: () => '',
  signUp: ({ owner }, viewer) =>
    `(input:{handle:"${owner.handle}_${VIEWERS.indexOf(viewer)}" email:"a@example.org" password:"${PASSWORD}" displayName:"A"})`,
  logIn: ({ owner }) => `(input:{handle:"${owner.handle}" password:"${PASSWORD}"})`,
  logOut: () => '',
  changePassword: (_, viewer) => `(input:{password:"${passwordOf(viewer)}" newPassword:"${PASSWORD}"})`,
  deleteAccount: (_, viewer) => `(input:{password:"${passwordOf(viewer)}"})`,
};

/** Only the owner knows one. */
function passwordOf(viewer: Viewer): string {
  return viewer === 'owner' ? PASSWORD : `not ${PASSWORD}`;
}

/** What is answered by nothing but a mutation. */
const TOLD_BY: Readonly<Record<string, string>> = {
  deletePost: 'DeletedPost',
  markNotificationsRead: 'NotificationsRead',
  logIn: 'Session',
  logOut: 'LogOut',
};
/** What is there when the owner has gone. */
const GONE = ['AccountDeletion', 'AccountDeletionStep'];
const LATER = ['Mutation', ...Object.values(TOLD_BY), ...GONE];

/** Asks for all fields of an object of this type, as each of them. */
async function look(types: Types, cells: Cells, story: Story, type: string): Promise<void> {
  const path = way(type, story);
  const selection = path.reduceRight((inner, step) => `${step}{${inner}}`, allOf(types, type, story));
  for (const viewer of VIEWERS) {
    const answer = await story.viewers[viewer].ask(`{${selection}}`);
    note(cells, viewer, types, type, answer, path);
    if (type === 'AccountDeletion') set(cells, viewer, 'Query.accountDeletion', answer, ['accountDeletion']);
  }
}

async function change(world: World, types: Types, cells: Cells, story: Story): Promise<void> {
  const mutations = types.get('Mutation')!;
  expect([...mutations.keys()].sort()).toEqual(Object.keys(MUTATIONS).sort());
  const ownerLast = [...VIEWERS].sort((one, other) => Number(one === 'owner') - Number(other === 'owner'));
  for (const [name, given] of Object.entries(MUTATIONS)) {
    const type = TOLD_BY[name];
    const selection = type ? allOf(types, type, story) : (SELECTED[name] ?? '__typename');
    for (const viewer of ownerLast) {
      const me = story.viewers[viewer];
      const who = name === 'logOut' ? await loggedInAgain(world, me) : me;
      const answer = await who.ask(`mutation{${name}${given(story, viewer)}{${selection}}}`);
      set(cells, viewer, `Mutation.${name}`, answer, [name]);
      if (type) note(cells, viewer, types, type, answer, [name]);
      if (viewer !== 'owner' || answer.data?.[name] == null) continue;
      const { token, id } = answer.data[name] as { token?: string; id?: string };
      if (name === 'changePassword') story.viewers.owner = loggedIn(world, token!);
      if (name === 'deleteAccount') story.deletion = id!;
    }
  }
}

/** What is needed of what they answer. */
const SELECTED: Readonly<Record<string, string>> = { changePassword: 'token', deleteAccount: 'id' };

/** By a log-in that is only there to be ended: gateways know of its end within seconds, and then refuse it. */
async function loggedInAgain(world: World, viewer: Asking | Person): Promise<Asking> {
  if (!('handle' in viewer)) return viewer;
  const logIn = 'mutation($i: LogInInput!) { logIn(input: $i) { token } }';
  const { data, text } = await world.ask(logIn, { i: { handle: viewer.handle, password: PASSWORD } });
  const session = data?.['logIn'] as { token: string } | undefined;
  if (!session) throw new Error(`${viewer.handle} could not log in: ${text}`);
  return loggedIn(world, session.token);
}

function loggedIn(world: World, token: string): Asking {
  return { ask: (query, variables) => world.ask(query, variables, { authorization: `Bearer ${token}` }) };
}

/** Each field under its name, and of an object just that it is there. */
function allOf(types: Types, type: string, story: Story): string {
  const fields = [...types.get(type)!].filter(([name]) => name !== 'accountDeletion' || story.deletion !== '');
  return fields
    .map(([name, { type: of }]) => {
      const below = types.get(namedOf(of));
      const selection = below === undefined ? '' : below.has('edges') ? '{edges{__typename}}' : '{__typename}';
      return `${name}${GIVEN[`${type}.${name}`]?.(story) ?? ''}${selection}`;
    })
    .join(' ');
}

function note(cells: Cells, viewer: Viewer, types: Types, type: string, answer: Answer, path: readonly string[]): void {
  const names = path.map((step) => step.replace(/\(.*/, ''));
  for (const field of types.get(type)!.keys()) set(cells, viewer, `${type}.${field}`, answer, [...names, field]);
}

function set(cells: Cells, viewer: Viewer, name: string, { data, errors }: Answer, path: readonly string[]): void {
  const error = errors.find(
    (one) => (one.path ?? []).filter((step) => typeof step === 'string').join() === path.join(),
  );
  const parent = path.slice(0, -1).reduce<unknown>((value, step) => lastOf(memberOf(value, step)), data);
  const value = memberOf(parent, path.at(-1)!);
  // Not asked for: a cell that is missing is found.
  if (!error && parent != null && value === undefined) return;
  cells.set(name, {
    ...cells.get(name),
    [viewer]: error ? error.extensions.code : parent == null ? '·' : cellOf(value),
  });
}

function cellOf(value: unknown): string {
  if (Array.isArray(value)) {
    const there = value.filter((one) => one !== null).length;
    return there === value.length ? `[${there}]` : `[${there} of ${value.length}]`;
  }
  if (typeof value === 'object' && value !== null) return 'edges' in value ? cellOf(value.edges) : 'there';
  return typeof value === 'string' ? 'text' : String(value);
}

function lastOf(value: unknown): unknown {
  return Array.isArray(value) ? (value as unknown[]).at(-1) : value;
}

function memberOf(value: unknown, name: string): unknown {
  return (value as Record<string, unknown> | null | undefined)?.[name];
}

const HEAD = `# Who sees what

Every field of the graph, and what it answers to whom. All ask of one person, the owner, and of one post of the owner’s: nobody who is logged
in, the owner, somebody who follows the owner, a stranger, somebody whom the owner blocks, and somebody who blocks the owner. Nobody has a
role: there is no administrator, who works on the databases.

\`there\` and \`text\` are an object and a text; \`[2]\` is a list of two, \`[1 of 2]\` one of which is null; \`·\`: the object whose field it is was not shown.
What is in capitals is the error. Mutations come last and each by the owner last, in the order of \`MUTATIONS\` in
who-sees-what.contract.ts; where a password is asked for, all but the owner give a wrong one. A deletion of an account is the owner’s, when all else was asked.

Written by \`RECORD=1 npm test -- test/journeys/stories\`, and read by a person: a cell that changes is a change of what people may see.
`;

function pageOf(names: readonly string[], cells: Cells): string {
  const rows = [
    ['field', ...VIEWERS],
    ...names.map((name) => [name, ...VIEWERS.map((viewer) => cells.get(name)?.[viewer] ?? '')]),
  ];
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const [head, ...lines] = rows.map((row) => `| ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`);
  return [HEAD, head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...lines, ''].join('\n');
}
