import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Failure } from '#libs/failure';
import { openBudgets, type Budgets } from '#libs/rate-limit';
import { silent } from '#libs/telemetry';
import { startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import { grantsOf } from '../authorization/grants.js';
import { exactNumbersWithin, parseExactly } from '../run/exact-numbers.js';
import type { Bearer } from './identity.js';
import { textOnly } from './persisted-documents.js';
import { clientAddress, clientOf, networkOf, Rates } from './rates.js';
import { Refusal } from './refusal.js';

const asked = (remoteAddress: string, forwarded?: string): IncomingMessage =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }) as unknown as IncomingMessage;

const query = (text: string): string => JSON.stringify({ query: text });

describe('what is asked of Redis', () => {
  it('is one thing for who is not logged in and two for who is; of who has nothing left the others there are not asked', async () => {
    const taken: string[] = [];
    const budget = (name: string, waitMs = 0) => ({
      take: (_key: string, points = 1) => (taken.push(`${name} ${points}`), Promise.resolve(waitMs)),
      forget: () => Promise.resolve(),
    });
    const request = asked('198.51.100.1');
    const all = { person: budget('person'), address: budget('address'), people: budget('people'), proxies: 0 };
    const rates = new Rates(all);
    await rates.begin(request, null, 7);
    await rates.begin(request, 'user_1', 7);
    expect(taken.splice(0)).toEqual(['address 7', 'person 7', 'people 7']);
    const poor = new Rates({ ...all, person: budget('person', 1_000) });
    await expect(poor.begin(request, 'user_1', 7)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(taken).toEqual(['person 7']);
  });
});

describe('the address of a client', () => {
  it.each<[string, string | undefined, number, string]>([
    ['198.51.100.1', undefined, 0, '198.51.100.1'],
    ['198.51.100.1', '203.0.113.9', 0, '198.51.100.1'],
    ['10.0.0.1', '203.0.113.9', 1, '203.0.113.9'],
    ['10.0.0.1', '1.1.1.1, 203.0.113.9', 1, '203.0.113.9'],
    ['10.0.0.1', '1.1.1.1, 203.0.113.9, 10.0.0.2', 2, '203.0.113.9'],
    ['10.0.0.1', '203.0.113.9:4711', 1, '203.0.113.9'],
    ['10.0.0.1', '[2001:db8::1]:4711', 1, '2001:db8::1'],
    ['10.0.0.1', 'unknown', 1, '10.0.0.1'],
    ['10.0.0.1', '203.0.113.9', 2, '10.0.0.1'],
    ['10.0.0.1', '', 1, '10.0.0.1'],
  ])('from %s, forwarded for %s by %d proxies, is %s', (remote, forwarded, proxies, address) => {
    expect(clientAddress(asked(remote, forwarded), proxies)).toBe(address);
  });

  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:0::/56'],
    ['2001:db8:1:2ff:3:4:5:6', '2001:db8:1:200::/56'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:0::/56'],
    ['2001:db8::1', '2001:db8:0:0::/56'],
    ['fe80::1%eth0', 'fe80:0:0:0::/56'],
    ['::1', '0:0:0:0::/56'],
  ])('%s is counted as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  it('cannot be read off what is counted, and is the same for the same network', () => {
    const one = clientOf(asked('2001:db8:1:2::3'), 0);
    expect(one).toMatch(/^[\w-]{22}$/);
    expect(clientOf(asked('2001:db8:1:2:ffff::'), 0)).toBe(one);
    expect(clientOf(asked('2001:db8:1:100::3'), 0)).not.toBe(one);
  });
});

