import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { Town } from './town.js';

type Graph = Pick<Town, 'graphql'>;

export interface Person {
  readonly id: string;
  readonly handle: string;
  readonly token: string;
}

interface Told {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
}

export const SOAK_PASSWORD = 'tributary-soak';

export async function signedUp(town: Graph, handle: string): Promise<Person> {
  const input = { handle, email: `${handle}@example.com`, displayName: handle, password: SOAK_PASSWORD };
  const query = 'mutation($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }';
  const { told, text } = await ask(town, query, { input });
  const session = told.data?.['signUp'] as { token: string; user: { id: string } } | undefined;
  if (!session) throw new Error(`nobody could sign up: ${text}`);
  return { id: session.user.id, handle, token: session.token };
}

/** What it is answered; throws where it is told an error. */
export async function asks<T>(town: Graph, query: string, variables: object, token: string): Promise<T> {
  const { told, text } = await ask(town, query, variables, token);
  if (told.errors !== undefined || !told.data) throw new Error(`${query}: ${text}`);
  return told.data as T;
}

/**
 * An operation that was never asked before: its name and its aliases are its number. A page, from the entity cache as far as it has it; what is
 * no valid document; a mutation, with a key; a question of somebody who is logged in. What is wrong with the answer, or nothing;
 * `triedAgain` is called where a service could not answer and says that it may be asked again.
 */
export async function askedWrongly(
  town: Town,
  me: Person,
  nth: number,
  light: number,
  triedAgain: () => void,
): Promise<string | undefined> {
  const [a, b] = [`a${nth}`, `b${nth}`];
  const name = `Soak${nth}`;
  const page = `query ${name}($handle: String!) { ${a}: userByHandle(handle: $handle) { id followerCount postCount ${b}: displayName } users(first: 2) { edges { node { handle ${b}: displayName } } } }`;
  const kinds: readonly Kind[] = [
    [page, { handle: me.handle }, undefined, (told) => isPage(told, a, b, me)],
    [`query ${name} { ${a}: me { id ${b}: handle } }`, {}, me.token, ({ data }) => isPerson(data?.[a], b, me)],
    [page, { handle: me.handle }, me.token, (told) => isPage(told, a, b, me)],
    [`query ${name} { ${a}: nothing${nth} }`, {}, undefined, isRefused],
    [page, { handle: me.handle }, undefined, (told) => isPage(told, a, b, me)],
    [
      `mutation ${name}($input: PublishPostInput!) { ${a}: publishPost(input: $input) { ${b}: body } }`,
      { input: { body: `soak ${nth}` } },
      me.token,
      ({ data }) => (data?.[a] as Record<string, unknown> | null | undefined)?.[b] === `soak ${nth}`,
    ],
    [page, { handle: me.handle }, me.token, (told) => isPage(told, a, b, me)],
    [`query ${name}($unused${nth}: Int) { ${a}: me { id } }`, {}, me.token, isRefused],
  ];
  const [query, variables, token, isRight] =
    nth % (light + 1) === 0 ? kinds[(nth / (light + 1)) % kinds.length]! : answeredAlone(name, a, b);
  try {
    let { told, status, text } = await ask(town, query, variables, token, name);
    // On a busy machine somebody finds no connection to the database free in time, and is told to try again: that is no wrong answer.
    for (let again = 0; again < AGAIN_MAX && isToTryAgain(told); again += 1) {
      triedAgain();
      await sleep(AGAIN_AFTER_MS * 2 ** again);
      ({ told, status, text } = await ask(town, query, variables, token, name));
    }
    return isRight(told, status) ? undefined : `${query}: ${status} ${text.slice(0, 300)}`;
  } catch (error) {
    return String(error);
  }
}

const AGAIN_MAX = 5;
/** Longer each time: who asks at once finds it as busy as it was. */
const AGAIN_AFTER_MS = 100;
const TO_TRY_AGAIN = ['OVERLOADED', 'SUBGRAPH_UNAVAILABLE'];

function isToTryAgain({ errors = [] }: Told): boolean {
  return errors.some(({ extensions }) => TO_TRY_AGAIN.includes(extensions?.code ?? ''));
}

/** Of a hundred operations that ask a service: what no busy machine explains, where nothing else runs and where much does. */
const AGAIN_PERCENT = { alone: 1, beside: 50 };

/**
 * Whoever is asked again is answered in the end, or it counts as wrong: this is for a service that goes on for ever being there only now and
 * then. Who is told a rate has others beside it, and what these take of the processors is no fault of a service.
 */
export function isTooOften(again: number, asked: { operations: number; light: number; rate: number }): boolean {
  const { operations, light, rate } = asked;
  const percent = rate > 0 ? AGAIN_PERCENT.beside : AGAIN_PERCENT.alone;
  return again * 100 > (operations / (light + 1)) * percent;
}

type Kind = readonly [
  query: string,
  variables: object,
  token: string | undefined,
  isRight: (told: Told, status: number) => boolean,
];

/** Read, validated, planned, compiled and kept like any other, with nothing for a subgraph to do. */
function answeredAlone(name: string, a: string, b: string): Kind {
  const query = `query ${name}($wanted: Boolean!) { ${a}: __typename ${b}: __typename @include(if: $wanted) }`;
  return [query, { wanted: true }, undefined, ({ data }) => data?.[a] === 'Query' && data[b] === 'Query'];
}

function isPerson(found: unknown, alias: string, { id, handle }: Person): boolean {
  const person = found as Record<string, unknown> | null | undefined;
  return person?.['id'] === id && person[alias] === handle;
}

function isPage({ data, errors }: Told, a: string, b: string, me: Person): boolean {
  const person = data?.[a] as { followerCount?: unknown; postCount?: unknown } | undefined;
  const users = data?.['users'] as { edges: readonly unknown[] } | undefined;
  const isCounted = person?.followerCount === 0 && Number.isInteger(person.postCount);
  return errors === undefined && isPerson(person, b, me) && isCounted && users?.edges.length === 2;
}

function isRefused({ errors }: Told, status: number): boolean {
  return status === 400 && errors?.[0]?.extensions?.code === 'GRAPHQL_VALIDATION_FAILED';
}

async function ask(town: Graph, query: string, variables: object, token?: string, key?: string) {
  // A third of what fetch costs, which the gateway can do with.
  const { statusCode: status, body } = await request(town.graphql, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(key === undefined || !query.startsWith('mutation') ? {} : { 'idempotency-key': key }),
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await body.text();
  return { told: JSON.parse(text) as Told, status, text };
}
