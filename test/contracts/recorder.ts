import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { globalId } from '#libs/identity';
import { PASSWORD } from '../people.js';
import { startWorld, type World } from '../world.js';
import { OPERATIONS, type Demo } from './operations.js';
import { isWrite, normalised, type Call } from './recording.js';

/** Everything that sends: each is recorded in a world of its own. The planner is one that runs on every machine. */
const ENGINES = { apollo: { ENGINE: 'apollo' }, tributary: { ENGINE: 'tributary', PLANNER: 'apollo' } } as const;

/** What the gateway sends to each service for each of `OPERATIONS` in a demo graph: `<service>/<operation>` → the file's text. */
export async function record(): Promise<Map<string, string>> {
  const files = new Map<string, Call[]>();
  for (const [engine, env] of Object.entries(ENGINES)) {
    for (const [file, calls] of await recordWith(engine, env)) {
      const known = files.get(file) ?? [];
      for (const call of calls) {
        const same = known.findIndex((other) => textOf(other) === textOf(call));
        if (same < 0) known.push(call);
        else known[same] = { ...call, sentBy: [...(known[same]?.sentBy ?? []), engine] };
      }
      files.set(file, known);
    }
  }
  return new Map(
    [...files]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([file, calls]) => [file, `${JSON.stringify(calls, undefined, 2)}\n`]),
  );
}

async function recordWith(engine: string, env: Record<string, string>): Promise<Map<string, Call[]>> {
  const started = Date.now();
  const world = await startWorld({ SEED: 'demo', ...env });
  try {
    const demo = await demoOf(world);
    const known = await knownIds(world);
    const files = new Map<string, Call[]>();
    for (const [name, { example, viewer, variables }] of Object.entries(OPERATIONS)) {
      const query = await readFile(join(ROOT, `examples/${example}.graphql`), 'utf8');
      const headers = viewer === undefined ? {} : { authorization: `Bearer ${await tokenOf(world, viewer)}` };
      const calls = await callsDuring(world, async () => {
        const answer = await world.ask(query, variables(demo), headers);
        if (answer.errors.length > 0) throw new Error(`${name} was not answered: ${answer.text}`);
      });
      await world.settle();
      for (const [service, sent] of calls) {
        const given = JSON.stringify(variables(demo));
        const tidy = normalised(sent, (id) => known.has(id) || given.includes(id), started);
        files.set(
          `${service}/${name}`,
          // Fetches that run side by side leave in any order; a write comes before what is read after it.
          tidy.map((call) => ({ sentBy: [engine], ...call })).sort((a, b) => compare(a, b)),
        );
      }
    }
    return files;
  } finally {
    await world.close();
  }
}

type Sent = Omit<Call, 'sentBy'>;

/** Requests from the gateway to each service while `work` runs. */
async function callsDuring(world: World, work: () => Promise<void>): Promise<Map<string, Sent[]>> {
  const services = new Map(world.subgraphs.map(({ name, url }) => [new URL(url).origin, name]));
  const calls = new Map<string, Sent[]>();
  const chunks = new Map<Request, Buffer[]>();
  const onCreate = (message: unknown): void => {
    const { request } = message as { request: Request };
    if (services.has(String(request.origin)) && request.path === '/graphql') chunks.set(request, []);
  };
  const onChunk = (message: unknown): void => {
    const { request, chunk } = message as { request: Request; chunk: Buffer };
    chunks.get(request)?.push(Buffer.from(chunk));
  };
  subscribe('undici:request:create', onCreate);
  subscribe('undici:request:bodyChunkReceived', onChunk);
  try {
    await work();
  } finally {
    unsubscribe('undici:request:create', onCreate);
    unsubscribe('undici:request:bodyChunkReceived', onChunk);
  }
  for (const [request, body] of chunks) {
    const service = services.get(String(request.origin)) ?? '';
    const { query, variables = {} } = JSON.parse(request.body.toString()) as Pick<Call, 'query'> & Partial<Call>;
    const answer = JSON.parse(Buffer.concat(body).toString()) as Call['answer'];
    calls.set(service, [
      ...(calls.get(service) ?? []),
      { subject: subjectOf(request.headers), query, variables, answer },
    ]);
  }
  return calls;
}

/** What undici tells of a request. */
interface Request {
  readonly origin: string | URL;
  readonly path: string;
  readonly body: string | Buffer;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

function subjectOf(headers: readonly string[]): string | null {
  const assertion = headers[headers.indexOf('tributary-assertion') + 1] ?? '';
  const claims = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString()) as { sub?: string };
  return claims.sub ?? null;
}

async function tokenOf(world: World, handle: string): Promise<string> {
  const query = 'mutation($input: LogInInput!) { logIn(input: $input) { token } }';
  const { data, text } = await world.ask(query, { input: { handle, password: PASSWORD } });
  const session = data?.['logIn'] as { token: string } | null | undefined;
  if (!session) throw new Error(`${handle} could not log in: ${text}`);
  return session.token;
}

async function demoOf(world: World): Promise<Demo> {
  interface Answered {
    users: { edges: { node: { id: string; handle: string } }[] };
    alice: Posts;
    bob: Posts;
  }
  interface Posts {
    posts: { edges: { node: { id: string; replyCount: number } }[] };
  }
  const { data } = await world.ask(`{
    users { edges { node { id handle } } }
    alice: userByHandle(handle: "alice") { posts(first: 100) { edges { node { id replyCount } } } }
    bob: userByHandle(handle: "bob") { posts(first: 100) { edges { node { id replyCount } } } } }`);
  const { users, alice, bob } = data as unknown as Answered;
  const thread = alice.posts.edges.findLast(({ node }) => node.replyCount > 0)?.node.id;
  const [first, second] = bob.posts.edges.map(({ node }) => node.id);
  if (thread === undefined || first === undefined || second === undefined)
    throw new Error('This is not the demo graph');
  return {
    people: Object.fromEntries(users.edges.map(({ node }) => [node.handle, node.id])),
    thread,
    own: [first, second],
  };
}

async function knownIds(world: World): Promise<Set<string>> {
  const people = await world.users.database.query<{ id: string }>('SELECT id FROM users');
  const posts = await world.posts.database.query<{ id: string }>('SELECT id FROM posts');
  return new Set([...people.map(({ id }) => globalId('user', id)), ...posts.map(({ id }) => globalId('post', id))]);
}

function compare(a: Call, b: Call): number {
  return Number(isWrite(b)) - Number(isWrite(a)) || (textOf(a) < textOf(b) ? -1 : 1);
}

function textOf(call: Call): string {
  return JSON.stringify({ ...call, sentBy: [] });
}
