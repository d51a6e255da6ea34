import { describe, expect, it } from '@jest/globals';
import { buildSchema, getIntrospectionQuery, parse, validate } from 'graphql';
import { memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Documents } from './documents.js';
import { fragmentBomb, nest, times } from '../../test/attack/attack.js';
import { LIMITS, WAYS } from '../../test/attack/limits.js';
import { DOCUMENT_LIMITS } from './limits.js';
import { Refusal } from './refusal.js';

const schema = buildSchema(`
  type Query { me: Person ${Array.from({ length: 25 }, (_, index) => `field${index}: Int`).join(' ')} }
  type Mutation { rename(name: String): Person }
  type Person { id: ID! name: String friends: [Person!]! }
`);
const rules = { limits: DOCUMENT_LIMITS, introspection: true, suggestions: true, cacheBytes: 1_000_000 };
const fresh = () => new Documents(schema, rules);

function outcome(documents: Documents, text: string, name?: string): string {
  try {
    documents.operation(text, name);
    return 'runs';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `${error.status} ${error.code}`;
  }
}

describe.each(Object.entries(LIMITS))('the limit of %s', (_name, { at, beyond, fragments = '' }) => {
  it.each(Object.entries(WAYS))(
    'holds %s: at it runs, one beyond is refused, and again when the text is known',
    (way, write) => {
      const documents = fresh();
      const name = way.includes('second') ? 'B' : undefined;
      for (let time = 0; time < 2; time += 1) {
        expect(outcome(documents, write(at, fragments), name)).toBe('runs');
        expect(outcome(documents, write(beyond, fragments), name)).toBe('400 GRAPHQL_VALIDATION_FAILED');
      }
    },
  );
});

describe('naming tricks', () => {
  it('counts a fragment once more wherever it is spread, at whatever depth', () => {
    const twice = (aliases: number) =>
      `{me{...F friends{...F}}} fragment F on Person{${times(aliases, (index) => `a${index}:id`)}}`;
    expect(outcome(fresh(), twice(15))).toBe('runs');
    expect(outcome(fresh(), twice(16))).toBe('400 GRAPHQL_VALIDATION_FAILED');
  });

  it('adds the depth at which a fragment is spread to its own', () => {
    const deep = (levels: number) =>
      `{me{friends{friends{...F}}}} fragment F on Person{${'friends{'.repeat(levels)}id${'}'.repeat(levels)}}`;
    expect(outcome(fresh(), deep(8))).toBe('runs');
    expect(outcome(fresh(), deep(9))).toBe('400 GRAPHQL_VALIDATION_FAILED');
  });

  it('an alias called __schema excuses nothing', () => {
    expect(outcome(fresh(), `{__schema:${nest(11)}}`)).toBe('400 GRAPHQL_VALIDATION_FAILED');
  });

  it('a fragment that nothing spreads is held to the limits as well', () => {
    expect(outcome(fresh(), `{me{id}} fragment F on Person{${times(31, (index) => `a${index}:id`)}}`)).toBe(
      '400 GRAPHQL_VALIDATION_FAILED',
    );
  });
});

describe('fragments', () => {
  it('five that double are 32 fields and run; from ten on they are too many, however many there are', () => {
    for (let levels = 1; levels <= 40; levels += 1) {
      const runs = 2 ** levels + 1 <= DOCUMENT_LIMITS.selections;
      expect([levels, outcome(fresh(), fragmentBomb(levels))]).toEqual([
        levels,
        runs ? 'runs' : '400 GRAPHQL_VALIDATION_FAILED',
      ]);
    }
  });

  it('are measured once each: 66 that double are 10^20 fields, more than could ever be walked', () => {
    expect(outcome(fresh(), fragmentBomb(66))).toBe('400 GRAPHQL_VALIDATION_FAILED');
    // The control: put in where they are spread, as a planner does, nineteen of them are a million steps already.
    let steps = 0;
    const walk = (level: number): void => {
      steps += 1;
      if (level === 0) return;
      walk(level - 1);
      walk(level - 1);
    };
    walk(19);
    expect(steps).toBe(2 ** 20 - 1);
  });

  it.each([
    '{me{...A}} fragment A on Person{...B} fragment B on Person{...A}',
    '{me{...A}} fragment A on Person{...A}',
    '{me{id}} fragment A on Person{id}',
    '{me{...A}}',
    '{me{...A}} fragment A on Person{id} fragment A on Person{id}',
  ])('in circles, unused, unknown or twice are refused: %s', (text) =>
    expect(outcome(fresh(), text)).toBe('400 GRAPHQL_VALIDATION_FAILED'),
  );
});

/** Bytes that are held by what is made. */
function heapOf(make: () => unknown): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = memoryUsage().heapUsed;
  const made = make();
  collect();
  const bytes = memoryUsage().heapUsed - before;
  expect(made).toBeDefined();
  return bytes;
}

