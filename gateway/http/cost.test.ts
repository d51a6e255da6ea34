import { describe, expect, it } from '@jest/globals';
import { buildSchema, parse, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { listSizesOf, weightsOf } from '../supergraph/cost-directives.js';
import { readSupergraph, type Supergraph } from '../supergraph/supergraph.js';
import { gatewaySettings } from '../config.js';
import { costCounter, type CostRules } from './cost.js';
import { Documents } from './documents.js';
import { DOCUMENT_LIMITS } from './limits.js';
import type { ListSize } from './page-sizes.js';
import { Refusal } from './refusal.js';

/** What `npm run bench` asks, in the words of its own file. */
function shop(): string[] {
  const program = `import('./bench/shop.mjs').then(({ published, small, wide }) => console.log(JSON.stringify([published, small, wide(10_000)])))`;
  return JSON.parse(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })) as string[];
}

const DEFAULT_LIMIT = gatewaySettings.COST_LIMIT.default;
const DEFAULT_LIST = gatewaySettings.COST_LIST_SIZE.default;

function rulesOf(supergraph: Supergraph, listSize: number = DEFAULT_LIST): CostRules {
  return { listSizes: listSizesOf(supergraph), weights: weightsOf(supergraph), listSize };
}

function costOf(
  { schema, rules }: { schema: GraphQLSchema; rules: CostRules },
  text: string,
  variables: Record<string, unknown> = {},
): number {
  const document = parse(text);
  const definition = document.definitions.find((one) => one.kind === 'OperationDefinition') as OperationDefinitionNode;
  return costCounter(schema, document, definition, rules)(variables);
}

/** In which everything has been said that the cost spec knows. */
const TAGGED = {
  schema: buildSchema(`
    type Query {
      dear: Int
      thing: Thing
      things(first: Int, last: Int): [Thing]
      some: [Thing]
      found(where: Where, hint: String): Thing
      page(first: Int): Page
      inside(by: By): [Thing]
      many: [Thing]
    }
    type Mutation { change: Thing touch: Thing }
    type Thing { id: ID kind: Kind things(first: Int = 3): [Thing] }
    type Page { edges: [Thing] others: [Thing] count: Int }
    input Where { text: String and: [Where] }
    input By { first: Int }
    enum Kind { A }
  `),
  rules: {
    listSize: DEFAULT_LIST,
    weights: new Map([
      ['Query.dear', 7],
      ['Mutation.touch', 3],
      ['Query.found(hint:)', 3],
      ['Thing', 5],
      ['Where.text', 11],
      ['Kind', 2],
    ]),
    listSizes: new Map<string, ListSize>([
      ['Query.things', { slicingArguments: ['first', 'last'], assumedSize: undefined, requiresOne: true }],
      ['Query.some', { slicingArguments: [], assumedSize: 4, requiresOne: true }],
      [
        'Query.page',
        { slicingArguments: ['first'], sizedFields: ['edges'], assumedSize: undefined, requiresOne: true },
      ],
      ['Query.inside', { slicingArguments: ['by.first'], assumedSize: undefined, requiresOne: false }],
    ]),
  },
};

