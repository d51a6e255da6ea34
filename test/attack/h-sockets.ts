import { SERVER_OPTIONS } from '../../gateway/http/node-limits.js';
import { attacks, query, times, type Attack, type Message, type Table } from './attack.js';
import { long } from './limits.js';

const POST = 'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
const BAD = 'BAD_REQUEST';
const personBody = (index: number): string => query(`{person(id:"${index}"){id}}`);
const pipelined = times(
  100,
  (index) =>
    `${POST}content-length: ${personBody(index).length}\r\n${index === 99 ? 'connection: close\r\n' : ''}\r\n${personBody(index)}`,
).replaceAll('} POST', '}POST');

const SOCKETS: Table = {
  'H1 a header of 20 kB': [
    { bytes: `GET /graphql HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n` },
    431,
    BAD,
  ],
  'H1 an address of 20 kB': [
    { bytes: `GET /graphql?${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n` },
    [414, 431],
    BAD,
  ],
  'H2 length and chunks': [
    { bytes: `${POST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n` },
    400,
    BAD,
  ],
  'H2 two lengths': [{ bytes: `${POST}content-length: 5\r\ncontent-length: 6\r\n\r\nhello` }, 400, BAD],
  'H2 chunks and identity': [{ bytes: `${POST}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n` }, 400, BAD],
  'H2 no host': [{ bytes: 'GET /graphql HTTP/1.1\r\n\r\n' }, 400, BAD],
  'H2 lines ended by LF alone': [{ bytes: `${POST.replaceAll('\r\n', '\n')}content-length: 2\n\n{}` }, 400, BAD],
  'H2 a header on two lines': [{ bytes: 'GET /graphql HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n' }, 400, BAD],
  'H2 a TLS hello': [{ bytes: '\u0016\u0003\u0001\u0002\u0000\u0001' }, 400, BAD],
  'H2 a length that is no number': [{ bytes: `${POST}content-length: 2x\r\n\r\n{}` }, 400, BAD],
  'H2 a chunk that says it is endless': [
    { bytes: `${POST}transfer-encoding: chunked\r\nconnection: close\r\n\r\nffffffffffffffffff\r\n{}` },
    400,
    BAD,
  ],
  'H5 a hundred requests on one connection, answered in order': [
    { bytes: pipelined },
    200,
    { says: new RegExp(Array.from({ length: 100 }, (_, index) => `"id":"${index}"`).join('[^]*')) },
  ],
  'H5 a question, and its client closes its half': [
    {
      bytes: {
        parts: [`${POST}content-length: ${personBody(7).length}\r\n\r\n${personBody(7)}`],
        every: 0,
        goes: 'half',
      },
    },
    200,
    { says: /"id":"7"/ },
  ],
  'H5 half a body, and its client closes its half': [
    { bytes: { parts: [`${POST}content-length: 100\r\n\r\n{"quer`], every: 0, goes: 'half' } },
    [0, 400],
  ],
  'H5 half a body, and a reset': [
    { bytes: { parts: [`${POST}content-length: 100\r\n\r\n{"quer`], every: 0, goes: 'reset' } },
    0,
  ],
  'H5 half of headers, and a reset': [
    { bytes: { parts: ['POST /graphql HTTP/1.1\r\nho'], every: 0, goes: 'reset' } },
    0,
  ],
  'H5 a body that never comes, and the client goes': [{ bytes: `${POST}content-length: 100\r\n\r\n{"quer` }, [0, 400]],
  'H2 two hosts': [{ bytes: 'GET /graphql HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n' }, 400, BAD],
  'H2 chunks in HTTP/1.0': [
    {
      bytes: `${POST.replace('/1.1', '/1.0')}connection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    },
    400,
    { code: BAD, headers: { connection: /^close$/ } },
  ],
  'H2 chunks that are compressed': [
    { bytes: `${POST}transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n` },
    501,
    BAD,
  ],
  'S26 a proxy is asked for (CONNECT)': [{ bytes: 'CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n' }, 405, BAD],
  'H5 what is no HTTP, behind a question': [
    { bytes: `${POST}content-length: ${personBody(7).length}\r\n\r\n${personBody(7)}BAD\r\n\r\n` },
    200,
    { says: /"id":"7"/ },
  ],
  'H4 a long body, when it may come': [
    { bytes: `${POST}expect: 100-continue\r\ncontent-length: 3000000\r\n\r\n` },
    413,
    BAD,
  ],
  'X2 an expectation that cannot be met': [{ bytes: `${POST}expect: coffee\r\ncontent-length: 2\r\n\r\n{}` }, 417, BAD],
  'S4 a WebSocket': [
    {
      bytes:
        'GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n',
    },
    400,
    BAD,
  ],
};

/** At the real limits of 10 and 15 s; gateway/http/node-limits.test.ts has them a hundred times shorter. */
const SLOW: Table = {
  'H3 headers that drip': [
    {
      bytes: {
        parts: ['GET /graphql HTTP/1.1\r\nhost: x\r\n', ...Array.from({ length: 40 }, () => 'a: b\r\n')],
        every: 600,
      },
    },
    408,
    BAD,
  ],
  'H4 a body that drips': [
    { bytes: { parts: [`${POST}content-length: 1000\r\n\r\n`, ...Array.from({ length: 40 }, () => 'x')], every: 600 } },
    408,
    BAD,
  ],
};

/** The same question so often on one connection, of which no answer is read for so long. They are far more than the kernel takes. */
function unread(count: number, body: string, unreadMs: number): Message {
  const one = (more: string): string => `${POST}content-length: ${body.length}\r\n${more}\r\n${body}`;
  return { bytes: { parts: [one('').repeat(count - 1) + one('connection: close\r\n')], every: 0, unreadMs } };
}

/** 350 kB: a hundred names, each under thirty long names. */
const NAMES = query(`{people(first:100){${times(30, (index) => `${`a${index}`.padEnd(100, '_')}:name`)}}}`);

/** `gateway` cuts who takes nothing for 2 s, and `open` who leaves more than 1 MiB. */
const UNREAD: readonly Attack[] = [
  ...attacks('gateway', { 'S13 sixty long answers, none of them read': [unread(60, NAMES, 8_000), 0] }, { slow: true }),
  ...attacks(
    'open',
    { 'S13 more answers unread than may be': [unread(150, long(0).body as string, 8_000), 0] },
    { slow: true },
  ),
];

export const sockets: readonly Attack[] = [
  ...attacks('gateway', SOCKETS),
  ...attacks('gateway', SLOW, { slow: true }),
  ...UNREAD,
];

/** What `crowded` may have at a time. */
export const CONNECTIONS_OF_CROWDED = 600;

export interface CrowdSizes {
  /** How long five hundred are idle. */
  readonly idleMs: number;
  /** How many connect and say nothing; to see whether there is an end, more than `crowded` may have. */
  readonly connects: number;
  /** They take their time beside all others. */
  readonly slow: boolean;
}

/** Until each was told 408, and a second more until it is let go (gateway/http/node-limits.ts). */
const LET_GO_MS = SERVER_OPTIONS.headersTimeout + SERVER_OPTIONS.connectionsCheckingInterval + 2_500;
const HELLO = `${POST}content-length: ${query('{__typename}').length}\r\n\r\n${query('{__typename}')}`;

export function crowds({ idleMs, connects, slow }: CrowdSizes): readonly Attack[] {
  return [
    ...attacks('gateway', {
      'S13 beside five hundred connections that are idle': [
        { crowd: { connections: 500, says: HELLO, ms: idleMs, beside: true } },
        200,
      ],
    }),
    ...attacks(
      'crowded',
      {
        'H5 after more connections than may be, on which nothing is said and no goodbye is heeded': [
          { crowd: { connections: connects, ms: LET_GO_MS } },
          200,
        ],
      },
      { slow },
    ),
  ];
}
