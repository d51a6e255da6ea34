import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONTRACTS_DIR, SERVICES } from '../../commands/compose.js';
import { ROOT } from '../../commands/root.js';
import { compose } from '../../gateway/supergraph/compose.js';
import { changesOf, unannounced } from './changes.js';

const text = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');
const contractFile = (name: string): string => `${CONTRACTS_DIR}/${name}.graphql`;
const schemaFile = (name: string): string => `subgraphs/${name}/schema.graphql`;

describe.each(SERVICES.map(({ name }) => name))('the contract of %s', (name) => {
  it('is kept, or CHANGELOG.md says how it is not', async () => {
    const changes = changesOf(await text(contractFile(name)), await text(schemaFile(name)));
    expect(unannounced(changes, await text('CHANGELOG.md'), schemaFile(name))).toEqual([]);
  });

  it('composes, as it is now, with the other two as they were released', async () => {
    expect(await composed(name, await text(schemaFile(name)))).toContain(`join__Graph`);
  });

  it('control: does not compose when it takes a field that another service owns', async () => {
    const [type, field] = name === 'users' ? ['User', 'postCount: Int'] : ['User', 'handle: String!'];
    const greedy = `${await text(schemaFile(name))}\nextend type ${type} { ${field} }\n`;
    await expect(composed(name, greedy)).rejects.toThrow(field.split(':')[0]);
  });
});

describe('a change of a contract', () => {
  const contract = `
    type Query { post(id: ID!): Post  posts(first: Int = 20): [Post!] }
    type Post @key(fields: "id") { id: ID!  body: String!  editedAt: String  likes: Int }
    enum State { RUNNING DONE }
    input Edit { body: String! }`;

  it.each([
    ['a field that is gone', ['editedAt: String', ''], 'Post.editedAt'],
    ['a field that may be null now', ['body: String! ', 'body: String '], 'Post.body'],
    ['a field of another type', ['likes: Int', 'likes: String'], 'Post.likes'],
    ['an argument that is gone', ['(first: Int = 20)', ''], 'Query.posts'],
    ['an argument that is needed now', ['post(id: ID!', 'post(id: ID!, at: Int!'], 'Query.post'],
    ['another default', ['= 20', '= 10'], 'Query.posts'],
    ['a value of an enum that is gone', [' DONE', ''], 'State.DONE'],
    ['a value of an enum that is new', [' DONE', ' DONE FAILED'], 'State.FAILED'],
    ['an input field that is needed now', ['input Edit {', 'input Edit { at: Int!'], 'Edit.at'],
    ['a type that is gone', ['enum State { RUNNING DONE }', ''], 'State'],
    ['a key that is gone', [' @key(fields: "id")', ''], 'Post'],
  ])('%s is seen, named and told what to do about', (_, [from = '', to = ''], coordinate) => {
    expect(contract).toContain(from);
    const changes = changesOf(contract, contract.replace(from, to));
    expect(changes.map((change) => change.coordinate)).toEqual([coordinate]);
    expect(unannounced(changes, '## Pending\n\n- Something else.\n', 'post.graphql')).toEqual([
      expect.stringMatching(new RegExp(`^post\\.graphql: .*CHANGELOG\\.md that names \`${coordinate}\``)),
    ]);
  });

  it('that is announced under Pending passes; announced for an older version it does not', () => {
    const changes = changesOf(contract, contract.replace('editedAt: String', ''));
    const line = '- `Post.editedAt` is gone: ask for `Post.history`.';
    expect(unannounced(changes, `# Changelog\n\n## Pending\n\n${line}\n`, 'post.graphql')).toEqual([]);
    expect(unannounced(changes, `# Changelog\n\n## Pending\n\n## 0.1.0\n\n${line}\n`, 'post.graphql')).toHaveLength(1);
  });

  it('that only adds is none', () => {
    const more = `${contract.replace('body: String! ', 'body: String! title: String ')} type Draft { body: String }`;
    expect(changesOf(contract, more)).toEqual([]);
  });
});

async function composed(name: string, sdl: string): Promise<string> {
  return compose(
    await Promise.all(
      SERVICES.map(async (service) => {
        const from = service.name === name ? schemaFile(name) : contractFile(service.name);
        return { name: service.name, url: service.url, from, sdl: service.name === name ? sdl : await text(from) };
      }),
    ),
  );
}
