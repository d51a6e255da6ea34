import type { Rule } from './queries.js';

/** By the name of a series, its values every 15 seconds, as promtool writes them: `1+0x120` is 1 for half an hour. */
type Series = Readonly<Record<string, string>>;

export interface AlertStory {
  /** Nobody is told, however long it goes on: as bad as may be. Absent: it is always on. */
  readonly well?: Series;
  /** Nor at a site that few ask, where one answer is many percent. */
  readonly small?: Series;
  /** Somebody is told, by when and of what. */
  readonly bad: Series;
  readonly by: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Besides, and of what. */
  readonly alsoBad?: { readonly series: Series; readonly labels: Readonly<Record<string, string>> };
  /** When nobody is told while all is well, where that is not within the first half hour. */
  readonly wellAt?: readonly string[];
  /** And shortly before somebody is, where it has not been bad from the beginning. */
  readonly offAt?: string;
}

const always = (value: number): string => `${value}+0x120`;
const growing = (each: number, times = 120): string => `0+${each}x${times}`;
const answers = (outcome: string): string =>
  `tributary_graphql_answers_total{instance="gateway-1:9464",outcome="${outcome}"}`;
const took = (service: string, le: string, status = 200, route = '/graphql'): string =>
  `http_server_request_duration_seconds_bucket{service_name="${service}",http_response_status_code="${status}",http_route="${route}",le="${le}"}`;
const answeredIn = (le: string): string => `tributary_graphql_answer_duration_seconds_bucket{le="${le}"}`;
const ready = (service: string, instance: string, job?: string): string =>
  `tributary_ready{service="${service}",instance="${instance}"${job === undefined ? '' : `,job="${job}"`}}`;
const up = (job: string, program: string): string =>
  `up{job="${job}",program="${program}",instance="${program} 172.18.0.5:9464"}`;
const [served, missing] = ['served', 'missing'].map(
  (what) => `tributary_supergraph_${what}{instance="gateway-1:9464"}`,
) as [string, string];
const redis = (service: string, program: string): string =>
  `tributary_redis_reachable{service="${service}",instance="${program}:9464"}`;
const documents = 'tributary_documents_served{instance="gateway-1:9464"}';
const breaker = (state: string): string =>
  `tributary_subgraph_breaker_state{server_address="http://users:4001",state="${state}"}`;
const quarantined = (why: string): string => `tributary_quarantined_events{service="posts",why="${why}"}`;
const refused = (why: string): string => `tributary_refused_calls_total{service="posts",why="${why}"}`;
const passwords = (what: 'asked' | 'hashed'): string =>
  `tributary_passwords_${what}_total{service="users",instance="users:9464"}`;
const certificate = (file: string, lifetimeS: number, expiry: string): Series => ({
  [`tributary_certificate_expiry_timestamp_seconds{instance="gateway-1:9464",file="${file}"}`]: expiry,
  [`tributary_certificate_lifetime_seconds{instance="gateway-1:9464",file="${file}"}`]: `${lifetimeS}+0x240`,
});
const started = (program: string, nth: number): string =>
  `process_start_time_seconds{program="${program}",instance="${program} ${nth}"}`;
const asks = (proxy: string): string => `haproxy_backend_active_servers{proxy="${proxy}"}`;
const sessions = (what: 'current' | 'limit', proxy: string): string =>
  `haproxy_frontend_${what}_sessions{proxy="${proxy}",instance="door"}`;
const denied = 'haproxy_backend_requests_denied_total{proxy="gateways",instance="door"}';
const asked = 'haproxy_frontend_http_requests_total{proxy="graphql",instance="door"}';
/** What docker-compose.yml keeps running, of ours. */
export const PROGRAMS = ['gateway-1', 'gateway-2', 'users', 'posts', 'followers', 'door'];
/** 70 minutes of what was, and then something else. A reset of a counter is a new process, and counts on. */
const then = (before: number, after: number): string => `0+${before}x280 ${280 * before + after}+${after}x120`;
/** Three answers in 100 s. */
const FEW = 0.45;
const AN_HOUR = { wellAt: ['69m', '80m', '95m'], offAt: '74m', by: '80m', labels: {} } as const;

/** Of those who were answered most are refused with `outcome`, and it goes unnoticed when strangers alone are. */
const manyRefused = (outcome: string): AlertStory => ({
  well: { [answers('whole')]: growing(30, 400), [answers(outcome)]: then(1, 3_000) },
  // Nobody but one program with an old password, every half minute.
  small: { [answers('whole')]: then(FEW, 0), [answers(outcome)]: then(0, FEW) },
  bad: { [answers('whole')]: then(30, 12), [answers(outcome)]: then(1, 20) },
  ...AN_HOUR,
});
const [gateway, users] = [{ instance: 'gateway-1:9464' }, { instance: 'users:9464' }];

