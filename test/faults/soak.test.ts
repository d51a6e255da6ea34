import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { flat, type Sample } from '../../commands/faults/flat.js';
import { isTooOften } from '../../commands/faults/never-asked.js';
import { ROOT } from '../../commands/root.js';
import { plainEnvironment } from '../deploy/environment.js';
import { withServer } from '../servers/needs.js';
import { runCommand } from './run-command.js';

withServer(['postgres', 'redis'], 'npm run soak, on real programs', () => {
  // A larger one runs beside the tests then: test/soak-beside.mjs.
  if (process.env['SOAK'] !== '1')
    it('operations that were never asked before, refused ones, writes, new supergraphs and cut connections leave nothing behind', async () => {
      const size = ['--seconds', '10', '--reloads', '3', '--reconnects', '20'];
      const { code, out, err } = await runCommand('soak', ...size);
      expect({ code, err }).toEqual({ code: 0, err: expect.not.stringContaining('✗') });
      expect(out).toMatch(
        / 0 of them answered wrongly, .* ([1-9]) of \1 supergraphs served; Redis cut off [1-9]\d* times/,
      );
      expect(out).toMatch(/\| gateway .*MB/);
    }, 300_000);

  it('control: a gateway that leaks is found', async () => {
    // It leaks by the second, whatever it is asked.
    const size = ['--seconds', '10', '--reloads', '0', '--reconnects', '0', '--rate', '170', '--light', '15'];
    const { code, err } = await runCommand('soak', ...size, '--preload', 'test/faults/leaks.fixture.mjs');
    expect(code).toBe(1);
    expect(err).toContain('✗ gateway keeps more and more memory (live)');
  }, 300_000);
});

it('beside the tests it is counted as one of them, as the checks are, failed unless it ends with 0 and says what it has seen', () => {
  const beside = (command: readonly string[], SOAK = '1'): string => {
    const script = `
      const { default: Beside } = await import('./test/beside.mjs');
      const work = { wanted: 'SOAK', title: 'npm run soak', command: ${JSON.stringify(command)}, nice: 5 };
      const beside = new Beside({}, { works: [{ ...work, shows: /^[\\d,]+ distinct operations/m }] });
      const results = { numTotalTests: 5, numPassedTests: 5, numFailedTests: 0 };
      beside.onRunStart();
      await beside.onRunComplete(undefined, results);
      console.log(Object.values(results).join());`;
    const args = ['--input-type=module', '-e', script];
    return execFileSync(process.execPath, args, { cwd: ROOT, env: { ...plainEnvironment(), SOAK }, encoding: 'utf8' });
  };
  const sh = (script: string) => beside(['/bin/sh', '-c', script]);
  expect(sh('echo 12,345 distinct operations')).toMatch(/PASS npm run soak\n\n12,345 distinct operations\n6,6,0\n$/);
  expect(sh('echo it leaks >&2; exit 1')).toMatch(/FAIL npm run soak\n\nIt ended with 1\.\nit leaks\n6,5,1\n$/);
  expect(sh('echo nothing')).toMatch(/It ended with 0\.\nnothing\n6,5,1\n$/);
  expect(sh('kill -9 $$')).toMatch(/It ended with SIGKILL\.\n6,5,1\n$/);
  expect(beside(['./no-such-program'])).toMatch(/It ended with Error: .*ENOENT\.\n6,5,1\n$/);
  expect(beside(['./no-such-program'], '')).toBe('5,5,0\n');
  expect(readFileSync(join(ROOT, '.ci/run'), 'utf8')).toMatch(/^REQUIRE_SERVERS=1 SOAK=1 CHECK=1 npm test$/m);
});

const MB = 1024 * 1024;
const samples = (one: (nth: number) => Partial<Sample>): Sample[] =>
  Array.from({ length: 30 }, (_, nth) => ({ live: 50 * MB, native: 80 * MB, rss: 150 * MB, handles: 40, ...one(nth) }));

it('noise and a single peak are flat; what grows by a little each time is not', () => {
  expect(flat(samples((nth) => ({ live: (50 + (nth % 5)) * MB, handles: nth === 29 ? 400 : 40 }))).grows).toEqual([]);
  expect(flat(samples((nth) => ({ live: (50 + 0.5 * nth) * MB }))).grows).toHaveLength(1);
  expect(flat(samples((nth) => ({ native: (80 + 5 * nth) * MB }))).grows).toHaveLength(1);
  expect(flat(samples((nth) => ({ rss: (150 + 5 * nth) * MB }))).grows).toEqual([]);
  expect(flat(samples((nth) => ({ handles: 40 + nth }))).grows).toEqual([
    'more and more handles: 45 after the warm-up, 65 at the end',
  ]);
});

it('a service that is busy now and then is no fault beside others; one that every other operation finds away is, and by itself one of a hundred', () => {
  const beside = { operations: 16_000, light: 15, rate: 85 };
  expect([200, 500, 501].map((again) => isTooOften(again, beside))).toEqual([false, false, true]);
  expect([10, 11].map((again) => isTooOften(again, { ...beside, rate: 0 }))).toEqual([false, true]);
});
