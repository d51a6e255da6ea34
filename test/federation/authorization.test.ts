import { afterAll, describe, expect, it } from '@jest/globals';
import { grantsOf, type Grants } from '../../gateway/authorization/grants.js';
import type { TributaryEngine } from '../../gateway/run/engine.js';
import { everyWay, planOf, type Expected } from './every-way.js';
import { GUARDED } from './guarded.js';
import { federate, operationOf, type Asked } from './harness.js';

/** The stock engine refuses a supergraph with any of the three, so the words of Apollo Router's manual are the oracle. */
const graph = federate(GUARDED);
afterAll(() => graph.close());

const ways = (query: string, expected: Expected) => everyWay(graph, query, { ...expected, stock: 'refuses' });
const code = ({ errors }: Asked) => [...new Set(errors?.map(({ extensions }) => extensions.code))];
const ada = { sub: 'u1' };

describe('@authenticated', () => {
  it('somebody may see the field, nobody gets null and an error at its place', async () => {
    await ways('{ me { name } }', { claims: ada, data: { me: { name: 'Ada' } } });
    await ways('{ me { name } }', { data: { me: null }, errors: ['me'] });
    expect(code(await graph.ask('{ me { name } }'))).toEqual(['UNAUTHORIZED_FIELD_OR_TYPE']);
  });

  it('what is denied is not fetched: not the field, not its subgraph', async () => {
    expect((await graph.ask('{ me { name } }')).calls).toEqual([]);
    const { calls, data } = await graph.ask('{ somebody { name score } }');
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['people']);
    expect(data).toEqual({ somebody: { name: 'Bob', score: null } });
    expect(await planOf(graph, '{ somebody { name score } }', { claims: ada })).toMatchInlineSnapshot(`
     "in order
       query people
         {
           somebody {
             __typename
             name
             id
           }
         }
       entities scores
         at somebody by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               score
             }
           }
         }"
    `);
    expect(await planOf(graph, '{ somebody { name score } }', {})).toMatchInlineSnapshot(`
     "query people
       {
         somebody {
           name
         }
       }"
    `);
  });

  it('every object of a list has its own error, and null goes up where none may be', async () => {
    await ways('{ somebody { friends { name email } } }', {
      data: {
        somebody: {
          friends: [
            { name: 'Ada', email: null },
            { name: 'Cy', email: null },
          ],
        },
      },
      errors: ['somebody.friends.0.email', 'somebody.friends.1.email'],
    });
    await ways('{ somebody { name friends { secret } } }', {
      data: { somebody: { name: 'Bob', friends: null } },
      errors: ['somebody.friends.0.secret'],
    });
    await ways('{ anybody { secret } somebody { id } }', { data: null, errors: ['anybody.secret'] });
  });

  it('on the type of a field: objects, enums and scalars', () =>
    ways('{ wallet { balance } color stamp }', {
      data: { wallet: null, color: null, stamp: null },
      errors: ['wallet', 'color', 'stamp'],
    }));

  it('by an alias, by a fragment, twice', () =>
    ways('{ a: somebody { s: score ...F } } fragment F on User { score ...G } fragment G on User { rank s: score }', {
      data: { a: { s: null, score: null, rank: 1 } },
      errors: ['a.s', 'a.score'],
    }));

  it('@skip takes a denied field away without an error', () =>
    ways('query ($no: Boolean!) { somebody { name score @include(if: $no) } }', {
      variables: { no: false },
      data: { somebody: { name: 'Bob' } },
    }));

  it('what is made of a denied field is denied', async () => {
    await ways('{ somebody { rank hint } }', {
      data: { somebody: { rank: 1, hint: null } },
      errors: ['somebody.hint'],
    });
    await ways('{ somebody { hint } }', {
      claims: { ...ada, scope: 'read:email' },
      data: { somebody: { hint: 'the one of bob@example.com' } },
    });
  });

  it('a key that is denied still joins subgraphs, and is not shown', async () => {
    await ways('{ node { ... on Leaf { name age } } }', { data: { node: { name: 'leaf', age: 3 } } });
    await ways('{ node { ... on Leaf { id name } } }', { data: { node: null }, errors: ['node.id'] });
    await ways('{ node { ... on Leaf { id name } } }', { claims: ada, data: { node: { id: 'l', name: 'leaf' } } });
  });

  it('a mutation that is denied does not run, and the others do', async () => {
    await ways('mutation { ban(id: "u1") { id } greet(id: "u1") { name score } }', {
      data: { ban: null, greet: { name: 'Ada', score: null } },
      errors: ['ban', 'greet.score'],
    });
    const { calls } = await graph.ask('mutation { ban(id: "u1") { id } }');
    expect(calls).toEqual([]);
  });
});

