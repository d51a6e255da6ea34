import { asks, attacks, literally, type Attack, type Message, type Seen, type Table } from './attack.js';

const NAMES: Table = {
  'C1 a field called __proto__': [asks('{me{id __proto__:prefs}}'), 200, { says: /"__proto__":\{"theme":"dark"/ }],
  'C2 a field called constructor, and another service': [
    asks('{me{id constructor:prefs posts{id body}}}'),
    200,
    { says: /"constructor":\{"theme":"dark".*"body":"by 1"/ },
  ],
  'C3 constructor and prototype': [
    asks('{constructor:me{prototype:prefs id}}'),
    200,
    { says: /^\{"data":\{"constructor"/ },
  ],
  'C3 toString and hasOwnProperty': [
    asks('{toString:me{hasOwnProperty:id valueOf:name}}'),
    200,
    { says: /"toString":\{"hasOwnProperty":"1","valueOf":"name of 1"\}/ },
  ],
  'C4 an entity called constructor, of both services': [
    asks('{constructor:me{__proto__:prefs prototype:mood constructor:draft{prototype:id}}}'),
    200,
    { says: /"__proto__":\{"polluted":true\}/ },
  ],
  'C4 an entity’s list called __proto__': [
    asks('{__proto__:me{__proto__:posts{__proto__:id}}}'),
    200,
    { says: /"__proto__":\{"__proto__":\[\{"__proto__":"p1"\}\]\}/ },
  ],
  'C5 a variable called __proto__': [
    { body: '{"query":"query($__proto__:JSON){echo(deep:$__proto__)}","variables":{"__proto__":{"polluted":true}}}' },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'C5 a variable called constructor': [
    { body: '{"query":"query($constructor:JSON){echo(deep:$constructor)}","variables":{"constructor":{"a":1}}}' },
    200,
    { says: /a/ },
  ],
  'C5 a variable called constructor, and none sent': [
    { body: '{"query":"query($constructor:String){echo(text:$constructor)}"}' },
    200,
    { hides: /function|native/ },
  ],
  'C6 a body with __proto__': [
    {
      body: '{"query":"{me{id}}","__proto__":{"polluted":true},"variables":{"__proto__":{"polluted":true}},"extensions":{"__proto__":{"polluted":true}}}',
    },
    200,
    { says: /^\{"data":\{"me":\{"id":"1"\}\}\}$/ },
  ],
  'C6 a query by __proto__': [{ body: '{"__proto__":{"query":"{me{id}}"}}' }, 400, 'BAD_REQUEST'],
  'C6 a persisted query by __proto__': [
    { body: '{"query":"{me{id}}","extensions":{"__proto__":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}}' },
    200,
  ],
  'C7 a value with __proto__': [
    {
      body: '{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}}',
    },
    200,
    // As data, to the letter.
    { says: /\{\\"__proto__\\":\{\\"polluted\\":true\},\\"constructor\\":\{\\"prototype\\":/ },
  ],
  'C8 an upload whose map points at a prototype': [
    {
      headers: { 'content-type': 'multipart/form-data; boundary=x', 'apollo-require-preflight': '1' },
      body: '--x\r\ncontent-disposition: form-data; name="map"\r\n\r\n{"0":["__proto__.polluted"]}\r\n--x--\r\n',
    },
    415,
    'BAD_REQUEST',
  ],
  'S15 a service’s answer with __proto__ in it': [asks('{me{mood}}'), 200, { says: /"constructor":\{"prototype"/ }],
};

const PROTOTYPES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'];
/** Where a name may stand, and what is there. */
const PLACES: Readonly<Record<string, (name: string) => readonly [asked: string, data: string]>> = {
  'a field': (name) => [`{me{${name}:id}}`, `{"me":{"${name}":"1"}}`],
  'a value': (name) => [`{me{id ${name}:prefs}}`, `{"me":{"id":"1","${name}":{"theme":"dark"`],
  'a value of another service': (name) => [`{me{id ${name}:mood}}`, `{"me":{"id":"1","${name}":{"`],
  'an object': (name) => [`{${name}:me{id}}`, `{"${name}":{"id":"1"}}`],
  'an object of another service': (name) => [`{me{${name}:draft{id}}}`, `{"me":{"${name}":{"id":"d1"}}}`],
  'a list': (name) => [`{${name}:people(first:2){id}}`, `{"${name}":[{"id":"0"},{"id":"1"}]}`],
  'a list of another service': (name) => [`{me{${name}:posts{id}}}`, `{"me":{"${name}":[{"id":"p1"}]}}`],
  'all at once': (name) => [
    `{${name}:me{${name}:posts{${name}:author{${name}:name}}}}`,
    `{"${name}":{"${name}":[{"${name}":{"${name}":"name of 1"}}]}}`,
  ],
};

const NAMED: Table = Object.fromEntries(
  PROTOTYPES.flatMap((name) => [
    ...Object.entries(PLACES).map(([place, make]): [string, Table[string]] => {
      const [asked, data] = make(name);
      return [
        `S14 ${place} called ${name}`,
        [asks(asked), 200, { says: new RegExp(`^${literally(`{"data":${data}`)}`) }],
      ];
    }),
    [
      `S14 a variable called ${name}`,
      [
        {
          body: `{"query":"query($${name}:String){echo(text:$${name})}","variables":{"${name}":"v"},"${name}":{"polluted":true}}`,
        },
        [200, 400],
        name === '__proto__' ? 'GRAPHQL_VALIDATION_FAILED' : { says: /v/ },
      ],
    ],
  ]),
);

/** A client who asks a hundred times after all that is told the same each time. */
const AFTERWARDS = '{me{id name prefs posts{id body author{name}}} people(first:3){id name}}';
const afterwards: Message = {
  async act(stage) {
    const seen: Seen[] = [];
    while (seen.length < 100) seen.push(await stage.ask(asks(AFTERWARDS)));
    const different = new Set(seen.map(({ text }) => text)).size;
    if (different !== 1) stage.found(`a hundred equal questions had ${different} answers`);
    return seen[0]!;
  },
};

export const prototypes: readonly Attack[] = attacks('gateway', {
  ...NAMES,
  ...NAMED,
  'X4 a hundred ordinary questions, after all names of prototypes': [
    afterwards,
    200,
    { says: /"name":"name of 1","prefs":\{"theme":"dark".*"body":"by 1","author":\{"name":"name of 1"\}/ },
  ],
});
