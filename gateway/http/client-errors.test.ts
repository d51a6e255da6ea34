import { expect, it } from '@jest/globals';
import type { Logger } from '#libs/telemetry';
import { clientErrors, hasFailed, type FieldError } from './client-errors.js';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

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
  expect(clientErrors([error], { requestId: 'r1' }, silent)).toEqual([
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
    { retryAfter: 'soon' },
    { retryAfter: 1, by: 'gateway' },
    { retryAfter: 1, code: 'SUBGRAPH_TIMEOUT' },
  ] as const)
    expect([more, hasFailed(error(more))]).toEqual([more, true]);
  expect(hasFailed([...error({ retryAfter: 1 }), ...error({ code: 'SUBGRAPH_TIMEOUT' })])).toBe(true);
});
