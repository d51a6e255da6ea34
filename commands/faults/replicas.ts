import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { violations, type Operation } from './history.js';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { startReplica, type Lag, type PostgresReplica } from '../../test/servers/replica.js';
import { REQUEST_MS } from './bars.js';
import type { Fault } from './fault.js';
import { replaced, type Town } from './town.js';
import { until } from './until.js';

/** Shorter than it is by itself, so that a fault lasts longer. */
const LAG_MAX_MS = 1_000;

/** Posts reads everything from its database, and from a replica what may come from one. */
export const REPLICAS: readonly Fault[] = [
  lags('FD7', 'the replica of posts replays everything ten seconds late', 'lags ten seconds'),
  lags('FD7-paused', 'the replica of posts stands still (pg_wal_replay_pause)', 'stands still'),
  down(),
];

/**
 * Somebody writes and reads on with their token, somebody else reads on what never goes back, and a third says nothing: who has said
 * what they have to see must see it, and the third nothing that is older than the bound. That one is also the control: shown what is
 * old, or the replica was not read.
 */
function lags(id: string, says: string, how: Lag): Fault {
  let replica: PostgresReplica;
  return {
    id,
    says,
    unnoticed: true,
    requestMsMax: REQUEST_MS,
    async prepare({ town }) {
      replica = await startReplica(town.postgres);
      await readFrom(town, [replica.port]);
    },
    async strike({ town, ms }) {
      const people = await threeOf(town);
      try {
        await untilRead(town, replica.port);
        await replica.lag(how);
        let outMs = 0;
        for (const end = performance.now() + ms; performance.now() < end || !people.wasStale || outMs === 0;) {
          await people.turn();
          if (!isRead(town, replica.port)) outMs ||= performance.now();
          if (outMs > 0 && !people.wasStale) {
            // It was left out before anybody could read: once more.
            await replica.heal(how);
            await untilRead(town, replica.port);
            await replica.lag(how);
            outMs = 0;
          }
          if (performance.now() > end + NOTICED_MS)
            throw new Error(
              people.wasStale ? 'it is read on' : 'nobody was shown what is old, so it did not come about',
            );
        }
        await people.turn();
        if (people.isStale) throw new Error('it is left out, and somebody is still shown what is old');
      } finally {
        await replica.heal(how);
      }
      await untilRead(town, replica.port);
      await people.turn();
      people.check();
    },
    async tidy({ town }) {
      await replaced(town, 'posts');
      await replica.stop();
    },
  };
}

/** Of two replicas one is not there when posts starts, and each goes, by another way, while it is read. */
function down(): Fault {
  let replica: PostgresReplica;
  let doors: FaultProxy[];
  return {
    id: 'FD8',
    says: 'of the two replicas of posts one is down when it starts; then the other is a black hole, and then refuses',
    unnoticed: true,
    requestMsMax: REQUEST_MS,
    async prepare({ town }) {
      replica = await startReplica(town.postgres);
      doors = await Promise.all([1, 2].map(() => startFaultProxy({ port: replica.port })));
      doors[1]!.set({ down: true });
      await readFrom(
        town,
        doors.map(({ port }) => port),
      );
    },
    async strike({ town, ms }) {
      const [one, other] = doors as [FaultProxy, FaultProxy];
      await untilRead(town, one.port);
      if (isRead(town, other.port)) throw new Error('what is down is read');
      other.set({});
      await untilRead(town, other.port);
      for (const toxics of [{ timeout: true }, { down: true }]) {
        one.set(toxics);
        await until('it is left out', async () => !isRead(town, one.port));
        await sleep(ms / 2);
        one.set({});
        await untilRead(town, one.port);
      }
      if (!isRead(town, other.port)) throw new Error('the other one is left out as well');
    },
    async tidy({ town }) {
      await replaced(town, 'posts');
      await Promise.all(doors.map((door) => door.close()));
      await replica.stop();
    },
  };
}

/** How long a replica may take to be left out, or somebody to be shown what is old, on a machine that is busy. */
const NOTICED_MS = 20_000;

function readFrom(town: Town, ports: readonly number[]): Promise<void> {
  const urls = ports.map((port) => Object.assign(new URL(town.databaseUrls.posts), { port: String(port) }).href);
  return replaced(town, 'posts', {
    CACHE: 'off',
    DATABASE_REPLICA_URLS: urls.join(','),
    DATABASE_REPLICA_LAG_MS: String(LAG_MAX_MS),
  });
}

