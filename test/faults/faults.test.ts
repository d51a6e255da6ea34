import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenBars, type Bars, type Seen } from '../../commands/faults/bars.js';
import { COVERAGE, howManyOf } from '../../commands/faults/coverage.js';
import type { Op } from '../../commands/faults/crowd.js';
import { FAULTS } from '../../commands/faults/faults.js';
import { PROOFS } from '../../commands/prove/proofs.js';
import { ROOT } from '../../commands/root.js';
import { withServer } from '../servers/needs.js';
import { runCommand, runCommandWith } from './run-command.js';

withServer(['postgres', 'redis'], 'npm run faults, on real programs', () => {
  it('a database that is cut off, a replica that stands still, a service that is stopped or lies, a Redis that drops everybody, a table that changes: nothing is lost or doubled', async () => {
    const ids = ['FP10', 'FR10', 'FD1', 'FD7-paused', 'FD12', 'FG6'];
    const { code, out, err } = await runCommand('faults', ...ids, '--ms', '500');
    expect({ code, err }).toEqual({ code: 0, err: expect.not.stringContaining('✗') });
    expect(violations(out)).toEqual(Object.fromEntries(ids.map((id) => [id, 0])));
    expect(out.trimEnd().split('\n').at(-1)).toBe(howManyOf(ids));
  }, 300_000);

  it('what this machine cannot break is left out, and said', async () => {
    const { code, out, err } = await runCommandWith({ TEST_FAKETIME: '/nowhere' }, 'faults', 'FC1', 'FC1-gateway');
    expect(code).toBe(2);
    expect(violations(out)).toEqual({});
    for (const id of ['FC1', 'FC1-gateway']) expect(err).toContain(`${id} did not run: it takes libfaketime`);
  });

  it('control: what is changed behind everybody’s back is found, and the command says so by its code', async () => {
    const { code, out, err } = await runCommand('faults', 'control', '--ms', '100');
    expect(code).toBe(1);
    expect(violations(out)['control']).toBeGreaterThan(0);
    for (const id of ['I1', 'I2', 'I4', 'I6', 'I7']) expect(err).toContain(`✗ control: ${id} (`);
  }, 300_000);
});

describe('what people may see of a fault', () => {
  const ok: Op = { kind: 'read', outcome: 'ok', requestMs: 20, at: 0 };
  const refused: Op = { kind: 'read', outcome: 'fail', told: ['OVERLOADED'], requestMs: 900, at: 1 };
  const repeated: Op = { ...ok, kind: 'publish', told: ['SUBGRAPH_TIMEOUT'], unanswered: 1 };
  const leaks: Op = { ...refused, told: ['INTERNAL_SERVER_ERROR'] };
  const seen = (ops: readonly Op[], more: Partial<Seen> = {}): Seen => ({
    ops,
    ms: 2_000,
    calmMs: 20,
    typicalMs: 20,
    longestMs: 100,
    recoverMs: 50,
    ...more,
  });

  it.each<[string, Bars, Seen]>([
    ['nobody noticed', { unnoticed: true }, seen([ok, ok])],
    ['they noticed what they may', {}, seen([ok, refused, repeated])],
    ['they were told what they may be', { onlyTold: ['OVERLOADED'] }, seen([refused, ok])],
    ['somebody was told what somebody has to be told', { told: 'OVERLOADED' }, seen([ok, refused])],
    ['a request took as long as one may', { requestMsMax: 900 }, seen([ok, refused])],
    ['half of all requests took as long as they may', { typicalMsMax: (calmMs) => calmMs }, seen([ok])],
    ['nothing went well for as long as may be', { longestMsMax: (ms) => ms + 100 }, seen([ok], { longestMs: 2_100 })],
    ['all was good again as late as it may be', { recoverMsMax: 50 }, seen([ok])],
  ])('is kept to where %s', (_, bars, what) => {
    expect(brokenBars(bars, what)).toEqual([]);
  });

  it.each<[string, Bars, Seen]>([
    ['somebody noticed it, of 2 operations in 1 (OVERLOADED 1)', { unnoticed: true }, seen([ok, refused])],
    ['somebody noticed it, of 1 operations in 1 (SUBGRAPH_TIMEOUT 1)', { unnoticed: true }, seen([repeated])],
    [
      '1 operations were told what nobody may be (INTERNAL_SERVER_ERROR 1)',
      { onlyTold: ['OVERLOADED', 'INTERNAL_SERVER_ERROR'] },
      seen([ok, leaks]),
    ],
    ['1 operations were told what nobody may be (INTERNAL_SERVER_ERROR 1)', {}, seen([ok, leaks])],
    [
      '1 operations were told what nobody may be (SUBGRAPH_TIMEOUT 1)',
      { onlyTold: ['OVERLOADED'] },
      seen([repeated, ok, refused]),
    ],
    [
      'nobody was told OVERLOADED, so it did not come about (SUBGRAPH_TIMEOUT 1)',
      { told: 'OVERLOADED' },
      seen([repeated]),
    ],
    ['one request took 0.90 s, which may be 0.80 s', { requestMsMax: 800 }, seen([ok, refused])],
    [
      'half of all requests took 0.25 s, which may be 0.12 s',
      { typicalMsMax: (calmMs) => calmMs + 100 },
      seen([ok], { typicalMs: 250 }),
    ],
    [
      'the longest without an answered operation was 5.10 s, which may be 5.00 s',
      { longestMsMax: () => 5_000 },
      seen([ok], { longestMs: 5_100 }),
    ],
    [
      'healed, all was good again after 5.10 s, which may be 5.00 s',
      { recoverMsMax: 5_000 },
      seen([ok], { recoverMs: 5_100 }),
    ],
  ])('control: “%s” is a violation', (says, bars, what) => {
    expect(brokenBars(bars, what)).toEqual([says]);
  });

  it('has a bar where the table of faults has one', () => {
    const having = (bar: keyof Bars): string[] =>
      FAULTS.filter((fault) => !fault.control && fault[bar] !== undefined).map(({ id }) => id);
    const rows = FAULTS.filter(({ control }) => !control).map(({ id }) => id);
    const ofRedisAndClocks = rows.filter((id) => /^F[RC]/.test(id));
    const LYING = ['FG3', 'FG5', 'FG6', 'FG7', 'FG8', 'FG10', 'FG11-errors', 'FG12', 'FG12-cert'];
    const alone = [
      'FD7',
      'FD7-paused',
      'FD8',
      'FD12',
      'FG9',
      'FG11',
      'FG12-old',
      'FS1',
      'FS2',
      'FS3',
      'FX1',
      'FX1-url',
      'FX3',
    ];
    expect(having('unnoticed').sort()).toEqual([...ofRedisAndClocks, ...alone].sort());
    expect(having('onlyTold')).toEqual([
      'FP10',
      'FP10-followers',
      'FD1',
      'FG1',
      ...LYING,
      'FX2',
      'FX2-argument',
      'FX3-files',
      'FD9',
      'FD9-serializable',
    ]);
    expect(having('longestMsMax')).toEqual(['FP1', 'FP14', 'FP14-posts', 'FD5', 'FD6']);
    expect(having('recoverMsMax')).toEqual(['FD2', 'FD2-half']);
    expect(having('requestMsMax')).toEqual(['FR2', 'FR3', 'FD2', 'FD3', 'FD7', 'FD7-paused', 'FD8', 'FG2', 'FG2-half']);
    expect(having('typicalMsMax')).toEqual(['FR2', 'FR3']);
    expect(having('told')).toEqual(['FD3']);
  });
});

