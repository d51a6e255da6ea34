import { describe, expect, it } from '@jest/globals';
import { violations, type Operation } from '../../commands/faults/history.js';

const op = (client: string, kind: 'write' | 'read', value: number, began: number, ended = began + 1): Operation => ({
  client,
  key: 'k',
  kind,
  value,
  began,
  ended,
});
const guarantees = (...history: Operation[]) => violations(history).map(({ guarantee }) => guarantee);

describe('the checker of histories', () => {
  it('finds nothing in one that is right', () => {
    expect(
      guarantees(op('a', 'write', 1, 0), op('a', 'read', 1, 2), op('b', 'read', 0, 2), op('b', 'read', 1, 4)),
    ).toEqual([]);
  });

  it('finds a read that does not show what its client wrote before', () => {
    expect(guarantees(op('a', 'write', 1, 0), op('a', 'read', 0, 2))).toEqual(['read your writes']);
  });

  it('finds a read that goes back behind an earlier one of its client', () => {
    expect(guarantees(op('a', 'write', 1, 0), op('b', 'read', 1, 2), op('b', 'read', 0, 4))).toEqual([
      'monotonic reads',
    ]);
  });

  it('finds a read of what nobody has written yet', () => {
    expect(guarantees(op('b', 'read', 1, 0), op('a', 'write', 1, 2))).toEqual(['no reads from the future']);
  });

  it('asks nothing of a read that began before the write had ended, or of another client’s', () => {
    expect(guarantees(op('a', 'write', 1, 0, 10), op('a', 'read', 0, 5, 6), op('b', 'read', 0, 20))).toEqual([]);
  });
});
