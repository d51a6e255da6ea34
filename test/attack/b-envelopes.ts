import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { asks, attacks, JSON_TYPE, PREFLIGHT, query, type Attack, type Message, type Table } from './attack.js';

const ME = query('{me{id}}');
const BAD = 'BAD_REQUEST';
const LIMIT = 256 * 1024;
const big = (bytes: number): string => {
  const empty = query('{me{id}}', { pad: '' });
  return query('{me{id}}', { pad: 'x'.repeat(bytes - empty.length) });
};
const gzip = { ...JSON_TYPE, 'content-encoding': 'gzip' };
const get = (search: string, headers: Record<string, string> = PREFLIGHT): Message => ({
  method: 'GET',
  path: `?${search}`,
  headers,
});
/** No JSON: a text of nothing but escaped quotation marks that never ends, behind a number that is kept to the digit. */
const endless = '[1e1,"'.padEnd(LIMIT, String.raw`\"`);
const me = 'query=%7Bme%7Bid%7D%7D';
const wished = (accept: string): Message => ({ headers: { ...JSON_TYPE, accept }, body: ME });
/** Put beside a path, it is an operation that would run. */
const search = `?${me}`;
/** 50 MB that are 50 kB on their way. */
const bomb = Buffer.alloc(50_000_000, 32);
const zipped = (encoding: string, body: Buffer): Message => ({
  headers: { ...JSON_TYPE, 'content-encoding': encoding },
  body,
});
const typed = (type: string, more: object = {}): Message => ({ headers: { 'content-type': type, ...more }, body: ME });
const each = (names: readonly string[], row: (name: string) => [string, Table[string]]): Table =>
  Object.fromEntries(names.map(row));