it('says how much of the table of faults was tried', () => {
  expect(howManyOf(['FR2', 'FR2-half', 'FD11-full', 'control'])).toBe(
    '2 of 57 ids of the table of faults are here; the others: npm run faults -- --covered',
  );
});

it('every line of the table of faults says where it is shown, and that is there', () => {
  const numbered = (kind: string, count: number) => Array.from({ length: count }, (_, nth) => `${kind}${nth + 1}`);
  const sizes = { FP: 14, FR: 11, FD: 13, FG: 12, FS: 3, FC: 1, FX: 3 };
  expect(Object.keys(COVERAGE)).toEqual(Object.entries(sizes).flatMap(([kind, count]) => numbered(kind, count)));
  const isTest = (path: string): boolean => existsSync(join(ROOT, `${path}.test.ts`));
  for (const [id, { rows = [], tests = [], proofs = [], open }] of Object.entries(COVERAGE)) {
    const missing = [
      ...rows.filter((row) => !FAULTS.some((fault) => fault.id === row)),
      ...tests.filter((path) => !isTest(path)),
      ...proofs.filter((name) => !PROOFS.some((proof) => proof.name === name)),
    ];
    expect({ id, missing }).toEqual({ id, missing: [] });
    expect({ id, shown: rows.length + tests.length + proofs.length > 0 || open !== undefined }).toEqual({
      id,
      shown: true,
    });
  }
  const told = Object.values(COVERAGE).flatMap(({ rows = [] }) => rows);
  expect(FAULTS.filter(({ id, control }) => !control && !told.includes(id))).toEqual([]);
});

it('the pages say how many faults there are', () => {
  const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
  const count = FAULTS.filter(({ control }) => !control).length;
  expect(read('docs/running.md')).toContain(`${count} faults, six people`);
  const measured = read('docs/measured/faults.md').match(/^\| F\w+/gm)?.length;
  expect(read('README.md')).toContain(`${measured} faults under load`);
});

/** Of each row of the table that was printed. */
function violations(out: string): Record<string, number> {
  const rows = out.split('\n').filter((line) => /^\| (F|control)/.test(line) && !line.startsWith('| fault'));
  return Object.fromEntries(
    rows.map((row) => row.split('|').map((cell) => cell.trim())).map((cells) => [cells[1], Number(cells[5])]),
  );
}
