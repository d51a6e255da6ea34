import { address, choice, flag, text, type Setting, type Values } from '#libs/settings';

/** The names are OpenTelemetry's own; what else its exporter knows (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_…`) it reads by itself. */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: address({
    protocols: ['http:', 'https:'],
    why: 'The OpenTelemetry collector that traces are sent to, by OTLP over HTTP as JSON (mostly port 4318), at /v1/traces; absent: nothing is traced.',
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: address({
    protocols: ['http:', 'https:'],
    why: 'The same as the whole address, where it is another one for traces.',
  }),
  OTEL_TRACES_SAMPLER: choice(
    [
      'parentbased_traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'traceidratio',
      'always_on',
      'always_off',
    ],
    {
      default: 'parentbased_traceidratio',
      why: 'Which traces are kept; parentbased: what whoever asks us has decided holds.',
    },
  ),
  OTEL_TRACES_SAMPLER_ARG: share({ default: 0.1, why: 'With traceidratio the share that is kept; 1: all.' }),
  OTEL_SERVICE_NAME: text({ why: 'What it is called in traces, instead of gateway, users, posts or followers.' }),
  OTEL_SDK_DISABLED: flag({ default: false, why: 'true: nothing is traced, whatever else is set.' }),
};

export type TracingConfig = Values<typeof tracingSettings>;

/** Where traces go; undefined: nobody wants them. */
export function tracesUrl(config: TracingConfig): string | undefined {
  if (config.OTEL_SDK_DISABLED) return undefined;
  const base = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  return config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base.replace(/\/+$/, '')}/v1/traces`);
}

function share({ why, default: standard }: { why: string; default: number }): Setting<number> & { default: number } {
  return {
    takes: 'a number from 0 to 1',
    default: standard,
    why,
    parse: (value) => (/^(0|1|0?\.\d+|1\.0+)$/.test(value) ? Number(value) : undefined),
  };
}
