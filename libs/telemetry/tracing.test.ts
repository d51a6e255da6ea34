import { afterEach, describe, expect, it } from '@jest/globals';
import { readSettings, SettingsError } from '#libs/settings';
import { startCollector, type Collector } from '../../test/watch/collector.js';
import { currentSpan, inSpan } from './current-span.js';
import { silent } from './logger.js';
import { tracesUrl, tracingSettings } from './tracing-settings.js';
import { openTracing, traced, type Tracer, type Tracing } from './tracing.js';

let collector: Collector | undefined;
let tracing: Tracing | undefined;
afterEach(async () => {
  await tracing?.close();
  await collector?.close();
  collector = tracing = undefined;
});

async function open(
  env: Record<string, string> = {},
  logger = silent,
): Promise<{ tracer: Tracer; collector: Collector }> {
  collector = await startCollector();
  const config = readSettings(tracingSettings, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env });
  tracing = await openTracing(config, logger);
  return { tracer: tracing!.tracer('gateway'), collector };
}

const KEPT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const NOT_KEPT = KEPT.replace(/01$/, '00');

describe('the settings', () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ['no collector, no traces', {}, undefined],
    ['the address of a collector', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, 'http://c:4318/v1/traces'],
    ['with a path', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/otlp/' }, 'https://c/otlp/v1/traces'],
    ['the address of traces alone', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c/t' }, 'http://c/t'],
    ['disabled', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'true' }, undefined],
  ])('%s', (_what, env, url) => expect(tracesUrl(readSettings(tracingSettings, env))).toBe(url));

  it.each(['1.5', '-0.1', 'all', '10%'])('a share is a number from 0 to 1, not %s', (share) => {
    expect(() => readSettings(tracingSettings, { OTEL_TRACES_SAMPLER_ARG: share })).toThrow(SettingsError);
  });
});

describe('which traces are kept', () => {
  /** Of a request without a parent, with one that is kept, and with one that is not. */
  it.each<[string, string, boolean[]]>([
    ['parentbased_traceidratio', '0', [false, true, false]],
    ['parentbased_traceidratio', '1', [true, true, false]],
    ['parentbased_always_on', '0', [true, true, false]],
    ['parentbased_always_off', '1', [false, true, false]],
    ['traceidratio', '1', [true, true, true]],
    ['traceidratio', '0', [false, false, false]],
    ['always_on', '0', [true, true, true]],
    ['always_off', '1', [false, false, false]],
  ])('%s %s', async (OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, kept) => {
    const { tracer, collector } = await open({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG });
    const spans = [{}, { traceparent: KEPT }, { traceparent: NOT_KEPT }].map((headers) =>
      tracer.request(headers, 'asked', {}),
    );
    expect(spans.map(({ recorded }) => recorded)).toEqual(kept);
    // Whoever is called is told the same, and of the same trace.
    expect(spans.map(({ traceparent }) => traceparent.slice(-2) === '01')).toEqual(kept);
    expect(spans.slice(1).map(({ traceId }) => traceId)).toEqual(Array(2).fill(KEPT.split('-')[1]));
    for (const span of spans) {
      span.child('client', 'called').end();
      span.end();
    }
    await tracing!.close();
    expect(collector.spans).toHaveLength(2 * kept.filter(Boolean).length);
  });

  it('a tenth of what nobody has decided, by default', async () => {
    const { tracer } = await open();
    const kept = Array.from({ length: 5_000 }, () => tracer.request({}, 'asked', {})).filter((span) => span.recorded);
    expect(kept.length).toBeGreaterThan(350);
    expect(kept.length).toBeLessThan(650);
  });

  it.each(['', 'x', KEPT.replace('00-', 'ff-'), KEPT.replace(/[a-f0-9]{32}/, '0'.repeat(32)), `${KEPT}, ${KEPT}`])(
    'a header that is none begins a trace of our own: %s',
    async (traceparent) => {
      const { tracer } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
      expect(tracer.request({ traceparent }, 'asked', {}).traceId).not.toBe(KEPT.split('-')[1]);
      expect(tracer.follow(traceparent, 'server', 'asked', {})).toBeUndefined();
    },
  );

  it('what follows from nobody, or from what is not kept, is no span', async () => {
    const { tracer } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
    expect([undefined, null, NOT_KEPT].map((parent) => tracer.follow(parent, 'consumer', 'heard', {}))).toEqual(
      Array(3).fill(undefined),
    );
    expect(tracer.follow(KEPT, 'consumer', 'heard', {})?.traceId).toBe(KEPT.split('-')[1]);
  });

  it('what others’ tracing says beside it is handed on', async () => {
    const { tracer } = await open();
    const headers = { traceparent: NOT_KEPT, tracestate: 'vendor=1,other=two' };
    expect(tracer.request(headers, 'asked', {}).tracestate).toBe('vendor=1,other=two');
  });
});

