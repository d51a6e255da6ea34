import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEverything, type Everything } from '../commands/everything.js';
import { silent, type Logger } from '#libs/telemetry';
import type { Environment } from '#libs/settings';
import { PASSWORD, type Card } from './people.js';
import { layOutStores } from './stores.js';

/** One answer of the gateway. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly data: Record<string, unknown> | null;
  readonly errors: readonly { message: string; path?: (string | number)[]; extensions: { code: string } }[];
}

/** Somebody who signed up in this world. */
export interface Person {
  readonly id: string;
  readonly handle: string;
  readonly token: string;
  /** Sends one operation as this person. */
  ask(query: string, variables?: Record<string, unknown>): Promise<Answer>;
}

export interface World extends Everything {
  /** Sends one operation as nobody. */
  ask(query: string, variables?: Record<string, unknown>, headers?: Record<string, string>): Promise<Answer>;
  signUp(card: Card): Promise<Person>;
  /** What every part did while `work` ran. */
  count(work: () => Promise<unknown>): Promise<Cost>;
}

export interface Cost {
  /** SQL statements, by service. */
  readonly statements: Readonly<Record<string, number>>;
  /** Requests from the gateway, by service. */
  readonly calls: Readonly<Record<string, number>>;
  /** To the cache's store, all services together. */
  readonly roundTrips: number;
}

/** Sends one operation to a gateway. */
export async function askAt(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  const body = JSON.parse(text) as { data?: Record<string, unknown> | null; errors?: Answer['errors'] };
  return {
    status: response.status,
    headers: response.headers,
    text,
    data: body.data ?? null,
    errors: body.errors ?? [],
  };
}

/**
 * A machine that runs all tests at once is slow now and then; a test that is about deadlines sets its own. And everybody signs up
 * from this machine.
 */
export const PATIENT = {
  SUBGRAPH_TIMEOUT_MS: '30000',
  REQUEST_TIMEOUT_MS: '60000',
  OVERLOAD_MS: '30000',
  SIGN_UPS_PER_HOUR: '1000000',
  LOG_IN_TRIES: '100000',
};

/**
 * The whole of Tributary in one process, in a folder of its own, empty unless `env` says `SEED: 'demo'`. The relays are
 * woken by what is written; their polling, and what else is done now and then, is so slow that it never counts as a statement of a test.
 */
export async function startWorld(env: Environment = {}, logger: Logger = silent): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-world-'));
  if (env['USERS_DATABASE_URL'] === undefined && env['DATABASE_URL'] === undefined) await layOutStores(dataDir);
  const everything = await startEverything(
    {
      DATA_DIR: dataDir,
      PORT: '0',
      SEED: 'none',
      RELAY_POLL_MS: '60000',
      TRENDING_REFRESH_S: '86400',
      ...PATIENT,
      ...env,
    },
    { logger },
  );

  const ask: World['ask'] = (query, variables, headers) => askAt(everything.gateway.url, query, variables, headers);

  const signUp: World['signUp'] = async ({ handle, displayName, email }) => {
    const answer = await ask(
      'mutation SignUp($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }',
      { input: { handle, displayName, email, password: PASSWORD } },
    );
    const session = answer.data?.['signUp'] as { token: string; user: { id: string; handle: string } } | null;
    if (!session) throw new Error(`nobody could sign up as ${handle}: ${answer.text}`);
    const authorization = { authorization: `Bearer ${session.token}` };
    return { ...session.user, token: session.token, ask: (query, variables) => ask(query, variables, authorization) };
  };

  const count: World['count'] = async (work) => {
    const { subgraphs } = everything;
    const origins = new Map(subgraphs.map(({ name, url }) => [new URL(url).origin, name]));
    const calls: Record<string, number> = Object.fromEntries(subgraphs.map(({ name }) => [name, 0]));
    const onRequest = (message: unknown): void => {
      const { origin } = (message as { request: { origin: string | URL } }).request;
      const name = origins.get(String(origin));
      if (name !== undefined) calls[name] = (calls[name] ?? 0) + 1;
    };
    const before = subgraphs.map(({ database, cache }) => [database.statements, cache.roundTrips] as const);
    subscribe('undici:request:create', onRequest);
    try {
      await work();
    } finally {
      unsubscribe('undici:request:create', onRequest);
    }
    const statements = Object.fromEntries(
      subgraphs.map(({ name, database }, index) => [name, database.statements - (before[index]?.[0] ?? 0)]),
    );
    const roundTrips = subgraphs.reduce(
      (sum, { cache }, index) => sum + cache.roundTrips - (before[index]?.[1] ?? 0),
      0,
    );
    return { statements, calls, roundTrips };
  };

  const close = async (): Promise<void> => {
    await everything.close();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  return { ...everything, ask, signUp, count, close };
}
