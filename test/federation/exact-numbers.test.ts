import { afterAll, describe, expect, it } from '@jest/globals';
import {
  digitsOf,
  parseExactly,
  roundedNumbers,
  TooManyExactNumbers,
  writeExactly,
} from '../../gateway/run/exact-numbers.js';
import { planOf } from './every-way.js';
import { federate, type AskOptions } from './harness.js';

/** Numbers that JavaScript writes differently: too long, or with zeros and exponents that a decimal keeps. */
const NUMBERS = ['12345678901234567890', '-9007199254740993', '10.50', '1e2', '-0', '0.1234567890123456789', '1E400'];

describe('JSON with every digit', () => {
  it.each([
    ...NUMBERS,
    '[1,2.5,10.50, 12345678901234567890 ]',
    '{"a":{"b":[1.0,"1.0",":1.0","\\":1.0"]},"c":-0}',
    '\n[\n\t12345678901234567890\n]',
    '"34:50.10,"',
    '{"date":"2026-11-28T12:34:56.120Z","n":5}',
  ])('%s is written as it was read', (json) => {
    const text = `{"value":${json}}`;
    expect(writeExactly(parseExactly(text))).toBe(text.replaceAll(/\s/g, ''));
    expect(roundedNumbers(parseExactly(text))).toEqual(JSON.parse(text));
  });

  it('control: JSON.parse changes them', () => {
    for (const number of NUMBERS) expect(JSON.stringify(JSON.parse(number))).not.toBe(number);
  });

  it.each([
    '01',
    '1.',
    '.5',
    '-',
    '1.5.2',
    '+1',
    '1e',
    '12345678901234567890abc',
    '[1.0',
    '"1.0',
    '0x10',
    '1.0,"\\"\\"\\"',
  ])('%s stays no JSON', (text) => expect(() => parseExactly(`{"value":${text}}`)).toThrow(SyntaxError));

  it('a text of megabytes is one text', () => {
    const text = JSON.stringify({ text: `${'x'.repeat(4_000_000)}"\\`.repeat(2), more: 1 }).replace('1}', '1.0}');
    expect(writeExactly(parseExactly(text))).toBe(text);
  });

  it.each([
    ['nothing but escapes', String.raw`\"\\\n`.repeat(1_300_000)],
    ['nothing but backslashes', '\\\\'.repeat(4_000_000)],
    ['what looks like the beginnings of texts', '\\",\\"1.0'.repeat(900_000)],
  ])('a text of megabytes may be %s', (_, written) => {
    const text = `[1.0,"${written}","1.0",1.0]`;
    expect(writeExactly(parseExactly(text)) === text).toBe(true);
    expect(() => parseExactly(text.slice(0, -'","1.0",1.0]'.length))).toThrow(SyntaxError);
  });

  it('a number may be as long as an answer', () => {
    const text = `[1e1,${'1'.repeat(4_000_000)}]`;
    expect(writeExactly(parseExactly(text)) === text).toBe(true);
  });

  it.each(['1.50', '-0', '1e1', '12345678901234567'])(
    'of %s it is told when there are too many, before any is kept',
    (number) => {
      const many = (count: number): string => `{"value":[1,${`${number},`.repeat(count)}2.5]}`;
      expect(writeExactly(parseExactly(many(9), 9))).toBe(many(9));
      expect(() => parseExactly(many(10), 9)).toThrow(TooManyExactNumbers);
      expect(writeExactly(parseExactly(many(10)))).toBe(many(10));
    },
  );

  it('nobody who does not know the mark makes a text a number', () => {
    const text = '{"value":"\\u00010123456789abcdef01234567:5","n":1.0}';
    expect(writeExactly(parseExactly(text))).toBe(text);
    expect(digitsOf('\u00015')).toBeUndefined();
  });
});

describe('who knows the mark of a number', () => {
  const [marked = ''] = parseExactly('[1e1]') as string[];
  const mark = marked.slice(0, -'1e1'.length);

  it.each(['1},{"a":1', '1,2', '"', '', '1 ', '01', '1"', '{}', '1\n', '١'])(
    'can write no JSON with it: %j',
    (written) => {
      const text = JSON.stringify({ value: `${mark}${written}` });
      expect(writeExactly(parseExactly(text))).toBe(text);
      expect(roundedNumbers(parseExactly(text))).toEqual(JSON.parse(text));
      expect(digitsOf(`${mark}${written}`)).toBeUndefined();
    },
  );
});

const graph = federate({
  ledger: {
    sdl: `scalar Decimal scalar JSON input Money { amount: Decimal id: ID n: Int f: Float list: [Decimal!] }
      type Query { account: Account accounts: [Account!]! echo(amount: Decimal, money: Money, ids: [ID!]): String }
      type Account @key(fields: "number") { number: Decimal! balance: Decimal details: JSON total: Float count: Int id: ID name: String flag: Boolean }`,
    resolvers: {},
  },
  owners: {
    sdl: `scalar Decimal scalar JSON type Account @key(fields: "number") { number: Decimal! owner: String limit: Decimal details: JSON @external risk: Int @requires(fields: "details") }`,
  },
});
afterAll(() => graph.close());

