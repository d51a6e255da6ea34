import { asks, attacks, JSON_TYPE, query, type Attack, type Cast, type Message, type Table } from './attack.js';

const WHO = '{me{id handle}}';
/** Alice's token, and what else is sent. */
const asAlice =
  (headers: Record<string, string | readonly string[]>) =>
  ({ people }: Cast): Message => ({
    headers: { ...JSON_TYPE, authorization: `Bearer ${people.alice.token}`, ...headers },
    body: query(WHO),
  });
const isAlice = { says: /"handle":"alice"/ };

/** Who asks is what the token says, whatever else says so. */
const IDENTITY: Table = {
  'E1 x-user-id': [({ people }) => asAlice({ 'x-user-id': people.bob.id })({ people } as Cast), 200, isAlice],
  'E2 other spellings': [asAlice({ X_User_Id: '2', 'X-USER-ID': '3' }), 200, isAlice],
  'E2 twice, a list, a blank': [asAlice({ 'x-user-id': ['1', '2', '1,2', '3 '] }), 200, isAlice],
  'E3 the secrets of other gateways': [
    asAlice({ 'x-gateway-secret': 'guess', 'router-authorization': 'guess' }),
    200,
    isAlice,
  ],
  'E3 our own assertion': [asAlice({ 'tributary-assertion': 'forged', Tributary_Assertion: 'forged' }), 200, isAlice],
  'E3 another’s client and session': [
    asAlice({ 'tributary-client': 'forged', 'tributary-session': 'forged' }),
    200,
    isAlice,
  ],
  'E5 a header that Connection takes away': [asAlice({ connection: 'close, authorization' }), 200, isAlice],
  'E5 the assertion, named by Connection': [asAlice({ connection: 'close, tributary-assertion' }), 200, isAlice],
  'E7 a cookie that says otherwise': [asAlice({ cookie: 'session=bob; authorization=bob' }), 200, isAlice],
};

const HEADERS: Table = {
  'E6 a forged host': [
    {
      bytes: `POST /graphql HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\ncontent-length: ${query('{me{id}}').length}\r\nconnection: close\r\n\r\n${query('{me{id}}')}`,
    },
    200,
    { hides: /evil/ },
  ],
  'E6 a whole address': [
    {
      bytes: `POST http://evil.example/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    },
    [400, 404],
    { hides: /evil/ },
  ],
  'E8 2,000 small headers': [
    { bytes: `GET /graphql HTTP/1.1\r\nhost: x\r\n${'a:b\r\n'.repeat(2_000)}\r\n` },
    431,
    'BAD_REQUEST',
  ],
  'E8 a megabyte of headers': [
    { bytes: `GET /graphql HTTP/1.1\r\nhost: x\r\n${`x-long: ${'x'.repeat(1_000)}\r\n`.repeat(1_000)}\r\n` },
    [0, 431],
  ],
  'E9 no encoding': [
    { headers: { ...JSON_TYPE, 'accept-encoding': 'gzip;q=0, br;q=1000' }, body: query('{me{id}}') },
    200,
  ],
  'E10 a request id of 4 KB': [
    { headers: { ...JSON_TYPE, 'x-request-id': 'x'.repeat(4_000) }, body: query('{me{id}}') },
    200,
    { headers: { 'x-request-id': /^[\w-]{8,64}$/ } },
  ],
  'E10 a request id that forges a log line': [
    { headers: { ...JSON_TYPE, 'x-request-id': '{"level":60,"msg":"forged"}' }, body: query('{me{id}}') },
    200,
    { headers: { 'x-request-id': /^[\w-]{8,64}$/ } },
  ],
  'S28 a trace': [
    { headers: { ...JSON_TYPE, 'apollo-federation-include-trace': 'ftv1' }, body: query('{me{id}}') },
    200,
    { hides: /ftv1|extensions/ },
  ],
  'S28 a plan': [
    {
      headers: { ...JSON_TYPE, 'apollo-expose-query-plan': 'true', 'tributary-explain': 'yes' },
      body: query('{me{id}}'),
    },
    200,
    { hides: /extensions|plan/ },
  ],
};

const SOCIAL: Table = {
  'E1 x-user-id and no token': [
    ({ people }) => ({ headers: { ...JSON_TYPE, 'x-user-id': people.bob.id }, body: query(WHO) }),
    200,
    { says: /^\{"data":\{"me":null\}\}$/ },
  ],
  'S7 a page of 101': [asks('{users(first:101){edges{node{id}}}}'), 200, { code: 'BAD_USER_INPUT', ran: true }],
};

export const headers: readonly Attack[] = [
  ...attacks('social', IDENTITY),
  ...attacks('gateway', HEADERS),
  ...attacks('social', SOCIAL),
];
