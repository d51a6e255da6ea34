import { beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { ROOT } from '../../commands/root.js';
import { plainEnvironment } from '../deploy/environment.js';
import { SEED } from '../seed.js';
import { withServer } from '../servers/needs.js';

/** What a person runs, in a hurry, embedded and on servers at once. What a writer reads is recorded in test/consistency. */
withServer(['postgres', 'redis'], `npm run prove, in a hurry, with the seed ${SEED}`, (postgres = '', redis = '') => {
  let table: readonly string[] = [];
  const rowsOf = (...names: string[]): string[] =>
    table.filter((line) => names.some((name) => line.startsWith(`| ${name} `)));
  const isControl = (row: string): boolean => row.includes('control: ');

  beforeAll(async () => {
    const command = ['prove', 'events', 'handlers', 'leases', 'conflicts', 'sagas', 'timelines'];
    const { out, err, code } = await new Promise<{ out: string; err: string; code: number }>((resolve) => {
      execFile(
        process.execPath,
        ['commands/run.mjs', ...command, '--quick', '--size', '600', '--seed', String(SEED)],
        { cwd: ROOT, env: { ...plainEnvironment(), TEST_DATABASE_URL: postgres, TEST_REDIS_URL: redis } },
        (error, out, err) => resolve({ out, err, code: error === null ? 0 : Number(error.code ?? 1) }),
      );
    });
    table = out.split('\n').filter((line) => line.startsWith('| '));
    // All of it is shown when something is not as it must be.
    if (code !== 0) throw new Error(`It ended with ${code}.\n${out}\n${err.slice(-4_000)}`);
  }, 600_000);

  it('events: killed at every point, late, doubled and shuffled, none is lost, doubled or reordered; the naive ways are', () => {
    const rows = rowsOf('events');
    expect(rows.filter((row) => !isControl(row))).toEqual([
      expect.stringMatching(/embedded .* 4 kills at 4 points .*lost 0, doubled 0, reordered 0, invented 0 +\| ✓/),
      expect.stringMatching(/servers .* 13 kills at 13 points .*lost 0, doubled 0, reordered 0, invented 0 +\| ✓/),
    ]);
    expect(rows.filter(isControl)).toEqual([
      expect.stringMatching(/no outbox .*lost [1-9].*✓/),
      expect.stringMatching(/without an inbox .*doubled [1-9].*✓/),
    ]);
  });

  it('handlers: the services’ own, killed, leave copies, timelines, notifications and counts as their owners have them; without an inbox they do not', () => {
    const rows = rowsOf('handlers');
    const zeros = 'lost 0, doubled 0, reordered 0, invented 0, rows astray 0 +\\| ✓';
    expect(rows.filter((row) => !isControl(row))).toEqual([
      expect.stringMatching(new RegExp(`embedded .* 1 kills at 1 points .*${zeros}`)),
      expect.stringMatching(new RegExp(`servers .* 3 kills at 3 points .*${zeros}`)),
    ]);
    expect(rows.filter(isControl)).toEqual([expect.stringMatching(/doubled [1-9].*rows astray [1-9].*✓/)]);
  });

  it('leases and conflicts: two relays frozen and killed, writers at once; a lock without a token doubles, a write without a version is lost', () => {
    const rows = rowsOf('leases', 'conflicts');
    expect(rows).toHaveLength(10);
    for (const row of rows) expect(row).toContain('✓');
    for (const row of rows.filter(isControl)) expect(row).toMatch(/(doubled|lost|skewed) [1-9]/);
    expect(rows.filter(isControl)).toHaveLength(4);
  });

  it('sagas: no deletion is left half done, nor decided about twice by two of whom one was paused; the control leaves one half done, and miscounts and tells wrongly whatever there is', () => {
    const rows = rowsOf('sagas');
    const guarantees = rows.filter((row) => !isControl(row));
    const isPaused = (row: string): boolean => row.includes('one paused (SIGSTOP)');
    for (const row of guarantees.filter((row) => !isPaused(row)))
      expect(row).toMatch(/half done 0, ended the other way 0, seen across a block 0, miscounted 0, mistold 0\b.* ✓/);
    expect(guarantees.filter(isPaused)).toEqual([
      expect.stringMatching(/servers .* 1 pauses .*half done 0, ended the other way 0, decided twice 0 +\| ✓/),
    ]);
    const sagaAt = (place: string) =>
      guarantees
        .filter((row) => row.includes(` ${place} `) && !isPaused(row))
        .map((row) => /by the (\w+) saga/.exec(row)?.[1]);
    expect(new Set([...sagaAt('embedded'), ...sagaAt('servers')])).toEqual(new Set(['choreographed', 'orchestrated']));
    const wrong = ['likes', 'replies', 'posts', 'followers', 'following'].map(
      (count) => `miscounted ${count} [1-9]\\d*`,
    );
    const told = ['left', 'lost', 'unlisted'].map((how) => `notifications ${how} [1-9]\\d*`);
    expect(rows.filter(isControl)).toEqual([
      expect.stringMatching(new RegExp(`half done [1-9]\\d*, ${[...wrong, ...told].join(', ')} +\\| ✓`)),
    ]);
    expect(guarantees.filter((row) => row.includes(' servers ') && !isPaused(row))).toEqual([
      expect.stringMatching(
        /acts refused for good 0, acts of the rarest kind [1-9]\d*, acts on the way back \d+ +\| ✓/,
      ),
    ]);
  });

  it('timelines: killed while they are filled and rebuilt they lack nothing; its control lacks posts', () => {
    const rows = rowsOf('timelines');
    // Rebuilt are the lists or the counts, by the seed.
    const counts = SEED % 2 === 1 ? ', wrong counts 0' : '';
    expect(rows.filter((row) => !isControl(row))).toEqual(
      ['embedded', 'servers'].map((place) =>
        expect.stringMatching(
          new RegExp(`${place} .* 4 kills at \\d points .*lacking 0, not to be seen 0, left undone 0${counts} +\\| ✓`),
        ),
      ),
    );
    expect(rows.filter(isControl)).toEqual([expect.stringMatching(/lacking [1-9].* ✓/)]);
  });
});
