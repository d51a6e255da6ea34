import { generateKeyPairSync } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signingKeyOf } from '#libs/identity';
import { secretsFrom, SERVICES } from '../../commands/databases.js';
import { startEverything } from '../../commands/everything.js';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway } from '../../gateway/start.js';
import { PASSWORD } from '../people.js';
import { startTinyGraph } from '../tiny/tiny-graph.js';
import type { Cast, Target } from './attack.js';
import { CONNECTIONS_OF_CROWDED } from './h-sockets.js';
import { ANSWER_BYTES_OF_OPEN, LIMITS_OF_OPEN, registeredDocuments } from './limits.js';
import { WatchedLog } from './log.js';
import { collectGarbage, NO_STRAIN, watchProcess, type Strain } from './watch.js';

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
}

export interface State extends Strain {
  /** How often a gateway has asked one of its services. */
  readonly calls: number;
  /** SQL statements of the social graph's services, which are attacked behind their gateway's back, too. */
  readonly statements: Readonly<Record<'users' | 'posts' | 'followers', number>>;
  /** What an attack has changed in the prototypes of everything; undefined: nothing. */
  readonly polluted: string | undefined;
  /** How many lines the programs have logged since they started, and what is wrong with those since this was asked last. */
  readonly logged: number;
  readonly wrongInLog: readonly string[];
}

const ISSUER = 'https://issuer.example/';
const AUDIENCE = 'attacked';
/** A busy machine is no part of what is tested. */
const PATIENT = { SUBGRAPH_TIMEOUT_MS: '60000', REQUEST_TIMEOUT_MS: '60000', OVERLOAD_MS: '0' };
/** What a service does by itself is done so seldom that it is never taken for an answer to an attack. */
const CALM = { RELAY_POLL_MS: '60000', TRENDING_REFRESH_S: '86400', ENDED_SESSIONS_POLL_MS: '60000' };
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
    const { privateKey } = generateKeyPairSync('ed25519');
    const { publicJwk } = signingKeyOf(privateKey);
    const issuer = await startIssuer({ keys: [publicJwk] });
    closers.push(issuer.close);
    const supergraph = join(folder, 'supergraph.graphql');
    const documents = join(folder, 'documents.json');
    await writeFile(supergraph, tiny.sdl);
    await writeFile(documents, JSON.stringify(registeredDocuments()));
    const secret = 't'.repeat(64);
    const master = 'm'.repeat(64);
    const secrets = secretsFrom(master);
    const shared = SERVICES.map((name) => secrets.of('assertion', name));
    const log = new WatchedLog([secret, master, ...shared]);
    const start = async (more: Record<string, string>) => {
      const gateway = await startGateway(
        readGatewayConfig({
          ...EXPOSED,
          SUPERGRAPH: supergraph,
          JWKS_URL: issuer.url,
          ASSERTION_SECRET_PEOPLE: secret,
          ASSERTION_SECRET_POSTS: secret,
          ...more,
        }),
        { logger: log.logger('gateway') },
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
    const crowded = await start({ CONNECTIONS_MAX: String(CONNECTIONS_OF_CROWDED) });

    const everything = await startEverything(
      {
        ...PATIENT,
        ...CALM,
        NODE_ENV: 'production',
        DATA_DIR: join(folder, 'data'),
        PORT: '0',
        SEED: 'demo',
        ASSERTION_SECRET: master,
      },
      { logger: log.logger('social') },
    );
    closers.push(() => everything.close());
    const urls = {
      gateway: gateway.url,
      open: open.url,
      metered: metered.url,
      crowded: crowded.url,
      social: everything.gateway.url,
      users: everything.users.url,
      posts: everything.posts.url,
      followers: everything.followers.url,
    };
    const cast: Cast = {
      signing: {
        pem: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
        publicX: String(publicJwk.x),
        kid: publicJwk.kid,
        issuer: ISSUER,
        audience: AUDIENCE,
      },
      ...(await castOf(urls.social)),
      secrets: Object.fromEntries(SERVICES.map((name, at) => [name, shared[at]])) as Cast['secrets'],
    };
    let asked = 0;
    const origins = new Set(SERVICES.map((name) => new URL(urls[name]).origin));
    const count = (message: unknown): void => {
      const { origin, path } = (message as { request: { origin: string | URL; path: string } }).request;
      if (path === '/graphql' && origins.has(String(origin))) asked += 1;
    };
    subscribe('undici:request:create', count);
    closers.push(async () => void unsubscribe('undici:request:create', count));
    const watch = watchProcess();
    closers.push(async () => watch.end());
    return {
      pid: process.pid,
      urls,
      cast,
      state: async ({ beside = false, collect = false } = {}) => {
        if (collect) await collectGarbage();
        const strain = beside ? NO_STRAIN : watch.strain();
        const calls = tiny.people.calls.length + tiny.posts.calls.length + asked;
        const statements = {
          users: everything.users.database.statements,
          posts: everything.posts.database.statements,
          followers: everything.followers.database.statements,
        };
        return { calls, statements, ...strain, polluted: pollution(), logged: log.lines, wrongInLog: log.wrong() };
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

async function startIssuer(keys: object): Promise<{ url: string; close: () => Promise<unknown> }> {
  const server = createServer((_, response) => response.end(JSON.stringify(keys)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<unknown> =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`, close };
}

const EMPTY = Object.getOwnPropertyNames(Object.prototype).length;
const CALL = Function.prototype.call;

function pollution(): string | undefined {
  if (({} as { polluted?: unknown }).polluted !== undefined) return 'every object says polluted';
  if (Object.getOwnPropertyNames(Object.prototype).length !== EMPTY) return 'Object.prototype has another property';
  if (Function.prototype.call !== CALL) return 'Function.prototype.call is another one';
  return undefined;
}