/** Of every alert, when it is on and when it is not. */
export const ALERT_STORIES: Readonly<Record<string, AlertStory>> = {
  Watchdog: { bad: {}, by: '1m', labels: {} },
  ProgramDown: {
    // Three scrapes fail; one is not ready; and the door and an exporter of yours say nothing of themselves.
    well: {
      [up('services', 'users')]: '1+0x20 0 0 0 1+0x100',
      [ready('users', 'users 172.18.0.5:9464', 'services')]: '1+0x20 _ _ _ 1+0x100',
      [up('gateway', 'gateway-2')]: always(1),
      [ready('gateway', 'gateway-2 172.18.0.5:9464', 'gateway')]: always(0),
      [up('door', 'door')]: always(1),
      'up{job="postgres",instance="users-db:9187"}': always(1),
    },
    bad: { [up('services', 'users')]: always(0) },
    // Its address is that of users now.
    alsoBad: {
      series: {
        [up('services', 'posts')]: always(1),
        [ready('users', 'posts 172.18.0.5:9464', 'services')]: always(1),
      },
      labels: { job: 'services', program: 'posts', instance: 'posts 172.18.0.5:9464' },
    },
    by: '1m',
    labels: { job: 'services', program: 'users', instance: 'users 172.18.0.5:9464' },
  },
  ProgramGone: {
    well: Object.fromEntries(
      PROGRAMS.map((program) => [`up{program="${program}"}`, program === 'door' ? always(0) : always(1)]),
    ),
    bad: Object.fromEntries(
      PROGRAMS.filter((program) => program !== 'users').map((program) => [`up{program="${program}"}`, always(1)]),
    ),
    by: '2m',
    labels: { program: 'users' },
  },
  ProgramCrashes: {
    // Two releases, one shortly after the other; of posts there are two, which start one after another.
    well: {
      [started('users', 1)]: '100+0x20 400+0x20 700+0x80',
      [started('posts', 1)]: '100+0x20 400+0x20 700+0x80',
      [started('posts', 2)]: '101+0x22 430+0x20 730+0x80',
    },
    // Each time at another address.
    bad: {
      [started('users', 1)]: '100+0x11 stale _x11 500+0x11 stale',
      [started('users', 2)]: '_x12 300+0x11 stale _x11 700+0x80',
    },
    by: '11m',
    labels: { program: 'users' },
  },
  ProgramKeepsCrashing: {
    // Four releases.
    well: { [started('users', 1)]: '100+0x20 400+0x20 700+0x20 1000+0x20 1300+0x40' },
    // Every ten minutes, one of them at another address.
    bad: {
      [started('users', 1)]: '100+0x39 700+0x39 stale _x38 1900+0x39 2500+0x39 3100+0x80',
      [started('users', 2)]: '_x80 1300+0x38 stale',
    },
    by: '52m',
    labels: { program: 'users' },
  },
  DoorWithoutGateways: {
    // One of two is gone.
    well: { [asks('gateways')]: always(1) },
    bad: { [asks('gateways')]: always(0) },
    by: '1m',
    labels: {},
  },
  DoorWithOneGateway: {
    // A release.
    well: { [asks('gateways')]: '2+0x20 1+0x30 2+0x100' },
    bad: { [asks('gateways')]: always(1) },
    by: '10m',
    labels: {},
  },
  DoorNearlyFull: {
    // Prometheus itself is a client of the door's other port.
    well: {
      [sessions('current', 'graphql')]: always(3_200),
      [sessions('limit', 'graphql')]: always(4_000),
      [sessions('current', 'watched')]: always(50),
      [sessions('limit', 'watched')]: always(50),
    },
    bad: { [sessions('current', 'graphql')]: always(3_201), [sessions('limit', 'graphql')]: always(4_000) },
    by: '2m',
    labels: { instance: 'door' },
  },
  NoGatewayReady: {
    // One of them never is.
    well: { [ready('gateway', 'gateway-1:9464')]: always(0), [ready('gateway', 'gateway-2:9464')]: always(1) },
    bad: {
      [ready('gateway', 'gateway-1:9464')]: always(0),
      [ready('gateway', 'gateway-2:9464')]: always(0),
      [ready('users', 'users:9464')]: always(1),
    },
    by: '1m',
    labels: {},
  },
  ProgramNotReady: {
    // Migrations of nine minutes.
    well: { [ready('users', 'users:9464')]: '0+0x36 1+0x80' },
    bad: { [ready('users', 'users:9464')]: always(0) },
    by: '10m',
    labels: { service: 'users', ...users },
  },
  RequestsRefused: {
    well: { [answers('OVERLOADED')]: growing(1), [answers('whole')]: growing(150) },
    // Most of what comes, twice; and then all.
    small: { [answers('OVERLOADED')]: `0+0x20 2+0x18 4+0x20 4+${FEW}x60`, [answers('whole')]: growing(FEW, 60) },
    bad: { [answers('OVERLOADED')]: growing(3), [answers('whole')]: growing(150) },
    by: '7m',
    labels: {},
  },
  PasswordsNotHashed: {
    // A crowd of strangers, of whom ten are hashed in 15 s.
    well: { [passwords('asked')]: growing(300), [passwords('hashed')]: growing(10) },
    // Two, who gave up.
    small: { [passwords('asked')]: '0+0x20 2+0x100', [passwords('hashed')]: always(7) },
    // Hashed as ever, until none ends.
    bad: { [passwords('asked')]: growing(1), [passwords('hashed')]: '0+1x20 20+0x100' },
    by: '15m',
    offAt: '8m',
    labels: { instance: 'users:9464' },
  },
  RequestsRefusedAtDoor: {
    // What is denied for other reasons only the frontend counts.
    well: {
      [denied]: growing(1),
      [asked]: growing(150),
      [asked.replace('http_requests', 'requests_denied')]: growing(50),
    },
    small: { [denied]: `0+0x20 2+0x18 4+0x20 4+${FEW}x60`, [asked]: growing(FEW, 60) },
    bad: { [denied]: growing(3), [asked]: growing(150) },
    by: '7m',
    labels: {},
  },
  ConnectionsRejected: {
    // Once, and no more.
    well: { 'tributary_rejected_connections_total{instance="gateway-1:9464"}': '0+0x20 9+0x100' },
    bad: { 'tributary_rejected_connections_total{instance="gateway-1:9464"}': growing(1) },
    by: '6m',
    labels: gateway,
  },
  AnswersIncomplete: {
    // Most of what comes is nonsense, and much of what is asked for cannot be had.
    well: {
      [answers('BAD_REQUEST')]: growing(900),
      [answers('partial')]: growing(46),
      [answers('whole')]: growing(50),
      [answers('incomplete')]: growing(4),
    },
    // Two within five minutes, and two more; and then all.
    small: { [answers('incomplete')]: `0+0x20 2+0x18 4+0x20 4+${FEW}x60`, [answers('whole')]: growing(FEW, 60) },
    bad: {
      [answers('BAD_REQUEST')]: growing(900),
      [answers('whole')]: growing(94),
      [answers('incomplete')]: growing(3),
      [answers('SUBGRAPH_TIMEOUT')]: growing(3),
    },
    by: '6m',
    labels: {},
  },
  WholeAnswersFell: {
    // In the evening.
    well: { [answers('whole')]: then(30, 12) },
    // Nine in ten seconds, and then none.
    small: { [answers('whole')]: then(13.5, 0) },
    // Nobody is left who would say how many there are.
    bad: { [answers('whole')]: `${growing(30, 280)} stale` },
    ...AN_HOUR,
  },
  ManyUnauthenticated: manyRefused('UNAUTHENTICATED'),
  ManyForbidden: manyRefused('FORBIDDEN'),
  ManyRateLimited: manyRefused('RATE_LIMITED'),
  ManyNotUnderstood: manyRefused('GRAPHQL_VALIDATION_FAILED'),
  AnswersSlow: {
    // A service is slow, and the gateway does not wait for it; what it gives up is told of elsewhere.
    well: {
      [took('users', '1')]: growing(0),
      [took('users', '2.5')]: growing(100),
      [took('users', '+Inf')]: growing(100),
      [answeredIn('1')]: growing(995),
      [answeredIn('2.5')]: growing(1000),
      [answeredIn('+Inf')]: growing(1000),
      // Of whom many send slowly.
      [took('gateway', '1')]: growing(900),
      [took('gateway', '2.5')]: growing(1000),
      [took('gateway', '+Inf')]: growing(1000),
    },
    // Amid a flood that is refused at once, and asked for its health all the time.
    bad: {
      [answeredIn('1')]: growing(980),
      [answeredIn('2.5')]: growing(1000),
      [answeredIn('+Inf')]: growing(1000),
      [took('gateway', '1')]: growing(980),
      [took('gateway', '2.5')]: growing(1000),
      [took('gateway', '+Inf')]: growing(1000),
      ...Object.fromEntries(
        ['1', '2.5', '+Inf'].flatMap((le) => [
          [took('gateway', le, 429), growing(100_000)],
          [took('gateway', le, 200, '/health/live'), growing(100_000)],
        ]),
      ),
    },
    by: '11m',
    labels: {},
  },
  ServiceNotAsked: {
    // It was, for three scrapes.
    well: {
      [breaker('open')]: '0+0x20 1 1 1 0+0x100',
      [breaker('half-open')]: always(0),
      [breaker('closed')]: always(1),
    },
    // It is tried again and again.
    bad: {
      [breaker('open')]: '1 0 '.repeat(60),
      [breaker('half-open')]: '0 1 '.repeat(60),
      [breaker('closed')]: always(0),
    },
    by: '1m',
    labels: { server_address: 'http://users:4001' },
  },
  CallsForged: {
    // A scanner, and a clock that is wrong; two of a secret that was changed an hour ago.
    well: { [refused('unsigned')]: growing(9), [refused('expired')]: growing(9), [refused('signature')]: always(2) },
    // One call.
    bad: { [refused('unsigned')]: always(0), [refused('replayed')]: '0 0 1+0x118' },
    by: '2m',
    labels: { service: 'posts', why: 'replayed' },
  },
  CertificateNotRenewed: {
    // Good for an hour and renewed when a third of it is left; and for a year, of which a week and a moment are.
    well: { ...certificate('cert', 3_600, '3600+0x159 6000+0x60'), ...certificate('ca', 31_536_000, '608400+0x220') },
    wellAt: ['20m', '39m45s', '54m'],
    bad: certificate('cert', 3_600, '3600+0x220'),
    alsoBad: { series: certificate('ca', 31_536_000, '607500+0x220'), labels: { ...gateway, file: 'ca' } },
    offAt: '50m',
    by: '50m15s',
    labels: { ...gateway, file: 'cert' },
  },
  CertificateExpires: {
    well: { ...certificate('cert', 3_600, '3600+0x212 6780+0x60'), ...certificate('ca', 31_536_000, '90000+0x220') },
    wellAt: ['20m', '53m', '54m'],
    bad: certificate('cert', 3_600, '3600+0x220'),
    alsoBad: { series: certificate('ca', 31_536_000, '89640+0x220'), labels: { ...gateway, file: 'ca' } },
    offAt: '55m',
    by: '55m15s',
    labels: { ...gateway, file: 'cert' },
  },
  LogOutsUnknown: {
    well: { 'tributary_ended_sessions_age_seconds{instance="gateway-1:9464"}': always(59) },
    bad: { 'tributary_ended_sessions_age_seconds{instance="gateway-1:9464"}': growing(15) },
    by: '3m',
    labels: gateway,
  },
  SupergraphMissing: {
    // The newest is refused, and the old one is served.
    well: { [served]: always(0), [missing]: always(0) },
    bad: { [served]: always(0), [missing]: always(1) },
    by: '1m',
    labels: gateway,
  },
  SupergraphNotServed: {
    // There is none: that is told at once, and not twice.
    well: { [served]: always(0), [missing]: always(1) },
    bad: { [served]: always(0), [missing]: always(0) },
    by: '5m',
    labels: gateway,
  },
  DocumentsNotServed: {
    // Somebody writes them in place, and is looked at in the midst of it.
    well: { [documents]: '1+0x20 0 0 1+0x100' },
    bad: { [documents]: always(0) },
    by: '2m',
    labels: gateway,
  },
  RedisNotReached: {
    // A restart of Redis, or a failover.
    well: { [redis('gateway', 'gateway-1')]: '1+0x20 0+0x6 1+0x100', [redis('posts', 'posts')]: always(1) },
    // One gateway alone.
    bad: { [redis('gateway', 'gateway-1')]: always(1), [redis('gateway', 'gateway-2')]: always(0) },
    by: '2m',
    labels: { service: 'gateway', instance: 'gateway-2:9464' },
  },
  EventsWait: {
    well: { 'tributary_outbox_age_seconds{service="posts"}': always(59) },
    bad: { 'tributary_outbox_age_seconds{service="posts"}': growing(15) },
    by: '3m',
    labels: { service: 'posts' },
  },
  EventsUnheard: {
    well: { 'tributary_unheard_seconds{service="posts",source="users"}': always(59) },
    bad: { 'tributary_unheard_seconds{service="posts",source="users"}': growing(15) },
    by: '3m',
    labels: { service: 'posts', source: 'users' },
  },
  EventsQuarantined: {
    // What an update brings, however much.
    well: { [quarantined('fails')]: always(0), [quarantined('newer')]: always(100) },
    bad: { [quarantined('fails')]: always(1), [quarantined('newer')]: always(0) },
    by: '1m',
    labels: { service: 'posts' },
  },
  EventsOfNewerPrograms: {
    // An update of a quarter of an hour.
    well: { [quarantined('newer')]: '1+0x60 0+0x60', [quarantined('fails')]: always(1) },
    bad: { [quarantined('newer')]: always(1), [quarantined('fails')]: always(0) },
    by: '20m',
    labels: { service: 'posts' },
  },
  ReadModelBehind: {
    // Trending posts are as old as their refresh is rare.
    well: {
      'tributary_read_model_lag_seconds{service="posts",model="home-timeline"}': always(59),
      'tributary_read_model_lag_seconds{service="posts",model="trending"}': always(600),
    },
    bad: { 'tributary_read_model_lag_seconds{service="posts",model="home-timeline"}': always(61) },
    by: '5m',
    labels: { model: 'home-timeline' },
  },
  RebuildForgotten: {
    well: { 'tributary_rebuild_age_seconds{service="posts"}': always(21_600) },
    bad: { 'tributary_rebuild_age_seconds{service="posts"}': always(21_601) },
    by: '10m',
    labels: { service: 'posts' },
  },
  CountsDrift: {
    well: { 'tributary_count_drift{service="followers"}': always(0) },
    bad: { 'tributary_count_drift{service="followers"}': always(1) },
    by: '1m',
    labels: { service: 'followers' },
  },
  SagasStuck: {
    well: { 'tributary_stuck_sagas{service="users"}': always(0) },
    bad: { 'tributary_stuck_sagas{service="users"}': always(1) },
    by: '10m',
    labels: { service: 'users' },
  },
  DatabaseConnectionsWaited: {
    well: { 'db_client_connection_pending_requests{service="users"}': always(10) },
    bad: { 'db_client_connection_pending_requests{service="users"}': always(11) },
    by: '2m',
    labels: { service: 'users' },
  },
  ReplicaNotRead: {
    // One of two processes has it out.
    well: {
      'tributary_replica_used{service="posts",replica="db:5432/posts",instance="a"}': always(0),
      'tributary_replica_used{service="posts",replica="db:5432/posts",instance="b"}': always(1),
    },
    bad: { 'tributary_replica_used{service="posts",replica="db:5432/posts"}': always(0) },
    by: '10m',
    labels: { service: 'posts', replica: 'db:5432/posts' },
  },
  EventLoopLate: {
    well: { 'nodejs_eventloop_lag_p99_seconds{instance="users:9464"}': always(0.2) },
    bad: { 'nodejs_eventloop_lag_p99_seconds{instance="users:9464"}': always(0.21) },
    by: '5m',
    labels: users,
  },
};

