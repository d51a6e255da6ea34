import { Lexer, Source, TokenKind } from 'graphql';
import {
  al,
  asks,
  attacks,
  JSON_TYPE,
  lists,
  nest,
  PREFLIGHT,
  query,
  times,
  type Attack,
  type Message,
  type Table,
  type Target,
} from './attack.js';

/** A root selection that is just at a limit, and one that is one beyond. */
export interface AtALimit {
  readonly at: string;
  readonly beyond: string;
  readonly fragments?: string;
}

/** By limit, at its default. The schema has `me: Person` with `id` and `friends`, and 25 `Int` fields `field0` … at the root. */
export const LIMITS: Readonly<Record<string, AtALimit>> = {
  depth: { at: nest(10), beyond: nest(11) },
  aliases: { at: al(30, 'me{id}'), beyond: al(31, 'me{id}') },
  'alias length': { at: `${'a'.repeat(100)}:me{id}`, beyond: `${'a'.repeat(101)}:me{id}` },
  'root fields': { at: times(20, (index) => `field${index}`), beyond: times(21, (index) => `field${index}`) },
  directives: {
    at: `me{${times(50, () => 'id@include(if:true)')}}`,
    beyond: `me{${times(51, () => 'id@include(if:true)')}}`,
  },
  // me and F's 333 fields thrice: 1 + 3 × 333 = 1,000
  selections: {
    at: 'me{...F ...F ...F}',
    beyond: 'me{...F ...F ...F id}',
    fragments: `fragment F on Person{${times(333, () => 'id')}}`,
  },
};

/** Ways by which other gateways were made to look away (S4). `defines`: the operation's variables. */
export const WAYS: Readonly<Record<string, (root: string, fragments: string, defines?: string) => string>> = {
  'as it is': (root, fragments, defines = '') => `query${defines} {${root}} ${fragments}`,
  'in an operation named __schema': (root, fragments, defines = '') =>
    `query __schema${defines} {${root}} ${fragments}`,
  'in a fragment named __schema': (root, fragments, defines = '') =>
    `query${defines} {...__schema} fragment __schema on Query {${root}} ${fragments}`,
  'through an inline fragment': (root, fragments, defines = '') =>
    `query${defines} {... on Query {${root}}} ${fragments}`,
  'in the second of two operations': (root, fragments, defines = '') =>
    `query A{__typename} query B${defines} {${root}} ${fragments}`,
};

/** One fragment, spread beside itself and deeper: who had measured it at the one place took it for measured at the other. */
const TWICE = (root: string, fragments: string, defines = ''): string =>
  `query${defines} {...R ...on Query{...on Query{...R}}} fragment R on Query{${root}} ${fragments}`;

/** The same with limits that look at more than names. */
interface Heavy {
  readonly to?: Target;
  /** `around`: how many tokens stand around the root selection. */
  readonly at: string | ((around: number) => string);
  readonly beyond: string | ((around: number) => string);
  readonly fragments?: string;
  readonly defines?: string;
  /** What the variables are at the limit and beyond. */
  readonly variables?: { readonly at: object; readonly beyond: object };
  /** What is beyond is refused by this code. */
  readonly code?: string;
  /** No address is that long. */
  readonly never?: 'by GET';
}

const HEAVY: Readonly<Record<string, Heavy>> = {
  ...LIMITS,
  // 100 + 100 × 199 = 20,000 items
  items: {
    at: 'people(first:100){friends(first:199){id}}',
    beyond: 'people(first:100){friends(first:200){id}}',
  },
  // Where a thousand are allowed: 10 × (1 + 9 × (1 + 10))
  cost: {
    to: 'metered',
    at: 'people(first:10){friends(first:9){posts{id}}}',
    beyond: 'people(first:10){friends(first:9){posts{id}}} me{id}',
  },
  tokens: {
    at: (around) => zeros(2_000 - around),
    beyond: (around) => zeros(2_001 - around),
    code: 'GRAPHQL_PARSE_FAILED',
  },
  'depth of values': { at: `echo(deep:${lists(20)})`, beyond: `echo(deep:${lists(21)})` },
  'depth of variables': {
    at: 'echo(deep:$d)',
    beyond: 'echo(deep:$d)',
    defines: '($d:JSON)',
    variables: { at: { d: nested(20) }, beyond: { d: nested(21) } },
    code: 'BAD_USER_INPUT',
  },
  // {"t":"…"} is eight more
  'bytes of variables': {
    at: 'echo(text:$t)',
    beyond: 'echo(text:$t)',
    defines: '($t:String)',
    variables: { at: { t: 'x'.repeat(65_528) }, beyond: { t: 'x'.repeat(65_529) } },
    code: 'BAD_USER_INPUT',
    never: 'by GET',
  },
};

