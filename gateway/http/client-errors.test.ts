import { expect, it } from '@jest/globals';
import { parse, type OperationDefinitionNode } from 'graphql';
import type { Logger } from '#libs/telemetry';
import { clientErrors, hasFailed, type FieldError } from './client-errors.js';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const document = parse('{ post: node { when } }');
const operation = { document, definition: document.definitions[0] as OperationDefinitionNode };

it('the log says by the schema where it was, whatever its client called it (control: the client is told its own names)', () => {
  const secret = 'bob_at_example_org';
  const text = `query { ${secret}: node { ...on Post { ...Two } } } fragment Two on Post { x: replies { y_${secret}: body } }`;
  const asked = parse(text);
  const lines: object[] = [];
  const error = {
    message: 'gone',
    path: [secret, 'x', 3, `y_${secret}`],
    code: 'SUBGRAPH_UNAVAILABLE',
    by: 'gateway',
  } as const;
  const stray = { ...error, path: [secret, 'nowhere', secret] };
  const told = clientErrors(
    [error, stray],
    { document: asked, definition: asked.definitions[0] as OperationDefinitionNode },
    { requestId: 'r1' },
    { ...silent, error: (fields) => void lines.push(fields) },
  );
  expect(told.map(({ path }) => path)).toEqual([error.path, stray.path]);
  expect(lines).toMatchObject([{ errors: [{ path: 'node.replies.3.body' }, { path: 'node.?.?' }] }]);
  expect(JSON.stringify(lines)).not.toContain(secret);
});

it.each([
  [
    'Variable "$_lit0" got invalid value "x"; Expected type "DateTime".',
    'A value of the operation does not fit: "x"; Expected type "DateTime".',
  ],
  [
    'Variable "$__lit12" got invalid value "x" at "__lit12.when[0]"; Expected type "DateTime".',
    'A value of the operation does not fit: "x" at "when[0]"; Expected type "DateTime".',
  ],
  [
    'Variable "$when" got invalid value "x" at "_lit0.when"; Expected type "DateTime".',
    'Variable "$when" got invalid value "x" at "_lit0.when"; Expected type "DateTime".',
  ],
])('a literal is no variable of ours to its client: %s', (message, told) => {
  const error = { message, path: ['post'], code: 'BAD_USER_INPUT', by: 'subgraph' } as const;
  expect(clientErrors([error], operation, { requestId: 'r1' }, silent)).toEqual([
    { message: told, path: ['post'], extensions: { code: 'BAD_USER_INPUT', requestId: 'r1' } },
  ]);
});

it('whom a service turns away and tells when to come again wakes nobody; control: what fails, and what has no time to come again, does', () => {
  const error = (more: Partial<FieldError>): FieldError[] => [
    { message: 'm', path: ['logIn'], code: 'OVERLOADED', by: 'subgraph', ...more },
  ];
  expect(hasFailed(error({ retryAfter: 1 }))).toBe(false);
  expect(hasFailed(error({ code: 'UNAUTHENTICATED' }))).toBe(false);
  for (const more of [
    {},
    // Its database has no room on its disk.
    { retryAfter: 30 },
    { retryAfter: 'soon' },
    { retryAfter: 1, by: 'gateway' },
    { retryAfter: 1, code: 'SUBGRAPH_TIMEOUT' },
  ] as const)
    expect([more, hasFailed(error(more))]).toEqual([more, true]);
  expect(hasFailed([...error({ retryAfter: 1 }), ...error({ code: 'SUBGRAPH_TIMEOUT' })])).toBe(true);
});
