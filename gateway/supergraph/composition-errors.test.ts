import { describe, expect, it } from '@jest/globals';
import { Source } from 'graphql';
import { codeFrame } from './code-frame.js';
import { compose, type ServiceSdl } from './compose.js';
import { readSupergraph } from './supergraph.js';

const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable", "@external", "@requires", "@provides", "@override"])\n`;

type Sdls = Readonly<Record<string, string>>;

interface Mistake {
  /** SDL by service, without the link; its first line is line 2 of the file. */
  readonly services: Sdls;
  readonly code: string;
  /** Every place that is shown, on all sides. */
  readonly places: readonly string[];
  readonly advice: string;
  /** The advice taken: this composes. */
  readonly repaired: Sdls;
}

const users = 'type Query { me: User }\ntype User @key(fields: "id") {\n  id: ID!\n  name: String\n}';
const posts = 'type User @key(fields: "id") {\n  id: ID!\n  posts: [String]\n}';

const MISTAKES: Readonly<Record<string, Mistake>> = {
  'a field that two services answer': {
    services: { users, posts: posts.replace('posts:', 'name: String\n  posts:') },
    code: 'INVALID_FIELD_SHARING',
    places: ['posts.graphql:4:3', 'users.graphql:5:3'],
    advice: 'If all of users and posts always answer User.name alike, write @shareable on it in each of them.',
    repaired: {
      users: users.replace('name: String', 'name: String @shareable'),
      posts: posts.replace('posts:', 'name: String @shareable\n  posts:'),
    },
  },
  'a field of two types': {
    services: {
      users: users.replace('name: String', 'name: String @shareable'),
      posts: posts.replace('posts:', '"how it is written"\n  name: Int @shareable\n  posts:'),
    },
    code: 'FIELD_TYPE_MISMATCH',
    places: ['posts.graphql:5:3', 'users.graphql:5:3'],
    advice: 'Give User.name one type everywhere (now Int in posts, String in users)',
    repaired: {
      users: users.replace('name: String', 'name: String @shareable'),
      posts: posts.replace('posts:', 'name: String @shareable\n  posts:'),
    },
  },
  'a key of a field that is not there': {
    services: { users: users.replace('"id"', '"idd"') },
    code: 'KEY_INVALID_FIELDS',
    places: ['users.graphql:3:11'],
    advice: 'Did you mean id? A key is made of fields that users has: add idd to User in users, or name another field.',
    repaired: { users },
  },
  'a requirement that is not declared': {
    services: { users, posts: posts.replace('posts:', 'greeting: String @requires(fields: "name")\n  posts:') },
    code: 'REQUIRES_INVALID_FIELDS',
    places: ['posts.graphql:4:20'],
    advice: 'posts has to declare what another service gives it: add name to User in posts, with @external.',
    repaired: {
      users,
      posts: posts.replace('posts:', 'greeting: String @requires(fields: "name")\n  name: String @external\n  posts:'),
    },
  },
  'something provided that is misspelt': {
    services: { users: users.replace('me: User', 'me: User @provides(fields: "nme")') },
    code: 'PROVIDES_INVALID_FIELDS',
    places: ['users.graphql:2:23'],
    advice: 'Did you mean name?',
    repaired: { users },
  },
  'an external field that nobody has': {
    services: {
      users,
      posts: posts.replace('posts:', 'age: Int @external\n  old: Boolean @requires(fields: "age")\n  posts:'),
    },
    code: 'EXTERNAL_MISSING_ON_BASE',
    places: ['posts.graphql:4:3'],
    advice: 'Another service has to define User.age without @external.',
    repaired: {
      users: users.replace('name:', 'age: Int\n  name:'),
      posts: posts.replace('posts:', 'age: Int @external\n  old: Boolean @requires(fields: "age")\n  posts:'),
    },
  },
  'an external field that nobody needs': {
    services: { users, posts: posts.replace('posts:', 'name: String @external\n  posts:') },
    code: 'EXTERNAL_UNUSED',
    places: ['posts.graphql:4:3'],
    advice: 'Nothing here needs User.name: remove the field',
    repaired: { users, posts },
  },
  'one name for two kinds of type': {
    services: { users, posts: `interface User {\n  id: ID!\n}\ntype Query { latest: User }` },
    code: 'TYPE_KIND_MISMATCH',
    places: ['posts.graphql:2:1', 'users.graphql:3:1'],
    advice: 'define "User" alike everywhere, or rename one of them',
    repaired: {
      users,
      posts: `interface Author {\n  id: ID!\n}\ntype Query { latest: Author }\ntype Guest implements Author { id: ID! }`,
    },
  },
  'a service that cannot be reached by any key': {
    services: { users, posts: 'type User @key(fields: "handle") {\n  handle: String!\n  posts: [String]\n}' },
    code: 'SATISFIABILITY_ERROR',
    places: ['posts.graphql:3:3', 'users.graphql:3:1'],
    advice:
      'Let users answer "handle" of User, or let posts find a User by what users has: @key(fields: "id") on it in posts.',
    repaired: {
      users,
      posts: 'type User @key(fields: "id") {\n  id: ID!\n  handle: String!\n  posts: [String]\n}',
    },
  },
  'a field that each gives to the other': {
    services: {
      users: users.replace('name: String', 'name: String @override(from: "posts")'),
      posts: posts.replace('posts:', 'name: String @override(from: "users")\n  posts:'),
    },
    code: 'OVERRIDE_SOURCE_HAS_OVERRIDE',
    places: ['posts.graphql:4:16', 'users.graphql:5:16'],
    advice: 'Keep @override only in the service that takes User.name over',
    repaired: {
      users,
      posts: posts.replace('posts:', 'name: String @override(from: "users")\n  posts:'),
    },
  },
  'an argument that only one service knows': {
    services: {
      users: 'type Query { people(first: Int!): Int @shareable }',
      posts: 'type Query {\n  people: Int @shareable\n}',
    },
    code: 'REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH',
    places: ['users.graphql:2:21', 'posts.graphql:3:3'],
    advice: 'Add Query.people(first:) in posts too, or make it optional in users: a nullable type, or a default.',
    repaired: {
      users: 'type Query { people(first: Int!): Int @shareable }',
      posts: 'type Query { people(first: Int!): Int @shareable }',
    },
  },
  'an input field that only one service knows': {
    services: {
      users: 'type Query { a(by: By): Int }\ninput By { name: String! age: Int }',
      posts: 'type Query { b(by: By): Int }\ninput By {\n  age: Int\n}',
    },
    code: 'REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH',
    places: ['users.graphql:3:12', 'posts.graphql:3:1'],
    advice: 'Add By.name in posts too, or make it optional in users',
    repaired: {
      users: 'type Query { a(by: By): Int }\ninput By { name: String age: Int }',
      posts: 'type Query { b(by: By): Int }\ninput By {\n  age: Int\n}',
    },
  },
  'an enum that is longer in one service': {
    services: {
      users: 'type Query { kind(of: Kind): Kind @shareable }\nenum Kind { A B }',
      posts: 'type Query { kind(of: Kind): Kind @shareable }\nenum Kind { A }',
    },
    code: 'ENUM_VALUE_MISMATCH',
    places: ['posts.graphql:3:1', 'users.graphql:3:1'],
    advice: 'add B to Kind in posts',
    repaired: {
      users: 'type Query { kind(of: Kind): Kind @shareable }\nenum Kind { A B }',
      posts: 'type Query { kind(of: Kind): Kind @shareable }\nenum Kind { A B }',
    },
  },
  'a type that does not exist': {
    services: { users: users.replace('me: User', 'me: Usr') },
    code: 'INVALID_GRAPHQL',
    places: ['users.graphql:2:18'],
    advice: 'Did you mean User?',
    repaired: { users },
  },
  'a directive that is not imported': {
    services: { users: users.replace('name: String', 'name: String @inaccessible') },
    code: 'INVALID_GRAPHQL',
    places: ['users.graphql:5:16'],
    advice:
      'import it: extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@inaccessible", …])',
    repaired: { users },
  },
};

