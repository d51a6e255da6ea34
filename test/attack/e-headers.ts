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
  'E5 who it says that it is, named by Connection': [
    ({ people }) => asAlice({ 'x-user-id': people.bob.id, connection: 'close, x-user-id' })({ people } as Cast),
    200,
    isAlice,
  ],
  'E5 the assertion, named by Connection': [asAlice({ connection: 'close, tributary-assertion' }), 200, isAlice],
  'E7 a cookie that says otherwise': [asAlice({ cookie: 'session=bob; authorization=bob' }), 200, isAlice],
};

/** As many as there is room for in a request's headers. */
const COOKIES = (cookie: (nth: number) => string, many: number): Record<string, string> => ({
  cookie: Array.from({ length: many }, (_, nth) => cookie(nth)).join('; '),
});
const numbered = (nth: number): string => String(nth).padStart(6, 'a');

/** What a browser carries of its writes (gateway/http/consistency.ts): whatever it says, who asks is answered. */
const WRITES: Table = {
  'E7 400 cookies of writes': [asAlice(COOKIES((nth) => `consistency-token.${numbered(nth)}=x`, 400)), 200, isAlice],
  'E7 100 cookies of writes that look like ours': [
    asAlice(
      COOKIES((nth) => `consistency-token.${numbered(nth)}=1.sm0x2k.posts!post:a.1.sm0x2k.${'A'.repeat(22)}`, 100),
    ),
    200,
    isAlice,
  ],
  'E7 one cookie of writes, a hundred times': [
    asAlice(COOKIES(() => `consistency-token=1.a.posts!post:a.1.a.${'A'.repeat(22)}`, 100)),
    200,
    isAlice,
  ],
  'E7 cookies of writes by other names': [
    asAlice({
      cookie:
        'consistency-token.=x; consistency-token.__proto__=x; consistency-token.a\tb=x; =consistency-token.aaaaaa; ;',
    }),
    200,
    isAlice,
  ],
  'E7 a thousand tokens of writes in a header': [
    asAlice({ 'consistency-token': Array.from({ length: 1_000 }, () => 'x').join(', ') }),
    400,
    'CONSISTENCY_TOKEN_REFUSED',
  ],
  'E7 ninety headers of tokens of writes': [
    asAlice({ 'consistency-token': Array.from({ length: 90 }, () => `1.a.posts!post:a.1.a.${'A'.repeat(22)}`) }),
    400,
    'CONSISTENCY_TOKEN_REFUSED',
  ],
};

/** None of them reaches a service: what those heard is looked at after each attack (heard.ts). */
const FORGED_NAMES = [
  'x-user-id',
  'X-User-ID',
  'x_user_id',
  'X_User_Id',
  'x-forwarded-user',
  'x-gateway-secret',
  'router-authorization',
  'tributary-assertion',
  'Tributary_Assertion',
  'tributary-client',
  'tributary-session',
  'cookie',
];
const posted = (lines: string): Message => ({
  bytes: `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${query('{me{id posts{id}}}').length}\r\nconnection: close\r\n${lines}\r\n${query('{me{id posts{id}}}')}`,
});
const FORGED: Table = Object.fromEntries(
  FORGED_NAMES.flatMap((name): [string, Table[string]][] => [
    [`S17 ${name}`, [posted(`${name}: forged\r\n`), 200]],
    [`S17 ${name}, twice`, [posted(`${name}: forged\r\n${name}: guess\r\n`), 200]],
    [`S17 ${name}, a list with blanks around it`, [posted(`${name}:  forged, guess \t\r\n`), 200]],
    [`S17 ${name}, a line that ends by CR alone`, [posted(`a: b\r${name}: forged\r\n`), 400, 'BAD_REQUEST']],
    [`S17 ${name}, a line that ends by LF alone`, [posted(`a: b\n${name}: forged\r\n`), 400, 'BAD_REQUEST']],
    [`S17 ${name}, with a blank before the colon`, [posted(`${name} : forged\r\n`), 400, 'BAD_REQUEST']],
    [`S17 ${name}, named by Connection`, [posted(`connection: ${name}\r\n${name}: forged\r\n`), 200]],
  ]),
);

