import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { query, type Attack, type Crowd, type Message, type Seen } from './attack.js';
import { violations } from './check.js';
import { draw, fuzz } from './fuzz.js';
import { ANSWER_BYTES_OF_OPEN } from './limits.js';
import { crowds } from './h-sockets.js';
import { runCommand } from '../faults/run-command.js';
import { startNaive } from './naive.js';
import type { Programs } from './programs.js';
import { ATTACKS, attacksWith, MANY } from './rows.js';
import { attack, PROMISED, withStrain, type Outcome } from './run.js';
import { send } from './send.js';
import { THREATS } from './threats.js';
import { collectGarbage, watchProcess } from './watch.js';

const JSON_ANSWER = { 'content-type': 'application/json; charset=utf-8' };
const ids = new Set(ATTACKS.map(({ id }) => id));

describe('the table of attacks', () => {
  it.each<[string, number]>([
    ['A', 32],
    ['B', 22],
    ['C', 8],
    ['D', 8],
    ['E', 10],
    ['F', 20],
    ['G', 9],
    ['H', 5],
  ])('has every row of %s (%d)', (letter, count) => {
    const missing = Array.from({ length: count }, (_, at) => `${letter}${at + 1}`).filter((id) => !ids.has(id));
    expect(missing).toEqual([]);
  });

  it('is the same rows here and by npm run attack, some of which are longer there', () => {
    const named = ({ id, what, to }: Attack): string => `${id} ${what.replaceAll(/[\d,]+/g, 'n')} ${to}`;
    const all = attacksWith({ ...MANY, idleMs: 60_000, connects: 10_000, slow: false });
    expect(all.map(named)).toEqual(ATTACKS.map(named));
  });

  it('is sent by npm run attack, which prints it and ends with 1 when a row is not as it must be', async () => {
    const also = ['--also', 'test/attack/wrong.fixture.mjs', '--without-proto'];
    // Bombs, because memory is looked at only where who sends them is another process; C, without __proto__.
    const { code, out } = await runCommand('attack', 'A18', 'B16', 'B17', 'C', 'S14', 'R5', '--fuzz', '100', ...also);
    // How long its event loop stands still is the machine's as well, where it is busy with other tests.
    const isLate = (line: string): boolean => /✗ the event loop was blocked for \d+ ms +\|$/.test(line);
    const broken = out.split('\n').filter((line) => line.startsWith('| ') && line.includes('✗') && !isLate(line));
    expect(broken).toEqual([expect.stringMatching(/^\| X0 .* ✗ status 200, not 400.*1 calls of a service/)]);
    expect(out).toMatch(/\n\| A18 .* ✓ /);
    expect(out).toMatch(/\n\d+ attacks, 13 ids: [1-9]\d* violations\..* Most memory for a body: [1-9]\d* MB\.\n/);
    expect(out).toMatch(
      /\nR5: 100 requests changed by chance \(seed \d+\): 0 violations\. Came: .*200 × \d+, 400 × \d+/,
    );
    expect(out).toContain('\nWhat was attacked ran without __proto__.\n');
    expect(code).toBe(1);
  }, 180_000);

  it('keeps what it found of all rows, or nothing: a page of some would be taken for all', async () => {
    const page = readFileSync('docs/measured/attack.md', 'utf8');
    const { code, out } = await runCommand('attack', 'A18', '--save');
    expect([code, out]).toEqual([2, '']);
    expect(readFileSync('docs/measured/attack.md', 'utf8')).toBe(page);
  });

  it('holds what takes its time to an event loop that goes on (control: one that was blocked for longer than what cannot be sent again may)', () => {
    const outcome = { violations: ['so far'] } as unknown as Outcome;
    expect(withStrain(outcome, 5 * PROMISED.blockedMs, PROMISED).violations).toEqual(['so far']);
    expect(withStrain(outcome, 5 * PROMISED.blockedMs + 1, PROMISED)).toMatchObject({
      blockedMs: 1_001,
      violations: ['so far', 'the event loop was blocked for 1001 ms by what takes its time'],
    });
  });

  it('says of every threat where it is met, and that is there', () => {
    expect(THREATS.map(({ id }) => id)).toEqual(Array.from({ length: 32 }, (_, at) => `S${at + 1}`));
    for (const { id, rows = [], tests = [] } of THREATS) {
      expect([
        id,
        rows.filter((row) => !ids.has(row) && ![...ids].some((one) => row.length === 1 && one.startsWith(row))),
      ]).toEqual([id, []]);
      expect([id, tests.filter((file) => !existsSync(file))]).toEqual([id, []]);
      expect([id, rows.length + tests.length > 0]).toEqual([id, true]);
    }
  });
});

