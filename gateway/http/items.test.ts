import { describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { readFileSync } from 'node:fs';
import { apiSchema } from '../supergraph/api-schema.js';
import { listSizesOf } from '../supergraph/cost-directives.js';
import { readSupergraph } from '../supergraph/supergraph.js';
import { Documents } from './documents.js';
import { DOCUMENT_LIMITS } from './limits.js';
import { Refusal } from './refusal.js';
import { coerceVariables } from './variables.js';

const social = readSupergraph(readFileSync('schema/supergraph.graphql', 'utf8'));
const rules = { limits: DOCUMENT_LIMITS, introspection: true, suggestions: true, cacheBytes: 1_000_000 };

/** What a request comes to: 'runs', or the sentence that refuses it. */
function outcome(text: string, variables: Record<string, unknown> = {}, documents = of(social.schema)): string {
  const operation = documents.operation(text, undefined);
  try {
    documents.requireItems(operation, coerceVariables(documents.schema, operation, variables, true));
    return 'runs';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    expect([error.status, error.code]).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
    return error.message;
  }
}

function of(schema: typeof social.schema, more: object = {}): Documents & { schema: typeof social.schema } {
  return Object.assign(new Documents(schema, { ...rules, ...more }), { schema });
}

const sentence = (estimated: string) =>
  `The pages of this operation multiply to an estimated ${estimated} items, and 20,000 are allowed; ask for smaller pages, or for fewer pages within pages.`;

describe('pages within pages', () => {
  const BOMB =
    '{users(first:100){edges{node{posts(first:100){edges{node{author{posts(first:100){edges{node{id body}}}}}}}}}}}';

  it('of a hundred, three deep, are a million items in 110 characters: refused, in words that say what to do', () => {
    expect(outcome(BOMB)).toBe(sentence('1,010,100'));
  });

  it('control: no other limit sees anything in it', () => {
    expect(of(social.schema).operation(BOMB, undefined).type).toBe('query');
    expect(outcome(BOMB, {}, of(social.schema, { limits: { ...DOCUMENT_LIMITS, items: 1_010_100 } }))).toBe('runs');
  });

  it('of a hundred, two deep, are 10,100 items and run; so does the profile page at its largest', () => {
    expect(outcome('{users(first:100){edges{node{posts(first:100){edges{node{id}}}}}}}')).toBe('runs');
    const page = readFileSync('examples/profile-page.graphql', 'utf8').replace('first: 10)', 'first: 100)');
    expect(page).toContain('followers(first: 100)');
    expect(outcome(page, { handle: 'alice', posts: 100 })).toBe('runs');
  });

  it('a list that is given is as long as it is given: a hundred nodes multiply as a page of a hundred does', () => {
    const ids = Array.from({ length: 100 }, (_, index) => `user_${index}`);
    const below = '... on User{posts(first:100){edges{node{author{posts(first:2){edges{node{id}}}}}}}}';
    expect(outcome(`query($ids:[ID!]!){nodes(ids:$ids){${below}}}`, { ids })).toBe(sentence('30,100'));
    expect(outcome(`{nodes(ids:${JSON.stringify(ids)}){${below}}}`)).toBe(sentence('30,100'));
    expect(outcome(`{nodes(ids:"user_1"){${below}}}`)).toBe('runs');
  });
});

const schema = buildSchema(`
  interface Node { id: ID! }
  union Any = Person
  type Query {
    me: Person any: Any
    people(first: Int = 20, last: Int, after: String): [Person!]
    plain(limit: Int): [Person!]
    first(count: Int): Person
  }
  type Person implements Node { id: ID! name: String friends(first: Int = 20): [Person!]! }
`);
const people = (text: string, variables?: Record<string, unknown>) => outcome(text, variables, of(schema));

describe('20,000 items', () => {
  const shapes: Record<string, (first: number) => string> = {
    'as it is': (first) => `{people(first:${first}){id}}`,
    'with an alias': (first) => `{__schema:people(first:${first}){id}}`,
    'in an operation named __schema': (first) => `query __schema{people(first:${first}){id}}`,
    'in a fragment named __schema': (first) => `{...__schema} fragment __schema on Query{people(first:${first}){id}}`,
    'through an inline fragment': (first) => `{...{... on Query{people(first:${first}){id}}}}`,
    'below one that is no page': (first) => `{me{friends(first:${first}){id}}}`,
    'below a union': (first) => `{any{... on Person{friends(first:${first}){id}}}}`,
    'in siblings': (first) => `{people(first:10000){id} me{friends(first:${first - 10_000}){id}}}`,
    'in a page of one': (first) => `{people(first:1){friends(first:${first - 1}){id}}}`,
    'by last': (first) => `{people(first:null last:${first}){id}}`,
    'by limit': (first) => `{plain(limit:${first}){id}}`,
    'by the longer of two': (first) => `{people(first:1 last:${first}){id}}`,
    'where it would be skipped': (first) => `{people(first:${first}) @skip(if:true){id}}`,
    'without anything below': (first) => `{people(first:${first}){__typename}}`,
    'in a fragment that is spread twice': (first) =>
      `{me{...F} people(first:1){...F more:friends(first:${first - 2 * 9_000 - 1}){id}}} fragment F on Person{friends(first:9000){id}}`,
  };

  it.each(Object.entries(shapes))('%s: they run, one more is refused', (_shape, write) => {
    expect(people(write(20_000))).toBe('runs');
    expect(people(write(20_001))).toBe(sentence('20,001'));
  });

  it('by a variable, each request by its own, whatever the one before asked for', () => {
    const documents = of(schema);
    const text = 'query($n:Int){people(first:$n){friends(first:$n){id}}}';
    for (let time = 0; time < 2; time += 1) {
      expect(outcome(text, { n: 140 }, documents)).toBe('runs');
      expect(outcome(text, { n: 141 }, documents)).toBe(sentence('20,022'));
    }
  });
});

describe('how long a page is taken to be', () => {
  const estimate = (text: string, variables?: Record<string, unknown>, documents = of(schema, NOTHING)) =>
    Number(
      /estimated (?:more than )?([\d,]+)/.exec(outcome(text, variables, documents))?.[1]?.replaceAll(',', '') ?? 0,
    );
  const NOTHING = { limits: { ...DOCUMENT_LIMITS, items: 0 } };

  it.each([
    ['the literal', '{people(first:7){id}}', undefined, 7],
    ['the variable', 'query($n:Int){people(first:$n){id}}', { n: 7 }, 7],
    ['the default of the variable', 'query($n:Int=7){people(first:$n){id}}', {}, 7],
    ['the default of the schema', '{people{id}}', undefined, 20],
    ['the default of the schema where the variable is absent', 'query($n:Int){people(first:$n){id}}', {}, 20],
    ['100 where the variable is null', 'query($n:Int){people(first:$n){id}}', { n: null }, 100],
    ['100 where nobody says', '{plain{id}}', undefined, 100],
    ['100 where less than nothing is asked for', '{people(first:-1){id}}', undefined, 100],
    ['nothing where nothing is asked for', '{people(first:0){friends(first:100){id}}}', undefined, 0],
    ['one where a field is named like a page and takes another argument', '{first(count:50){id}}', undefined, 0],
    ['nothing for introspection', '{__schema{types{fields{name}}}}', undefined, 0],
  ])('%s', (_what, text, variables, expected) => expect(estimate(text, variables)).toBe(expected));

  it('does not wrap around, however much is multiplied', () => {
    const nest = (levels: number) => `{me{${'friends(first:2147483647){'.repeat(levels)}id${'}'.repeat(levels)}}}`;
    expect(people(nest(10))).toBe(sentence('more than 9,007,199,254,740,991'));
    expect(people(nest(10).replace('2147483647', '0'))).toBe('runs');
  });

  it('counts each fragment once: nine that double are 512 pages, from as many steps as there are fragments', () => {
    const fragments = Array.from({ length: 9 }, (_, i) => `fragment F${i} on Person{...F${i + 1} ...F${i + 1}}`);
    const text = (first: number) =>
      `{me{...F0}} ${fragments.join(' ')} fragment F9 on Person{friends(first:${first})}`.replace(/\)\}$/, '){id}}');
    const roomy = (items: number) => of(schema, { limits: { ...DOCUMENT_LIMITS, selections: 10_000, items } });
    expect(estimate(text(10), undefined, roomy(1))).toBe(5_120);
    // The control is in limits.test.ts: 66 that double are refused before anybody could count them one by one.
  });
});

