import {
  al,
  asks,
  attacks,
  fragmentBomb,
  lists,
  nest,
  PREFLIGHT,
  times,
  type Attack,
  type Message,
  type Table,
} from './attack.js';

const INVALID = 'GRAPHQL_VALIDATION_FAILED';
const UNREADABLE = 'GRAPHQL_PARSE_FAILED';
/** What stock gateways chew on for seconds is refused before anybody has waited. */
const soon = (code: string): object => ({ code, withinMs: 50 });
/** Neither to parse nor to measure it holds up the others. */
const deep = (code: string): object => ({ code, blockedMs: 100 });
/** Whoever sends much wrong is told of little. */
const brief = (code: string): object => ({ code, errorsMax: 5, bytesMax: 4 * 1024 });

/** So many variables, none of which is what it has to be. */
const allWrong = (count: number): Message => {
  const names = Array.from({ length: count }, (_, index) => `v${index}`);
  const each = (write: (name: string) => string): string => names.map(write).join(' ');
  return asks(`query(${each((name) => `$${name}:JSON!`)}){echo(deep:[${each((name) => `$${name}`)}])}`, {
    variables: Object.fromEntries(names.map((name) => [name, null])),
  });
};
/** A field that is not there, in the words for it: nothing tells a hidden one from one of nobody. */
const unknown = (field: string): RegExp =>
  new RegExp(String.raw`"errors":\[\{"message":"Cannot query field \\"${field}\\" on type \\"Person\\"\.",`);