describe('what is looked for in every answer', () => {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };
  const row: Attack = {
    id: 'X0',
    what: 'anything',
    to: 'gateway',
    send: {},
    come: { status: 400, code: 'BAD_REQUEST' },
  };
  const refusal = (error: object = {}, more: object = {}) =>
    JSON.stringify({
      errors: [{ message: 'no', extensions: { code: 'BAD_REQUEST', requestId: 'r' }, ...error }],
      ...more,
    });
  const found = (seen: Partial<Seen>) => violations(row, { status: 400, headers, text: refusal(), ...seen });

  it('control: an answer that is as it must be has nothing of it', () => expect(found({})).toEqual([]));

  it.each<[string, Partial<Seen>]>([
    ['another status', { status: 500 }],
    ['no answer', { status: 0 }],
    ['a page', { text: '<!doctype html><html></html>', headers: { 'content-type': 'text/html' } }],
    ['another type', { headers: { ...headers, 'content-type': 'application/json' } }],
    ['a code of nobody', { text: refusal({ extensions: { code: 'E_NOPE' } }) }],
    ['another code', { text: refusal({ extensions: { code: 'FORBIDDEN' } }) }],
    ['more than code and id', { text: refusal({ extensions: { code: 'BAD_REQUEST', stacktrace: [] } }) }],
    ['a stack', { text: refusal({ message: 'x at run (/srv/app.js:12:3)' }) }],
    ['an address', { text: refusal({ message: 'http://10.0.0.7:4001/graphql' }) }],
    ['SQL', { text: refusal({ message: 'SELECT * FROM users' }) }],
    ['data', { text: refusal({}, { data: { me: null } }) }],
    ['no error', { text: '{"data":{}}' }],
    [
      'fifty-one errors',
      {
        text: JSON.stringify({
          errors: Array.from({ length: 51 }, () => ({ message: '', extensions: { code: 'BAD_REQUEST' } })),
        }),
      },
    ],
    ['17 KB', { text: refusal({ message: 'x'.repeat(17_000) }) }],
    ['something to be kept', { headers: { 'content-type': headers['content-type'] } }],
  ])('%s is a violation', (_what, seen) => expect(found(seen)).not.toEqual([]));
});

