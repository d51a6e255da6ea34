import type { DomainEvent, Envelope } from '#libs/events';
import { errorType, inSpan, type Span, type Tracer } from '#libs/telemetry';

/**
 * What an event carries as `trace` is the span of whoever recorded it, then that of its publication; so what it brings about is in
 * the trace of the click that it began with, whatever process and hour it happens in. Nothing here begins a trace.
 */

/** Publishes: each event of a trace that is kept as its producer's span. */
export function publishTraced<T>(
  tracer: Tracer | undefined,
  events: readonly DomainEvent[],
  publish: (events: readonly DomainEvent[]) => Promise<T>,
): Promise<T> {
  if (tracer === undefined || !events.some(isTraced)) return publish(events);
  const spans: Span[] = [];
  const carried = events.map((event) => {
    const span = tracer.follow(event.trace, 'producer', `publish ${event.source}`, attributesOf(event, 'send'));
    if (span === undefined) return event;
    spans.push(span);
    return { ...event, trace: span.traceparent };
  });
  return during(spans, () => publish(carried));
}

/** Lets events take effect in `group`: each of a trace that is kept as its consumer's span. */
export function hearTraced<T>(
  tracer: Tracer | undefined,
  group: string,
  events: readonly Envelope[],
  hear: () => Promise<T>,
): Promise<T> {
  if (tracer === undefined) return hear();
  const spans = events.flatMap((event) => {
    const attributes = { ...attributesOf(event, 'process'), 'messaging.consumer.group.name': group };
    return tracer.follow(event.trace, 'consumer', `process ${event.source}`, attributes) ?? [];
  });
  return during(spans, hear);
}

/** They share one transaction or one call, so its statements are the first one's; each tells how many they were. */
async function during<T>(spans: readonly Span[], work: () => Promise<T>): Promise<T> {
  for (const span of spans) span.set({ 'messaging.batch.message_count': spans.length });
  let error: string | undefined;
  try {
    return await inSpan(spans[0], work);
  } catch (thrown) {
    error = errorType(thrown);
    throw thrown;
  } finally {
    for (const span of spans) span.end(error);
  }
}

/** Not the aggregate: it names a person. */
function attributesOf({ id, type, source }: Envelope, operation: 'send' | 'process') {
  return {
    'messaging.system': 'tributary',
    'messaging.operation.type': operation,
    'messaging.operation.name': operation === 'send' ? 'publish' : 'process',
    'messaging.destination.name': source,
    'messaging.message.id': id,
    'tributary.event.type': type,
  };
}

function isTraced(event: Envelope): boolean {
  return event.trace !== undefined;
}