describe('@requiresScopes', () => {
  it.each([
    ['scope', 'read:others read:self'],
    ['scope', 'admin'],
    ['scopes', ['read:self', 'read:others', 'more']],
    ['scp', ['admin']],
  ])('one of the lists has to be there whole: %s %j', (claim, value) =>
    ways('{ users { name } }', { claims: { ...ada, [claim]: value }, data: { users: [{ name: 'Ada' }] } }),
  );

  it.each([[undefined], ['read:others'], ['read:others,read:self'], ['ADMIN'], [7], [['read:others']], [{}]])(
    'control: %j is not enough',
    (scope) => ways('{ users { name } }', { claims: { ...ada, scope }, data: null, errors: ['users'] }),
  );

  it('is planned so with the scope, and so without', async () => {
    const query = '{ somebody { email rank } }';
    expect(await planOf(graph, query, { claims: { scope: 'read:email' } })).toMatchInlineSnapshot(`
     "in order
       query people
         {
           somebody {
             __typename
             email
             id
           }
         }
       entities scores
         at somebody by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               rank
             }
           }
         }"
    `);
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "in order
       query people
         {
           somebody {
             __typename
             id
           }
         }
       entities scores
         at somebody by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               rank
             }
           }
         }"
    `);
  });
});

describe('@policy', () => {
  it('holds by the claim “policies”; a name may be any text', async () => {
    await ways('{ vault { gold } }', {
      claims: { policies: ['vault open', 'count', 'weigh'] },
      data: { vault: { gold: 9 } },
    });
    await ways('{ vault { gold } }', {
      claims: { policies: 'vault open' },
      data: { vault: { gold: null } },
      errors: ['vault.gold'],
    });
    await ways('{ vault { gold } }', {
      claims: { policies: ['count', 'owner'] },
      data: { vault: null },
      errors: ['vault'],
    });
  });

  it('is planned so with both policies, and so with one', async () => {
    const query = '{ vault { gold } somebody { name } }';
    const policies = ['vault open', 'owner'];
    expect(await planOf(graph, query, { claims: { policies } })).toMatchInlineSnapshot(`
     "query people
       {
         vault {
           gold
         }
         somebody {
           name
         }
       }"
    `);
    expect(await planOf(graph, query, { claims: { policies: ['owner'] } })).toMatchInlineSnapshot(`
     "query people
       {
         somebody {
           name
         }
       }"
    `);
  });

  it('is asked once, for what the operation names, and only when it names some', async () => {
    const asked: (readonly string[])[] = [];
    const grants: Grants = {
      ...grantsOf(ada),
      policies: (policies) => {
        asked.push(policies);
        return Promise.resolve(new Set(['vault open', 'owner']));
      },
    };
    expect((await graph.ask('{ me { name } }', { grants })).errors).toBeUndefined();
    expect(asked).toEqual([]);
    expect((await graph.ask('{ vault { gold } again: vault { gold } }', { grants })).data).toEqual({
      vault: { gold: 9 },
      again: { gold: 9 },
    });
    expect(asked.map((one) => [...one].sort())).toEqual([['count', 'owner', 'vault open', 'weigh']]);
  });
});

describe('interfaces and unions', () => {
  it('an interface’s own fields need what any of its types needs', async () => {
    await ways('{ posts { id title } }', { data: null, errors: ['posts'] });
    await ways('{ posts { title } }', { claims: ada, data: { posts: [{ title: 'open' }, { title: 'closed' }] } });
    await ways('{ things { id weight } }', {
      data: {
        things: [
          { id: 's', weight: null },
          { id: 'g', weight: null },
        ],
      },
      errors: ['things.0.weight', 'things.1.weight'],
    });
  });

  it('behind fragments each type needs its own', async () => {
    await ways('{ posts { __typename ... on PublicBlog { title } } }', {
      data: { posts: [{ __typename: 'PublicBlog', title: 'open' }, { __typename: 'PrivateBlog' }] },
    });
    await ways('{ posts { ... on PublicBlog { title } ... on PrivateBlog { views } } }', {
      data: { posts: [{ title: 'open' }, { views: null }] },
      errors: ['posts.1.views'],
    });
    await ways('{ things { ... on Stone { weight } ... on Gem { id weight } } }', {
      data: { things: [{ weight: 1 }, { id: 'g', weight: null }] },
      errors: ['things.1.weight'],
    });
    await ways('{ either { ... on PublicBlog { id } ... on PrivateBlog { id } } }', {
      data: { either: [null] },
      errors: ['either.0.id'],
    });
    await ways('{ either { ... on Post { views } } }', {
      data: { either: [{ views: null }] },
      errors: ['either.0.views'],
    });
  });

  it('nothing of the type is fetched', async () => {
    const { calls } = await graph.ask('{ posts { ... on PublicBlog { title } ... on PrivateBlog { views } } }');
    expect(calls).toHaveLength(1);
    expect(calls[0]!.query).not.toContain('views');
    expect(await planOf(graph, '{ posts { ... on PublicBlog { title } ... on PrivateBlog { views } } }'))
      .toMatchInlineSnapshot(`
     "query people
       {
         posts {
           __typename
           ... on PublicBlog {
             title
           }
         }
       }"
    `);
  });
});

describe('plans', () => {
  it('there is one for each outcome, however many people ask', async () => {
    const engine = (await graph.engine()) as TributaryEngine;
    const query = '{ somebody { rank score email } }';
    const ask = (scope: string, n: number) =>
      graph.ask(query, { subject: `user_${n}`, claims: { sub: `u${n}`, scope } });
    await graph.ask(query);
    const before = engine.plans.planned;
    for (let n = 0; n < 20; n += 1) await ask(n % 2 === 0 ? `read:email extra:${n}` : `extra:${n}`, n);
    expect(engine.plans.planned - before).toBe(2);
    const normals = new Set(
      [undefined, ada].map((claims) => {
        const operation = operationOf(graph.supergraph.schema, query);
        const denial = engine.authorization!.deny(operation, claims && grantsOf(claims));
        return engine.normalOf(operation, {}, denial as Exclude<typeof denial, Promise<unknown>>).key;
      }),
    );
    expect(normals.size).toBe(2);
  });

  it('two who may see different things never share a read, whatever else is equal', async () => {
    const [one, other] = await Promise.all([
      graph.ask('{ somebody { email } }', { join: true, subject: 'u1', claims: { scope: 'read:email' } }),
      graph.ask('{ somebody { email } }', { join: true, subject: 'u1', claims: {} }),
    ]);
    expect(one.data).toEqual({ somebody: { email: 'bob@example.com' } });
    expect(other.data).toEqual({ somebody: { email: null } });
  });
});

describe('UNAUTHORIZED=reject', () => {
  it('nothing runs when anything is denied, and the places are told', async () => {
    await expect(
      graph.ask('{ somebody { name ...F } a: me { id } } fragment F on User { score }', { unauthorized: 'reject' }),
    ).rejects.toMatchObject({
      code: 'UNAUTHORIZED_FIELD_OR_TYPE',
      message: 'Unauthorized field or type: somebody.score, a.',
    });
    expect((await graph.ask('{ somebody { name } }', { unauthorized: 'reject' })).data).toEqual({
      somebody: { name: 'Bob' },
    });
    expect((await graph.ask('{ me { name } }', { unauthorized: 'reject', claims: ada })).data).toEqual({
      me: { name: 'Ada' },
    });
  });
});