/** A root field of so many tokens: seven, and the zeros. */
function zeros(tokens: number): string {
  return `echo(deep:[${'0 '.repeat(tokens - 7)}])`;
}

function nested(levels: number): unknown {
  return JSON.parse(lists(levels)) as unknown;
}

function tokensOf(text: string): number {
  const lexer = new Lexer(new Source(text));
  let count = 0;
  while (lexer.advance().kind !== TokenKind.EOF) count += 1;
  return count;
}

interface Way {
  readonly at: Message;
  readonly beyond: Message;
}

const wayRows: Attack[] = Object.entries(HEAVY).flatMap(([limit, heavy]) => {
  const { code = 'GRAPHQL_VALIDATION_FAILED', to = 'gateway' } = heavy;
  const ways: Record<string, Way> = {};
  for (const [name, write] of Object.entries(WAYS)) {
    const asked = (which: 'at' | 'beyond'): Message =>
      asks(written(heavy, which, write), {
        ...(name.includes('second') ? { operationName: 'B' } : {}),
        ...variablesOf(heavy, which),
      });
    ways[name] = { at: asked('at'), beyond: asked('beyond') };
    // Sent once more: the text is known, and its plan.
    ways[`${name}, a second time`] = ways[name];
  }
  const registered = (which: 'at' | 'beyond'): Message => ({
    body: JSON.stringify({ documentId: `${limit} ${which}`, ...variablesOf(heavy, which) }),
  });
  ways['as a registered document'] = { at: registered('at'), beyond: registered('beyond') };
  const hashed = (which: 'at' | 'beyond'): Message => ({
    body: JSON.stringify({
      extensions: { persistedQuery: { version: 1, sha256Hash: `${limit} ${which}` } },
      ...variablesOf(heavy, which),
    }),
  });
  ways['as a persisted query'] = { at: hashed('at'), beyond: hashed('beyond') };
  ways['by GET'] = { at: got(heavy, 'at'), beyond: got(heavy, 'beyond') };
  if (heavy.never) delete ways[heavy.never];
  const table: Record<string, Table[string]> = Object.fromEntries(
    Object.entries(ways).flatMap(([name, way]): [string, Table[string]][] => [
      [`S4 ${limit}: at the limit, ${name}`, [way.at, 200]],
      [`S4 ${limit}: one beyond, ${name}`, [way.beyond, 400, code]],
    ]),
  );
  // Twice as much is beyond as well, whichever of the two is looked at and however deep the other is.
  const twice = asks(written(heavy, 'beyond', TWICE), variablesOf(heavy, 'beyond'));
  table[`S4 ${limit}: one beyond, by one fragment at two depths`] = [twice, 400, code];
  return attacks(to, table).map((row, index) =>
    to === 'metered' ? { ...row, send: byClient(row.send as Message, index) } : row,
  );
});

function written(heavy: Heavy, which: 'at' | 'beyond', write = WAYS['as it is']!): string {
  const { fragments = '', defines } = heavy;
  const root = heavy[which];
  return write(typeof root === 'string' ? root : root(tokensOf(write('', fragments, defines))), fragments, defines);
}

function variablesOf({ variables }: Heavy, which: 'at' | 'beyond'): object {
  return variables ? { variables: variables[which] } : {};
}

/** Each by another client, or the budget of one would be used up. */
function byClient(message: Message, index: number): Message {
  return { ...message, headers: { ...JSON_TYPE, ...message.headers, 'x-forwarded-for': `198.51.100.${index}` } };
}

function got(heavy: Heavy, which: 'at' | 'beyond'): Message {
  const search = new URLSearchParams({ query: written(heavy, which) });
  if (heavy.variables) search.set('variables', JSON.stringify(heavy.variables[which]));
  return { method: 'GET', path: `?${search.toString()}`, headers: PREFLIGHT };
}

const tokens = (count: number): string => `{me{${'id '.repeat(count - 5)}}}`;