describe('control: the same rows against a gateway of a first afternoon', () => {
  let naive: Awaited<ReturnType<typeof startNaive>>;
  beforeAll(async () => {
    naive = await startNaive();
  });
  afterAll(() => naive.close());

  const rows = ATTACKS.filter(
    ({ id, send: message }) =>
      typeof message !== 'function' &&
      ['A1', 'A7', 'A10', 'A21', 'A23', 'B1', 'B2', 'B3', 'B7', 'B10', 'B16', 'B17'].includes(id),
  );
  it('find what is wrong with it', async () => {
    const wrong = new Set<string>();
    for (const row of rows) {
      if (typeof row.send === 'function') continue;
      if (violations(row, await send(naive.url, row.send)).length > 0) wrong.add(row.id);
    }
    expect([...wrong]).toEqual(['A1', 'A7', 'A10', 'A21', 'A23', 'B1', 'B2', 'B3', 'B7', 'B10', 'B16', 'B17']);
  });

  it('so does chance (R5), which draws the same again by its seed', async () => {
    const { programs, end } = watched(naive.url);
    const bounds = { ms: Infinity, nextMs: Infinity, blockedMs: Infinity };
    const everywhere = {
      ...programs,
      urls: { gateway: naive.url, open: naive.url, social: naive.url } as Programs['urls'],
    };
    try {
      const { violations: found } = await fuzz(everywhere, { count: 40, seed: 1 }, bounds);
      expect(found).toContainEqual(
        expect.stringMatching(/^\d+ \((document|variables|envelope), to \w+\): status 500: [^]*<html>/),
      );
    } finally {
      end();
    }
    expect(draw(1, 7)).toEqual(draw(1, 7));
    expect(draw(2, 7)).not.toEqual(draw(1, 7));
  });

  it('also how long it kept one waiting, and what it held for a body that it inflated as a whole', async () => {
    const late = await startNaive({ waitMs: 60 });
    const { programs, end } = watched(late.url);
    const bounds = { ms: 50, nextMs: Infinity, blockedMs: Infinity, moreBytes: PROMISED.moreBytes! };
    const bomb = ATTACKS.find(({ what }) => what === '50 MB in 50 kB')!;
    try {
      // Each time: what one has left behind does not hide the next.
      for (let time = 0; time < 3; time += 1) {
        const { violations } = await attack({ ...bomb, come: { status: 500 } }, programs, bounds);
        expect(violations.slice(-2)).toEqual([
          expect.stringMatching(/^it was answered after \d+ ms$/),
          expect.stringMatching(/^its process held \d+ MB more$/),
        ]);
      }
    } finally {
      end();
      await late.close();
    }
  });

  it('and what a row says of its own times, where it is asked for times', async () => {
    const late = await startNaive({ waitMs: 60 });
    const { programs, end } = watched(late.url);
    const patient = { ms: Infinity, nextMs: Infinity, blockedMs: Infinity };
    const told = { status: 200, headers: JSON_ANSWER, text: '{"data":{}}', late: ['who is there takes longer'] };
    const rows = [
      { send: { body: query('{__typename}') }, come: { status: 200, withinMs: 50 } },
      { send: { act: () => Promise.resolve(told) }, come: { status: 200 } },
    ].map((row): Attack => ({ id: 'X0', what: 'an ordinary question', to: 'gateway', ...row }));
    try {
      const found = async (own: boolean) => {
        const outcomes = [];
        for (const row of rows) outcomes.push((await attack(row, programs, { ...patient, own })).violations);
        return outcomes.map((violations) => violations.filter((one) => !one.startsWith('content-type')));
      };
      expect(await found(true)).toEqual([
        [expect.stringMatching(/^it was answered after \d+ ms$/)],
        ['who is there takes longer'],
      ]);
      expect(await found(false)).toEqual([[], []]);
    } finally {
      end();
      await late.close();
    }
  });

  it('that it takes longer for each who is connected', async () => {
    const server = createServer((request, response) => {
      request.resume();
      const answer = (): void =>
        void response.setHeader('content-type', 'application/json; charset=utf-8').end('{"data":{}}');
      server.getConnections((_error, open) => setTimeout(answer, open / 2));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { programs, end } = watched(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [row] = crowds({ idleMs: 100, connects: 0, slow: false }) as [Attack];
    const bounds = { ms: Infinity, nextMs: Infinity, blockedMs: Infinity, besideMs: 20 };
    try {
      let found: readonly string[] = [];
      // Where a busy machine was late with one of a hundred while nobody was connected, once more.
      for (let tries = 0; tries < 20 && found.length === 0; tries += 1)
        ({ violations: found } = await attack(row, programs, bounds));
      expect(found).toEqual([
        expect.stringMatching(/^of a hundred questions beside it one took \d+\.\d ms, and without it /),
      ]);
    } finally {
      end();
      server.close();
      server.closeAllConnections();
    }
  });

  it('that nobody has a place who comes after those that heed no goodbye', async () => {
    const short = { headersTimeout: 100, requestTimeout: 150, connectionsCheckingInterval: 10 };
    const server = createServer(short, (_request, response) => response.end('{"data":{}}'));
    server.on('clientError', (_error, socket) => void socket.end('HTTP/1.1 408 Request Timeout\r\n\r\n'));
    server.maxConnections = 50;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const [, row] = crowds({ idleMs: 0, connects: 60, slow: false }) as [Attack, Attack];
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    // With ours they are gone by then (gateway/http/node-limits.test.ts).
    const seen = await send(url, { crowd: { ...(row.send as { crowd: Crowd }).crowd, ms: 1_600 } });
    expect(violations(row, seen)).toEqual([expect.stringMatching(/^status 0, not 200/)]);
    await new Promise((resolve) => server.close(resolve).closeAllConnections());
  });

  it('and that it keeps what its clients do not read for as long as they like', async () => {
    const row = ATTACKS.find(({ what }) => what === 'more answers unread than may be')!;
    const body = Buffer.alloc(ANSWER_BYTES_OF_OPEN, '{}');
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const seen = await send(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, row.send as Message);
      expect(violations(row, seen)).toEqual([expect.stringMatching(/^status 200, not 0: \{\}/)]);
    } finally {
      server.close();
    }
  });
});

/** As if the naive one were a gateway. */
function watched(gateway: string): { programs: Programs; end: () => void } {
  const watch = watchProcess();
  return {
    programs: {
      pid: process.pid,
      urls: { gateway } as Programs['urls'],
      cast: {} as Programs['cast'],
      state: async ({ collect = false } = {}) => {
        if (collect) await collectGarbage();
        const statements = { users: 0, posts: 0, followers: 0 };
        return { calls: 0, statements, ...watch.strain(), polluted: undefined, logged: 0, wrong: [] };
      },
      close: () => Promise.resolve(),
    },
    end: () => watch.end(),
  };
}
