import { expect, it } from '@jest/globals';
import { flat, type Sample } from '../../commands/faults/flat.js';
import { withServer } from '../servers/needs.js';
import { runCommand } from './run-command.js';

withServer(['postgres', 'redis'], 'npm run soak, on real programs', () => {
  it('operations that were never asked before, refused ones, writes, new supergraphs and cut connections leave nothing behind', async () => {
    const size = ['--seconds', '15', '--reloads', '5', '--reconnects', '30'];
    const { code, out, err } = await runCommand('soak', ...size);
    expect({ code, err }).toEqual({ code: 0, err: expect.not.stringContaining('✗') });
    expect(out).toMatch(
      / 0 of them answered wrongly, .* ([1-9]) of \1 supergraphs served; Redis cut off [1-9]\d* times/,
    );
    expect(out).toMatch(/\| gateway .*MB/);
  }, 300_000);

  it('control: a gateway that leaks is found', async () => {
    const size = ['--seconds', '10', '--reloads', '0', '--reconnects', '0'];
    const { code, err } = await runCommand('soak', ...size, '--preload', 'test/faults/leaks.fixture.mjs');
    expect(code).toBe(1);
    expect(err).toContain('✗ gateway keeps more and more memory (live)');
  }, 300_000);
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
