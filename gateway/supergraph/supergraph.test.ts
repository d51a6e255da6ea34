import { describe, expect, it } from '@jest/globals';
import { printSchema, validateSchema } from 'graphql';
import { readFile } from 'node:fs/promises';
import { compose, type ServiceSdl } from './compose.js';
import { hostRule } from './hosts.js';
import { readSupergraph, SupergraphError, variableOf } from './supergraph.js';

const LINK = (imports: string) =>
  `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [${imports}])`;
const service = (name: string, sdl: string): ServiceSdl => ({
  name,
  url: `http://127.0.0.1/${name}`,
  sdl,
  from: `subgraphs/${name}/schema.graphql`,
});
const composed = async (...services: ServiceSdl[]) => readSupergraph(await compose(services));

describe('a supergraph', () => {
  it('of this repository is a whole schema of nothing but what its services wrote', async () => {
    const { schema, subgraphs, features } = readSupergraph(await readFile('schema/supergraph.graphql', 'utf8'));
    expect(validateSchema(schema)).toEqual([]);
    expect([...subgraphs.keys()].sort((a, b) => a.localeCompare(b))).toEqual(['followers', 'posts', 'users']);
    expect(features.map(({ as }) => as).sort((a, b) => a.localeCompare(b))).toEqual([
      'cacheControl',
      'cost',
      'join',
      'link',
    ]);
    expect(printSchema(schema)).not.toMatch(/join__|link__|@join|@link|_entities|_service/);
    expect(
      schema
        .getDirectives()
        .map(({ name }) => name)
        .sort((a, b) => a.localeCompare(b)),
    ).toEqual(['deprecated', 'include', 'oneOf', 'skip', 'specifiedBy']);
  });

  it('hides what is inaccessible, whatever the directive is called there', async () => {
    const sdl = (name: string, imported: string) => `${LINK(`"@key", ${imported}`)}
      type Query { seen: Seen hidden: Hidden ${name} old: Int @deprecated(reason: "gone soon") either: Either choose(of: Kind, secret: Int ${name}, input: Input): Int }
      interface Named { id: ID! }
      interface Secret ${name} { id: ID! }
      type Seen implements Named & Secret @key(fields: "id") { id: ID! inside: Int ${name} }
      type Hidden ${name} { id: ID! }
      union Either = Seen | Hidden
      enum Kind { OPEN CLOSED ${name} }
      input Input { open: Int closed: Int ${name} }`;
    for (const supergraph of [
      await composed(service('a', sdl('@inaccessible', '"@inaccessible"'))),
      await composed(service('a', sdl('@private', '{ name: "@inaccessible", as: "@private" }'))),
    ]) {
      expect(validateSchema(supergraph.schema)).toEqual([]);
      const printed = printSchema(supergraph.schema);
      expect(printed).not.toMatch(/hidden|Hidden|Secret|secret|inside|CLOSED|closed|inaccessible|private/);
      expect(printed).toContain('type Seen implements Named {');
      expect(printed).toContain('union Either = Seen');
      expect(printed).toContain('old: Int @deprecated(reason: "gone soon")');
      expect(printed).toContain('choose(of: Kind, input: Input): Int');
    }
  });

  it('keeps directives for operations, and drops those for schemas', async () => {
    const sdl = `${LINK('"@key", "@tag", "@composeDirective"')} @link(url: "https://example.com/mine/v1.0", import: ["@mine"]) @composeDirective(name: "@mine")
      directive @mine(why: String) on FIELD_DEFINITION
      directive @later(label: String) on FIELD | QUERY
      type Query { a: Int @mine(why: "x") @tag(name: "t") }`;
    const { schema } = await composed(service('a', sdl));
    expect(schema.getDirective('later')?.locations).toEqual(['FIELD', 'QUERY']);
    expect(schema.getDirective('mine')).toBeUndefined();
    expect(schema.getDirective('tag')).toBeUndefined();
  });

  it('of Federation 1 is read as well', () => {
    const { schema, subgraphs } = readSupergraph(`
      schema @core(feature: "https://specs.apollo.dev/core/v0.2") @core(feature: "https://specs.apollo.dev/join/v0.1", for: EXECUTION) { query: Query }
      directive @core(feature: String!, as: String, for: core__Purpose) repeatable on SCHEMA
      directive @join__graph(name: String!, url: String!) on ENUM_VALUE
      directive @join__owner(graph: join__Graph!) on OBJECT
      scalar join__FieldSet
      enum join__Graph { A @join__graph(name: "a" url: "http://a/graphql") }
      enum core__Purpose { EXECUTION SECURITY }
      type Query { x: Int }`);
    expect(printSchema(schema)).toBe('type Query {\n  x: Int\n}');
    expect([...subgraphs.values()]).toEqual([{ name: 'a', graph: 'A', url: 'http://a/graphql' }]);
  });

  it('is one frozen value, and another text is another id', async () => {
    const sdl = await readFile('schema/supergraph.graphql', 'utf8');
    expect(Object.isFrozen(readSupergraph(sdl))).toBe(true);
    expect(readSupergraph(`${sdl} `).id).not.toBe(readSupergraph(sdl).id);
  });

  it('takes other addresses for its subgraphs by name', async () => {
    const sdl = await readFile('schema/supergraph.graphql', 'utf8');
    const { subgraphs } = readSupergraph(sdl, (name) =>
      name === 'posts' ? 'https://posts.example/graphql' : undefined,
    );
    expect(subgraphs.get('posts')!.url).toBe('https://posts.example/graphql');
    expect(subgraphs.get('users')!.url).toBe('http://127.0.0.1:4001/graphql');
    expect(variableOf('my-posts')).toBe('SUBGRAPH_URL_MY_POSTS');
  });

  it.each([
    ['file:///etc/passwd', 'is at file:, but only http: and https: are called'],
    ['gopher://x/', 'is at gopher:'],
    ['http://user:pw@x/', 'carries a user name or password'],
    ['http://user@x/', 'carries a user name or password'],
    ['http://169.254.169.254/latest/meta-data/', 'is at http://169.254.169.254, which is not to be asked'],
    ['http://2852039166/', 'is at http://169.254.169.254'],
    ['http://[fe80::1]:4002/', 'which is not to be asked'],
    ['http://[::ffff:169.254.169.254]/', 'which is not to be asked'],
    [
      'http://posts.internal/graphql,http://169.254.169.254/latest',
      'several addresses, which only an operator may give',
    ],
    [
      'http://posts.internal/graphql,unix:///run/docker.sock?path=/x',
      'several addresses, which only an operator may give',
    ],
    ['http://posts.internal/graphql#, \\tUNIX:/run/docker.sock', 'several addresses, which only an operator may give'],
    ['nowhere', 'has no usable address'],
    ['', 'has no usable address'],
  ])('with a subgraph at %j is refused', async (url, why) => {
    const sdl = (await readFile('schema/supergraph.graphql', 'utf8')).replace('http://127.0.0.1:4002/graphql', url);
    expect(() => readSupergraph(sdl)).toThrow(SupergraphError);
    expect(() => readSupergraph(sdl)).toThrow(why);
  });

  it.each([
    ['http://posts.internal:4002/graphql', true],
    ['http://a.b.apps/graphql', true],
    ['http://10.0.0.7:4001/graphql', true],
    ['http://[::1]/graphql', true],
    ['http://10.0.0.7:4002/graphql', false],
    ['http://posts.internal.example/graphql', false],
    ['http://apps/graphql', false],
    ['http://evilapps/graphql', false],
    ['http://169.254.169.254/', false],
    ['http://posts.internal/graphql,http://169.254.169.254/latest', false],
    ['http://posts.internal/graphql,unix:///run/docker.sock?path=/x', false],
    ['http://posts.internal/graphql?of=a,b', true],
  ])('asks the hosts that are listed, and no others: %s', async (url, taken) => {
    const mayAsk = hostRule(['Posts.internal', '*.apps', '10.0.0.7:4001', '127.0.0.1', '[::1]']);
    const sdl = (await readFile('schema/supergraph.graphql', 'utf8')).replace('http://127.0.0.1:4002/graphql', url);
    const read = () => readSupergraph(sdl, undefined, mayAsk);
    if (taken) expect(read().subgraphs.get('posts')!.url).toBe(url);
    else
      expect(read).toThrow(
        /(is not to be asked; list it in SUBGRAPH_HOSTS or|which only an operator may give;) set SUBGRAPH_URL_POSTS/,
      );
    // An operator may send it anywhere.
    expect(() => readSupergraph(sdl, () => 'http://169.254.7.7/graphql', mayAsk)).not.toThrow();
  });

  it.each([
    ['', 'is not GraphQL SDL'],
    ['type Query {', 'is not GraphQL SDL'],
    ['type Query { a: Int }', 'links no join spec'],
  ])('that is %j is refused', (sdl, why) => expect(() => readSupergraph(sdl)).toThrow(why));
});