describe('a client that asks for more than it may', () => {
  let budgets: Budgets;
  let tiny: TinyHttp;
  /** How many tokens were looked at. */
  let looks = 0;
  /** How often it was asked whether one is known. */
  let asksKnown = 0;
  beforeAll(async () => {
    budgets = await openBudgets({ redisUrl: undefined, logger: silent });
    tiny = await startTinyHttp(
      buildSchema(
        'type Query { me: Person people(first: Int): [Person] text(bytes: Int!): String read(bytes: Int!): String } type Person { id: ID }',
      ),
      {
        me: { id: '1' },
        people: [],
        text: ({ bytes }: { bytes: number }) => 'x'.repeat(bytes),
        // As a client of subgraphs does (fetch/attempt.ts).
        read: ({ bytes }: { bytes: number }) => void (tiny.executed.at(-1)!.context.fetched!.bytes += bytes),
      },
      {
        identity: {
          bearer({ headers: { authorization } }) {
            if (authorization === undefined) return null;
            looks += 1;
            if (authorization === 'forged') throw new Failure('UNAUTHENTICATED');
            if (authorization.includes('later')) return later(authorization);
            if (authorization === 'unknown') throw new Failure('SUBGRAPH_UNAVAILABLE');
            return { subject: authorization, claims: {}, grants: grantsOf({}) };
          },
          knows({ headers: { authorization } }) {
            asksKnown += 1;
            return authorization === 'known';
          },
          assertion: () => undefined,
        },
        documentText(asked) {
          if (asked.query?.startsWith('#unregistered')) throw Refusal.of('FORBIDDEN', 'not registered');
          return textOnly(asked);
        },
        registered: (text) => text.startsWith('query Registered'),
        rates: new Rates({
          person: budgets.of({ name: 'person', points: 200, windowS: 600 }),
          address: budgets.of({ name: 'address', points: 100, windowS: 600 }),
          people: budgets.of({ name: 'people', points: 300, windowS: 600 }),
          proxies: 1,
        }),
      },
    );
  });
  /** As a verifier looks at tokens: what comes of it is not there at once. */
  const later = async (authorization: string): Promise<Bearer> => {
    await delay(5);
    if (authorization.startsWith('forged')) throw new Failure('UNAUTHENTICATED');
    return { subject: authorization, claims: {}, grants: grantsOf({}) };
  };
  afterAll(async () => {
    await tiny.close();
    await budgets.close();
  });

  const post = async (client: string, body: string | Buffer<ArrayBuffer>, headers = {}): Promise<Response> =>
    fetch(tiny.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': client, ...headers },
      body,
    });
  const ask = (client: string, text: string, headers = {}): Promise<Response> => post(client, query(text), headers);
  /** The status of one that says how long its body is, and does not send it; or that it is `waitedFor`. */
  const withoutBody = async (client: string, authorization?: string, waitedFor = false): Promise<string> => {
    const socket = connect(Number(new URL(tiny.url).port), '127.0.0.1');
    const more = authorization === undefined ? '' : `authorization: ${authorization}\r\n`;
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-forwarded-for: ${client}\r\n${more}content-length: 9\r\n\r\n`,
    );
    const told = once(socket, 'data').then(([chunk]) => /^HTTP\/1\.1 (\d+)/.exec(String(chunk))![1]!);
    const status = await (waitedFor ? Promise.race([told, delay(100, 'waited for')]) : told);
    socket.destroy();
    return status;
  };

  /** What becomes of so many of them, one after another. */
  const outcomes = async (client: string, count: number, body: (turn: number) => string): Promise<number[]> => {
    const statuses: number[] = [];
    for (let turn = 0; turn < count; turn += 1) statuses.push((await post(client, body(turn))).status);
    return statuses;
  };
  const times = (count: number, status: number): number[] => Array<number>(count).fill(status);

  it('is told 429 and when it may ask again; nothing runs, and others are as they were', async () => {
    expect((await ask('203.0.113.1', '{people(first:100){id}}')).status).toBe(200);
    tiny.executed.length = 0;
    const refused = await ask('203.0.113.1', '{me{id}}');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(600);
    const retryAfter = Number(refused.headers.get('retry-after'));
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED', retryAfter } }] });
    expect(tiny.executed).toHaveLength(0);
    expect((await ask('203.0.113.2', '{me{id}}')).status).toBe(200);
  });

  it('pays by cost, as much in one operation as in several, and for each request five', async () => {
    const twenty = query('{people(first:20){id}}');
    await post('203.0.113.34', twenty);
    expect(await outcomes('203.0.113.3', 6, () => twenty)).toEqual([...times(5, 200), 429]);
    expect(await outcomes('203.0.113.31', 21, () => query('{me{id}}'))).toEqual([...times(20, 200), 429]);
  });

  it.each([
    ['written', 'text', '41.0.0'],
    ['read of services', 'read', '42.0.0'],
  ])(
    'pays for bytes that are %s, a unit for ten thousand, beyond what the price covers (control: few of them)',
    async (_what, field, client) => {
      // Is known: nobody pays for the reading any more.
      for (const bytes of [1_000, 390_000])
        await ask('203.0.113.33', `{${field}(bytes:${bytes})}`, { authorization: field + bytes });
      const many = query(`{${field}(bytes:390000)}`);
      // 40 each (39 and the names around it): the third is answered, and takes more than was left.
      expect(await outcomes(`${client}.1`, 4, () => many)).toEqual([...times(3, 200), 429]);
      const few = query(`{${field}(bytes:1000)}`);
      expect(await outcomes(`${client}.2`, 21, () => few)).toEqual([...times(20, 200), 429]);
    },
  );

  it('pays for what is refused as well, or garbage would be free', async () => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 11; turn += 1) statuses.push((await ask('203.0.113.4', `{me{nothing${turn}}}`)).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 400), 429]);
  });

  it('pays for what has to be read and planned because nobody had asked for it (control: the same text, again and again)', async () => {
    // To be read 8, to be planned 18, to be run 5: the fourth is answered, and takes more than was left.
    const anew = (turn: number): string => query(`query N${turn}{me{id}}`);
    expect(await outcomes('203.0.113.20', 6, anew)).toEqual([...times(4, 200), ...times(2, 429)]);
    expect(await outcomes('203.0.113.21', 21, () => anew(0))).toEqual([...times(20, 200), 429]);
  });

  it('pays for a text that is dear by what it is: one of 480 fields, twice, takes all', async () => {
    const dear = (turn: number): string =>
      query(`query D${turn}{me{...F ...F}} fragment F on Person{${'id '.repeat(480)}}`);
    expect(await outcomes('203.0.113.22', 3, dear)).toEqual([200, 429, 429]);
    expect(await outcomes('203.0.113.23', 20, () => dear(0))).toEqual(times(20, 200));
  });

  it('pays as much for one that is refused, and for what is known to be refused what any refusal costs', async () => {
    const wrong = (turn: number): string => query(`query W${turn}{me{nothing ${'id '.repeat(480)}}}`);
    expect(await outcomes('203.0.113.24', 2, wrong)).toEqual([429, 429]);
    expect(await outcomes('203.0.113.25', 11, () => wrong(0))).toEqual([...times(10, 400), 429]);
  });

  it('pays for each operation of one text that nobody had asked for', async () => {
    const operations = Array.from({ length: 9 }, (_, nth) => `query O${nth}{me{id}}`).join(' ');
    const named = (turn: number): string => JSON.stringify({ query: operations, operationName: `O${turn}` });
    // 21 to be read, then 5 and 31 for each.
    expect(await outcomes('203.0.113.26', 5, named)).toEqual([...times(3, 200), ...times(2, 429)]);
    expect(await outcomes('203.0.113.27', 5, (turn) => named(turn % 3))).toEqual(times(5, 200));
  });

  /** Of so many bytes, nearly all of them under a name that nobody asks for. */
  const long = (bytes: number, number = '1'): string => {
    const rest = Math.floor((bytes - 26) / (number.length + 1));
    return `{"query":"{me{id}}","x":[${`${number},`.repeat(rest).slice(0, -1)}]}`.padEnd(bytes);
  };

  it('pays for a long body before it is parsed, a unit for each kB beyond four (control: one of four)', async () => {
    // Is known: nobody pays for the reading any more.
    await post('203.0.113.33', query('{me{id}}'));
    // 26 to be parsed, 5 to be run.
    expect(await outcomes('203.0.113.40', 5, () => long(30_000))).toEqual([...times(3, 200), ...times(2, 429)]);
    expect(await outcomes('203.0.113.41', 21, () => long(4_000))).toEqual([...times(20, 200), 429]);
    // What is paid for is not looked at first: who has too little is not told that this is no JSON.
    expect(await outcomes('203.0.113.42', 1, () => `${long(110_000)}]`)).toEqual([429]);
    expect(await outcomes('203.0.113.43', 1, () => `${long(30_000)}]`)).toEqual([400]);
  });

  it('pays for a long address as for a body (control: one of four kB)', async () => {
    await post('203.0.113.33', query('{me{id}}'));
    const get = async (client: string, bytes: number, more = ''): Promise<number> => {
      const address = `${tiny.url}?query={me{id}}&variables={"a":[${more}1]}`;
      const headers = { 'apollo-require-preflight': '1', 'x-forwarded-for': client };
      return (await fetch(address.padEnd(bytes, '&'), { headers })).status;
    };
    const gets = async (count: number, ...what: Parameters<typeof get>): Promise<number[]> => {
      const statuses: number[] = [];
      for (let turn = 0; turn < count; turn += 1) statuses.push(await get(...what));
      return statuses;
    };
    // 9 to be parsed, 5 to be run; twice 9 where a number is kept to the digit.
    expect(await gets(9, '203.0.113.60', 12_500)).toEqual([...times(7, 200), ...times(2, 429)]);
    expect(await gets(6, '203.0.113.61', 12_500, '1.0,')).toEqual([...times(4, 200), ...times(2, 429)]);
    expect(await gets(21, '203.0.113.62', 4_000)).toEqual([...times(20, 200), 429]);
  });

  it('pays twice where it is parsed twice: for numbers that are kept to the digit', async () => {
    await post('203.0.113.33', query('{me{id}}'));
    expect(await outcomes('203.0.113.44', 3, () => long(30_000).replace('[1,', '[1.0,'))).toEqual([
      200,
      ...times(2, 429),
    ]);
  });

  it('pays for what has become of a body that came compressed', async () => {
    await post('203.0.113.33', query('{me{id}}'));
    const gzip = { 'content-encoding': 'gzip' };
    const zipped = gzipSync(long(30_000));
    expect(zipped.length).toBeLessThan(1_000);
    const statuses: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) statuses.push((await post('203.0.113.45', zipped, gzip)).status);
    expect(statuses).toEqual([...times(3, 200), ...times(2, 429)]);
  });

  it('may have as many numbers that are kept to the digit as variables have room for, and is refused before more are kept', async () => {
    const most = exactNumbersWithin(64 * 1024);
    const of = (count: number): string => `{"query":"{me{id}}","x":[${'1e1,'.repeat(count).slice(0, -1)}]}`;
    const refused = await post('203.0.113.46', of(most + 1));
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      {
        errors: [{ message: expect.stringContaining(`at most ${most} numbers`), extensions: { code: 'BAD_REQUEST' } }],
      },
    ]);
    expect((await post('203.0.113.47', of(most))).status).toBe(200);
    // No variables that were taken are refused now.
    expect(Buffer.byteLength(JSON.stringify(parseExactly(`[${'-0,'.repeat(most)}1]`)))).toBeGreaterThan(64 * 1024);
  });

  it('does not pay for the reading of what was registered', async () => {
    expect(await outcomes('203.0.113.30', 21, (turn) => query(`query Registered${turn}{me{id}}`))).toEqual([
      ...times(20, 200),
      429,
    ]);
  });

  it.each<[string, string, object, number]>([
    ['a body that is no JSON', '{', {}, 400],
    ['a forged token', query('{me{id}}'), { authorization: 'forged' }, 401],
    ['a document that may not run', query('#unregistered'), {}, 403],
    ['a document by id that nobody knows', JSON.stringify({ documentId: 'x' }), {}, 200],
  ])('pays for %s', async (what, body, headers, status) => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 11; turn += 1)
      statuses.push((await post(`203.0.113.7, ${what.length}.0.0.1`, body, headers)).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => status), 429]);
  });

  it.each<[string, RequestInit, number]>([
    ['a method that there is none of', { method: 'PUT' }, 405],
    ['what a page of another site could have sent', { method: 'POST', headers: { 'content-type': 'text/plain' } }, 400],
    ['an answer that is none of ours', { method: 'POST', headers: { accept: 'image/png' } }, 406],
  ])('pays for %s, and is told nothing else once it has nothing left', async (_what, init, status) => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 12; turn += 1)
      statuses.push(
        (
          await fetch(tiny.url, {
            ...init,
            headers: {
              'content-type': 'application/json',
              'x-forwarded-for': `198.51.100.${status - 300}`,
              ...(init.headers as Record<string, string>),
            },
          })
        ).status,
      );
    expect(statuses.slice(0, 10)).toEqual(times(10, status));
    expect(statuses[11]).toBe(429);
  });

  it('is told what its browser asks before it sends, for nothing and whatever is left', async () => {
    const preflight = async (): Promise<number> =>
      (await fetch(tiny.url, { method: 'OPTIONS', headers: { 'x-forwarded-for': '198.51.100.9' } })).status;
    for (let turn = 0; turn < 101; turn += 1) expect(await preflight()).toBe(204);
    expect((await ask('198.51.100.9', '{people(first:100){id}}')).status).toBe(200);
    expect((await ask('198.51.100.9', '{me{id}}')).status).toBe(429);
    expect(await preflight()).toBe(204);
  });

  it('a token that is none is paid for, too, where the body never comes', async () => {
    for (let turn = 0; turn < 11; turn += 1) await withoutBody('203.0.113.16', 'forged', true);
    expect(await withoutBody('203.0.113.16', 'forged')).toBe('429');
  });

  it('a kind of consistency that there is none of costs as much as no operation at all', async () => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 11; turn += 1)
      statuses.push((await ask('203.0.113.17', '{me{id}}', { 'tributary-consistency': 'some' })).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 400), 429]);
  });

  it('who is logged in pays for those as well, and not the others at the address', async () => {
    const fay = { authorization: 'fay' };
    const statuses: number[] = [];
    for (let turn = 0; turn < 21; turn += 1) statuses.push((await post('203.0.113.15', '{', fay)).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 400), 429]);
    expect(await withoutBody('203.0.113.15', 'fay')).toBe('429');
    expect((await ask('203.0.113.15', '{me{id}}')).status).toBe(200);
  });

  it('has no document parsed and no body read once it has nothing left (control: before, and somebody else, has)', async () => {
    let nth = 0;
    const anew = async (client: string, headers = {}): Promise<[number, number]> => {
      const before = tiny.documents.size;
      const { status } = await ask(client, `query N${(nth += 1)} {${'me{id} '.repeat(5)}}`, headers);
      return [status, tiny.documents.size - before];
    };
    expect(await anew('203.0.113.11')).toEqual([200, 1]);
    expect((await ask('203.0.113.11', '{people(first:100){id}}')).status).toBe(429);
    for (let turn = 0; turn < 10; turn += 1) expect(await anew('203.0.113.11')).toEqual([429, 0]);
    expect(await anew('203.0.113.12')).toEqual([200, 1]);
    const told = [
      withoutBody('203.0.113.11'),
      withoutBody('203.0.113.12', undefined, true),
      withoutBody('203.0.113.12', 'forged', true),
    ];
    expect(await Promise.all(told)).toEqual(['429', 'waited for', 'waited for']);
    // Whatever is written where a token goes.
    expect(await withoutBody('203.0.113.11', 'forged')).toBe('429');
    expect(await withoutBody('203.0.113.11', 'unknown')).toBe('429');
    expect((await ask('203.0.113.11', '{me{id}}', { authorization: 'forged' })).status).toBe(429);

    const dora = { authorization: 'dora' };
    expect(await anew('203.0.113.12', dora)).toEqual([200, 1]);
    for (const status of [200, 429])
      expect((await ask('203.0.113.12', '{people(first:100){id}}', dora)).status).toBe(status);
    for (let turn = 0; turn < 10; turn += 1) expect(await anew('203.0.113.12', dora)).toEqual([429, 0]);
    expect(await withoutBody('203.0.113.12', 'dora')).toBe('429');
    // Nobody else there is meant, and who has a token is not kept out by those who have none.
    expect(await anew('203.0.113.12')).toEqual([200, 1]);
    expect(await withoutBody('203.0.113.11', 'eli', true)).toBe('waited for');
    looks = 0;
    expect(await anew('203.0.113.11', { authorization: 'eli' })).toEqual([200, 1]);
    expect(looks).toBe(1);
  });

  it('has a few more tokens looked at that are none once it has nothing left, and then no new one (control: before, and one that was good)', async () => {
    const token = (client: string, authorization: string) => ask(client, '{me{id}}', { authorization });
    const some = async (client: string, count: number): Promise<[number[], number]> => {
      looks = 0;
      const told = await Promise.all(Array.from({ length: count }, () => token(client, 'forged')));
      return [[...new Set(told.map(({ status }) => status))], looks];
    };
    expect(await some('203.0.113.50', 10)).toEqual([[401], 10]);
    expect((await token('203.0.113.50', 'forged')).status).toBe(429);
    // Nor is who has a log-in kept out, as long as there are few.
    expect((await token('203.0.113.50', 'gus')).status).toBe(200);
    expect(await some('203.0.113.50', 200)).toEqual([[429], 20]);
    expect(await some('203.0.113.50', 200)).toEqual([[429], 0]);
    expect((await token('203.0.113.50', 'gus')).status).toBe(429);
    expect((await token('203.0.113.50', 'known')).status).toBe(200);
    expect((await token('203.0.113.51', 'gus')).status).toBe(200);
  });

  it('keeps out no crowd of those whose tokens are good, as after a restart that has forgotten them (control: of those that are none twenty)', async () => {
    const tokens = async (client: string, token: (nth: number) => string, count: number): Promise<number[]> => {
      looks = 0;
      const one = (nth: number) => ask(client, '{me{id}}', { authorization: token(nth) });
      const told = await Promise.all(Array.from({ length: count }, (_, nth) => one(nth)));
      return told.map(({ status }) => status);
    };
    for (const client of ['203.0.113.52', '203.0.113.53'])
      while ((await ask(client, '{people(first:100){id}}')).status !== 429);
    expect(await tokens('203.0.113.52', (nth) => `later ${nth}`, 50)).toEqual(times(50, 200));
    expect(looks).toBe(50);
    expect(await tokens('203.0.113.53', () => 'forged, later', 100)).toEqual(times(100, 429));
    expect(looks).toBe(20);
    // Then no new one is looked at, whatever it is.
    expect((await ask('203.0.113.53', '{me{id}}', { authorization: 'later 51' })).status).toBe(429);
    expect((await ask('203.0.113.53', '{me{id}}', { authorization: 'known' })).status).toBe(200);
  });

  it('waits to have its token looked at no longer than its request may take (control: until there is a place for it)', async () => {
    const own = new Rates({
      person: undefined,
      address: budgets.of({ name: 'looked at', points: 1, windowS: 600 }),
      proxies: 0,
    });
    const request = asked('203.0.113.60');
    await expect(own.take(request, null, 2)).rejects.toThrow(Refusal);
    const look = (mostMs?: number) => own.lookAtToken(request, () => false, mostMs)!;
    const underWay = await Promise.all(Array.from({ length: 20 }, () => look()));
    await expect(look(0)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const waiting = look();
    underWay[0]!(false);
    expect(await waiting).toBeInstanceOf(Function);
  });

  it('is asked for no token that is known while it has something left (control: when it has not)', async () => {
    asksKnown = 0;
    const known = { authorization: 'known' };
    expect((await ask('203.0.113.54', '{me{id}}', known)).status).toBe(200);
    expect(asksKnown).toBe(0);
    while ((await ask('203.0.113.54', '{people(first:100){id}}')).status !== 429);
    expect((await ask('203.0.113.54', '{me{id}}', known)).status).toBe(200);
    expect(asksKnown).toBe(1);
  });

  it('has something left again when its window ends', async () => {
    const rates = new Rates({
      person: undefined,
      address: budgets.of({ name: 'short', points: 1, windowS: 2 }),
      proxies: 0,
    });
    const request = asked('203.0.113.13');
    const isRefused = async (take: () => unknown): Promise<boolean> => {
      try {
        await take();
        return false;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return true;
      }
    };
    rates.requireLeft(request, null);
    // Where a busy machine takes longer than the window between two of them, both are in time.
    while (!(await isRefused(() => rates.take(request, null, 1)))) rates.requireLeft(request, null);
    expect(() => rates.requireLeft(request, null)).toThrow(/^Too many requests; wait [12] s\.$/);
    expect(() => rates.requireLeft(asked('203.0.113.14'), null)).not.toThrow();
    while (await isRefused(() => rates.requireLeft(request, null))) await delay(20);
    await rates.take(request, null, 1);
  });

  it('does not pay for what is our fault', async () => {
    for (let turn = 0; turn < 11; turn += 1)
      expect((await post('203.0.113.8', query('{me{id}}'), { authorization: 'unknown' })).status).toBe(502);
    expect((await ask('203.0.113.8', '{me{id}}')).status).toBe(200);
  });

  it('who is logged in pays alone, and with all who are at the address', async () => {
    const hundred = (person: string) => ask('203.0.113.9', '{people(first:100){id}}', { authorization: person });
    const statuses: number[] = [];
    for (const person of ['ann', 'ann', 'ann', 'ben', 'cid']) statuses.push((await hundred(person)).status);
    // Ann has spent her two hundred, and what she was refused is not the others'; Ben's is the last of the three hundred.
    expect(statuses).toEqual([200, 200, 429, 200, 429]);
    expect((await ask('203.0.113.9', '{me{id}}')).status).toBe(200);
    expect((await ask('203.0.113.10', '{me{id}}', { authorization: 'cid' })).status).toBe(200);
  });

  it('cannot be another by what it writes before its own address', async () => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 2; turn += 1)
      statuses.push((await ask(`10.9.8.${turn}, 203.0.113.5`, '{people(first:100){id}}')).status);
    expect(statuses).toEqual([200, 429]);
  });

  it('is told what an operation costs when it asks, whether it had to be read or not', async () => {
    expect(
      (await ask('203.0.113.6', '{people(first:7){id}}', { 'tributary-cost': '1' })).headers.get('tributary-cost'),
    ).toBe('7');
    expect(
      (await ask('203.0.113.6', '{people(first:7){id}}', { 'tributary-cost': '1' })).headers.get('tributary-cost'),
    ).toBe('7');
    expect((await ask('203.0.113.6', '{people(first:7){id}}')).headers.get('tributary-cost')).toBeNull();
  });
});