function untilRead(town: Town, port: number): Promise<void> {
  return until('the replica is read', async () => isRead(town, port));
}

/** By the last line that posts has logged of it. */
function isRead(town: Town, port: number): boolean {
  const lines = town.logOf('posts').match(/^.*"replica":.*$/gm) ?? [];
  return lines.findLast((line) => line.includes(`:${port}/`))?.includes('"A replica is read"') ?? false;
}

interface Three {
  /** The writer writes once, and then everybody reads. */
  turn(): Promise<void>;
  /** Whether who says nothing was shown what is old: ever, and in the last turn. */
  readonly wasStale: boolean;
  readonly isStale: boolean;
  /** Throws where somebody was shown what they may not be. */
  check(): void;
}

async function threeOf({ graphql }: Town): Promise<Three> {
  const history: Operation[] = [];
  let value = 0;
  let [wasStale, isStale] = [false, false];
  const ask = async (query: string, variables: object, headers: Readonly<Record<string, string>>) => {
    const response = await fetch(graphql, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as Answer;
    if (data == null || errors !== undefined) throw new Error(`somebody was told ${JSON.stringify(errors)}`);
    return { data, token: response.headers.get('consistency-token') };
  };
  /** The headers of somebody new, and the token of that. */
  const signUp = async () => {
    const handle = `r${randomBytes(4).toString('hex')}`;
    const input = { handle, email: `${handle}@example.com`, displayName: handle, password: 'tributary-fault' };
    const signedUp = await ask('mutation($input: SignUpInput!) { signUp(input: $input) { token } }', { input }, {});
    const authorization = `Bearer ${String(signedUp.data['signUp']!['token'])}`;
    return { headers: { authorization }, token: signedUp.token ?? '' };
  };
  const [first, second, third] = [await signUp(), await signUp(), await signUp()];
  const writer = { ...first.headers, 'consistency-token': first.token };
  const monotonic = { ...second.headers, 'tributary-consistency': 'monotonic' };
  const silent = third.headers;
  const write = async (query: string, input: object): Promise<Record<string, unknown>> => {
    const began = performance.now();
    const { data, token } = await ask(query, { input }, writer);
    if (token === null) throw new Error('a mutation answered no Consistency-Token');
    writer['consistency-token'] = token;
    history.push({ client: 'writer', key: 'post', kind: 'write', value, began, ended: performance.now() });
    return Object.values(data)[0] as Record<string, unknown>;
  };
  const { id } = await write('mutation($input: PublishPostInput!) { publishPost(input: $input) { id } }', {
    body: '0',
  });
  const read = async (client: string, headers: Readonly<Record<string, string>>): Promise<Operation> => {
    const began = performance.now();
    const { data } = await ask('query($id: ID!) { post(id: $id) { body } }', { id }, headers);
    const seen = Number((data['post'] as { body: string } | null)?.body ?? -1);
    return { client, key: 'post', kind: 'read', value: seen, began, ended: performance.now() };
  };
  const newestBefore = (atMs: number): number =>
    history.reduce((most, one) => (one.kind === 'write' && one.ended <= atMs ? Math.max(most, one.value) : most), 0);
  return {
    async turn() {
      value += 1;
      await write('mutation($input: EditPostInput!) { editPost(input: $input) { id } }', { id, body: String(value) });
      const seen = await read('who says nothing', silent);
      isStale = seen.value < value;
      wasStale ||= isStale;
      const bound = newestBefore(seen.began - LAG_MAX_MS);
      if (seen.value < bound)
        throw new Error(`somebody was shown version ${seen.value}, when ${bound} had been there for ${LAG_MAX_MS} ms`);
      history.push(await read('writer', writer), await read('monotonic', monotonic));
    },
    get wasStale() {
      return wasStale;
    },
    get isStale() {
      return isStale;
    },
    check() {
      const [one, ...more] = violations(history);
      if (one !== undefined) throw new Error(`${more.length + 1} times not: ${JSON.stringify(one)}`);
    },
  };
}

interface Answer {
  readonly data?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | null;
  readonly errors?: unknown;
}
