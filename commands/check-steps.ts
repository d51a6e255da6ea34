/** What `npm run check` has done, each by Node in the root. The two that take longest come first. */
export const steps: readonly { name: string; command: readonly string[] }[] = [
  {
    name: 'format',
    command: ['node_modules/prettier/bin/prettier.cjs', '--check', '--cache', '--log-level', 'warn', '.'],
  },
  {
    // Its rules know the types from the same compiler (7, in Go), which says what tsc says, in a fifth of the time.
    name: 'types and lint',
    command: [
      'node_modules/oxlint/bin/oxlint',
      '--type-aware',
      '--type-check',
      '--deny-warnings',
      'gateway',
      'subgraphs',
      'libs',
      'commands',
      'test',
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
