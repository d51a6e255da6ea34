/** Where a threat is met: by rows of the table (ids, `D` for all of D), by other tests (files), or not yet. */
export interface Threat {
  readonly id: string;
  readonly what: string;
  readonly rows?: readonly string[];
  readonly tests?: readonly string[];
  readonly missing?: string;
  /** What more there is to it, which nobody can be sent. */
  readonly besides?: string;
}

/** S1 to S32, what may happen to a federated graph on the open internet. */
export const THREATS: readonly Threat[] = [
  { id: 'S1', what: 'deep nesting', rows: ['A1', 'A2', 'A3', 'A4', 'A5'] },
  { id: 'S2', what: 'floods of aliases and root fields', rows: ['A6', 'A7', 'A8', 'S4'] },
  { id: 'S3', what: 'fragments that multiply', rows: ['S3', 'A13', 'A14'], tests: ['gateway/http/limits.test.ts'] },
  { id: 'S4', what: 'limits that names or caches get around', rows: ['S4', 'A16'] },
  { id: 'S5', what: 'overlapping fields, compared each with each', rows: ['A15'] },
  { id: 'S6', what: 'directives, repeated fields, comments', rows: ['A9', 'A10', 'A11', 'A17'] },
  {
    id: 'S7',
    what: 'lists without end, and what they cost',
    rows: ['S7', 'A26'],
    tests: ['gateway/http/cost.test.ts', 'gateway/http/items.test.ts'],
  },
  { id: 'S8', what: 'batches', rows: ['S8', 'B3', 'G1'], tests: ['gateway/http/rates.test.ts'] },
  { id: 'S9', what: 'introspection and suggestions', rows: ['A21', 'A22', 'A23', 'S9'] },
  { id: 'S10', what: 'requests by pages of other sites', rows: ['B7', 'B10', 'B11', 'B12', 'B15'] },
  { id: 'S11', what: 'media types and character sets', rows: ['B5', 'B6', 'B8'] },
  { id: 'S12', what: 'bodies that inflate', rows: ['B16', 'B17'] },
  {
    id: 'S13',
    what: 'slow and broken senders, and readers that do not read',
    rows: ['H1', 'H2', 'H3', 'H4', 'H5', 'E8', 'S13'],
    tests: ['gateway/http/node-limits.test.ts', 'gateway/http/untaken.test.ts'],
  },
  { id: 'S14', what: 'prototypes changed by a client', rows: ['S14', 'C', 'X4'] },
  {
    id: 'S15',
    what: 'prototypes changed by a service or a cache',
    rows: ['S15', 'C7'],
    tests: [
      'gateway/misbehaving-subgraphs.test.ts',
      'libs/cache/redis-store.test.ts',
      'libs/cache/aside.test.ts',
      'libs/events/check.test.ts',
      'libs/outbox/consume.test.ts',
    ],
  },
  {
    id: 'S16',
    what: 'services reached directly',
    rows: ['D1', 'D2', 'D3', 'D8'],
    tests: [
      'libs/identity/assertion.test.ts',
      'libs/identity/taken-calls.test.ts',
      'libs/subgraph-kit/subgraph-kit.test.ts',
      'subgraphs/posts/replayed-calls.test.ts',
    ],
    besides:
      'its SDL a service tells its gateway alone, which may compose by it; health anybody, for whoever starts it, and no word more',
    missing:
      'a read that is replayed at another process of its service is answered there, for 35 s and to whoever could read the first answer; a write has no second effect at any of them; TLS between them closes that (SUBGRAPH_TLS_*, SECURITY.md)',
  },
  {
    id: 'S17',
    what: 'forged headers that say who asks',
    rows: ['S17', 'E1', 'E2', 'E3', 'E5'],
    tests: [
      'gateway/http/identity.test.ts',
      'gateway/fetch/signed-calls.test.ts',
      'libs/identity/assertion.test.ts',
      'libs/subgraph-kit/subgraph-kit.test.ts',
    ],
  },
  {
    id: 'S18',
    what: 'one person’s data in a cache of all',
    rows: ['S18'],
    tests: [
      'gateway/cache/canary.test.ts',
      'gateway/cache/authorization.test.ts',
      'subgraphs/users/users.test.ts',
      'subgraphs/posts/posts.test.ts',
    ],
  },
  {
    id: 'S19',
    what: 'one person’s data in a joined call',
    rows: ['S19'],
    tests: ['gateway/run/in-flight.test.ts', 'libs/loader/loader.test.ts'],
  },
  {
    id: 'S20',
    what: 'forged tokens',
    rows: ['F'],
    tests: ['libs/identity/token.test.ts'],
  },
  {
    id: 'S21',
    what: 'passwords',
    rows: ['S21', 'G7'],
    tests: [
      'subgraphs/users/users.test.ts',
      'subgraphs/users/write/passwords.test.ts',
      'test/journeys/sessions.test.ts',
    ],
  },
  {
    id: 'S22',
    what: 'other people’s things by their id',
    rows: ['G2', 'G3', 'D6', 'S22'],
    tests: ['test/journeys/blocks.contract.ts', 'test/journeys/who-sees-what.contract.ts'],
  },
  {
    id: 'S23',
    what: 'authorization that composition gets around',
    rows: ['S23', 'A25'],
    tests: ['test/federation/authorization.test.ts'],
  },
  { id: 'S24', what: 'fields that are not the client’s to set', rows: ['S24'] },
  { id: 'S25', what: 'injection', rows: ['S25'], tests: ['test/injection.test.ts', 'subgraphs/users/users.test.ts'] },
  {
    id: 'S26',
    what: 'a supergraph that points elsewhere',
    rows: ['S26'],
    tests: [
      'gateway/gateway.test.ts',
      'gateway/supergraph/supergraph.test.ts',
      'gateway/fetch/subgraph-client.test.ts',
      'gateway/misbehaving-subgraphs.test.ts',
    ],
    besides: 'of every attack: the process that was attacked has opened no socket to another machine',
  },
  { id: 'S27', what: 'our insides in errors', rows: ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'S', 'X'] },
  { id: 'S28', what: 'traces and plans for anybody', rows: ['S28', 'D7'] },
  {
    id: 'S29',
    what: 'caches without a bound',
    rows: ['B21'],
    tests: ['gateway/http/limits.test.ts'],
    besides: 'a million different operations take half an hour: npm run soak',
  },
  {
    id: 'S30',
    what: 'too many requests, guessed passwords',
    rows: ['S30', 'E4', 'G1'],
    tests: [
      'gateway/http/rates.test.ts',
      'gateway/http/turns.test.ts',
      'libs/rate-limit/budgets.test.ts',
      'test/journeys/sessions.test.ts',
    ],
  },
  {
    id: 'S31',
    what: 'personal data at rest',
    rows: ['E10', 'F', 'G'],
    tests: [
      'test/at-rest.test.ts',
      'libs/sealing/sealer.test.ts',
      'libs/sealing/seal-anew.test.ts',
      'subgraphs/users/config.test.ts',
      'subgraphs/users/users.test.ts',
      'libs/telemetry/logger.test.ts',
    ],
  },
  {
    id: 'S32',
    what: 'the packages that are installed',
    rows: ['S32'],
    tests: [
      'test/supply-chain/lockfile.test.ts',
      'test/supply-chain/outbound.test.ts',
      'test/supply-chain/images.test.ts',
      'test/deploy/npm.test.ts',
    ],
    besides:
      'an installation is asked by nobody: that npm ci does without the packages’ scripts is shown by .ci/run, and what is in it is listed by npm run sbom',
  },
];