const servicesOf = (sdls: Sdls): ServiceSdl[] =>
  Object.entries(sdls).map(([name, sdl]) => ({
    name,
    url: `http://127.0.0.1/${name}`,
    sdl: LINK + sdl,
    from: `${name}.graphql`,
  }));

const refusal = (sdls: Sdls, composer: 'apollo' | 'guild') =>
  compose(servicesOf(sdls), { composer }).then(
    () => 'it composed',
    (error: Error) => error.message,
  );

describe.each(['apollo', 'guild'] as const)('a mistake between services, told by the composer of %s', (composer) => {
  it.each(Object.entries(MISTAKES))('%s: each place with its line, and what to change', async (_what, mistake) => {
    const text = await refusal(mistake.services, composer);
    expect(text).toContain(`(${mistake.code})`);
    expect(text).toContain(`→ `);
    expect(text).toContain(mistake.advice);
    // Each composer may know more places than these, never fewer; the Guild's knows lines, not columns.
    const shown = text.match(/\w+\.graphql:\d+:\d+/g) ?? [];
    const exact = (place: string) => (composer === 'apollo' ? place : place.replace(/\d+$/, ''));
    expect(shown.map(exact)).toEqual(expect.arrayContaining(mistake.places.map(exact)));
    const mistakes = text.split('\n\n').slice(1);
    expect(new Set(mistakes).size).toBe(mistakes.length);
  });

  it.each(Object.entries(MISTAKES))('%s: with the advice taken it composes', async (_what, { repaired }) => {
    expect(readSupergraph(await compose(servicesOf(repaired), { composer })).subgraphs.size).toBe(
      Object.keys(repaired).length,
    );
  });
});

