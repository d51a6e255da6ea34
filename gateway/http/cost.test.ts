import { describe, expect, it } from '@jest/globals';
import { buildSchema, parse, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { compose } from '../supergraph/compose.js';
import { listSizesOf, weightsOf } from '../supergraph/cost-directives.js';
import { readSupergraph, type Supergraph } from '../supergraph/supergraph.js';
import { gatewaySettings } from '../config.js';
import { costCounter, type CostRules } from './cost.js';
import { Documents } from './documents.js';
import { Refusal } from './refusal.js';
import { coerceVariables } from './variables.js';

/** What `npm run bench` asks, in the words of its own file. */
function shop(): { texts: string[]; services: { name: string; sdl: string; url: string; from: string }[] } {
  const program = `import('./bench/shop.mjs').then(({ published, small, wide, subgraphs }) => {
    const services = Object.entries(subgraphs).map(([name, { sdl }]) => ({ name, sdl, url: 'http://' + name + '/', from: name }));
    console.log(JSON.stringify({ texts: [published, small, wide(10_000)], services }));
  })`;
  return JSON.parse(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })) as ReturnType<typeof shop>;
}

const DEFAULT_LIMIT = gatewaySettings.COST_LIMIT.default;
const DEFAULT_LIST = gatewaySettings.COST_LIST_SIZE.default;
const LIMITS = {
  tokens: 2_000,
  depth: 10,
  aliases: 30,
  rootFields: 20,
  directives: 50,
  selections: 1_000,
  items: 20_000,
};

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

/** Two subgraphs in which everything has been said that the cost spec knows. */
async function tagged(): Promise<{ schema: GraphQLSchema; rules: CostRules }> {
  const sdl = `
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@cost", "@listSize"])
    type Query {
      dear: Int @cost(weight: 7)
      thing: Thing
      things(first: Int, last: Int): [Thing] @listSize(slicingArguments: ["first", "last"])
      some: [Thing] @listSize(assumedSize: 4)
      found(where: Where, hint: String @cost(weight: 3)): Thing
      page(first: Int): Page @listSize(slicingArguments: ["first"], sizedFields: ["edges"])
      inside(by: By): [Thing] @listSize(slicingArguments: ["by.first"], requireOneSlicingArgument: false)
      many: [Thing]
      leaf(ids: [ID!]!): [Int]
    }
    type Mutation { change: Thing }
    type Thing @cost(weight: 5) { id: ID kind: Kind things(first: Int = 3): [Thing] }
    type Page { edges: [Thing] others: [Thing] count: Int }
    input Where { text: String @cost(weight: 11) and: [Where] }
    input By { first: Int }
    enum Kind @cost(weight: 2) { A }
  `;
  const supergraph = readSupergraph(await compose([{ name: 'one', url: 'http://one/', sdl, from: 'one' }]));
  return { schema: supergraph.schema, rules: rulesOf(supergraph) };
}

describe('what an operation costs', () => {
  let tags: Awaited<ReturnType<typeof tagged>>;
  const of = async (text: string, variables?: Record<string, unknown>): Promise<number> =>
    costOf((tags ??= await tagged()), text, variables);

  it.each<[string, number, string, Record<string, unknown>?]>([
    ['a leaf', 0, '{__typename}'],
    ['a leaf with a weight', 7, '{dear}'],
    ['an object by its type', 5, '{thing{id}}'],
    ['an enum by its type', 7, '{thing{kind}}'],
    ['a mutation', 15, 'mutation{change{id}}'],
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
  ])('%s: %d', async (_what, cost, text, variables) => {
    expect(await of(text, variables)).toBe(cost);
  });

  it.each(['{things{id}}', '{things(first:1,last:1){id}}', '{page{count}}'])(
    '%s does not say how long its page is, in exactly one way: it is refused',
    async (text) => expect(of(text)).rejects.toThrow('takes exactly one of'),
  );

  it('is a number, and not a sum that is made anew for each request, where nothing hangs on variables', async () => {
    const { schema, rules } = (tags ??= await tagged());
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
    limits: LIMITS,
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
  });

  it('lets what is measured run: the published shape, and a list of 10,000', async () => {
    const { texts, services } = shop();
    const supergraph = readSupergraph(await compose(services));
    const documents = new Documents(supergraph.schema, {
      limits: LIMITS,
      introspection: true,
      suggestions: true,
      cacheBytes: 1_000_000,
      cost: { ...rulesOf(supergraph), limit: DEFAULT_LIMIT },
    });
    const costs = texts.map((text) => {
      const operation = documents.operation(text, undefined);
      const cost = documents.cost(operation, coerceVariables(supergraph.schema, operation, {}, true));
      return cost;
    });
    expect(costs.every((cost) => cost > 0 && cost <= DEFAULT_LIMIT)).toBe(true);
  });
});

function fail(why: string): never {
  throw new Error(why);
}