describe('a collector that does not answer', () => {
  const many = 10_000;

  async function flooded(env: Record<string, string>): Promise<number> {
    Object.assign(process.env, env);
    try {
      const { tracer, collector } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
      collector.hang(true);
      for (let nth = 0; nth < many; nth++) {
        tracer.request({}, 'asked', {}).end();
        // Requests come one after another: there is time to send, if anybody took it.
        if (nth % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      collector.hang(false);
      await tracing!.close();
      return collector.spans.length;
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  }

  it('costs what is beyond the queue, and no memory', async () => {
    const kept = await flooded({});
    expect(kept).toBeGreaterThan(1_000);
    expect(kept).toBeLessThan(4_000);
  });

  it('control: a queue with a place for all of them loses none', async () => {
    expect(await flooded({ OTEL_BSP_MAX_QUEUE_SIZE: '20000' })).toBe(many);
  });

  it('is told once, not for every batch; and nobody waits for it long when the program ends', async () => {
    const said: string[] = [];
    const logger = { ...silent, warn: (_fields: object, message: string) => void said.push(message) };
    const { tracer } = await open({ OTEL_TRACES_SAMPLER: 'always_on' }, logger);
    await collector!.close();
    for (let nth = 0; nth < 1_500; nth++) tracer.request({}, 'asked', {}).end();
    await tracing!.close();
    expect(said).toEqual(['Traces cannot be sent; what has no place is dropped']);
  });
});

describe('the span that work under way belongs to', () => {
  it('is there after every wait, and is each one’s own', async () => {
    const { tracer } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
    const deep = async (): Promise<string | undefined> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return currentSpan()?.traceparent;
    };
    const spans = [1, 2].map(() => tracer.request({}, 'asked', {}));
    const found = await Promise.all(spans.map((span) => inSpan(span, deep)));
    expect(found).toEqual(spans.map(({ traceparent }) => traceparent));
    expect(await deep()).toBeUndefined();
    for (const span of spans) span.end();
  });

  it('is found until it ends, whoever else is under way', async () => {
    const { tracer } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
    const spans = [1, 2].map(() => tracer.request({}, 'asked', {}));
    const found = await Promise.all(
      spans.map((span) =>
        inSpan(span, async () => {
          await Promise.resolve();
          const before = currentSpan();
          span.end();
          await Promise.resolve();
          return [before, currentSpan()];
        }),
      ),
    );
    expect(found).toEqual(spans.map((span) => [span, undefined]));
  });

  it('of a failure tells the code or the kind, never what was said', async () => {
    const { tracer, collector } = await open({ OTEL_TRACES_SAMPLER: 'always_on' });
    const root = tracer.request({}, 'asked', {});
    const failing = (error: Error) =>
      traced(root, 'internal', 'work', {}, async () => {
        throw error;
      }).catch(() => {});
    await failing(new TypeError('alice@example.org is not a number'));
    await failing(Object.assign(new Error('no way to alice'), { code: 'ECONNREFUSED' }));
    root.end();
    await tracing!.close();
    expect(collector.spans.map(({ attributes }) => attributes['error.type'])).toEqual([
      'TypeError',
      'ECONNREFUSED',
      undefined,
    ]);
    expect(collector.bytes).not.toContain('alice');
  });
});
