import { expect } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import type { Card } from '../people.js';
import type { Answer, Person, World } from '../world.js';

let casts = 0;

/** People for one story, in a world that has told others before: alice is called `alice_1`, then `alice_2`, … */
export async function cast(world: World, ...cards: Card[]): Promise<Person[]> {
  casts += 1;
  const people: Person[] = [];
  for (const card of cards) people.push(await world.signUp({ ...card, handle: `${card.handle}_${casts}` }));
  await world.settle();
  return people;
}

export interface Asking {
  ask(query: string, variables?: Record<string, unknown>): Promise<Answer>;
}

/** The data of an answer that has no errors. */
export async function told<Data>(who: Asking, query: string, variables?: Record<string, unknown>): Promise<Data> {
  const { data, errors } = await who.ask(query, variables);
  expect(errors).toEqual([]);
  return data as Data;
}

/** `path code` of each error. */
export function refusals({ errors }: Answer): string[] {
  return errors.map(({ path, extensions }) => `${(path ?? []).join('.')} ${extensions.code}`);
}

/** `examples/<name>.graphql`: an operation of the public graph, word for word. */
export function example(name: string): Promise<string> {
  return readFile(join(ROOT, `examples/${name}.graphql`), 'utf8');
}

export interface List<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: { readonly endCursor: string | null; readonly hasNextPage: boolean };
}

export async function publish(who: Asking, body: string, inReplyToId?: string): Promise<string> {
  type Published = { publishPost: { id: string } };
  return (await told<Published>(who, await example('publish'), { input: { body, inReplyToId } })).publishPost.id;
}

/** One mutation whose only argument is a person or a post. */
export async function act(who: Asking, verb: string, id: string): Promise<void> {
  await told(who, mutation(verb), { id });
}

export function mutation(verb: string): string {
  const argument = verb.endsWith('Post') ? (verb === 'deletePost' ? 'id' : 'postId') : 'userId';
  return `mutation($id: ID!) { ${verb}(${argument}: $id) { id } }`;
}