describe('custom scalars', () => {
  const ways: AskOptions[] = [{ planner: 'native' }, { planner: 'apollo' }, { merge: 'plan' }];

  it.each(NUMBERS)('%s goes from a subgraph to the client as it came, also within', async (number) => {
    for (const way of ways) {
      const { body } = await graph.ask('{ account { balance details } }', {
        ...way,
        instead: { ledger: () => `{"data":{"account":{"balance":${number},"details":{"a":[${number},"${number}"]}}}}` },
      });
      expect(body).toBe(`{"data":{"account":{"balance":${number},"details":{"a":[${number},"${number}"]}}}}`);
    }
  });

  it('and from one subgraph to another, as a key', async () => {
    for (const way of ways) {
      const { body, calls } = await graph.ask('{ account { number owner limit } }', {
        ...way,
        instead: {
          ledger: () => '{"data":{"account":{"__typename":"Account","number":12345678901234567890}}}',
          owners: ({ query }) =>
            `{"data":{"${/(\w+):\s*_entities/.exec(query)?.[1] ?? '_entities'}":[{"__typename":"Account","owner":"Ada","limit":1.10}]}}`,
        },
      });
      expect(calls).toHaveLength(2);
      expect(body).toBe('{"data":{"account":{"number":12345678901234567890,"owner":"Ada","limit":1.10}}}');
    }
  });

  it('and within an object that another subgraph needs', async () => {
    for (const way of ways) {
      const { body, calls } = await graph.ask('{ account { risk } }', {
        ...way,
        instead: {
          ledger: () => '{"data":{"account":{"__typename":"Account","number":1,"details":{"a":[1.50,"1.50"]}}}}',
          owners: ({ query }) =>
            `{"data":{"${/(\w+):\s*_entities/.exec(query)?.[1] ?? '_entities'}":[{"__typename":"Account","risk":3}]}}`,
        },
      });
      expect(calls[1]?.body).toContain('"details":{"a":[1.50,"1.50"]}');
      expect(body).toBe('{"data":{"account":{"risk":3}}}');
    }
  });

  it('which is planned so', async () =>
    expect(await planOf(graph, '{ account { number owner limit } }')).toMatchInlineSnapshot(`
     "in order
       query ledger
         {
           account {
             __typename
             number
           }
         }
       entities owners
         at account by { ... on Account { __typename number } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Account {
               owner
               limit
             }
           }
         }"
    `));

  it('equal keys are one, and numbers that JavaScript takes for equal are two', async () => {
    let asked = '';
    const numbers = ['12345678901234567890', '12345678901234567891', '12345678901234567890'];
    await graph.ask('{ accounts { owner } }', {
      before: (call) => {
        if (call.subgraph === 'owners') asked = call.body;
        return Promise.resolve();
      },
      instead: {
        ledger: () =>
          `{"data":{"accounts":[${numbers.map((number) => `{"__typename":"Account","number":${number}}`).join()}]}}`,
      },
    });
    expect(asked.match(/\d{20}/g)).toEqual(numbers.slice(0, 2));
  });

  it('where a subgraph has the message of an error it is none', async () => {
    const { errors } = await graph.ask('{ account { balance } }', {
      instead: {
        ledger: () =>
          '{"data":{"account":null},"errors":[{"message":1.50,"path":["account",1.50],"extensions":{"code":"BAD_USER_INPUT"}}]}',
      },
    });
    expect(JSON.stringify(errors)).toContain('without a message');
    expect(JSON.stringify(errors)).not.toContain('u0001');
  });

  it('what is no custom scalar is what it was', async () => {
    const { data } = await graph.ask('{ account { balance total count id name flag } }', {
      instead: {
        ledger: () =>
          '{"data":{"account":{"balance":1,"total":1.50,"count":1e1,"id":12345678901234567890,"name":1.50,"flag":1.0}}}',
      },
    });
    expect(data).toEqual({
      account: { balance: 1, total: 1.5, count: 10, id: '12345678901234567890', name: '1.50', flag: true },
    });
  });

  it.each([
    [
      'a variable',
      'query ($v: Decimal) { echo(amount: $v) }',
      '{"v":12345678901234567890}',
      '"v":12345678901234567890',
    ],
    ['a literal', '{ echo(amount: 10.50) }', '{}', '10.50'],
    ['a default', 'query ($v: Decimal = 12345678901234567890) { echo(amount: $v) }', '{}', '12345678901234567890'],
    [
      'an input object',
      'query ($m: Money) { echo(money: $m) }',
      '{"m":{"amount":1.10,"id":12345678901234567890,"n":5.0,"f":1.50,"list":[1.0]}}',
      '{"amount":1.10,"id":"12345678901234567890","n":5,"f":1.5,"list":[1.0]}',
    ],
    ['ids', 'query ($ids: [ID!]) { echo(ids: $ids) }', '{"ids":[12345678901234567890]}', '["12345678901234567890"]'],
    [
      'one id for a list',
      'query ($ids: [ID!]) { echo(ids: $ids) }',
      '{"ids":12345678901234567890}',
      '["12345678901234567890"]',
    ],
  ])('%s reaches the subgraph to the digit', async (_, query, variables, expected) => {
    let sent = '';
    await graph.ask(query, {
      variables: parseExactly(variables) as Record<string, unknown>,
      before: (call) => Promise.resolve(void (sent = call.body)),
      instead: { ledger: () => '{"data":{"echo":null}}' },
    });
    expect(sent).toContain(expected);
  });
});
