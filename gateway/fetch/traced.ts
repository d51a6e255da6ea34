import { errorType, type Span } from '#libs/telemetry';
import type { SubgraphClient } from '../engine.js';

/** Each call of a trace that is kept becomes a span, from its place in line to its answer, a repeat included. */
export function tracedClient<Client extends SubgraphClient>(client: Client): Client {
  return {
    ...client,
    post(call, context) {
      if (!context.trace?.recorded) return client.post(call, context);
      const span = context.trace.child('client', `POST ${call.subgraph}`, {
        'http.request.method': 'POST',
        'url.full': call.url,
        'graphql.operation.type': call.type,
        'tributary.subgraph': call.subgraph,
      });
      return client.post(call, { ...context, trace: span }).then(
        (bytes) => {
          span.set({ 'http.response.body.size': bytes.length });
          span.end();
          return bytes;
        },
        (error: unknown) => {
          span.end(errorType(error));
          throw error;
        },
      );
    },
  };
}

/** Also of a trace that is not kept: whoever is called then keeps none of its own. */
export function tellTrace({ traceparent, tracestate }: Span, headers: Record<string, string>): void {
  headers['traceparent'] = traceparent;
  if (tracestate !== undefined) headers['tracestate'] = tracestate;
}