describe('what an operation costs', () => {
  const of = (text: string, variables?: Record<string, unknown>): number => costOf(TAGGED, text, variables);

  it.each<[string, number, string, Record<string, unknown>?]>([
    ['a leaf', 0, '{__typename}'],
    ['a leaf with a weight', 7, '{dear}'],
    ['an object by its type', 5, '{thing{id}}'],
    ['an enum by its type', 7, '{thing{kind}}'],
    ['a mutation', 10 + 50 + 5, 'mutation{change{id}}'],
    ['twenty writes in one', 10 + 20 * (50 + 5), `mutation{${'change{id} '.repeat(20)}}`],
    ['a write through a fragment', 10 + 50 + 5, 'mutation{...F} fragment F on Mutation{change{id}}'],
    ['a field of a mutation with a weight', 10 + 3, 'mutation{touch{id}}'],
    ['what is read of what was written', 10 + 50 + 5 + 4 * 5, 'mutation{change{things(first:4){id}}}'],
    ['a list by its argument', 50, '{things(first:10){id}}'],
    ['a list by the other one', 20, '{things(last:4){id}}'],
    ['a list by a variable', 30, 'query($n:Int){things(first:$n){id}}', { n: 6 }],
    ['a list as long as it is said to be', 20, '{some{id}}'],
    ['a list of which nothing is said', 50, '{many{id}}'],
    ['a list in a list', 10 * (5 + 3 * 5), '{things(first:10){things{id}}}'],
    [
      'a list in a list, by variables',
      2 * (5 + 7 * 5),
      'query($a:Int,$b:Int){things(first:$a){things(first:$b){id}}}',
      { a: 2, b: 7 },
    ],
    [
      'the fields that a page sizes, and one that it does not',
      1 + 4 * 5 + 10 * 5,
      '{page(first:4){edges{id} others{id}}}',
    ],
    ['the same through a fragment', 1 + 4 * 5, '{page(first:4){...F}} fragment F on Page{edges{id}}'],
    ['an argument inside an input', 15, '{inside(by:{first:3}){id}}'],
    ['the same by a variable', 20, 'query($by:By){inside(by:$by){id}}', { by: { first: 4 } }],
    ['the same by a variable inside', 25, 'query($n:Int){inside(by:{first:$n}){id}}', { n: 5 }],
    ['an argument that is given', 8, '{found(hint:"x"){id}}'],
    ['one that is not', 5, '{found{id}}'],
    ['inputs', 5 + 22, '{found(where:{text:"a" and:[{text:"b"}]}){id}}'],
    [
      'inputs by a variable',
      5 + 33,
      'query($w:Where){found(where:$w){id}}',
      { w: { text: 'a', and: [{ text: 'b' }, { text: 'c' }] } },
    ],
    ['inputs by a variable that is not given', 5, 'query($w:Where){found(where:$w){id}}'],
    ['a fragment, wherever it is spread', 10, '{...F ...F} fragment F on Query{thing{id}}'],
    ['what may be skipped', 5, 'query($s:Boolean!){thing @skip(if:$s){id}}', { s: true }],
    // A parameter that a row leaves out has to have a default: Jest takes it for the callback of an asynchronous test and waits.
  ])('%s: %d', (_what, cost, text, variables = {}) => {
    expect(of(text, variables)).toBe(cost);
  });

  it.each(['{things{id}}', '{things(first:1,last:1){id}}', '{page{count}}'])(
    '%s does not say how long its page is, in exactly one way: it is refused',
    (text) => expect(() => of(text)).toThrow('takes exactly one of'),
  );

  it('is a number, and not a sum that is made anew for each request, where nothing hangs on variables', () => {
    const { schema, rules } = TAGGED;
    const document = parse('{things(first:10){things{id}}} ');
    const counter = costCounter(schema, document, document.definitions[0] as OperationDefinitionNode, rules);
    // Variables that would be looked at if any were.
    const watched = new Proxy(
      {},
      { get: () => fail('looked at'), has: () => fail('looked at'), getOwnPropertyDescriptor: () => fail('looked at') },
    );
    expect(counter(watched)).toBe(200);
    expect(counter(watched)).toBe(200);
  });

  it('of sixty fragments that double is known at once, and is more than any limit', () => {
    const schema = buildSchema('type Query { a(n: Int): Query }');
    const text = `query($n:Int){...F0} ${Array.from({ length: 60 }, (_, at) => `fragment F${at} on Query{a(n:$n){__typename} ...F${at + 1} ...F${at + 1}}`).join(' ')} fragment F60 on Query{a{__typename}}`;
    const rules = { listSizes: new Map(), weights: new Map(), listSize: 10 };
    expect(costOf({ schema, rules }, text, { n: 1 })).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('the limit', () => {
  const schema = buildSchema(
    'type Query { me: Person people(first: Int): [Person] } type Person { id: ID friends: [Person] }',
  );
  const documents = new Documents(schema, {
    limits: DOCUMENT_LIMITS,
    introspection: true,
    suggestions: true,
    cacheBytes: 1_000_000,
    cost: { limit: 110, listSize: 10, listSizes: new Map(), weights: new Map() },
  });
  const outcome = (text: string, variables = {}): string | number => {
    try {
      return documents.cost(documents.operation(text, undefined), variables);
    } catch (error) {
      return (error as Refusal).message;
    }
  };

  it('lets what costs as much run, and refuses what costs one more, again and again, in words that say how much', () => {
    for (let turn = 0; turn < 2; turn += 1) {
      expect(outcome('{people(first:10){friends{id}}}')).toBe(110);
      expect(outcome('{people(first:10){friends{id}} me{id}}')).toBe(
        'This operation costs an estimated 111, and 110 are allowed; ask for fewer fields, or for smaller pages.',
      );
      expect(outcome('query($n:Int){people(first:$n){id}}', { n: 110 })).toBe(110);
      expect(outcome('query($n:Int){people(first:$n){id}}', { n: 111 })).toMatch('estimated 111');
    }
  });
});

describe('the default limit', () => {
  const social = readSupergraph(readFileSync('schema/supergraph.graphql', 'utf8'));
  const examples = readdirSync('examples').filter((file) => file.endsWith('.graphql'));
  /** With every page as long as a page may be. */
  const largest = (text: string): string => text.replaceAll(/\bfirst: ?\d+/g, 'first: 100');

  it.each(examples)('lets examples/%s run, also with every page at its largest', (file) => {
    const text = readFileSync(`examples/${file}`, 'utf8');
    for (const asked of [text, largest(text)]) {
      const variables = { posts: 100, first: 100 };
      expect(costOf({ schema: social.schema, rules: rulesOf(social) }, asked, variables)).toBeLessThanOrEqual(
        DEFAULT_LIMIT,
      );
    }
  });

  it('lets the profile page be dearer than the log-in, and both cheap', () => {
    const cost = (file: string, variables = {}): number =>
      costOf({ schema: social.schema, rules: rulesOf(social) }, readFileSync(`examples/${file}`, 'utf8'), variables);
    expect(cost('profile-page.graphql', { posts: 20 })).toBeLessThan(200);
    // Passwords are hashed: schema.graphql says @cost(weight: 100).
    expect(cost('log-in.graphql')).toBe(10 + 100 + 1);
    // What docs/running.md reckons with.
    expect(cost('like.graphql')).toBe(60);
  });

  it('leaves a front end far inside of a budget of 60,000 that reads three hundred texts for the first time, each as long as the profile page', () => {
    const documents = new Documents(social.schema, {
      limits: DOCUMENT_LIMITS,
      introspection: true,
      suggestions: true,
      cacheBytes: 32 * 1024 * 1024,
    });
    const reading = (file: string, turn = 0): number => {
      const text = readFileSync(`examples/${file}`, 'utf8').replace(/(query|mutation) (\w+)/, `$1 $2_${turn}`);
      let paid = 0;
      const operation = documents.operation(text, undefined, (cost) => (paid += cost));
      return paid === 0 ? 0 : paid + documents.planning(operation);
    };
    expect([reading('follow.graphql'), reading('profile-page.graphql')]).toEqual([32, 72]);
    // It is known now.
    expect([reading('follow.graphql'), reading('profile-page.graphql')]).toEqual([0, 0]);
    let all = 0;
    for (let turn = 1; turn <= 300; turn += 1) all += reading('profile-page.graphql', turn);
    expect(all).toBeLessThan(60_000 / 2);
  });

  it('lets what is measured run: the published shape, and a list of 10,000', () => {
    const schema = buildSchema(`
      type Query { users: [User] topProducts(first: Int = 5): [Product] catalog(first: Int!): [Product] }
      type User { id: ID! name: String username: String birthday: Int bio: String reviews: [Review] }
      type Product { upc: String! name: String price: Int weight: Int inStock: Boolean shippingEstimate: Int reviews: [Review] }
      type Review { id: ID! body: String author: User product: Product }
    `);
    const documents = new Documents(schema, {
      limits: DOCUMENT_LIMITS,
      introspection: true,
      suggestions: true,
      cacheBytes: 1_000_000,
      cost: { limit: DEFAULT_LIMIT, listSize: DEFAULT_LIST, listSizes: new Map(), weights: new Map() },
    });
    const costs = shop().map((text) => documents.cost(documents.operation(text, undefined), {}));
    // 10 × (1 + 10 × (2 + 10 × (2 + 10 × 2))) for users, and 5 × (1 + 10 × (2 + 10 × 2)) for products.
    expect(costs).toEqual([22_210 + 1_105, 10, 10_000]);
  });
});

function fail(why: string): never {
  throw new Error(why);
}
