import { expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '../../commands/root.js';
import { plainEnvironment } from '../deploy/environment.js';
import { withServer } from '../servers/needs.js';

/**
 * What a person runs, in a hurry: both sagas, embedded and on servers at once, killed at points that the seed draws. The event
 * path is killed at every point in libs/outbox/killed.test.ts, what a writer reads is recorded in test/consistency.
 */
withServer(['postgres', 'redis'], 'npm run prove -- sagas --quick', (postgres = '', redis = '') => {
  it('leaves no deletion half done, and its control does', async () => {
    const args = ['commands/run.mjs', 'prove', 'sagas', '--quick', '--seed', String(Date.now() % 10)];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: ROOT,
      env: { ...plainEnvironment(), TEST_DATABASE_URL: postgres, TEST_REDIS_URL: redis },
      timeout: 300_000,
    });
    expect(stdout).toMatch(/orchestrated saga[^|]*\| embedded .* half done 0, ended the other way 0 +\| ✓/);
    expect(stdout).toMatch(/choreographed saga[^|]*\| embedded .* half done 0, ended the other way 0 +\| ✓/);
    expect(stdout).toMatch(/orchestrated saga[^|]*\| servers .* half done 0, ended the other way 0 +\| ✓/);
    expect(stdout).toMatch(/choreographed saga[^|]*\| servers .* half done 0, ended the other way 0 +\| ✓/);
    expect(stdout).toMatch(/control: one service after the other[^\n]* half done [1-9]\d* +\| ✓/);
  }, 330_000);
});