describe('what does not compose', () => {
  const users = (id: string) =>
    service(
      'users',
      `${LINK('"@key"')}\ntype Query { me: User }\ntype User @key(fields: "id") {\n  id: ${id}\n  name: String\n}`,
    );
  const posts = (name: string) =>
    service(
      'posts',
      `${LINK('"@key", "@shareable"')}\ntype User @key(fields: "id") {\n  id: ID!\n  name: ${name} @shareable\n}`,
    );

  it('is told with file, line, column and the lines themselves, on both sides, each mistake once', async () => {
    const error = await compose([users('ID!'), posts('Int')]).then(String, (thrown: Error) => thrown.message);
    expect(error).toContain('subgraphs/users/schema.graphql:5:3');
    expect(error).toContain('subgraphs/posts/schema.graphql:4:3');
    expect(error).toContain(
      [
        '  subgraphs/posts/schema.graphql:4:3',
        '    3 |   id: ID!',
        '  > 4 |   name: Int @shareable',
        '      |   ^^^^',
        '    5 | }',
      ].join('\n'),
    );
    const mistakes = error.split('\n\n').slice(1);
    expect(new Set(mistakes).size).toBe(mistakes.length);
    expect(error.split('\n')[0]).toBe(
      `The services do not compose (${mistakes.length} ${mistakes.length === 1 ? 'mistake' : 'mistakes'}).`,
    );
  });

  it('a file that is no SDL is told by its line', async () => {
    const error = await compose([service('users', 'type Query {\n  me User\n}')]).then(
      String,
      (thrown: Error) => thrown.message,
    );
    expect(error).toContain('subgraphs/users/schema.graphql:2:6');
    expect(error).toContain('  > 2 |   me User');
  });

  it('the same services give the same text, in whatever order they come', async () => {
    const [one, other] = [
      users('ID!'),
      service('posts', `${LINK('"@key"')}\ntype User @key(fields: "id") { id: ID! posts: Int }`),
    ];
    expect(await compose([one, other])).toBe(await compose([other, one]));
  });
});
