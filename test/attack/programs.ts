import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secretsFrom, SERVICES } from '../../commands/databases.js';
import { startEverything } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway } from '../../gateway/start.js';
import { canaries } from '../federation/canaries.js';
import { GUARDED } from '../federation/guarded.js';
import { PASSWORD } from '../people.js';
import { startFixtures, startTinyGraph } from '../tiny/tiny-graph.js';
import type { Around, Cast, Counts, Target } from './attack.js';
import { CONNECTIONS_OF_CROWDED } from './h-sockets.js';
import { hearing } from './heard.js';
import { startIssuer } from './issuer.js';
import { ANSWER_BYTES_OF_OPEN, LIMITS_OF_OPEN, registeredDocuments } from './limits.js';
import { WatchedLog } from './log.js';
import { collectGarbage, NO_STRAIN, watchProcess, type Strain } from './watch.js';
import { watchCalls } from './watch-calls.js';
import { watchSockets } from './watch-sockets.js';

/** What is attacked, and what it says of itself. In this process, or in another one (programs.worker.ts). */
export interface Programs {
  readonly pid: number;
  readonly urls: Readonly<Record<Target, string>>;
  readonly cast: Cast;
  /** How it is, and what it went through since this was asked last. */
  state(how?: How): Promise<State>;
  close(): Promise<void>;
}

export interface How {
  /** Asked beside others, whose strain is not taken from them. */
  readonly beside?: boolean;
  /** What is garbage by now is no part of what it holds. */
  readonly collect?: boolean;
  /** This is so from now on. */
  readonly around?: Around;
  /** How are passwords kept? */
  readonly passwords?: boolean;
}

export interface State extends Strain, Counts {
  /** What an attack has changed in the prototypes of everything; undefined: nothing. */
  readonly polluted: string | undefined;
  /** How many lines the programs have logged since they started. */
  readonly logged: number;
  /** Since this was asked last: of their logs, of sockets that led away from here, of what services heard of clients. */
  readonly wrong: readonly string[];
  readonly passwords?: readonly string[] | undefined;
}

const ISSUER = 'https://issuer.example/';
const AUDIENCE = 'attacked';
/** A busy machine is no part of what is tested. */
const PATIENT = { SUBGRAPH_TIMEOUT_MS: '60000', REQUEST_TIMEOUT_MS: '60000', OVERLOAD_MS: '0' };
/** What a service does by itself is done so seldom that it is never taken for an answer to an attack. */
const CALM = { RELAY_POLL_MS: '60000', TRENDING_REFRESH_S: '86400' };
/** What users does for each time that it is asked which log-ins have ended. */
const STATEMENTS_OF_A_POLL = 2;
const EXPOSED = {
  ...PATIENT,
  NODE_ENV: 'production',
  PORT: '0',
  IDENTITY: 'jwt',
  TOKEN_ISSUER: ISSUER,
  TOKEN_AUDIENCE: AUDIENCE,
};

