import { expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '../../commands/root.js';
import { plainEnvironment } from '../deploy/environment.js';
import { withServer } from '../servers/needs.js';

/** What a person runs, in a hurry, embedded and on servers at once. What a writer reads is recorded in test/consistency. */
withServer(['postgres', 'redis'], 'npm run prove, in a hurry', (postgres = '', redis = '') => {
  const rowsOf = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['commands/run.mjs', 'prove', ...args, '--quick', '--seed', '5'],
      { cwd: ROOT, env: { ...plainEnvironment(), TEST_DATABASE_URL: postgres, TEST_REDIS_URL: redis } },
    );
    return stdout.split('\n').filter((line) => args.some((name) => line.startsWith(`| ${name} `)));
  };
  const isControl = (row: string): boolean => row.includes('control: ');

  it('events: killed at every point, late, doubled and shuffled, none is lost, doubled or reordered; the naive ways are', async () => {
    const rows = await rowsOf('events', '--size', '600');
    const guarantees = rows.filter((row) => !isControl(row));
    expect(guarantees.map((row) => /embedded|servers/.exec(row)?.[0])).toEqual(['embedded', 'servers']);
    for (const row of guarantees)
      expect(row).toMatch(/[1-9]\d* kills at 11 points .*lost 0, doubled 0, reordered 0, invented 0 +\| ✓/);
    expect(rows.filter(isControl)).toEqual([
      expect.stringMatching(/no outbox .*lost [1-9].*✓/),
      expect.stringMatching(/without an inbox .*doubled [1-9].*✓/),
    ]);
  }, 600_000);

  it('leases and conflicts: two relays frozen and killed, writers at once; a lock without a token doubles, a write without a version is lost', async () => {
    const rows = await rowsOf('leases', 'conflicts', '--size', '600');
    expect(rows).toHaveLength(10);
    for (const row of rows) expect(row).toContain('✓');
    for (const row of rows.filter(isControl)) expect(row).toMatch(/(doubled|lost|skewed) [1-9]/);
    expect(rows.filter(isControl)).toHaveLength(4);
  }, 600_000);

  it('sagas: no deletion is left half done, and its control leaves one', async () => {
    const rows = await rowsOf('sagas');
    const guarantees = rows.filter((row) => !isControl(row));
    for (const row of guarantees) expect(row).toMatch(/half done 0, ended the other way 0 +\| ✓/);
    for (const saga of ['orchestrated', 'choreographed'])
      for (const place of ['embedded', 'servers'])
        expect(guarantees.filter((row) => row.includes(saga) && row.includes(` ${place} `))).toHaveLength(1);
    expect(rows.filter(isControl)).toEqual([expect.stringMatching(/half done [1-9]\d* +\| ✓/)]);
  }, 600_000);
});
