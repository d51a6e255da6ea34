/** Who may import whom: DESIGN's house as rules. A subgraph speaks to another only by event or by federation. */
const tests = '\\.(test|contract)\\.ts$|/test\\.ts$';

module.exports = {
  forbidden: [
    {
      name: 'resolvable',
      severity: 'error',
      comment: 'An edge that cannot be resolved is an edge that no rule sees.',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { pathNot: 'node_modules' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'gateway-needs-only-a-supergraph',
      severity: 'error',
      comment: 'The gateway runs any supergraph: no database, no events, no service of ours.',
      from: { path: '^gateway/', pathNot: tests },
      to: {
        path: '^(subgraphs|commands|test)/|^libs/(?!settings|failure|telemetry|lifecycle|redis|cache|consistency|identity|rate-limit)',
      },
    },
    {
      name: 'subgraphs-speak-by-events-or-federation',
      severity: 'error',
      from: { path: '^subgraphs/([^/]+)/', pathNot: tests },
      to: { path: '^(gateway|commands|test)/|^subgraphs/', pathNot: '^subgraphs/$1/' },
    },
    {
      name: 'read-neither-writes-nor-hears',
      severity: 'error',
      from: { path: '^subgraphs/[^/]+/read/', pathNot: tests },
      to: { path: '^subgraphs/[^/]+/(write|on)/|^libs/outbox/' },
    },
    {
      name: 'write-knows-no-cache',
      severity: 'error',
      from: { path: '^subgraphs/[^/]+/write/', pathNot: tests },
      to: { path: '^subgraphs/[^/]+/(read|on)/|^libs/cache/|\\.cache\\.ts$' },
    },
    {
      name: 'on-neither-reads-nor-writes',
      severity: 'error',
      from: { path: '^subgraphs/[^/]+/on/', pathNot: tests },
      to: { path: '^subgraphs/[^/]+/(read|write)/' },
    },
    {
      name: 'the-domain-has-no-io',
      severity: 'error',
      from: { path: '^subgraphs/[^/]+/(user|post|relation)\\.ts$' },
      to: { pathNot: '^libs/(failure|identity)/|^libs/events/' },
    },
    {
      name: 'libraries-know-no-program',
      severity: 'error',
      from: { path: '^libs/', pathNot: tests },
      to: { path: '^(gateway|subgraphs|commands|test)/' },
    },
    {
      name: 'libraries-by-their-door',
      severity: 'error',
      from: { path: '^libs/([^/]+)/' },
      to: { path: '^libs/', pathNot: '^libs/$1/|/index\\.ts$' },
    },
    {
      name: 'libraries-by-their-door-from-outside',
      severity: 'error',
      from: { pathNot: '^libs/|^test/' },
      to: { path: '^libs/', pathNot: '/index\\.ts$' },
    },
    {
      name: 'nest-at-the-edge',
      severity: 'error',
      from: { path: '^libs/', pathNot: `^libs/subgraph-kit/|${tests}` },
      to: { path: 'node_modules/@nestjs/' },
    },
    {
      name: 'redis-in-few-places',
      severity: 'error',
      from: { pathNot: `^libs/(redis|cache|outbox|rate-limit)/|^test/|^commands/prove/|${tests}` },
      to: { path: 'node_modules/ioredis/' },
    },
    {
      name: 'postgres-in-one-place',
      severity: 'error',
      from: { pathNot: `^libs/database/|^test/|${tests}` },
      to: { path: 'node_modules/(pg|@electric-sql/pglite)/' },
    },
    {
      name: 'dataloader-in-one-place',
      severity: 'error',
      from: { pathNot: `^libs/loader/|${tests}` },
      to: { path: 'node_modules/dataloader/' },
    },
    {
      name: 'proof-is-imported-by-nobody',
      severity: 'error',
      from: { pathNot: '^(test|bench|commands)/|\\.(test|contract)\\.ts$' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-dev-packages-at-run-time',
      severity: 'error',
      from: { path: '^(gateway|subgraphs|libs|commands)/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'require', 'node', 'default', 'types'],
    },
  },
};
