import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './root.js';

// As a person starts it: in a process of its own, which ends only when everything has been said.
it.each(['native', 'apollo'])('prints operation, plan and fetches, planned by %s, and ends', (planner) => {
  const args = ['commands/run.mjs', 'explain', 'examples/profile-page.graphql', '--planner', planner];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...args, '--variables', '{"handle":"alice"}', '--supergraph', join(ROOT, 'schema/supergraph.graphql')],
    { cwd: ROOT, encoding: 'utf8' },
  );
  expect({ status, stderr: stderr.replace(/^Building.*$/m, '').trim() }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(
    /── Operation [^]*userByHandle[^]*── Plan \((native|apollo): [^]*── Fetches [^]*#0 query users, at once/,
  );
});

it('control: an operation that is not valid is a sentence and a failure', () => {
  const args = ['commands/run.mjs', 'explain', 'README.md'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/Syntax Error/);
});
