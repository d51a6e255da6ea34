import type { EndedSessions } from '#libs/identity';
import { readyGauge, type Metrics } from '#libs/telemetry';
import type { Endpoint } from './fetch/endpoint.js';
import type { TlsFiles } from './fetch/tls-files.js';
import type { Upstreams } from './fetch/upstream.js';
import type { Admission } from './http/admission.js';
import type { PersistedDocuments } from './http/persisted-documents.js';
import type { HttpServer } from './http/serve.js';
import type { ServedSupergraph } from './supergraph/served.js';

/** What the gateway has to tell whoever is on call. */
export interface GatewayMetrics {
  /** A subgraph call ended: `ok`, or the code of what went wrong. */
  call(subgraph: string, outcome: string, ms: number): void;
  /** It was sent a second time, because it was lost or because it was late. */
  repeated(subgraph: string, why: 'retry' | 'hedge'): void;
  /** Of a subgraph that was behind its reader's writes: they were brought to it, and it has heard them, or refused all the same. */
  carried(subgraph: string, outcome: 'heard' | 'refused'): void;
  /**
   * A request was answered: `whole`, `partial` (the client asked for what it cannot have), `incomplete` (our side failed), or the code of its
   * refusal. `ms`: since it had come whole.
   */
  answered(outcome: string, ms?: number): void;
  request(method: string, status: number, ms: number, route: string | undefined): void;
  /** A client's connection was let go at once: there were as many as may be. */
  rejected(): void;
  /** What is read when somebody looks. */
  watch(parts: {
    upstreams: Upstreams;
    tls: Pick<TlsFiles, 'expiries'>;
    admission: Admission | undefined;
    served: ServedSupergraph;
    server: HttpServer;
    ended: EndedSessions | undefined;
    persisted: PersistedDocuments | undefined;
    isReady: () => boolean;
  }): void;
}

const STATES = ['closed', 'half-open', 'open'] as const;

export function gatewayMetrics(metrics: Metrics): GatewayMetrics {
  const calls = metrics.histogram({
    name: 'http_client_request_duration_seconds',
    help: 'How long subgraphs took to answer, the wait for a connection and a repeat included; error_type is ok or a code.',
    labels: ['subgraph', 'error_type'],
  });
  const repeats = metrics.counter({
    name: 'tributary_subgraph_repeats_total',
    help: 'Calls that were sent a second time: at most a tenth of all.',
    labels: ['subgraph', 'why'],
  });
  const carried = metrics.counter({
    name: 'tributary_reads_behind_total',
    help: 'Reads whose subgraph was behind what their client had written: heard when the events were brought to it, or refused all the same.',
    labels: ['subgraph', 'outcome'],
  });
  const answers = metrics.counter({
    name: 'tributary_graphql_answers_total',
    help: 'whole, partial (asked for what cannot be had), incomplete (a service failed), or the code of the refusal.',
    labels: ['outcome'],
  });
  const answering = metrics.histogram({
    name: 'tributary_graphql_answer_duration_seconds',
    help: 'How long operations took to be answered since they had come whole; http_server_request_duration_seconds has also what their clients took to send them.',
  });
  const rejected = metrics.counter({
    name: 'tributary_rejected_connections_total',
    help: 'Connections of clients that were told 503, or closed at once: CONNECTIONS_MAX were open.',
  });
  return {
    call: (subgraph, outcome, ms) => calls.labels(subgraph, outcome).observe(ms / 1_000),
    repeated: (subgraph, why) => repeats.labels(subgraph, why).inc(),
    carried: (subgraph, outcome) => carried.labels(subgraph, outcome).inc(),
    answered(outcome, ms) {
      answers.labels(outcome).inc();
      if (ms !== undefined) answering.observe(ms / 1_000);
    },
    request: (method, status, ms, route) => metrics.request('gateway', method, status, ms, route),
    rejected: () => rejected.inc(),
    watch: (parts) => watch(metrics, parts),
  };
}

