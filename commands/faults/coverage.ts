/** Where a fault of the table is shown. */
export interface Shown {
  readonly says: string;
  /** Ids of rows of `npm run faults`. */
  readonly rows?: readonly string[];
  /** Names for `npm test -- …`, and proofs for `npm run prove -- …`. */
  readonly tests?: readonly string[];
  readonly proofs?: readonly string[];
  /** What of it is not shown anywhere, and why. */
  readonly open?: string;
}

/** The whole table of faults: no line of it is without an answer to "and who has seen that?". */
export const COVERAGE: Readonly<Record<string, Shown>> = {
  FP1: {
    says: 'kill -9 of the gateway, twenty times; what was cut off is repeated with its key',
    rows: ['FP1'],
    tests: ['gateway/workers/workers'],
  },
  FP2: {
    says: 'kill -9 before a transaction begins',
    rows: ['FP2'],
    proofs: ['events'],
  },
  FP3: { says: 'kill -9 between INSERT and COMMIT', rows: ['FP3', 'FP3-users'], proofs: ['events'] },
  FP4: {
    says: 'kill -9 after COMMIT, before the answer; repeated with its key',
    rows: ['FP4'],
    tests: ['test/faults/killed-before-the-drop', 'test/faults/killed-program', 'libs/idempotency/once'],
    proofs: ['events'],
  },
  FP5: { says: 'kill -9 after COMMIT, before the relay wakes', rows: ['FP5'], proofs: ['events'] },
  FP6: { says: 'kill -9 of a relay before it publishes', rows: ['FP6'], proofs: ['events'] },
  FP7: { says: 'kill -9 of a relay after it published', rows: ['FP7'], proofs: ['events'] },
  FP8: { says: 'kill -9 of a consumer', rows: ['FP8'], proofs: ['events'] },
  FP9: { says: 'kill -9 of a saga at every step', rows: ['FP9', 'FP9-undone'], proofs: ['sagas'] },
  FP10: {
    says: 'two relays, or two that decide about deletions, at once, one of them paused',
    rows: ['FP10', 'FP10-followers'],
    proofs: ['leases', 'sagas'],
  },
  FP11: {
    says: 'SIGTERM under load, rolling restart',
    open: 'a service of one process is away while it is replaced',
    rows: ['FP11'],
    tests: ['test/faults/nothing-dropped'],
  },
  FP12: {
    says: 'an exception or a rejection that nobody catches',
    open: 'it is started again by whoever runs it',
    rows: ['FP12', 'FP12-posts'],
    tests: ['libs/lifecycle/end-on-signals', 'gateway/workers/workers'],
  },
  FP13: {
    says: 'an event loop that is blocked',
    rows: ['FP13'],
    tests: ['gateway/http/admission', 'gateway/gateway'],
  },
  FP14: {
    says: 'a heap at its limit',
    open: 'by a program that keeps more and more; many long answers at once brought none of them there',
    rows: ['FP14', 'FP14-posts'],
    tests: ['libs/lifecycle/limits', 'gateway/http/admission'],
  },
  FR1: { says: 'Redis down', rows: ['FR1'], tests: ['libs/cache/fail-open', 'gateway/cache/redis-faults'] },
  FR2: {
    says: 'Redis a black hole',
    rows: ['FR2', 'FR2-half'],
    tests: ['libs/cache/fail-open', 'gateway/cache/redis-faults'],
  },
  FR3: { says: 'Redis slow', rows: ['FR3'], tests: ['libs/cache/circuit', 'gateway/cache/redis-faults'] },
  FR4: { says: 'Redis full', rows: ['FR4'], tests: ['libs/cache/fail-open', 'libs/outbox/redis-stream'] },
  FR5: { says: 'Redis read only', rows: ['FR5'], tests: ['libs/cache/fail-open', 'libs/outbox/redis-stream'] },
  FR6: { says: 'Redis killed', rows: ['FR6'], tests: ['libs/outbox/lost-stream'] },
  FR7: {
    says: 'failover of Redis: by Sentinels, parted from them, of a Cluster; slots of a Cluster that move',
    rows: ['FR7', 'FR7-sentinel', 'FR7-parted', 'FR7-cluster'],
    tests: ['libs/redis/connect', 'libs/cache/redis-store', 'gateway/cache/redis-faults'],
  },
  FR8: { says: 'FLUSHALL, a stream that is gone', rows: ['FR8'], tests: ['libs/outbox/lost-stream'] },
  FR9: {
    says: 'Redis answers with errors: a wrong password, LOADING, CLUSTERDOWN, MOVED',
    rows: ['FR9'],
    tests: ['libs/telemetry/outage', 'libs/outbox/redis-stream', 'gateway/cache/redis-faults'],
  },
  FR10: { says: 'reconnecting again and again', rows: ['FR10'], tests: ['test/faults/soak'] },
  FR11: {
    says: 'a kept value that is corrupt, of another type, or too long',
    open: 'a value of the right form that is another’s is refused by the entity cache (its sums), and told by the caches of services',
    rows: ['FR11'],
    tests: ['libs/cache/redis-store', 'gateway/cache/redis-faults', 'test/consistency/kept-values'],
  },
  FD1: { says: 'a database down', rows: ['FD1', 'FD1-crash'], tests: ['libs/database/database'] },
  FD2: { says: 'a database a black hole', rows: ['FD2', 'FD2-half'], tests: ['libs/database/database'] },
  FD3: { says: 'connections used up by slow statements', rows: ['FD3'], tests: ['libs/database/database'] },
  FD4: { says: 'too many connections', rows: ['FD4'] },
  FD5: { says: 'a standby is promoted', rows: ['FD5'] },
  FD6: {
    says: 'the primary of before comes back',
    open: 'where an address leads is the operator’s to say: one that was replaced and still takes writes is written to, where the address leads there',
    rows: ['FD6'],
    tests: ['libs/database/database'],
  },
  FD7: {
    says: 'a replica that lags, or stands still',
    open: 'of posts; the others read by the same door',
    rows: ['FD7', 'FD7-paused'],
    tests: ['libs/database/replicas', 'libs/database/replica-age'],
  },
  FD8: {
    says: 'a replica that is down, at the start and while it is read',
    rows: ['FD8'],
    tests: ['libs/database/replicas'],
  },
  FD9: {
    says: 'deadlock, serialization failure, unique race',
    rows: ['FD9', 'FD9-serializable'],
    tests: ['libs/database/database', 'subgraphs/users/write/contention'],
  },
  FD10: { says: 'a lock by DDL, idle in transaction', rows: ['FD10'], tests: ['libs/database/database'] },
  FD11: {
    says: 'a disk that is full, of databases and of logs',
    open: 'not of PostgreSQL’s own log (WAL): there it ends by itself, which is FD1',
    rows: ['FD11', 'FD11-full'],
    tests: ['libs/database/full-disk', 'test/faults/full-log'],
  },
  FD12: {
    says: 'a migration under load',
    open: 'by six people, not 200 requests a second; the longest lock is bounded (lock_timeout), not measured',
    rows: ['FD12', 'FD10'],
    tests: ['libs/database/database'],
  },
  FD13: { says: 'shards', open: 'there are none: an id has room for one, and nothing reads it' },
  FG1: { says: 'a subgraph refuses connections', rows: ['FG1'], tests: ['gateway/misbehaving-subgraphs'] },
  FG2: { says: 'a subgraph is slow', rows: ['FG2', 'FG2-half'], tests: ['gateway/misbehaving-subgraphs'] },
  FG3: { says: 'a subgraph answers 500, 401, HTML', rows: ['FG3'], tests: ['gateway/misbehaving-subgraphs'] },
  FG4: { says: 'an answer is cut', rows: ['FG4'], tests: ['gateway/misbehaving-subgraphs'] },
  FG5: { says: 'an answer that is no UTF-8', rows: ['FG5'], tests: ['gateway/misbehaving-subgraphs'] },
  FG6: { says: 'an answer of another shape', rows: ['FG6'], tests: ['gateway/misbehaving-subgraphs'] },
  FG7: { says: 'null where none may be', rows: ['FG7'], tests: ['gateway/misbehaving-subgraphs'] },
  FG8: { says: 'ten thousand errors', rows: ['FG8'], tests: ['gateway/misbehaving-subgraphs'] },
  FG9: { says: 'an answer of a gigabyte, or in tiny pieces', rows: ['FG9'], tests: ['gateway/misbehaving-subgraphs'] },
  FG10: { says: 'redirects', rows: ['FG10'], tests: ['gateway/misbehaving-subgraphs'] },
  FG11: { says: '__proto__ in answers', rows: ['FG11', 'FG11-errors'], tests: ['gateway/misbehaving-subgraphs'] },
  FG12: {
    says: 'bad certificates, HTTP/1.0, kept connections that are reset',
    rows: ['FG12', 'FG12-cert', 'FG12-old'],
    tests: ['gateway/misbehaving-subgraphs'],
  },
  FS1: {
    says: 'events twice, late, in another order',
    rows: ['FS1'],
    tests: ['libs/outbox/consume'],
    proofs: ['events'],
  },
  FS2: {
    says: 'events that cannot be taken',
    rows: ['FS2'],
    tests: ['libs/outbox/consume', 'libs/outbox/redis-stream'],
  },
  FS3: {
    says: 'a consumer ten times slower',
    rows: ['FS3'],
    tests: ['libs/outbox/redis-stream', 'libs/outbox/lost-stream'],
  },
  FC1: { says: 'clocks that jump', rows: ['FC1', 'FC1-users', 'FC1-gateway'], proofs: ['leases'] },
  FX1: {
    says: 'a supergraph that cannot be served, nor reached',
    rows: ['FX1', 'FX1-url'],
    tests: ['gateway/gateway', 'gateway/supergraph/served', 'gateway/workers/workers'],
  },
  FX2: {
    says: 'a subgraph that is deployed first',
    rows: ['FX2', 'FX2-argument'],
    tests: ['test/contracts/schemas', 'gateway/gateway', 'gateway/misbehaving-subgraphs'],
  },
  FX3: {
    says: 'a starved processor, few open files',
    open: 'clients beyond those that fit, and beyond the few that are told 503 at a time, are closed without a word; a service does not start with 256, because Node opens some 550 at once to load it',
    rows: ['FX3', 'FX3-files'],
    tests: ['libs/lifecycle/limits', 'gateway/open-files', 'gateway/http/node-limits', 'libs/subgraph-kit/listen'],
  },
};

export function coverageTable(): string {
  const rows = Object.entries(COVERAGE).map(([id, { says, rows: own = [], tests = [], proofs = [], open = '' }]) => [
    id,
    says,
    own.join(' '),
    [...tests, ...proofs.map((name) => `prove -- ${name}`)].join(', '),
    open,
  ]);
  const head = ['fault', 'what', 'rows', 'tests and proofs', 'not shown'];
  const widths = head.map((_, nth) => Math.max(...[head, ...rows].map((row) => row[nth]!.length)));
  const print = (row: readonly string[]): string =>
    `| ${row.map((cell, nth) => cell.padEnd(widths[nth]!)).join(' | ')} |`;
  return [print(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(print)].join('\n');
}

/** How many lines of the table of faults such rows of `npm run faults` are about. */
export function howManyOf(rows: readonly string[]): string {
  const ids = Object.keys(COVERAGE);
  const here = ids.filter((id) => rows.some((row) => row === id || row.startsWith(`${id}-`)));
  return `${here.length} of ${ids.length} ids of the table of faults are here; the others: npm run faults -- --covered`;
}
