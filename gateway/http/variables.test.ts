import { describe, expect, it } from '@jest/globals';
import { buildSchema, Kind, parse, type OperationDefinitionNode } from 'graphql';
import type { Operation } from '../engine.js';
import { parseExactly } from '../run/exact-numbers.js';
import { coerceVariables, requireBounded, VARIABLE_LIMITS } from './variables.js';
import { Refusal } from './refusal.js';

const schema = buildSchema(`
  scalar Decimal
  enum Kind { OPEN }
  input Account { name: String password: String limit: Decimal owner: Account others: [Account!] }
  type Query { open(account: Account, n: Int): Int }`);

/** What is said of the variables in this JSON. */
function refusals(text: string, variables: string): string[] {
  const document = parse(text);
  const definition = document.definitions.find((one) => one.kind === Kind.OPERATION_DEFINITION);
  const operation = { document, definition: definition as OperationDefinitionNode } as Operation;
  try {
    coerceVariables(schema, operation, parseExactly(variables) as Record<string, unknown>, false);
  } catch (error) {
    if (error instanceof Refusal) return (error.more.errors ?? []).map(({ message }) => message);
    throw error;
  }
  return [];
}

describe('variables that do not fit', () => {
  const ofAccount = (value: string) => refusals('query($a: Account) { open(account: $a) }', `{"a":${value}}`);
  const secret = '"password":"hunter2","limit":1.50';

  it.each([
    ['an input', `{${secret},"no":1}`],
    ['an input within an input', `{"owner":{${secret},"no":1}}`],
    ['an input in a list', `{"others":[{"name":"x"},{${secret},"no":1}]}`],
    ['an input where braces, quotes and a semicolon are written', `{${secret},"no":"}; \\" at \\"x\\"; {"}`],
  ])('are not repeated where one field of %s is not known', (_, value) => {
    expect(ofAccount(value)).toEqual([
      'Variable "$a" got a value that does not fit; Field "no" is not defined by type "Account".',
    ]);
  });

  it.each([
    ['an object', `{${secret}}`],
    ['a list of objects', `[{${secret},"x":"}; "}]`],
  ])('are not repeated where %s stands for a number or a text', (_, value) => {
    const said = (type: string) => refusals(`query($a: ${type}) { __typename }`, `{"a":[${value}]}`);
    expect(said('Int')).toEqual([
      'Variable "$a" got a value that does not fit; Int cannot represent non-integer value.',
    ]);
    expect(said('[String]')).toEqual([
      'Variable "$a" got a value that does not fit; String cannot represent a non string value.',
    ]);
  });

  it('are never told with the mark of a number', () => {
    for (const type of ['Int', 'Boolean', 'String', 'ID', 'Kind', 'Account', '[Account!]'])
      for (const value of [
        '1.50',
        '[1.50]',
        '[[1.50]]',
        '{"a":1.50}',
        '{"owner":{"a":1.50}}',
        '[{"owner":[{"no":1e1}]}]',
      ])
        expect(refusals(`query($a: ${type}) { __typename }`, `{"a":${value}}`).join()).not.toContain('u0001');
  });

  it('are repeated where they are no objects, whatever they look like', () => {
    const text = 'x got invalid value {1}; y';
    expect(refusals('query($n: Int) { open(n: $n) }', JSON.stringify({ n: text }))).toEqual([
      `Variable "$n" got invalid value "${text}"; Int cannot represent non-integer value: "${text}"`,
    ]);
  });
});

it('variables that are too long only because numbers are kept to the digit say how those count; control: a long text does not', () => {
  const long = (variables: string) => () =>
    requireBounded(parseExactly(variables) as Record<string, unknown>, VARIABLE_LIMITS);
  expect(long(`{"l":[${'1.50,'.repeat(2_000)}1]}`)).toThrow(
    /^variables may be at most 65536 bytes of JSON\. A number that is kept to the digit .* counts as 33 bytes more\.$/,
  );
  expect(long(`{"l":"${'x'.repeat(70_000)}"}`)).toThrow(/^variables may be at most 65536 bytes of JSON\.$/);
  expect(long(`{"l":[${'1.50,'.repeat(1_700)}1]}`)).not.toThrow();
});
