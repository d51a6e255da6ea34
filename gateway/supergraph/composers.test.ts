import { describe, expect, it } from '@jest/globals';
import { lexicographicSortSchema, parse, printSchema } from 'graphql';
import { readFile } from 'node:fs/promises';
import { compose, type ServiceSdl } from './compose.js';
import { chooseComposer } from './composers.js';
import { readSupergraph, SupergraphError } from './supergraph.js';

/** That both composers' supergraphs answer alike is asked by `test/federation`, of every graph in there. */
describe('the two composers', () => {
  it('make the same graph of the services of this repository', async () => {
    const services = await Promise.all(
      ['users', 'posts', 'followers'].map(async (name): Promise<ServiceSdl> => {
        const from = `subgraphs/${name}/schema.graphql`;
        return { name, url: `http://127.0.0.1/${name}`, from, sdl: await readFile(from, 'utf8') };
      }),
    );
    const [apollo, guild] = await Promise.all(
      (['apollo', 'guild'] as const).map(async (composer) => readSupergraph(await compose(services, { composer }))),
    );
    const api = ({ schema }: typeof apollo & object) => printSchema(lexicographicSortSchema(schema));
    expect(api(guild!)).toBe(api(apollo!));
    const subgraphs = ({ subgraphs: all }: typeof apollo & object) =>
      [...all.values()].map(({ name, url }) => `${name} ${url}`).sort((a, b) => a.localeCompare(b));
    expect(subgraphs(guild!)).toEqual(subgraphs(apollo!));
  });

  it('are both to be had by name, and without a name it is Apollo’s, which is installed here', async () => {
    expect((await chooseComposer('apollo')).name).toBe('apollo');
    expect((await chooseComposer('guild')).name).toBe('guild');
    expect((await chooseComposer('auto')).name).toBe('apollo');
  });
});

describe('the Guild’s composer', () => {
  const service = (version: string, imports: string, sdl = 'type Query { a: Int @shareable }') => ({
    name: 'a',
    url: 'http://a',
    typeDefs: parse(
      `extend schema @link(url: "https://specs.apollo.dev/federation/${version}", import: [${imports}])\n${sdl}`,
    ),
  });

  it('composes services that link a newer spec than it knows, as long as they import nothing of it', async () => {
    const guild = await chooseComposer('guild');
    for (const version of ['v2.0', 'v2.9', 'v2.12', 'v2.14']) {
      expect(guild.compose([service(version, '"@key", { name: "@shareable" }')])).toHaveProperty('supergraphSdl');
    }
  });

  it('says which import it does not know, of whom, and who does', async () => {
    const guild = await chooseComposer('guild');
    const compose = () => guild.compose([service('v2.12', '"@shareable", "@cacheTag"')]);
    expect(compose).toThrow(SupergraphError);
    expect(compose).toThrow(/^a imports @cacheTag of federation v2\.12, .* COMPOSER=apollo/);
  });
});
