import { timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Counter, Gauge as PromGauge, Histogram, Registry } from 'prom-client';
import { isLoopback } from '#libs/settings';
import type { Gauge } from './gauge.js';

/** Those that the semantic conventions of OpenTelemetry advise for durations of requests, s. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/**
 * What a program tells Prometheus. Only a program that is told where (METRICS_PORT) loads and has one: off costs a comparison.
 * Names are those of OpenTelemetry's semantic conventions as Prometheus writes them (`http.server.request.duration` →
 * `http_server_request_duration_seconds`), with `tributary_` before what only we have.
 */
export class Metrics {
  readonly #client: typeof import('prom-client');
  readonly #registry: Registry;
  readonly #http: Histogram;

  static async open(): Promise<Metrics> {
    return new Metrics(await import('prom-client'));
  }

  private constructor(client: typeof import('prom-client')) {
    this.#client = client;
    this.#registry = new client.Registry();
    client.collectDefaultMetrics({ register: this.#registry });
    this.#http = this.histogram({
      name: 'http_server_request_duration_seconds',
      help: 'How long requests took to be answered; a client that went away is 499.',
      labels: ['service_name', 'http_request_method', 'http_response_status_code', 'http_route'],
    });
  }

  /** One request of one service was answered. No `route`: there is nothing at its address. */
  request(service: string, method: string, status: number, ms: number, route = ''): void {
    // A method is what a stranger wrote.
    this.#http.labels(service, METHODS.has(method) ? method : '_OTHER', String(status), route).observe(ms / 1_000);
  }

  histogram({ name, help, labels = [] }: MetricOptions): Histogram {
    return new this.#client.Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: SECONDS,
      registers: [this.#registry],
    });
  }

  /** The services of one process share it. */
  counter({ name, help, labels = [] }: MetricOptions): Counter {
    const existing = this.#registry.getSingleMetric(name) as Counter | undefined;
    if (existing !== undefined) return existing;
    return new this.#client.Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
  }

  /** `collect` sets it when somebody looks. */
  gauge({ name, help, labels = [] }: MetricOptions, collect: (gauge: PromGauge) => void | Promise<void>): void {
    const made: PromGauge = new this.#client.Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      collect: () => collect(made),
    });
  }

  /** Read when somebody looks, each for a second at most; one that cannot be read is left out, and the others are there. */
  gauges(gauges: readonly Gauge[]): void {
    const added: string[] = [];
    for (const one of gauges) {
      const existing = this.#registry.getSingleMetric(one.name);
      const all = this.#read.get(one.name) ?? [];
      all.push(one);
      this.#read.set(one.name, all);
      if (existing === undefined) added.push(one.name);
    }
    for (const name of new Set(added)) {
      const [{ help, labels = {}, grows }] = this.#read.get(name) as [Gauge];
      const read = (one: Gauge): Promise<number> => within(READ_MS, one.read()).catch(() => Number.NaN);
      /** All are set at once when all are read: of two that look together, neither sees a half. */
      const collect = async (metric: Counter | PromGauge): Promise<void> => {
        const all = [...this.#read.get(name)!];
        const values = await Promise.all(all.map(read));
        metric.reset();
        all.forEach((one, at) => {
          if (!Number.isNaN(values[at])) metric.inc({ ...one.labels }, values[at]!);
        });
      };
      const options = { name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
      const made: Counter | PromGauge = grows
        ? new this.#client.Counter({ ...options, collect: () => collect(made) })
        : new this.#client.Gauge({ ...options, collect: () => collect(made) });
    }
  }
  readonly #read = new Map<string, Gauge[]>();

  /** In Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Answers GET /metrics, with a token to nobody who does not send it as a bearer. */
  async listen(at: { host: string; port: number; token?: string | undefined }): Promise<MetricsServer> {
    const server = createServer((request, response) => {
      request.resume();
      if (request.url !== '/metrics' || request.method !== 'GET') return void response.writeHead(404).end();
      if (at.token !== undefined && !isToken(request.headers.authorization, at.token))
        return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      this.text().then(
        (text) => response.writeHead(200, { 'content-type': this.#registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    });
    await listening(server, at.host, at.port);
    const { port } = server.address() as AddressInfo;
    const host = at.host.includes(':') ? `[${at.host}]` : at.host;
    return {
      url: `http://${host}:${port}/metrics`,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
  }
}

/** What is to be told at a start where anybody may read the figures; undefined: nobody can, or only who has the token. */
export function openFigures({ HOST, METRICS_PORT, METRICS_TOKEN }: FiguresSettings): string | undefined {
  if (METRICS_PORT === undefined || METRICS_TOKEN !== undefined || isLoopback(HOST)) return undefined;
  return `Whoever reaches port ${METRICS_PORT} of ${HOST} may read the figures, which name addresses: METRICS_TOKEN is not set; set it, or keep that port inside`;
}

interface FiguresSettings {
  readonly HOST: string;
  readonly METRICS_PORT?: number | undefined;
  readonly METRICS_TOKEN?: string | undefined;
}

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE']);
const READ_MS = 1_000;

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function isToken(header: string | undefined, token: string): boolean {
  const [came, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)];
  return came.length === wanted.length && timingSafeEqual(came, wanted);
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