/** The stories of an alert as `promtool test rules` reads them (JSON is YAML), each in a world of its own. */
export function unitTests(rulesFile: string, { alert, for: lasting, labels: said, annotations }: Rule): string {
  const { well, small, bad, alsoBad, by, labels, wellAt = ['5m45s', '15m', '29m'], offAt } = ALERT_STORIES[alert]!;
  const told = [labels, ...(alsoBad ? [alsoBad.labels] : [])].map((of) => ({
    exp_labels: { ...said, ...of },
    exp_annotations: Object.fromEntries(Object.entries(annotations).map(([name, text]) => [name, filled(text, of)])),
  }));
  const at = (time: string, ...alerts: object[]) => ({ eval_time: time, alertname: alert, exp_alerts: alerts });
  const world = (series: Series, expected: object[]) => ({
    interval: '15s',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: expected,
  });
  const worlds = [well, small].flatMap((silent) =>
    silent
      ? [
          world(
            silent,
            wellAt.map((time) => at(time)),
          ),
        ]
      : [],
  );
  // A moment before it may be on, and when it must be.
  const before = well ? [at(offAt ?? `${Number.parseInt(lasting) * 60 - 15}s`)] : [];
  worlds.push(world({ ...bad, ...alsoBad?.series }, [...before, at(by, ...told)]));
  return JSON.stringify({ rule_files: [rulesFile], evaluation_interval: '15s', tests: worlds });
}

function filled(text: string, labels: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => labels[label] ?? '<none>');
}
