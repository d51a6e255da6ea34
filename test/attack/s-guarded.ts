import { attacks, bearer, literally, query, type Attack, type Expected, type Message, type Table } from './attack.js';
import { tokenOf } from './forged-tokens.js';

const DENIED = 'UNAUTHORIZED_FIELD_OR_TYPE';
const nobody = (text: string): Message => ({ body: query(text) });

/** What one field that not everybody may see answers who may, beside `rank`, which everybody may. */
const FIELDS: Readonly<Record<string, unknown>> = {
  email: 'bob@example.com',
  score: 5,
  // Another service makes it of the address (@requires).
  hint: 'the one of bob@example.com',
};

/** Ways by which other gateways were made to show it. `x`: as what it is asked for. */
const WAYS: Readonly<Record<string, { readonly ask: (field: string) => string; readonly as?: 'x' }>> = {
  'by its name': { ask: (field) => `{somebody{rank ${field}}}` },
  'by another name': { ask: (field) => `{somebody{rank x:${field}}}`, as: 'x' },
  'through a fragment': { ask: (field) => `{somebody{rank ...F}} fragment F on User{${field}}` },
  'through an inline fragment': { ask: (field) => `{somebody{rank ...on User{${field}}}}` },
  'through fragments in fragments': {
    ask: (field) => `{somebody{rank ...F}} fragment F on User{...G} fragment G on User{${field}}`,
  },
  'by two fragments, under one name': {
    ask: (field) => `{somebody{rank ...F ...G}} fragment F on User{x:${field}} fragment G on User{x:${field}}`,
    as: 'x',
  },
  'in the second half of an object': { ask: (field) => `{somebody{rank} somebody{${field}}}` },
  'under a condition that holds': { ask: (field) => `{somebody{rank ${field} @include(if:true)}}` },
  'in an operation named __schema': { ask: (field) => `query __schema{somebody{rank ${field}}}` },
  'under the name of a prototype': { ask: (field) => `{somebody{rank __proto__:${field}}}`, as: 'x' },
};

const exactly = (text: string): RegExp => new RegExp(literally(text));

/** Denied alike to nobody and to somebody who may do other things; and the control: shown to who may. */
const ways: readonly Attack[] = Object.entries(FIELDS).flatMap(([field, value]) =>
  Object.entries(WAYS).flatMap(([way, { ask, as }]) => {
    const text = ask(field);
    const name = as === undefined ? field : (/(\w+):/.exec(text)?.[1] ?? '');
    const denied: Partial<Expected> = {
      code: DENIED,
      ran: true,
      says: exactly(`"data":{"somebody":{"rank":1,"${name}":null}}`),
      hides: /example\.com/,
    };
    const may =
      (claims: object) =>
      (cast: Parameters<typeof tokenOf>[0]): Message => ({
        headers: bearer(tokenOf(cast, claims)),
        body: query(text),
      });
    return attacks('guarded', {
      [`S23 ${field} ${way}, by nobody`]: [nobody(text), 200, denied],
      // Whoever is logged in may see the score.
      ...(field === 'score'
        ? {}
        : { [`S23 ${field} ${way}, by somebody`]: [may({ scope: 'read:other' }), 200, denied] }),
      [`S23 control: ${field} ${way}, by who may`]: [
        may({ scope: 'read:email' }),
        200,
        { says: exactly(`{"data":{"somebody":{"rank":1,"${name}":${JSON.stringify(value)}}}}`) },
      ],
    } as Table);
  }),
);

const shows = (data: string, more: Partial<Expected> = {}): Partial<Expected> => ({
  code: DENIED,
  ran: true,
  says: exactly(`"data":${data}`),
  ...more,
});

/** What more there is that may be denied: all of it asked by nobody. */
const PLACES: Table = {
  'S23 a root field': [nobody('{me{name}}'), 200, shows('{"me":null}', { unasked: true })],
  'S23 a field that may not be null takes its object with it': [
    nobody('{somebody{rank secret}}'),
    200,
    shows('{"somebody":null}'),
  ],
  'S23 each object of a list': [
    nobody('{somebody{friends{name email}}}'),
    200,
    shows('{"somebody":{"friends":[{"name":"Ada","email":null},{"name":"Cy","email":null}]}}'),
  ],
  'S23 an object, an enum and a scalar by their types': [
    nobody('{wallet{balance} color stamp}'),
    200,
    shows('{"wallet":null,"color":null,"stamp":null}', { unasked: true }),
  ],
  'S23 through an interface, what one of its types needs': [
    nobody('{things{id weight}}'),
    200,
    shows('{"things":[{"id":"s","weight":null},{"id":"g","weight":null}]}'),
  ],
  'S23 through an interface, what one of its types is': [
    nobody('{posts{title}}'),
    200,
    shows('null', { unasked: true }),
  ],
  'S23 through a type of an interface': [
    nobody('{posts{...on PublicBlog{title} ...on PrivateBlog{views}}}'),
    200,
    shows('{"posts":[{"title":"open"},{"views":null}]}'),
  ],
  'S23 through a member of a union': [
    nobody('{either{...on PublicBlog{id} ...on PrivateBlog{id}}}'),
    200,
    shows('{"either":[null]}'),
  ],
  'S23 through the interface of a member of a union': [
    nobody('{either{...on Post{views}}}'),
    200,
    shows('{"either":[{"views":null}]}'),
  ],
  'S23 fields of one name in several types': [
    nobody('{things{...on Stone{weight} ...on Gem{id weight}}}'),
    200,
    shows('{"things":[{"weight":1},{"id":"g","weight":null}]}'),
  ],
  'S23 a key that joins services': [nobody('{node{...on Leaf{id name age}}}'), 200, shows('{"node":null}')],
  'S23 control: what it joins': [
    nobody('{node{...on Leaf{name age}}}'),
    200,
    { says: exactly('{"data":{"node":{"name":"leaf","age":3}}}') },
  ],
  'S23 a policy, of which a half holds': [
    (cast) => ({
      headers: bearer(tokenOf(cast, { policies: ['vault open', 'count'] })),
      body: query('{vault{gold}}'),
    }),
    200,
    shows('{"vault":{"gold":null}}'),
  ],
  'S23 scopes, of which a half is there': [
    (cast) => ({ headers: bearer(tokenOf(cast, { scope: 'read:others' })), body: query('{users{name}}') }),
    200,
    shows('null', { unasked: true }),
  ],
  'S23 a mutation is not carried out': [
    nobody('mutation{ban(id:"u1"){id}}'),
    200,
    shows('{"ban":null}', { unasked: true }),
  ],
  'S23 by _entities': [
    nobody('{_entities(representations:[{__typename:"User",id:"u1"}]){...on User{email score}}}'),
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'S23 by a variable for _entities': [
    {
      body: query('query($r:[_Any!]!){_entities(representations:$r){...on User{email}}}', {
        variables: { r: [{ __typename: 'User', id: 'u1' }] },
      }),
    },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
};

export const guardedFields: readonly Attack[] = [...ways, ...attacks('guarded', PLACES)];