describe('all mistakes at once', () => {
  it('are each told once, not from both sides, and not field by field', async () => {
    const both = MISTAKES['a field that each gives to the other']!.services;
    expect((await refusal(both, 'apollo')).match(/OVERRIDE_SOURCE_HAS_OVERRIDE/g)).toHaveLength(1);
    const unreachable = MISTAKES['a service that cannot be reached by any key']!.services;
    const text = await refusal(unreachable, 'apollo');
    expect(text).toContain('(1 mistake)');
    expect(text).toContain('and 1 more for the same reason.');
  });
});

describe('a code frame', () => {
  const frame = (text: string, what: string) =>
    codeFrame(new Source(text, 'a.graphql'), text.indexOf(what), what.length);

  it('keeps tabs, so that the mark stands below what it marks', () => {
    expect(frame('type A {\n\t\tid: IDD\n}', 'IDD').split('\n').slice(2, 4)).toEqual([
      '  > 2 | \t\tid: IDD',
      '      | \t\t    ^^^',
    ]);
  });

  it('moves along a line of thousands to what it is about', () => {
    const long = `type A { ${Array.from({ length: 500 }, (_, i) => `f${i}: Int`).join(' ')} wrong: Nowhere }`;
    const [, line, mark] = frame(long, 'Nowhere').split('\n');
    expect(line).toContain('wrong: Nowhere');
    expect(line!.length).toBeLessThan(160);
    expect(line!.indexOf('Nowhere')).toBe(mark!.indexOf('^'));
    expect(mark!.trim().endsWith('^^^^^^^')).toBe(true);
  });

  it('counts lines however they end', () => {
    expect(frame('type A {\r\n  a: Int\r\n  b: Wrong\r\n}', 'Wrong')).toContain('a.graphql:3:6');
  });
});
