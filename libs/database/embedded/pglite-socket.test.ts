import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import type { PGlite } from '@electric-sql/pglite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { closePglite, openPglite } from './pglite.js';
import { PgliteSocket, Session, type Wire } from './pglite-socket.js';
import { copyTemplate } from './template.js';

let folder: string;
let pglite: PGlite;
const clients: pg.Client[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-socket-'));
  await copyTemplate(join(folder, 'db'));
  pglite = await openPglite(join(folder, 'db'));
  await pglite.exec('CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counters VALUES (1, 0)');
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()));
  await pglite.exec('UPDATE counters SET n = 0');
});

afterAll(async () => {
  await closePglite(pglite);
  await rm(folder, { recursive: true, force: true });
});

async function connect(session: Session): Promise<pg.Client> {
  const client = new pg.Client({ user: 'postgres', database: 'postgres', stream: () => new PgliteSocket(session) });
  client.on('error', () => {});
  await client.connect();
  clients.push(client);
  return client;
}

/** Reads, waits for everybody's read, writes what it read plus one: twenty increments, in one transaction each. */
async function increment(client: pg.Client): Promise<void> {
  for (let time = 0; time < 5; time++) {
    await client.query('BEGIN');
    const { rows } = await client.query<{ n: number }>('SELECT n FROM counters WHERE id = $1 FOR UPDATE', [1]);
    await new Promise(setImmediate);
    await client.query('UPDATE counters SET n = $1 WHERE id = 1', [rows[0]!.n + 1]);
    await client.query('COMMIT');
  }
}

const counted = async () => (await pglite.query<{ n: number }>('SELECT n FROM counters')).rows[0]!.n;

it('the transactions of four clients on one PGlite do not mix', async () => {
  const session = new Session(pglite);
  const four = await Promise.all([1, 2, 3, 4].map(() => connect(session)));
  await Promise.all(four.map(increment));
  expect(await counted()).toBe(20);
});

it('and they do when nobody waits for a turn (the control)', async () => {
  class Free extends Session {
    override turn(): Promise<() => void> {
      return Promise.resolve(() => {});
    }
  }
  const session = new Free(pglite);
  const four: pg.Client[] = [];
  for (let count = 0; count < 4; count++) four.push(await connect(session));
  const outcomes = await Promise.allSettled(four.map(increment));
  await pglite.exec('ROLLBACK').catch(() => {});
  // Some got the answers of others, the rest overwrote each other.
  expect([outcomes.every((one) => one.status === 'fulfilled'), await counted()]).not.toEqual([true, 20]);
});

it('one statement awaited after the other lets the event loop turn; control: without a pause it does not', async () => {
  class Breathless extends Session {
    override pause(): undefined {}
  }
  const fired = async (session: Session): Promise<number> => {
    const client = await connect(session);
    let times = 0;
    const timer = setInterval(() => (times += 1), 1);
    for (const end = performance.now() + 500; performance.now() < end;) await client.query('SELECT 1');
    clearInterval(timer);
    return times;
  };
  expect(await fired(new Breathless(pglite))).toBe(0);
  expect(await fired(new Session(pglite))).toBeGreaterThan(1);
});

it('no answer reaches another client than the one that asked', async () => {
  const session = new Session(pglite);
  const six = await Promise.all([1, 2, 3, 4, 5, 6].map(() => connect(session)));
  const wrong = await Promise.all(
    six.map(async (client, me) => {
      let crossed = 0;
      for (let time = 0; time < 50; time++) {
        const asked = me * 1_000 + time;
        const { rows } =
          time % 2 === 0
            ? await client.query(`SELECT ${asked} AS n`)
            : await client.query('SELECT $1::int AS n', [asked]);
        if ((rows[0] as { n: number }).n !== asked) crossed++;
      }
      return crossed;
    }),
  );
  expect(wrong).toEqual([0, 0, 0, 0, 0, 0]);
});

it('a transaction in which PGlite itself fails is rolled back before the next client has its turn', async () => {
  let fails = false;
  const failing: Wire = {
    execProtocolRawStream: (message, options) => {
      if (!fails) return pglite.execProtocolRawStream(message, options);
      fails = false;
      return Promise.reject(new RangeError('memory access out of bounds'));
    },
  };
  const session = new Session(failing);
  const [unlucky, next] = [await connect(session), await connect(session)];
  await unlucky.query('BEGIN');
  await unlucky.query('UPDATE counters SET n = 7');
  fails = true;
  await expect(unlucky.query('SELECT 1')).rejects.toThrow('The embedded database failed: memory access out of bounds');
  const { rows } = await next.query('SELECT n FROM counters');
  expect(rows).toEqual([{ n: 0 }]);
  expect(next.getTransactionStatus()).toBe('I');
});

it.each([
  ['ends', (client: pg.Client) => client.end()],
  ['is cut', (client: pg.Client) => void (client.connection as unknown as { stream: PgliteSocket }).stream.destroy()],
])('a client that %s in an open transaction rolls it back', async (_, leave) => {
  const session = new Session(pglite);
  const [leaving, next] = [await connect(session), await connect(session)];
  await leaving.query('BEGIN');
  await leaving.query('UPDATE counters SET n = 7');
  const waiting = next.query('SELECT n FROM counters');
  await leave(leaving);
  expect((await waiting).rows).toEqual([{ n: 0 }]);
});

it('an exchange of many messages, and a message in many pieces, are understood', async () => {
  const session = new Session(pglite);
  const client = await connect(session);
  const { stream } = client.connection as unknown as { stream: PgliteSocket };
  const write = stream.write.bind(stream) as (chunk: Uint8Array) => boolean;
  stream.write = ((chunk: Uint8Array, done?: () => void) => {
    for (let at = 0; at < chunk.length; at += 3) write(chunk.subarray(at, at + 3));
    if (done !== undefined) process.nextTick(done);
    return true;
  }) as typeof stream.write;
  expect((await client.query('SELECT 1 AS a; SELECT 2 AS b')) as unknown).toMatchObject([
    { rows: [{ a: 1 }] },
    { rows: [{ b: 2 }] },
  ]);
  expect((await client.query('SELECT $1::text AS t', ['ü'])).rows).toEqual([{ t: 'ü' }]);
  await expect(client.query('SELECT $1::int AS t', ['no number'])).rejects.toMatchObject({ code: '22P02' });
  expect((await client.query('SELECT 3 AS c')).rows).toEqual([{ c: 3 }]);
});
