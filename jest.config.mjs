import vm from 'node:vm';

if (vm.SourceTextModule === undefined) {
  throw new Error(
    'Jest runs here on native ES modules: start it by `npm test`, or with NODE_OPTIONS=--experimental-vm-modules.',
  );
}

export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/gateway', '<rootDir>/subgraphs', '<rootDir>/libs', '<rootDir>/commands', '<rootDir>/test'],
  testRegex: '\\.test\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  coverageProvider: 'v8',
  // Nothing here asserts speed: this only ends what hangs, on a machine that runs much else besides.
  testTimeout: 120_000,
  reporters: ['<rootDir>/test/beside.mjs', 'default', '<rootDir>/test/reporter.mjs'],
  // Some tests wait for programs: with two workers a seventh of two processors stood still, with three a tenth.
  maxWorkers: 4,
  testSequencer: '<rootDir>/test/heaviest-first.mjs',
  // `#libs/*` has a "source" condition in package.json: without it a test would silently run a stale dist.
  testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        swcrc: false,
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
        // Beside the code and not in it, where every test file would read it again.
        sourceMaps: true,
      },
    ],
  },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
};