describe('what the parser stops', () => {
  it.each([
    ['3,000 levels', `{${nest(3_000)}}`],
    ['10,000 levels', `{${nest(10_000)}}`],
    ['a list literal of 20,000 levels', `{me(x:${'['.repeat(20_000)}`],
    ['20,000 times the same field', `{me{${'id '.repeat(20_000)}}}`],
    ['5,000 directives', `{me{id ${'@a '.repeat(5_000)}}}`],
    ['2,000 aliases in a mutation', `mutation{${times(2_000, (index) => `a${index}:rename{id}`)}}`],
    ['a comment of 50 kB', `#${'x'.repeat(50_000)}\n{me{id}}`],
    ['10,000 comments', `${'#\n'.repeat(10_000)}{me{id}}`],
    ['1 MB of braces', '{'.repeat(1_000_000)],
    ['nothing', ''],
    ['only a comment', '#x'],
    ['NUL', '{me{id\u0000}}'],
  ])('%s', (_what, text) => expect(outcome(fresh(), text)).toBe('400 GRAPHQL_PARSE_FAILED'));

  it('more than 2,000 tokens: at 2,000 the rest of the rules look at it', () => {
    const fields = (count: number) => `{me{${'id '.repeat(count)}}}`;
    expect(outcome(fresh(), fields(1_995))).toBe('400 GRAPHQL_VALIDATION_FAILED');
    expect(outcome(fresh(), fields(1_996))).toBe('400 GRAPHQL_PARSE_FAILED');
  });

  it('literals deeper than 20 levels, before anybody walks them', () => {
    const lists = (levels: number) => `{person(id:${'['.repeat(levels)}${']'.repeat(levels)}){id}}`;
    const message = (text: string) => {
      try {
        fresh().operation(text, undefined);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(message(lists(21))).toBe('A value may be at most 20 levels deep.');
    expect(message(lists(20))).not.toBe('A value may be at most 20 levels deep.');
  });
});

describe('documents', () => {
  it('the same text and name is the same operation; another name is another', () => {
    const documents = fresh();
    const text = 'query A { me { id } } query B { me { name } }';
    expect(documents.operation(text, 'A')).toBe(documents.operation(text, 'A'));
    expect(documents.operation(text, 'B').hash).not.toBe(documents.operation(text, 'A').hash);
    expect(outcome(documents, text)).toBe('400 OPERATION_RESOLUTION_FAILURE');
    expect(() => documents.operation(text, 'C')).toThrow('no operation named "C"');
  });

  it('are kept up to a size, and the oldest go', () => {
    const documents = new Documents(schema, { ...rules, cacheBytes: 100_000 });
    for (let index = 0; index < 100; index += 1) documents.operation(`query Q${index} { me { id } }`, undefined);
    expect(documents.size).toBeGreaterThan(20);
    expect(documents.size).toBeLessThan(40);
  });

  const dense = (index: number) => `{me{a${index}:id ${'id '.repeat(400)}}}`;
  it.each([
    ['refused', (index: number) => `{me{x${index} ${'id '.repeat(400)}}}`],
    ['no GraphQL', (index: number) => `{me{a${index}:id ${'id '.repeat(400)}`],
    ['as dense as can be', dense],
  ])('take no more memory than what they are counted as, twice at most: those that are %s', (_what, textOf) => {
    const documents = new Documents(schema, { ...rules, cacheBytes: 1_000_000 });
    outcome(documents, textOf(1_000));
    const bytes = heapOf(() => {
      for (let index = 0; index < 40; index += 1) outcome(documents, textOf(index));
      return documents;
    });
    expect(documents.size).toBeGreaterThan(5);
    expect(bytes).toBeLessThan(2_000_000);
  });

  it('control: the same mistakes as graphql-js tells them hold on to all that was parsed', () => {
    const told = () =>
      Array.from({ length: 40 }, (_, index) => validate(schema, parse(`{me{x${index} ${'id '.repeat(400)}}}`)));
    expect(heapOf(told)).toBeGreaterThan(5_000_000);
  });

  it('are refused with at most five errors, however many mistakes there are', () => {
    try {
      fresh().operation(`{me{${times(49, () => 'id @unknown')}}}`, undefined);
      throw new Error('it ran');
    } catch (error) {
      expect((error as Refusal).more.errors).toHaveLength(5);
    }
  });

  it('without introspection, neither asking nor guessing tells a name', () => {
    const closed = new Documents(schema, { ...rules, introspection: false, suggestions: false });
    for (const text of [
      '{__schema{types{name}}}',
      '{__type(name:"Person"){name}}',
      '{me{id} __schema{types{name}}}',
      '{...F} fragment F on Query{__schema{types{name}}}',
      '{a:__schema{types{name}}}',
    ]) {
      expect(outcome(closed, text)).toBe('400 GRAPHQL_VALIDATION_FAILED');
      expect(outcome(fresh(), text)).toBe('runs');
    }
    const told = (documents: Documents) => {
      try {
        documents.operation('{me{nam}}', undefined);
      } catch (error) {
        return JSON.stringify((error as Refusal).more.errors);
      }
      return '';
    };
    expect(told(closed)).not.toContain('Did you mean');
    expect(told(fresh())).toContain('Did you mean');
  });

  it.each([
    {},
    {
      descriptions: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      oneOf: true,
    },
  ])('the introspection query of every tool runs within the limits: %j', (options) => {
    expect(outcome(fresh(), getIntrospectionQuery(options))).toBe('runs');
  });

  it('with introspection, circles in it are refused', () => {
    const circle = `{__schema{types{${'fields{type{'.repeat(8)}name${'}}'.repeat(8)}}}}`;
    expect(outcome(fresh(), circle)).toBe('400 GRAPHQL_VALIDATION_FAILED');
  });
});
