import { gzipSync } from 'node:zlib';
import {
  al,
  asks,
  attacks,
  JSON_TYPE,
  query,
  times,
  type Attack,
  type Cast,
  type Message,
  type Table,
} from './attack.js';
import { forgedTokens, privateKeyOf } from './forged-tokens.js';
import { nearlyFields } from './names.js';
import { until } from './stage.js';

const HUNDRED = query('{people(first:100){id}}');
const TOO_MANY = { code: 'RATE_LIMITED', headers: { 'retry-after': /^\d+$/, 'cache-control': /^no-store$/ } };

/** Through one proxy, which adds whom it was asked by to what the client has written. */
const from = (address: string, body: string = HUNDRED, headers: Record<string, string> = {}): Message => ({
  headers: { ...JSON_TYPE, 'x-forwarded-for': address, ...headers },
  body,
});

/** Says how long its body is, and does not send it. */
const withoutBody = (address: string, authorization?: string): Message => ({
  bytes: `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-forwarded-for: ${address}\r\n${authorization === undefined ? '' : `authorization: ${authorization}\r\n`}content-length: 1000\r\n\r\n`,
});

let token: string | undefined;
function tokenOf({ signing }: Cast): string {
  const { pem, ...rest } = signing;
  token ??= forgedTokens({ ...rest, key: privateKeyOf(pem), now: Math.floor(Date.now() / 1_000) }).good;
  return token;
}

/** Costs 1 to run, and is as dear to read as two thousand tokens can be made. */
const dearToRead = (name: string): string =>
  query(`query ${name}{person(id:"a"){...F ...F}} fragment F on Person{${'id '.repeat(480)}}`);