const SPREAD: Table = {
  'S4 aliases: at the limit, by one fragment at two depths': [
    asks(`{me{...F friends{...F}}} fragment F on Person{${al(15, 'id')}}`),
    200,
  ],
  'S4 aliases: beyond, by one fragment at two depths': [
    asks(`{me{...F friends{...F}}} fragment F on Person{${al(16, 'id')}}`),
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'S4 depth: at the limit, by a fragment that lies deep': [
    asks(`{me{friends{friends{...F}}}} fragment F on Person{${'friends{'.repeat(8)}id${'}'.repeat(8)}}`),
    200,
  ],
  'S4 depth: beyond, by a fragment that lies deep': [
    asks(`{me{friends{friends{...F}}}} fragment F on Person{${'friends{'.repeat(9)}id${'}'.repeat(9)}}`),
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'S4 depth: beyond, by an alias named __schema': [asks(`{__schema:${nest(11)}}`), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'S4 tokens: 2,000 are looked at by the other limits': [asks(tokens(2_000)), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'S4 tokens: 2,001 are not': [asks(tokens(2_001)), 400, 'GRAPHQL_PARSE_FAILED'],
};

/** A hundred names, each written thirty times; `more` characters longer than what `open` may answer. */
export const long = (more: number): Message =>
  asks(`{people(first:100){${times(30, (index) => `${aliasOf(index, more)}:name`)}}}`);
const aliasOf = (index: number, more: number): string =>
  `a${index}`.padEnd(50, '_') + (index === 0 ? '_'.repeat(more) : '');

/** What `open` may answer: the first of the two below, to the byte. */
export const ANSWER_BYTES_OF_OPEN = Buffer.byteLength(
  JSON.stringify({
    data: {
      people: Array.from({ length: 100 }, (_, person) =>
        Object.fromEntries(Array.from({ length: 30 }, (__, index) => [aliasOf(index, 0), `name of ${person}`])),
      ),
    },
  }),
);

const ANSWERS: Table = {
  'S4 answer: as long as one may be': [long(0), 200],
  'S4 answer: an alias of one character more, a hundred times': [
    long(1),
    200,
    { code: 'ANSWER_TOO_LONG', ran: true, hides: /name of/ },
  ],
};

/** Other limits than the defaults: what an operator has said of `open`. */
export const LIMITS_OF_OPEN = {
  HEADERS_MAX: '50',
  HEADER_BYTES: '8192',
  VARIABLES_BYTES: '61440',
  LIMIT_VALUE_DEPTH: '5',
  LIMIT_ERRORS: '2',
};

const ORDINARY = query('{me{id}}');
/** `count` headers. */
const headers = (count: number): Message => ({
  bytes: `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${ORDINARY.length}\r\nconnection: close\r\n${'a: b\r\n'.repeat(count - 4)}\r\n${ORDINARY}`,
});
/** The address with the names and values of all headers: so many bytes, with `x: ` and the name of its value. */
const headerBytes = (bytes: number): Message => {
  const others = `/graphqlhostxcontent-typeapplication/jsoncontent-length${ORDINARY.length}connectioncloseb`.length;
  return {
    bytes: `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${ORDINARY.length}\r\nconnection: close\r\nb: ${'x'.repeat(bytes - others)}\r\n\r\n${ORDINARY}`,
  };
};
const sized = (bytes: number): Message =>
  asks('query($t:String){echo(text:$t)}', { variables: { t: 'x'.repeat(bytes - 8) } });
const deep = (levels: number): Message => asks('query($d:JSON){echo(deep:$d)}', { variables: { d: nested(levels) } });
const WRONG_PAGES = { code: 'BAD_USER_INPUT', ran: true };

/** Of headers, whose limits nothing can be named around. */
const requests = (count: number, bytes: number): Table => ({
  [`S4 headers: ${count}`]: [headers(count), 200],
  [`S4 headers: ${count + 1}`]: [headers(count + 1), 431, 'BAD_REQUEST'],
  [`S4 bytes of headers: one fewer than ${bytes}`]: [headerBytes(bytes - 1), 200],
  [`S4 bytes of headers: ${bytes}`]: [headerBytes(bytes), 431, 'BAD_REQUEST'],
});

const SET: Table = {
  'S4 bytes of variables: as many as were set': [sized(61_440), 200],
  'S4 bytes of variables: one more': [sized(61_441), 400, 'BAD_USER_INPUT'],
  'S4 depth of variables: as was set': [deep(5), 200],
  'S4 depth of variables: one more': [deep(6), 400, 'BAD_USER_INPUT'],
  'S4 depth of values: as was set': [asks(`{echo(deep:${lists(5)})}`), 200],
  'S4 depth of values: one more': [asks(`{echo(deep:${lists(6)})}`), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'S4 errors: as many as were set': [
    asks('{a:people(first:101){id} b:people(first:101){id}}'),
    200,
    { ...WRONG_PAGES, says: /"path":\["b"\]/ },
  ],
  'S4 errors: one more': [
    asks('{a:people(first:101){id} b:people(first:101){id} c:people(first:101){id}}'),
    200,
    { ...WRONG_PAGES, says: /"path":\["b"\]/, hides: /"path":\["c"\]/ },
  ],
};

export const limits: readonly Attack[] = [
  ...wayRows,
  ...attacks('gateway', { ...SPREAD, ...requests(100, 16_384) }),
  ...attacks('open', { ...ANSWERS, ...requests(50, 8_192), ...SET }),
];

/** What the gateway's PERSISTED_DOCUMENTS has for the rows above: each limit, at it and beyond. */
export function registeredDocuments(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(HEAVY).flatMap(([limit, heavy]) => [
      [`${limit} at`, written(heavy, 'at')],
      [`${limit} beyond`, written(heavy, 'beyond')],
    ]),
  );
}