/** Everything as it is when it stands on the open internet (NODE_ENV=production), in this process. */
export async function startPrograms(): Promise<Programs> {
  const folder = await mkdtemp(join(tmpdir(), 'attacked-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 20 })];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const tiny = await startTinyGraph();
    closers.push(() => tiny.close());
    const issuer = await startIssuer({ issuer: ISSUER, audience: AUDIENCE });
    closers.push(() => issuer.close());
    const supergraph = join(folder, 'supergraph.graphql');
    const documents = join(folder, 'documents.json');
    await writeFile(supergraph, tiny.sdl);
    await writeFile(documents, JSON.stringify(registeredDocuments()));
    const secret = randomBytes(32).toString('hex');
    const master = randomBytes(32).toString('hex');
    const secrets = secretsFrom(master);
    const shared = SERVICES.map((name) => secrets.of('assertion', name));
    const log = new WatchedLog([secret, master, ...shared]);
    const start = async (more: Record<string, string>, clock?: () => number) => {
      const gateway = await startGateway(
        readGatewayConfig({
          ...EXPOSED,
          SUPERGRAPH: supergraph,
          JWKS_URL: issuer.keysUrl,
          ...Object.fromEntries(SMALL.map((name) => [`ASSERTION_SECRET_${name.toUpperCase()}`, secret])),
          ...more,
        }),
        { logger: log.logger('gateway'), ...(clock ? { clock } : {}) },
      );
      closers.push(() => gateway.close());
      await gateway.ready();
      return gateway;
    };
    const gateway = await start({
      CORS_ORIGINS: 'https://app.example',
      CORS_CREDENTIALS: 'true',
      UNTAKEN_MS: '2000',
      PERSISTED_DOCUMENTS: documents,
    });
    const open = await start({
      ...LIMITS_OF_OPEN,
      INTROSPECTION: 'on',
      COST_LIMIT: '1000',
      ANSWER_BYTES: String(ANSWER_BYTES_OF_OPEN),
      SUBGRAPH_BODY_BYTES: '1000000',
      UNTAKEN_BYTES: '1048576',
    });
    const metered = await start({
      PERSISTED_DOCUMENTS: documents,
      COST_LIMIT: '1000',
      RATE_LIMIT_PERSON: '1000',
      RATE_LIMIT_ADDRESS: '1000',
      RATE_LIMIT_WINDOW_S: '3600',
      TRUSTED_PROXIES: '1',
    });
    const crowded = await start({
      CONNECTIONS_MAX: String(CONNECTIONS_OF_CROWDED),
      COST_LIMIT: '1000',
      RATE_LIMIT_ADDRESS: '1000',
      RATE_LIMIT_WINDOW_S: '3600',
    });
    const serve = async (name: string, fixtures: Parameters<typeof startFixtures>[0]) => {
      const { sdl, subgraphs } = await startFixtures(fixtures);
      closers.push(() => Promise.all(subgraphs.map((subgraph) => subgraph.close())));
      const file = join(folder, `${name}.graphql`);
      await writeFile(file, sdl);
      return { sdl, subgraphs, file };
    };
    const kept = await serve('private', canaries());
    const keeping = await start({
      SUPERGRAPH: kept.file,
      ENTITY_CACHE: 'on',
      ENDED_SESSIONS_URL: issuer.endedUrl,
      ENDED_SESSIONS_POLL_MS: '100',
    });
    const closed = await serve('guarded', GUARDED);
    let laterMs = 0;
    const guarded = await start(
      {
        SUPERGRAPH: closed.file,
        SUPERGRAPH_POLL_MS: '100',
        SUBGRAPH_HOSTS: '127.0.0.1',
        JWKS_URL: issuer.turningUrl,
      },
      () => Date.now() + laterMs,
    );

    const everything = await startEverything(
      {
        ...PATIENT,
        ...CALM,
        NODE_ENV: 'production',
        DATA_DIR: join(folder, 'data'),
        PORT: '0',
        SEED: 'demo',
        ASSERTION_SECRET: master,
        TRUSTED_PROXIES: '1',
        ENDED_SESSIONS_POLL_MS: '500',
      },
      { logger: log.logger('social') },
    );
    closers.push(() => everything.close());
    const urls = {
      gateway: gateway.url,
      open: open.url,
      metered: metered.url,
      crowded: crowded.url,
      private: keeping.url,
      guarded: guarded.url,
      social: everything.gateway.url,
      users: everything.users.url,
      posts: everything.posts.url,
      followers: everything.followers.url,
    };
    const cast: Cast = {
      signing: issuer.signing,
      guarded: { file: closed.file, sdl: closed.sdl },
      ...(await castOf(urls.social)),
      secrets: Object.fromEntries(SERVICES.map((name, at) => [name, shared[at]])) as Cast['secrets'],
    };
    const watchedCalls = watchCalls(SERVICES.map((name) => urls[name]));
    closers.push(async () => watchedCalls.end());
    const sockets = watchSockets();
    closers.push(async () => sockets.end());
    const small = [tiny.people, tiny.posts, ...kept.subgraphs, ...closed.subgraphs];
    const heard = hearing(small);
    const watch = watchProcess();
    closers.push(async () => watch.end());
    return {
      pid: process.pid,
      urls,
      cast,
      state: async ({ beside = false, collect = false, around, passwords = false } = {}) => {
        if (around) issuer.set(around);
        laterMs += around?.laterMs ?? 0;
        if (collect) await collectGarbage();
        const { database } = everything.users;
        const hashes = passwords ? await database.query<{ how: string }>(HASHES) : undefined;
        const polls = await watchedCalls.polls();
        return {
          ...(beside ? NO_STRAIN : watch.strain()),
          calls: small.reduce((sum, { calls }) => sum + calls.length, watchedCalls.calls),
          statements: {
            users: database.statements - polls * STATEMENTS_OF_A_POLL,
            posts: everything.posts.database.statements,
            followers: everything.followers.database.statements,
          },
          polluted: pollution(),
          logged: log.lines,
          wrong: [...log.wrong(), ...heard(), ...sockets.away().map((host) => `a socket was opened to ${host}`)],
          passwords: hashes?.map(({ how }) => how),
        };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function castOf(url: string): Promise<Pick<Cast, 'people' | 'dansPost'>> {
  const ask = async (text: string, variables: object = {}): Promise<Record<string, never>> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query: text, variables }) });
    const { data, errors } = (await response.json()) as { data?: Record<string, never>; errors?: unknown };
    if (!data || errors) throw new Error(`the cast could not be read: ${JSON.stringify(errors)}`);
    return data;
  };
  const logIn = async (handle: string) => {
    const { logIn: session } = await ask('mutation($i:LogInInput!){logIn(input:$i){token user{id}}}', {
      i: { handle, password: PASSWORD },
    });
    const { token, user } = session as unknown as { token: string; user: { id: string } };
    return { token, id: user.id };
  };
  const people = {
    alice: await logIn('alice'),
    bob: await logIn('bob'),
    dan: await logIn('dan'),
    eve: await logIn('eve'),
  };
  const { userByHandle } = await ask('{userByHandle(handle:"dan"){posts(first:1){edges{node{id}}}}}');
  const { posts } = userByHandle as unknown as { posts: { edges: { node: { id: string } }[] } };
  return { people, dansPost: posts.edges[0]!.node.id };
}

/** Of the small graphs. */
const SMALL = ['people', 'posts', 'notes', 'scores', 'users'];

/** Each way in which a password is kept: of who has gone there is none. */
const HASHES = `
  SELECT DISTINCT coalesce(substring(password_hash from '^[$][^$]+[$][^$]+[$][^$]+[$]'), 'something else') AS how
  FROM users WHERE deleted_at IS NULL`;

const EMPTY = Object.getOwnPropertyNames(Object.prototype).length;
const CALL = Function.prototype.call;

function pollution(): string | undefined {
  if (({} as { polluted?: unknown }).polluted !== undefined) return 'every object says polluted';
  if (Object.getOwnPropertyNames(Object.prototype).length !== EMPTY) return 'Object.prototype has another property';
  if (Function.prototype.call !== CALL) return 'Function.prototype.call is another one';
  return undefined;
}