function watch(metrics: Metrics, parts: Parameters<GatewayMetrics['watch']>[0]): void {
  const { upstreams, tls, admission, served, server, ended, persisted, isReady } = parts;
  metrics.gauges([readyGauge('gateway', isReady)]);
  metrics.gauge(
    {
      name: 'tributary_subgraph_breaker_state',
      help: '1 at the state that the breaker of an address is in.',
      labels: ['server_address', 'state'],
    },
    (gauge) => {
      gauge.reset();
      for (const { origin, breaker } of upstreams.endpoints)
        for (const state of STATES) gauge.set({ server_address: origin, state }, breaker.state === state ? 1 : 0);
    },
  );
  const perAddress = (name: string, help: string, read: (endpoint: Endpoint) => number): void =>
    metrics.gauge({ name, help, labels: ['server_address'] }, (gauge) => {
      gauge.reset();
      for (const endpoint of upstreams.endpoints) gauge.set({ server_address: endpoint.origin }, read(endpoint));
    });
  perAddress('http_client_active_requests', 'Calls under way to an address.', ({ inside }) => inside);
  perAddress('tributary_subgraph_calls_waiting', 'Calls that wait for a connection.', ({ waiting }) => waiting);
  perAddress(
    'tributary_subgraph_concurrency_limit',
    'Calls that an address is given at once.',
    ({ places }) => places.limit.places,
  );
  // Of these three, what mutations have.
  perAddress(
    'tributary_subgraph_mutations_active',
    'Mutations that hold one of the places for mutations, those that still wait for a connection included.',
    ({ writing }) => writing.line.inside,
  );
  perAddress(
    'tributary_subgraph_mutations_waiting',
    'Mutations that wait for one of the places for mutations; tributary_subgraph_calls_waiting has them too.',
    ({ writing }) => writing.line.waiting,
  );
  perAddress(
    'tributary_subgraph_mutations_limit',
    'Mutations that an address is given at once: half of the calls, or fewer.',
    ({ writingMost }) => writingMost,
  );
  metrics.gauge(
    {
      name: 'tributary_certificate_expiry_timestamp_seconds',
      help: 'When the certificate of SUBGRAPH_TLS_CERT that is used expires, and the first of SUBGRAPH_TLS_CA.',
      labels: ['file'],
    },
    (gauge) => {
      gauge.reset();
      for (const { file, at } of tls.expiries()) gauge.set({ file }, at / 1_000);
    },
  );
  metrics.gauge(
    {
      name: 'tributary_certificate_lifetime_seconds',
      help: 'How long that certificate is good altogether, from its first moment to its last.',
      labels: ['file'],
    },
    (gauge) => {
      gauge.reset();
      for (const { file, lifetimeMs } of tls.expiries()) gauge.set({ file }, lifetimeMs / 1_000);
    },
  );
  metrics.gauge({ name: 'http_server_active_requests', help: 'Requests under way.' }, (gauge) =>
    gauge.set(admission?.inside ?? Number.NaN),
  );
  metrics.gauge({ name: 'tributary_requests_limit', help: 'Requests that are taken at once.' }, (gauge) =>
    gauge.set(admission?.limit ?? Number.POSITIVE_INFINITY),
  );
  metrics.gauge(
    { name: 'tributary_requests_waiting', help: 'Requests that are taken and wait until fewer are run at once.' },
    (gauge) => gauge.set(admission?.running.waiting ?? 0),
  );
  metrics.gauge({ name: 'tributary_active_connections', help: 'Connections of clients that are open.' }, (gauge) =>
    gauge.set(server.connections()),
  );
  if (ended)
    metrics.gauge(
      {
        name: 'tributary_ended_sessions_age_seconds',
        help: 'Since it was last known which log-ins have ended, or since the start.',
      },
      (gauge) => gauge.set(ended.ageMs / 1_000),
    );
  metrics.gauge(
    {
      name: 'tributary_supergraph_served',
      help: '1: the newest supergraph is served; 0: it is not, or there is none.',
    },
    (gauge) => gauge.set(served.current && served.trouble === undefined ? 1 : 0),
  );
  metrics.gauge(
    { name: 'tributary_supergraph_missing', help: '1: there is no supergraph to serve, not even an older one.' },
    (gauge) => gauge.set(served.current ? 0 : 1),
  );
  metrics.gauge(
    { name: 'tributary_documents_registered', help: 'Documents of PERSISTED_DOCUMENTS that may be asked for.' },
    (gauge) => gauge.set(persisted?.size ?? 0),
  );
  metrics.gauge(
    {
      name: 'tributary_documents_served',
      help: '1: the file of PERSISTED_DOCUMENTS as it is holds, or there is to be none; 0: it is gone or broken, and the last good one holds.',
    },
    (gauge) => gauge.set(persisted?.trouble === undefined ? 1 : 0),
  );
}
