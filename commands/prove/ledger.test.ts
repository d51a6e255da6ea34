import { describe, expect, it } from '@jest/globals';
import { Member } from './crew.js';
import { compare, type Entry } from './ledger.js';
import { holds, wrong, zeros } from './proof.js';
import { failuresOf, tableOf } from './table.js';

const entries = (...list: string[]): Entry[] =>
  list.map((one) => ({ aggregate: one.slice(0, 1), version: Number(one.slice(1)) }));
const facts = entries('a1', 'a2', 'a3', 'b1');

describe('the ledger', () => {
  it.each([
    ['every effect once, in its aggregate’s order', ['b1', 'a1', 'a2', 'a3'], {}],
    ['one effect missing', ['a1', 'a2', 'b1'], { lost: 1 }],
    ['one effect again', ['a1', 'a1', 'a2', 'a3', 'b1'], { doubled: 1 }],
    ['an old one after a newer one', ['a1', 'a2', 'a3', 'a1', 'b1'], { doubled: 1 }],
    ['a first one after a newer one', ['a1', 'a3', 'a2', 'b1'], { reordered: 1 }],
    ['one that was never committed', ['a1', 'a2', 'a3', 'a4', 'b1'], { invented: 1 }],
    ['nothing', [], { lost: 4 }],
  ])('counts %s', (_, effects, counts) => {
    expect(compare(facts, entries(...effects))).toEqual({ lost: 0, doubled: 0, reordered: 0, invented: 0, ...counts });
  });

  it('is as it must be for a guarantee at zero, for a control when it fails', () => {
    const row = (figures: ReturnType<typeof zeros>) => ({ claim: 'what', place: 'here', over: 'some', figures });
    expect(zeros({ lost: 0 }).every(holds)).toBe(true);
    expect(wrong({ lost: 1, doubled: 0 }, 'lost').every(holds)).toBe(true);
    expect(failuresOf([{ proof: 'p', row: row(zeros({ lost: 2 })) }])).toEqual(['p, here: what: lost is 2, must be 0']);
    expect(failuresOf([{ proof: 'p', row: row(wrong({ lost: 0 }, 'lost')) }])).toEqual([
      'p, here: what: lost is 0, must be at least 1',
    ]);
    expect(tableOf([{ proof: 'p', row: row(zeros({ lost: 2 })) }])).toContain('✗ must be 0');
  });
});

describe('a worker', () => {
  it('that ends by itself is not waited for', async () => {
    const member = new Member({ job: './nobody.worker.js', order: () => ({}) });
    await expect(member.answers('settled', { settle: true })).rejects.toThrow('ended');
  });
});