const HEADERS: Table = {
  // Not refused: a gateway does not know its names, which are those of the proxy before it, builds no address by one, and answers pages of
  // whatever name only what strangers may have, for no cookie says who asks.
  'E6 a forged host': [
    {
      bytes: `POST /graphql HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\ncontent-length: ${query('{me{id}}').length}\r\nconnection: close\r\n\r\n${query('{me{id}}')}`,
    },
    200,
    { hides: /evil/ },
  ],
  'E6 a whole address': [
    {
      bytes: `POST http://evil.example/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${query('{me{id}}').length}\r\nconnection: close\r\n\r\n${query('{me{id}}')}`,
    },
    400,
    { code: 'BAD_REQUEST', hides: /evil/ },
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
  'E10 a request id of 4 KB, and another line': [
    posted(`x-request-id: ${'x'.repeat(4_000)}\r\nx-request-id: {"level":60,"msg":"forged"}\r\n`),
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

const PAGE = 'query($n:Int){users(first:$n){edges{node{id}}}}';
const PAGE_REFUSED = { code: 'BAD_USER_INPUT', ran: true, says: /"users":null|"data":null/ };
/** As many as a page has where nothing is said. */
const FEW = { says: /^\{"data":\{"users":\{"edges":\[(\{"node":\{"id":"\w+"\}\},?){1,20}\]\}\}\}$/ };

const SOCIAL: Table = {
  'E1 x-user-id and no token': [
    ({ people }) => ({ headers: { ...JSON_TYPE, 'x-user-id': people.bob.id }, body: query(WHO) }),
    200,
    { says: /^\{"data":\{"me":null\}\}$/ },
  ],
  // As A26: 101 and −1 are the field's, 200.
  ...Object.fromEntries(
    ['101', '-1', '1000000000', '2147483647'].flatMap((first): [string, Table[string]][] => {
      const refused = first.length > 3 ? ([400, 'GRAPHQL_VALIDATION_FAILED'] as const) : ([200, PAGE_REFUSED] as const);
      return [
        [`S7 a page of ${first}`, [asks(`{users(first:${first}){edges{node{id}}}}`), ...refused]],
        [`S7 a page of ${first}, by a variable`, [asks(PAGE, { variables: { n: Number(first) } }), ...refused]],
        [`S7 a page of ${first}, by a default`, [asks(PAGE.replace('$n:Int', `$n:Int=${first}`)), ...refused]],
      ];
    }),
  ),
  'S7 a page of 1e9': [asks('{users(first:1e9){edges{node{id}}}}'), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'S7 a page of 1e9, by a variable': [
    { body: `{"query":${JSON.stringify(PAGE)},"variables":{"n":1e9}}` },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'S7 a page of half a person': [asks(PAGE, { variables: { n: 0.5 } }), 400, 'BAD_USER_INPUT'],
  'S7 a page of null': [asks('{users(first:null){edges{node{id}}}}'), 200, FEW],
  'S7 a page of null, by a variable': [asks(PAGE, { variables: { n: null } }), 200, FEW],
  'S7 a page that is not said': [asks(PAGE), 200, FEW],
  'S7 a page of none': [asks(PAGE, { variables: { n: 0 } }), 200, { says: /"edges":\[\]/ }],
  'S7 a page of a hundred': [asks(PAGE, { variables: { n: 100 } }), 200, { says: /"edges":\[\{/ }],
};

export const headers: readonly Attack[] = [
  ...attacks('social', { ...IDENTITY, ...WRITES }),
  ...attacks('gateway', { ...HEADERS, ...FORGED }),
  ...attacks('social', SOCIAL),
];