/** A thousand for each client and each person, and no operation dearer than that. */
const BUDGETS: readonly Attack[] = [
  ...attacks('metered', {
    'S30 a text that somebody has sent': [from('203.0.113.200'), 200],
    'S30 one that is dear to read, and has been read': [from('203.0.113.201', dearToRead('Known')), 200],
  }),
  ...attacks(
    'metered',
    { 'S30 the hundredth time of it, by another': [from('203.0.113.202', dearToRead('Known')), 200] },
    { repeat: 100 },
  ),
  ...attacks(
    'metered',
    {
      'S30 the third one of such, each new': [
        (_cast, turn) => from('203.0.113.203', dearToRead(`New${turn}`)),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 3 },
  ),
  ...attacks(
    'metered',
    {
      'S30 the fourth one of such that are wrong besides': [
        (_cast, turn) => from('203.0.113.204', dearToRead(`Wrong${turn}`).replace('...F ...F', '...F ...F nothing')),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 4 },
  ),
  ...attacks('metered', { 'S30 the tenth question of a hundred': [from('203.0.113.1'), 200] }, { repeat: 10 }),
  ...attacks('metered', { 'S30 the eleventh': [from('203.0.113.1'), 429, TOO_MANY] }),
  ...attacks('metered', {
    'S30 one who has nothing left, whose body is not waited for': [withoutBody('203.0.113.1'), 429, TOO_MANY],
    'S30 the same with a token that is none': [withoutBody('203.0.113.1', 'Bearer a.b.c'), 429, TOO_MANY],
  }),
  ...attacks(
    'metered',
    {
      'S30 one who has nothing left, with a document that is dear and new each time': [
        (_cast, turn) => from('203.0.113.1', query(`query N${turn}{${'person(id:"a"){id} '.repeat(215)}}`)),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 20 },
  ),
  ...attacks('metered', { 'S30 somebody else meanwhile': [from('203.0.113.2'), 200] }),
  ...attacks(
    'metered',
    {
      'E4 the eleventh of one who says that he is another each time': [
        (_cast, turn) => from(`10.0.0.${turn}, 203.0.113.3`),
        429,
        TOO_MANY,
      ],
      'S30 the eleventh of one person, from another address each time': [
        (cast, turn) => from(`203.0.113.${100 + turn}`, HUNDRED, { authorization: `Bearer ${tokenOf(cast)}` }),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 11 },
  ),
  ...attacks('metered', {
    'S30 one person who has nothing left, whose body is not waited for': [
      (cast) => withoutBody('203.0.113.200', `Bearer ${tokenOf(cast)}`),
      429,
      TOO_MANY,
    ],
  }),
  ...attacks(
    'metered',
    {
      'S30 the hundred-and-first question that is none': [
        (_cast, turn) => from('203.0.113.4', query(`{nothing${turn}}`)),
        429,
        TOO_MANY,
      ],
      'S30 the hundred-and-first body that is none': [from('203.0.113.5', '{"query":'), 429, TOO_MANY],
      'S30 the hundred-and-first address where there is nothing': [
        { ...from('203.0.113.7'), method: 'GET', path: '/nothing', body: undefined },
        429,
        TOO_MANY,
      ],
      'S30 the hundred-and-first address that cannot be read': [
        { ...from('203.0.113.8'), method: 'GET', path: '/%zz', body: undefined },
        429,
        TOO_MANY,
      ],
      'S30 the hundred-and-first token that is none': [
        from('203.0.113.6', HUNDRED, { authorization: 'Bearer a.b.c' }),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 101 },
  ),
  // What is refused before a body is read may be told so once more.
  ...attacks(
    'metered',
    {
      'S30 the hundred-and-second of a method that there is none of': [
        { ...from('203.0.113.9'), method: 'PUT' },
        429,
        TOO_MANY,
      ],
      'S30 the hundred-and-second that a page of another site could have sent': [
        from('203.0.113.10', HUNDRED, { 'content-type': 'text/plain' }),
        429,
        TOO_MANY,
      ],
      'S30 the hundred-and-second that takes pictures only': [
        from('203.0.113.11', HUNDRED, { accept: 'image/png' }),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 102 },
  ),
  ...attacks('metered', {
    'S30 what a browser asks first, of one who has nothing left': [
      { ...from('203.0.113.9'), method: 'OPTIONS', body: undefined },
      204,
    ],
  }),
];

const posted = (address: string, body: string): string =>
  `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-forwarded-for: ${address}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** What they say first costs nothing. */
function atOnce(connections: number, said: (nth: number) => string): Message {
  return { crowd: { connections, says: 'OPTIONS /graphql HTTP/1.1\r\nhost: x\r\n\r\n', atOnce: said, ms: 0 } };
}

/** Sent once more it is known, and its client has nothing left: each time it is another. */
let crowds = 0;

const ORDINARY: Message = asks('{__typename}');
/** Where no proxy is trusted, one is whom its connection comes from, whatever it says. Of its own addresses a Mac has only one. */
const UNTRUSTED: readonly Attack[] =
  process.platform === 'linux'
    ? attacks(
        'crowded',
        {
          'E4 the eleventh of one who is behind no proxy, and names another one each time': [
            (_cast, turn) => ({ ...from(`10.0.0.${turn}`), from: '127.0.0.2' }),
            429,
            TOO_MANY,
          ],
        },
        // Beside other tests a crowd has all of its places for a while.
        {
          repeat: 11,
          scene: async ({ ask }) =>
            void (await until(
              () => ask(ORDINARY),
              ({ status }) => status === 200,
            )),
        },
      )
    : [];

/** What lies ready at once is read one after another, and others are asked between; the event loop is watched. */
const AT_ONCE: readonly Attack[] = [
  ...attacks('metered', {
    'S30 an ordinary question, after two hundred new texts at once that are dear to read': [
      atOnce(200, (nth) => {
        if (nth === 0) crowds += 1;
        return posted(`203.0.115.${crowds}`, dearToRead(`Crowd${crowds}x${nth}`));
      }),
      200,
    ],
    'S30 one more of who sent them': [() => from(`203.0.115.${crowds}`, dearToRead('Crowd')), 429, TOO_MANY],
    'S30 an ordinary question, after fifty such of fifty clients': [
      atOnce(50, (nth) => {
        if (nth === 0) crowds += 1;
        return posted(`203.0.${115 + crowds}.${nth}`, dearToRead(`Many${crowds}x${nth}`));
      }),
      200,
    ],
  }),
];

/** As long as a body may be, under a name that nobody asks for; `unit` again and again. */
const UNASKED_BYTES = 256 * 1024;
const unasked = (unit: string): string => {
  const head = '{"query":"{__typename}","x":[';
  const times = Math.floor((UNASKED_BYTES - head.length - 2) / (unit.length + 1));
  return `${head}${Array<string>(times).fill(unit).join(',')}]}`;
};
const zipped = (address: string, body: string): Message => ({
  ...from(address, '', { 'content-encoding': 'gzip' }),
  body: gzipSync(body),
});
/** Each an object with a name of its own: the dearest that there is to parse. */
function named(): string {
  let nth = 0;
  return unasked('{"~~~~":1}').replaceAll('~~~~', () => (nth += 1).toString(36).padStart(4, 'k'));
}

/** 259 units each. */
const BODIES: readonly Attack[] = [
  ...attacks('metered', { 'S30 a body of 256 KiB that nobody asks for': [zipped('203.0.113.230', unasked('1')), 200] }),
  ...attacks(
    'metered',
    {
      'S30 the fourth body that is 1 kB on its way and 256 KiB to parse': [
        zipped('203.0.113.231', unasked('1')),
        429,
        TOO_MANY,
      ],
      'S30 the fourth that has nothing but names in it': [zipped('203.0.113.232', named()), 429, TOO_MANY],
    },
    { repeat: 4 },
  ),
  ...attacks(
    'metered',
    {
      'S30 the second that is parsed twice for a number that is kept to the digit': [
        zipped('203.0.113.233', named().replace('[', '[1.0,')),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 2 },
  ),
  ...attacks('metered', {
    'S30 numbers that are kept to the digit, more than variables have room for': [
      zipped('203.0.113.234', unasked('1e1')),
      400,
      { code: 'BAD_REQUEST', says: /at most 1,?821 numbers/ },
    ],
    'S30 the next of who sent them, to whom little is left': [zipped('203.0.113.234', unasked('-0')), 429, TOO_MANY],
  }),
];

/** Twenty texts that a leaf repeats: it costs nothing, and is twenty times as long as what the client sends. */
const REPEATED = `query($t:String){${times(20, (index) => `a${index}:echo(text:$t)`)}}`;
const repeated = (address: string, bytes: number): Message =>
  from(address, query(REPEATED, { variables: { t: 'x'.repeat(bytes) } }));

/** 1.2 MB are 121 units. The text is known before, so that nobody pays for the reading. */
const BYTES: readonly Attack[] = [
  ...attacks('metered', {
    'S30 a text whose answers are as long as what is sent': [repeated('203.0.113.210', 1), 200],
  }),
  ...attacks(
    'metered',
    { 'S30 the tenth short answer of it, to another': [repeated('203.0.113.211', 100), 200] },
    { repeat: 10 },
  ),
  ...attacks(
    'metered',
    {
      'S30 the tenth long answer, which costs nothing but its bytes': [
        repeated('203.0.113.212', 60_000),
        429,
        TOO_MANY,
      ],
    },
    { repeat: 10 },
  ),
];

/** More than `open` reads of a service. */
const TOO_LONG: Table = {
  'S7 a part of an answer that is too long, and asked for': [
    asks(REPEATED.replace('{a0:echo(text:$t)', '{people(first:1){id}'), { variables: { t: 'x'.repeat(60_000) } }),
    200,
    {
      code: 'ANSWER_TOO_LONG',
      ran: true,
      says: /A part of the answer would have more than 1,000,000 bytes/,
      hides: /xxx/,
    },
  ],
};

const COST: Table = {
  'S7 what costs a thousand, where a thousand is allowed': [
    asks('{people(first:10){friends(first:9){posts{id}}}}'),
    200,
  ],
  'S7 what costs one more': [
    asks('{people(first:10){friends(first:9){posts{id}}} me{id}}'),
    400,
    { code: 'GRAPHQL_VALIDATION_FAILED', says: /costs an estimated 1,001, and 1,000 are allowed/ },
  ],
  'S7 what an operation costs, when a client asks': [
    { headers: { ...JSON_TYPE, 'tributary-cost': '1' }, body: HUNDRED },
    200,
    // As many as there are.
    { headers: { 'tributary-cost': /^100$/ }, says: /^\{"data":\{"people":\[(\{"id":"\d+"\},?){100}\]\}\}$/ },
  ],
};

/** Each is a try, also where all of them are one request, which takes as long as ten hashes. Sent again it is of another client. */
let twenties = 0;
const twenty: Message = {
  act({ ask }) {
    const logIn = `logIn(input:{handle:"nobody_8_${(twenties += 1)}",password:"wrong horse"}){token}`;
    return ask(from(`10.8.0.${twenties}`, query(`mutation{${al(20, logIn)}}`)));
  },
};
const TWENTY: Table = {
  'S8 twenty log-ins in one request, of which ten are looked at': [
    twenty,
    200,
    {
      code: 'UNAUTHENTICATED',
      ran: true,
      says: /^(?:[^]*?"code":"UNAUTHENTICATED"){10}(?:[^]*?"code":"RATE_LIMITED"){10}/,
    },
  ],
};

const WRONG = (handle: string): Message =>
  asks('mutation($i:LogInInput!){logIn(input:$i){token}}', { variables: { i: { handle, password: 'wrong horse' } } });
/** Last of all: nobody logs in as alice from here for a minute. */
const GUESSES: readonly Attack[] = [
  ...attacks(
    'social',
    { 'G1 the tenth wrong password': [WRONG('alice'), 200, { code: 'UNAUTHENTICATED', ran: true }] },
    { repeat: 10 },
  ),
  ...attacks('social', {
    // Not 429 with Retry-After: it is one field's, others of the operation may be answered, and `retryAfter` says how long.
    'G1 the eleventh': [
      WRONG('alice'),
      200,
      { code: 'RATE_LIMITED', ran: true, hides: /alice/, says: /"retryAfter":\d+\}/ },
    ],
    'G1 the right one then': [
      asks('mutation{logIn(input:{handle:"alice",password:"tributary"}){token}}'),
      200,
      { code: 'RATE_LIMITED', ran: true },
    ],
  }),
  ...attacks(
    'social',
    { 'G1 the tenth of nobody': [WRONG('nobody_here'), 200, { code: 'UNAUTHENTICATED', ran: true }] },
    { repeat: 10 },
  ),
  ...attacks('social', {
    'G1 the eleventh of nobody': [WRONG('nobody_here'), 200, { code: 'RATE_LIMITED', ran: true }],
  }),
];

/** Nobody is told which one was meant. */
const SWEEP: Table = Object.fromEntries(
  nearlyFields().map(({ what, send, says, hides }) => [
    `S9 ${what}`,
    [send, 400, { code: 'GRAPHQL_VALIDATION_FAILED', says, hides }],
  ]),
);

export const budgets: readonly Attack[] = [
  ...attacks('open', { ...COST, ...TOO_LONG }),
  ...attacks('social', SWEEP),
  ...BUDGETS,
  ...UNTRUSTED,
  ...AT_ONCE,
  ...BODIES,
  ...BYTES,
  ...attacks('social', TWENTY),
  ...GUESSES,
];