const ENVELOPES: Table = {
  'B1 null': [{ body: 'null' }, 400, BAD],
  'B1 a number': [{ body: '1' }, 400, BAD],
  'B1 a text': [{ body: '"x"' }, 400, BAD],
  'B1 an empty list': [{ body: '[]' }, 400, BAD],
  'B1 nothing': [{ body: '' }, 400, BAD],
  'B2 cut JSON': [{ body: '{"query":' }, 400, BAD],
  'B2 a text without an end, up to the body’s limit': [{ body: endless }, 400, BAD],
  'B2 a text without an end, gzip': [{ headers: gzip, body: gzipSync(endless) }, 400, BAD],
  'B2 texts of escapes that all end, up to the body’s limit': [
    { body: `[1e1,"${String.raw`\"\\`.repeat(LIMIT / 4 - 3)}"]` },
    400,
    BAD,
  ],
  'B3 a batch': [{ body: `[${ME}]` }, 400, BAD],
  ...each(['{}', '0', 'false', '[]'], (value) => [`B4 query ${value}`, [{ body: `{"query":${value}}` }, 400, BAD]]),
  ...each(['{}', '0', 'false', '[]'], (value) => [
    `B4 operationName ${value}`,
    [{ body: `{"query":"{me{id}}","operationName":${value}}` }, 400, BAD],
  ]),
  ...each(['"x"', '0', 'false', '[]'], (value) => [
    `B4 variables ${value}`,
    [{ body: `{"query":"{me{id}}","variables":${value}}` }, 400, BAD],
  ]),
  ...each(['"x"', '0', 'false', '[]'], (value) => [
    `B4 extensions ${value}`,
    [{ body: `{"query":"{me{id}}","extensions":${value}}` }, 400, BAD],
  ]),
  ...each(['query', 'operationName', 'documentId'], (name) => [
    `B4 a number that is kept to the digit as ${name}`,
    [{ body: `{${name === 'query' ? '' : '"query":"{me{id}}",'}"${name}":1e1}` }, 400, { code: BAD, hides: /u0001/ }],
  ]),
  'B4 a number that is kept to the digit as a hash': [
    { body: '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":1e1}}}' },
    400,
    { code: BAD, hides: /u0001/ },
  ],
  'B4 null everywhere': [{ body: '{"query":"{me{id}}","operationName":null,"variables":null,"extensions":null}' }, 200],
  'B5 bytes that are no UTF-8, in a text': [
    {
      body: Buffer.concat([Buffer.from('{"query":"{echo(text:\\"'), Buffer.from([0xc3, 0x28]), Buffer.from('\\")}"}')]),
    },
    400,
    BAD,
  ],
  ...each(['iso-8859-1', 'utf-7', 'utf-16', 'ibm037', 'x'.repeat(10_000)], (charset) => [
    `B6 charset ${charset.slice(0, 12)}`,
    [typed(`application/json; charset=${charset}`), 415, BAD],
  ]),
  'B6 charset UTF-8': [typed('application/json; charset="UTF-8"'), 200],
  ...each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'], (type) => [
    `B7 ${type}`,
    [typed(type), 400, BAD],
  ]),
  'B7 no content type': [{ headers: {}, body: ME }, 400, BAD],
  'B7 text/plain, asked for first': [typed('text/plain', PREFLIGHT), 415, BAD],
  'B8 application/graphql': [{ headers: { 'content-type': 'application/graphql' }, body: '{me{id}}' }, 415, BAD],
  'B8 a semicolon too many': [typed('application/json;'), 200],
  'B8 capitals': [typed('APPLICATION/JSON'), 200],
  'B9 only pictures': [wished('image/png'), 406, BAD],
  'B9 an empty wish': [wished(''), 200],
  'B9 nothing at all': [wished('*/*;q=0'), 406, BAD],
  'B9 what urql wishes': [
    wished(
      'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
    ),
    200,
  ],
  'B10 GET, and nobody asked first': [get(me, {}), 400, BAD],
  'B10 GET with a preflight header': [get(me), 200],
  'B10 GET by our own page': [get(me, { 'sec-fetch-site': 'same-origin' }), 200],
  'B10 GET by a program on Node': [get(me, { 'sec-fetch-mode': 'cors' }), 200],
  'B10 GET by the person': [get(me, { 'sec-fetch-site': 'none' }), 200],
  'B10 GET by a page of another site': [
    get(me, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }),
    400,
    BAD,
  ],
  'B10 GET by a sister site': [get(me, { 'sec-fetch-site': 'same-site' }), 400, BAD],
  'B11 GET a mutation': [
    get('query=mutation%7Brename(name:%22x%22)%7Bid%7D%7D'),
    405,
    { code: BAD, headers: { allow: /^POST$/ } },
  ],
  'B12 GET with the type that browsers let through': [get(me, { 'content-type': 'message/rfc822' }), 415, BAD],
  'B12 the same, asked first': [get(me, { 'content-type': 'message/rfc822', ...PREFLIGHT }), 415, BAD],
  'B13 two queries': [get(`${me}&${me}`), 400, BAD],
  'B13 half a variable': [get(`${me}&variables=%5B`), 400, BAD],
  'B13 bytes that are no UTF-8': [get('query=%7Bme%7B%ff%7D%7D'), 400, BAD],
  ...each(['PUT', 'DELETE', 'PATCH', 'TRACE'], (method) => [
    `B14 ${method}`,
    [{ method, headers: PREFLIGHT }, 405, { code: BAD, headers: { allow: /^GET, POST$/ } }],
  ]),
  ...each(['PROPFIND', 'QUERY'], (method) => [
    `B14 ${method}`,
    [
      { bytes: `${method} /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n` },
      [400, 405],
      BAD,
    ],
  ]),
  'B15 OPTIONS by an allowed origin': [
    { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' } },
    204,
    {
      headers: {
        'access-control-allow-origin': /^https:\/\/app\.example$/,
        'access-control-allow-credentials': /^true$/,
        vary: /Origin/,
      },
    },
  ],
  'B15 OPTIONS by a foreign origin': [
    { method: 'OPTIONS', headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } },
    204,
    { headers: { 'access-control-allow-origin': null, 'access-control-allow-credentials': null } },
  ],
  'B15 OPTIONS by the origin null': [
    { method: 'OPTIONS', headers: { origin: 'null' } },
    204,
    { headers: { 'access-control-allow-origin': null } },
  ],
  'B15 OPTIONS by an origin that begins alike': [
    { method: 'OPTIONS', headers: { origin: 'https://app.example.evil.example' } },
    204,
    { headers: { 'access-control-allow-origin': null } },
  ],
  'B15 POST by an allowed origin': [
    { headers: { ...JSON_TYPE, origin: 'https://app.example' }, body: ME },
    200,
    { headers: { 'access-control-allow-origin': /^https:\/\/app\.example$/ } },
  ],
  'B15 POST by a foreign origin cannot be read': [
    { headers: { ...JSON_TYPE, origin: 'https://evil.example' }, body: ME },
    200,
    { headers: { 'access-control-allow-origin': null } },
  ],
  'B16 a body at the limit': [{ body: big(LIMIT) }, 200],
  'B16 a body of one byte more': [{ body: big(LIMIT + 1) }, 413, BAD],
  'B16 10 MB': [{ body: big(10_000_000) }, 413, BAD],
  'B16 10 MB in chunks': [
    { headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, body: big(10_000_000) },
    413,
    BAD,
  ],
  'B17 gzip': [{ headers: gzip, body: gzipSync(ME) }, 200],
  'B17 gzip at the limit': [{ headers: gzip, body: gzipSync(big(LIMIT)) }, 200],
  'B17 gzip beyond the limit': [{ headers: gzip, body: gzipSync(big(LIMIT + 1)) }, 413, BAD],
  'B17 50 MB in 50 kB': [zipped('gzip', gzipSync(bomb)), 413, BAD],
  'B17 50 MB in br': [zipped('br', brotliCompressSync(bomb)), 415, BAD],
  'B17 50 MB in deflate': [zipped('deflate', deflateSync(bomb)), 415, BAD],
  'B17 50 MB in gzip, in gzip': [zipped('gzip, gzip', gzipSync(gzipSync(bomb))), 415, BAD],
  'B17 50 MB in gzip, in gzip, said once': [zipped('gzip', gzipSync(gzipSync(bomb))), 400, BAD],
  'B17 1 MB of gzip that holds nothing, in chunks': [
    { headers: { ...gzip, 'transfer-encoding': 'chunked' }, body: Buffer.alloc(1_000_000, gzipSync('')) },
    413,
    BAD,
  ],
  'B17 gzip, cut': [{ headers: gzip, body: gzipSync(ME).subarray(0, 20) }, 400, BAD],
  'B17 no gzip at all': [{ headers: gzip, body: ME }, 400, BAD],
  'B17 br': [{ headers: { ...JSON_TYPE, 'content-encoding': 'br' }, body: brotliCompressSync(ME) }, 415, BAD],
  'B17 deflate': [{ headers: { ...JSON_TYPE, 'content-encoding': 'deflate' }, body: deflateSync(ME) }, 415, BAD],
  'B17 zzz': [{ headers: { ...JSON_TYPE, 'content-encoding': 'zzz' }, body: ME }, 415, BAD],
  'B17 gzip twice': [
    { headers: { ...JSON_TYPE, 'content-encoding': 'gzip, gzip' }, body: gzipSync(gzipSync(ME)) },
    415,
    BAD,
  ],
  ...each(
    [
      '/',
      '/nope',
      '/graphql/',
      '/GRAPHQL',
      '//graphql',
      '/graphql;x',
      '/health',
      '/playground/',
      '/playground/../config.js',
      '/playground/..%2f..%2fconfig.js',
      '/playground/constructor',
      '/.env',
    ],
    (path) => [
      `B18 ${path}`,
      [{ bytes: `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n` }, 404, 'NOT_FOUND'],
    ],
  ),
  'B18 an address that is not percent-encoded': [
    { bytes: 'GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n' },
    400,
    BAD,
  ],
  ...each(
    ['/nope', '/', '/graphql/', '/graphql/x', '/GRAPHQL', '//graphql', '/graphql;x', '/graphql%20', '/x/../graphql'],
    (path) => [
      `B18 a question at ${path}`,
      [
        {
          bytes: `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${ME.length}\r\n\r\n${ME}`,
        },
        404,
        'NOT_FOUND',
      ],
    ],
  ),
  'B19 HEAD': [{ method: 'HEAD', headers: PREFLIGHT }, 405],
  'B19 HEAD with a question': [{ method: 'HEAD', path: search, headers: PREFLIGHT }, 405],
  'B20 a browser that looks': [
    { method: 'GET', headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } },
    400,
    { code: BAD, headers: { 'x-powered-by': null, server: null } },
  ],
  'B21 a persisted query that nobody knows': [
    { body: '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}' },
    200,
    'PERSISTED_QUERY_NOT_FOUND',
  ],
  'B20 a browser that looks at the root': [
    { bytes: 'GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n' },
    404,
    { code: 'NOT_FOUND', hides: /<|script/i, headers: { 'x-powered-by': null, server: null } },
  ],
  'B21 a persisted query that is another text': [
    asks('{me{id}}', { extensions: { persistedQuery: { version: 1, sha256Hash: 'depth at' } } }),
    400,
    BAD,
  ],
  'B21 a persisted query of another version': [
    asks('{me{id}}', { extensions: { persistedQuery: { version: 2, sha256Hash: 'abc' } } }),
    400,
    BAD,
  ],
  'B21 an id that is a list': [{ body: '{"documentId":["a"]}' }, 400, BAD],
  'B21 an id of 300 characters': [{ body: JSON.stringify({ documentId: 'x'.repeat(300) }) }, 400, BAD],
  'B21 an id called __proto__': [{ body: '{"documentId":"__proto__"}' }, 200, 'PERSISTED_QUERY_NOT_FOUND'],
};

/** Where PERSISTED_DOCUMENTS is not set. */
const WITHOUT: Table = {
  // 200, whatever else is wrong with it: Apollo Client sends the text by itself as soon as it reads this code.
  'B21 a persisted query, where there are none': [
    { body: '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}' },
    200,
    'PERSISTED_QUERY_NOT_SUPPORTED',
  ],
  'B21 a persisted query and its text, where there are none': [
    asks('{me{id}}', { extensions: { persistedQuery: { version: 2, sha256Hash: 'abc' } } }),
    200,
    'PERSISTED_QUERY_NOT_SUPPORTED',
  ],
};

/** Whoever sends a text under a hash that is not its own puts nothing under it for others. */
const hash = { extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } } };
const POISONED = attacks(
  'gateway',
  {
    'B21 a hash under which somebody has sent another text': [
      { body: JSON.stringify(hash) },
      200,
      'PERSISTED_QUERY_NOT_FOUND',
    ],
  },
  { scene: async (stage) => void (await stage.ask(asks('{me{name}}', hash))) },
);

export const envelopes: readonly Attack[] = [
  ...attacks('gateway', ENVELOPES),
  ...POISONED,
  ...attacks('open', WITHOUT),
];