const DOCUMENTS: Table = {
  'A1 ten levels': [asks(`{${nest(10)}}`), 200, { blockedMs: 100 }],
  'A1 eleven levels': [asks(`{${nest(11)}}`), 400, deep(INVALID)],
  'A2 a hundred levels': [asks(`{${nest(100)}}`), 400, deep(INVALID)],
  'A3 three thousand levels': [asks(`{${nest(3_000)}}`), 400, { ...deep(UNREADABLE), hides: /call stack/i }],
  'A3 ten thousand levels': [asks(`{${nest(10_000)}}`), 400, { ...deep(UNREADABLE), hides: /call stack/i }],
  'A4 a literal of 20,000 levels': [asks(`{echo(deep:${lists(20_000)})}`), 400, UNREADABLE],
  'A5 a variable of 20,000 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(20_000)}}}` },
    400,
    'BAD_USER_INPUT',
  ],
  'A5 a variable of 20 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(20)}}}` },
    200,
  ],
  'A5 a variable of 21 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(21)}}}` },
    400,
    'BAD_USER_INPUT',
  ],
  'A6 thirty aliases': [asks(`{${al(30, 'me{id}')}}`), 200],
  'A6 thirty-one aliases': [asks(`{${al(31, 'me{id}')}}`), 400, INVALID],
  'A7 a thousand aliases': [asks(`{${al(1_000, 'me{id}')}}`), 400, soon(UNREADABLE)],
  'A7 a hundred aliases': [asks(`{${al(100, 'me{id}')}}`), 400, soon(INVALID)],
  'A8 two thousand renames': [asks(`mutation{${al(2_000, 'rename(name:"x"){id}')}}`), 400, soon(UNREADABLE)],
  'A9 the same field 20,000 times': [asks(`{me{${'id '.repeat(20_000)}}}`), 400, brief(UNREADABLE)],
  'A10 two hundred and fifty directives': [asks(`{me{id ${'@include(if:true)'.repeat(250)}}}`), 400, brief(INVALID)],
  'A10 five hundred directives': [asks(`{me{id ${'@include(if:true)'.repeat(500)}}}`), 400, brief(UNREADABLE)],
  'A11 5,000 unknown directives': [asks(`{me{id ${'@a '.repeat(5_000)}}}`), 400, brief(UNREADABLE)],
  'A11 fifty unknown directives': [asks(`{me{${'id @a '.repeat(50)}}}`), 400, brief(INVALID)],
  'A12 a circle of fragments': [asks('{me{...A}} fragment A on Person{...B} fragment B on Person{...A}'), 400, INVALID],
  'A12 a fragment in itself': [asks('{me{...A}} fragment A on Person{...A}'), 400, INVALID],
  'A12 a fragment that nobody spreads': [asks('{me{id}} fragment A on Person{id}'), 400, INVALID],
  'A12 a fragment that is not there': [asks('{me{...A}}'), 400, INVALID],
  'A12 two fragments of one name': [
    asks('{me{...A}} fragment A on Person{id} fragment A on Person{name}'),
    400,
    INVALID,
  ],
  'A13 twelve fragments that double': [asks(fragmentBomb(12)), 400, soon(INVALID)],
  'A14 twenty-five fragments that double': [asks(fragmentBomb(25)), 400, soon(INVALID)],
  'A15 one response name 2,000 times': [asks(`{${'x:person(id:"i"){id}'.repeat(2_000)}}`), 400, soon(UNREADABLE)],
  'A15 one response name, two values, as often as fits': [
    asks(`{${times(25, (index) => `x:person(id:"${index}"){id}`)}}`),
    400,
    soon(INVALID),
  ],
  'A15 one response name, as often as a document has room for': [
    asks(`{${'x:person(id:"i"){id}'.repeat(180)}}`),
    400,
    soon(INVALID),
  ],
  'A16 fragments that double, all named for introspection': [
    asks(fragmentBomb(12, 'query __schema').replaceAll('B0', '__schema')),
    400,
    soon(INVALID),
  ],
  'A16 a hundred levels in an operation named __schema': [asks(`query __schema{${nest(100)}}`), 400, deep(INVALID)],
  'A16 a hundred levels in a fragment named __schema': [
    asks(`query __schema{...__schema} fragment __schema on Query{${nest(100)}}`),
    400,
    deep(INVALID),
  ],
  'A16 a thousand aliases in an operation named __schema': [
    asks(`query __schema{${al(1_000, 'me{id}')}}`),
    400,
    soon(UNREADABLE),
  ],
  'A16 a thousand aliases in a fragment named __schema': [
    asks(`query __schema{...__schema} fragment __schema on Query{${al(1_000, 'me{id}')}}`),
    400,
    soon(UNREADABLE),
  ],
  'A16 a thousand aliases, each named __schema': [
    asks(`query __schema{${times(1_000, () => '__schema:me{id}')}}`),
    400,
    soon(UNREADABLE),
  ],
  'A17 a comment of 50 kB': [asks(`#${'x'.repeat(50_000)}\n{me{id}}`), 400, brief(UNREADABLE)],
  'A17 10,000 comments': [asks(`${'#\n'.repeat(10_000)}{me{id}}`), 400, brief(UNREADABLE)],
  'A18 two operations and no name': [asks('query A{me{id}} query B{me{id}}'), 400, 'OPERATION_RESOLUTION_FAILURE'],
  'A19 a name that is not there': [
    asks('query A{me{id}}', { operationName: 'B' }),
    400,
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'A20 a subscription': [asks('subscription{x}'), 400, 'OPERATION_RESOLUTION_FAILURE'],
  // 405 would say which method does, and none does.
  'A20 a subscription by GET': [
    { method: 'GET', path: '?query=subscription%7Bx%7D', headers: PREFLIGHT },
    400,
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'A21 __schema': [asks('{__schema{types{name}}}'), 400, { code: INVALID, hides: /Person/ }],
  'A21 __type': [asks('{__type(name:"Person"){name}}'), 400, INVALID],
  'A21 __schema beside something else': [asks('{me{id} __schema{types{name}}}'), 400, INVALID],
  'A21 __schema by another name': [asks('{a:__schema{types{name}}}'), 400, INVALID],
  'A21 __schema in a fragment': [asks('{...F} fragment F on Query{__schema{types{name}}}'), 400, INVALID],
  'A23 a field that is nearly there': [
    asks('{me{nam}}'),
    400,
    { code: INVALID, says: unknown('nam'), hides: /did you mean|"name"/i },
  ],
  'A23 a type that is nearly there': [
    asks('{me{...on Persn{id}}}'),
    400,
    { code: INVALID, hides: /did you mean|Person"/i },
  ],
  'A23 an argument that is nearly there': [asks('{person(di:"1"){id}}'), 400, { hides: /did you mean/i }],
  'A24 a field that is hidden': [asks('{me{secret}}'), 400, { code: INVALID, says: unknown('secret') }],
  'A24 a field that is nobody’s, in the same words': [
    asks('{me{sesame}}'),
    400,
    { code: INVALID, says: unknown('sesame') },
  ],
  'A25 the SDL': [asks('{_service{sdl}}'), 400, INVALID],
  'A25 entities': [asks('{_entities(representations:[]){__typename}}'), 400, INVALID],
  // How long a page may be is the service's to say, of that field alone: what else the operation asks is answered, so it is 200. What costs too
  // much is refused before, as a whole.
  'A26 a page of 101': [asks('{people(first:101){id}}'), 200, { code: 'BAD_USER_INPUT', ran: true }],
  'A26 a page of −1': [asks('{people(first:-1){id}}'), 200, { code: 'BAD_USER_INPUT', ran: true }],
  'A26 a page of a billion': [asks('{people(first:1000000000){id}}'), 400, INVALID],
  'A27 a number beyond Int': [asks('{people(first:99999999999){id}}'), 400, INVALID],
  'A28 a variable is missing': [asks('query($i:ID!){person(id:$i){id}}'), 400, 'BAD_USER_INPUT'],
  'A28 a variable of the wrong type': [
    asks('query($f:Int!){people(first:$f){id}}', { variables: { f: 'many' } }),
    400,
    'BAD_USER_INPUT',
  ],
  'A28 64 KiB that look like what is said of them': [
    asks('query($f:Int!){people(first:$f){id}}', {
      variables: { f: ' got invalid value {'.repeat(3_276) },
    }),
    400,
    'BAD_USER_INPUT',
  ],
  'A28 null where none may be': [
    asks('query($i:ID!){person(id:$i){id}}', { variables: { i: null } }),
    400,
    'BAD_USER_INPUT',
  ],
  'A29 as many variables as a document has room for, all wrong': [allWrong(240), 400, 'BAD_USER_INPUT'],
  'A29 five hundred variables, all wrong': [allWrong(500), 400, UNREADABLE],
  'A30 a variable that nobody asked for': [asks('{me{id}}', { variables: { extra: 1 } }), 200],
  'A31 nothing': [asks(''), 400, UNREADABLE],
  'A31 only a comment': [asks('#x'), 400, UNREADABLE],
  'A31 braces up to the body’s limit': [asks('{'.repeat(250_000)), 400, UNREADABLE],
  'A31 a megabyte of braces': [asks('{'.repeat(1_000_000)), 413, 'BAD_REQUEST'],
  'A31 NUL': [asks('{me{id\u0000}}'), 400, UNREADABLE],
  'A31 half a character': [{ body: '{"query":"{me{\\uD800}}"}' }, 400, UNREADABLE],
  'A31 text that turns around': [asks('{me{na\u202Eme}}'), 400, UNREADABLE],
  'A31 a mark before the JSON': [{ body: `\uFEFF${JSON.stringify({ query: '{me{id}}' })}` }, 200],
  'A32 @defer': [asks('{me{...@defer{id}}}'), 400, INVALID],
  'A32 @stream': [asks('{me{friends @stream{id}}}'), 400, INVALID],
  'S7 pages that multiply to 10,100 items': [asks('{people(first:100){friends(first:100){id}}}'), 200],
  'S7 pages that multiply to a million items': [
    asks('{people(first:100){friends(first:100){friends(first:100){id}}}}'),
    400,
    INVALID,
  ],
  'S7 the same by a variable': [
    asks('query($n:Int!){people(first:$n){friends(first:$n){friends(first:$n){id}}}}', { variables: { n: 100 } }),
    400,
    INVALID,
  ],
  'S7 the same by a default': [
    asks('query($n:Int!=100){people(first:$n){friends(first:$n){friends(first:$n){id}}}}'),
    400,
    INVALID,
  ],
  'X1 variables over 64 KiB': [
    asks('query($t:String){echo(text:$t)}', { variables: { t: 'x'.repeat(65_536) } }),
    400,
    'BAD_USER_INPUT',
  ],
  'X1 variables of 64 KiB': [asks('query($t:String){echo(text:$t)}', { variables: { t: 'x'.repeat(65_528) } }), 200],
};

/** Where introspection is on. */
const OPEN: Table = {
  'A22 types of fields of types of fields': [
    asks(`{__schema{types{${'fields{type{'.repeat(8)}name${'}}'.repeat(8)}}}}`),
    400,
    INVALID,
  ],
  'A22 the same by __type, half as deep': [
    asks(`{__type(name:"Person"){${'fields{type{'.repeat(4)}name${'}}'.repeat(4)}}}`),
    400,
    INVALID,
  ],
  'A22 the schema itself, once': [asks('{__schema{types{name fields{name type{name}}}}}'), 200],
};

/** One more of them takes no longer, however many they would be if each were put where it is spread: from ten on 2^n are too many. */
const DOUBLING: Table = Object.fromEntries(
  Array.from({ length: 40 }, (_, index) => index + 1).map((levels) => [
    `S3 fragments that double, ${levels} of them`,
    2 ** levels + 1 <= 1_000
      ? [asks(fragmentBomb(levels)), 200, { withinMs: 50 }]
      : [asks(fragmentBomb(levels)), 400, soon(INVALID)],
  ]),
);

export const documents: readonly Attack[] = [
  ...attacks('gateway', { ...DOCUMENTS, ...DOUBLING }),
  ...attacks('open', OPEN),
];
