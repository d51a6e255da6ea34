import { spawnSync } from 'node:child_process';
import { ROOT } from './root.js';

/** `npm run check`: everything that can be wrong without running it, each step with its time; the first failing one is shown. */
const steps: readonly { name: string; command: readonly string[] }[] = [
  {
    name: 'format',
    command: ['node_modules/prettier/bin/prettier.cjs', '--check', '--cache', '--log-level', 'warn', '.'],
  },
  {
    name: 'lint',
    command: [
      'node_modules/oxlint/bin/oxlint',
      '--type-aware',
      '--deny-warnings',
      'gateway',
      'subgraphs',
      'libs',
      'commands',
      'test',
    ],
  },
  {
    name: 'types',
    command: [
      'node_modules/typescript/bin/tsc',
      '--noEmit',
      '--incremental',
      '--tsBuildInfoFile',
      'node_modules/.cache/tsc.tsbuildinfo',
    ],
  },
  {
    name: 'boundaries',
    command: [
      'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
      'gateway',
      'subgraphs',
      'libs',
      'commands',
      'test',
      '--config',
      '.dependency-cruiser.cjs',
    ],
  },
  { name: 'supergraph fresh', command: ['dist/commands/compose.js', '--check'] },
  { name: 'docs fresh', command: ['dist/commands/docs.js', '--check'] },
];

let failed = 0;
for (const { name, command } of steps) {
  const started = Date.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' });
  const ok = status === 0;
  console.log(`${ok ? '✓' : '✗'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  if (!ok) {
    failed++;
    console.log(`${stdout}${stderr}`);
  }
}
if (failed > 0) {
  console.error(`${failed} of ${steps.length} checks failed.`);
  process.exitCode = 1;
}