describe('@listSize', () => {
  const sdl = (cost: string, directive: string) => `
    schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.5") ${cost} { query: Query }
    directive @link(url: String, import: [String]) repeatable on SCHEMA
    enum join__Graph { A @join__graph(name: "a", url: "http://127.0.0.1:1/graphql") }
    type Query {
      shelf(size: Int, first: Int): [Query!] ${directive}(slicingArguments: ["size"], assumedSize: 500)
      window: [Query!] ${directive}(assumedSize: 500)
      id: ID
    }`;
  const served = (cost: string, directive: string) => {
    const supergraph = readSupergraph(sdl(cost, directive));
    return of(supergraph.schema, { limits: { ...DOCUMENT_LIMITS, items: 0 }, listSizes: listSizesOf(supergraph) });
  };

  it.each([
    ['by its own name', '@link(url: "https://specs.apollo.dev/cost/v0.1", import: ["@listSize"])', '@listSize'],
    ['by its full name', '@link(url: "https://specs.apollo.dev/cost/v0.1")', '@cost__listSize'],
  ])('says which arguments size a page and how long it is without them, %s', (_how, cost, directive) => {
    const documents = served(cost, directive);
    const estimate = (text: string) => /estimated ([\d,]+)/.exec(outcome(text, {}, documents))?.[1] ?? 'runs';
    expect(estimate('{shelf(size:7 first:9){id}}')).toBe('7');
    expect(estimate('{shelf(first:9){id}}')).toBe('500');
    expect(estimate('{window{id}}')).toBe('500');
  });

  it('control: without the spec it says nothing', () => {
    const { document, features } = readSupergraph(sdl('', '@listSize'));
    expect(listSizesOf({ document, features }).size).toBe(0);
    expect(apiSchema(document, features).getQueryType()?.name).toBe('Query');
  });
});
