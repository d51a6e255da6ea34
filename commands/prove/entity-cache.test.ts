import { expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { withServer } from '../../test/servers/needs.js';
import { ROOT } from '../root.js';

withServer('redis', 'npm run prove -- cache', () => {
  it('20,000 reads through two gateways that are killed and failed over: none is too old, and of the naive cache some are', async () => {
    const { code, out, err } = await new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const command = [join(ROOT, 'dist/commands/prove.js'), 'cache', '--quick', '--place', 'embedded', '--seed', '5'];
      execFile(process.execPath, command, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, out: stdout, err: stderr }),
      );
    });
    const rows = out.split('\n').filter((line) => line.startsWith('| cache '));
    // All of it is shown when something is not as it must be.
    expect(code === 0 ? '' : `${out}\n${err.slice(-2_000)}`).toBe('');
    expect(rows).toHaveLength(3);
    const [ours, trusting, naive] = rows as [string, string, string];
    expect(Number(/(\d+,\d+) reads/.exec(ours)?.[1]!.replace(',', ''))).toBeGreaterThanOrEqual(20_000);
    expect(ours).toContain('own write not seen 0, older than the bound 0, older than a drop 0');
    expect(trusting).toMatch(/older than a drop [1-9]/);
    expect(naive).toMatch(/own write not seen [1-9]/);
    for (const trouble of ['kills', 'failovers', 'hangs']) expect(ours).toMatch(new RegExp(`[1-9]\\d* ${trouble}`));
  }, 180_000);
});
