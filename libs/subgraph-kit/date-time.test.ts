import { expect, it } from '@jest/globals';
import { DateTime } from './date-time.js';

it.each([
  ['2026-11-20T19:11:00.000Z', '2026-11-20T19:11:00.000Z'],
  ['2026-11-20T19:11:00Z', '2026-11-20T19:11:00.000Z'],
  ['2026-11-20T19:11:00.5Z', '2026-11-20T19:11:00.500Z'],
  ['2026-11-20T19:11:00.123456789Z', '2026-11-20T19:11:00.123Z'],
  ['2026-11-21T01:11:00.000+06:00', '2026-11-20T19:11:00.000Z'],
  ['2026-02-28T23:30:00-01:00', '2026-03-01T00:30:00.000Z'],
])('takes %s as %s', (text, instant) => {
  expect(DateTime.parseValue(text)).toBe(instant);
});

it.each([
  'yesterday',
  '2026-11-20',
  '2026-11-20T19:11:00',
  '2026-11-20 19:11:00Z',
  '2026-02-30T00:00:00.000Z',
  '2026-02-30T00:00:00+01:00',
  '2026-11-20T24:00:00.000Z',
  '2026-11-20T19:11:00.1234567890Z',
  '2026-11-20T19:11:00+25:00',
  '9999-12-31T23:59:59-01:00',
  `2026-11-20T19:11:00Z'; --`,
  1_795_000_000_000,
  null,
])('refuses %s', (value) => {
  expect(() => DateTime.parseValue(value)).toThrow(/a DateTime looks like 2026-11-20T19:11:00.000Z/);
});

it('answers a row’s time as that text, whichever way the row has it', () => {
  const at = '2026-11-20T19:11:00.000Z';
  expect([DateTime.serialize(new Date(at)), DateTime.serialize(at)]).toEqual([at, at]);
});
