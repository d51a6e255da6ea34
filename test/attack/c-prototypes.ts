import { asks, attacks, type Attack, type Table } from './attack.js';

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
  'C3 toString and hasOwnProperty': [asks('{toString:me{hasOwnProperty:id valueOf:name}}'), 200],
  'C4 an entity called constructor, of both services': [
    asks('{constructor:me{__proto__:prefs prototype:mood constructor:draft{prototype:id}}}'),
    200,
    { says: /"__proto__":\{"polluted":true\}/ },
  ],
  'C4 an entity’s list called __proto__': [asks('{__proto__:me{__proto__:posts{__proto__:id}}}'), 200],
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

export const prototypes: readonly Attack[] = attacks('gateway', NAMES);
