import { LISTENERS, type EventSource } from '#libs/events';
import type { Gauge } from '#libs/telemetry';

import type { Stream } from './stream.js';

/**
 * Whether what a service told is heard. It is the teller who says it, of each group: a consumer that is down cannot say that it is behind,
 * and of what the stream has taken the outbox knows no more.
 */
export function streamGauges(stream: Stream, source: EventSource): Gauge[] {
  return [
    ...LISTENERS[source].map((group) => ({
      name: 'tributary_unheard_seconds',
      help: 'How long the oldest event of source has waited in the stream for service to hear it; 0 when none waits.',
      labels: { service: group, source },
      read: async () => ((await stream.unheardMs?.(source, group)) ?? 0) / 1_000,
    })),
    {
      name: 'tributary_stream_events',
      help: 'Events of source that the stream keeps, because somebody has not heard them or they have not been trimmed yet.',
      labels: { source },
      read: async () => (await stream.kept?.(source)) ?? 0,
    },
  ];
}
