import { expect } from '@jest/globals';
import { conform, wrongOf, type ConformOptions } from './conform.js';
import { shrink } from './shrink.js';
import { tell } from './tell.js';

/** Of the thousand in CI, half are asked in each of two files, at the same time. `npm run conform` asks 10,000 and prints a table. */
const OPERATIONS = 500;

/** As one service that has everything would answer, whatever fails, and with no more calls than ApolloGateway makes. */
export async function expectRight(seed: number): Promise<void> {
  const options = { operations: OPERATIONS, perWorld: 100, fields: 3, seed, untilWrong: true };
  const ways = ['default', 'stock'] as const;
  const result = await conform({ ...options, ways, shrinks: 1, shrink: ours });
  expect(
    result.cases
      .filter(({ way }) => way !== 'stock')
      .map(tell)
      .join('\n'),
  ).toBe('');
  expect(wrongOf(result)).toBe(0);
  expect(result.operations).toBe(OPERATIONS);
  expect(result.failing).toBeGreaterThan(OPERATIONS / 5);
  expect(result.calls.default).toBeLessThanOrEqual(result.calls.stock);
  expect(result.moreCalls).toBeLessThan(OPERATIONS / 50);
}

/** What only the stock engine answers wrongly is not told here: to make it smaller took a fifth of the time. */
const ours: NonNullable<ConformOptions['shrink']> = (found, world) =>
  found.way === 'stock' ? Promise.resolve(found) : shrink(found, world);
