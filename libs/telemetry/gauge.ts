/** A figure of a running system that is asked for now and then: what an alarm looks at. */
export interface Gauge {
  /** As Prometheus names it, with the unit: `tributary_outbox_age_seconds`. */
  readonly name: string;
  /** What it tells, and what it should be. */
  readonly help: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** It only grows while the program runs: to Prometheus a counter, whose rate may be asked for. */
  readonly grows?: true;
  read(): Promise<number>;
}

/** What /health/ready says, as a figure. */
export function readyGauge(service: string, isReady: () => boolean | Promise<boolean>): Gauge {
  return {
    name: 'tributary_ready',
    help: '1: it is ready; 0: it is not, and /health/ready says why.',
    labels: { service },
    read: async () => ((await isReady()) ? 1 : 0),
  };
}

export interface Reading {
  readonly gauge: Gauge;
  /** NaN where it could not be read. */
  readonly value: number;
}

/** All at once; one that fails is NaN and does not hide the others. */
export function readGauges(gauges: readonly Gauge[]): Promise<Reading[]> {
  return Promise.all(gauges.map(async (gauge) => ({ gauge, value: await gauge.read().catch(() => Number.NaN) })));
}
