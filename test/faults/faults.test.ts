import { expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { COVERAGE } from '../../commands/faults/coverage.js';
import { FAULTS } from '../../commands/faults/faults.js';
import { PROOFS } from '../../commands/prove/proofs.js';
import { ROOT } from '../../commands/root.js';
import { withServer } from '../servers/needs.js';
import { runCommand } from './run-command.js';

withServer(['postgres', 'redis'], 'npm run faults, on real programs', () => {
  it('a database that is cut off, a service that is stopped, a Redis that drops everybody, a table that changes: nothing is lost or doubled', async () => {
    const ids = ['FP10', 'FR10', 'FD1', 'FD12'];
    const { code, out, err } = await runCommand('faults', ...ids, '--ms', '500');
    expect({ code, err }).toEqual({ code: 0, err: expect.not.stringContaining('✗') });
    expect(violations(out)).toEqual(Object.fromEntries(ids.map((id) => [id, 0])));
  }, 300_000);

  it('control: what is changed behind everybody’s back is found, and the command says so by its code', async () => {
    const { code, out, err } = await runCommand('faults', 'control', '--ms', '100');
    expect(code).toBe(1);
    expect(violations(out)['control']).toBeGreaterThan(0);
    for (const id of ['I1', 'I2', 'I4', 'I6', 'I7']) expect(err).toContain(`✗ control: ${id} (`);
  }, 300_000);
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
