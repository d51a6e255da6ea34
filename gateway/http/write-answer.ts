import { isAscii } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { corsHeaders } from './cross-site.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import type { ResponseType } from './media-type.js';

/**
 * Status, headers and body, and that is the end of it; `more`: headers besides ours, by turns a name and its value. `rest`: what its client
 * still sends is taken until then, or it would not see the answer for the end of its connection.
 */
export function writeAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  type: ResponseType,
  body: string | Buffer,
  requestId: string,
  parts: GraphqlOverHttpParts,
  more: readonly string[] = [],
  rest?: Promise<void>,
): void {
  if (parts.cors.origins.length > 0)
    for (const [name, value] of Object.entries(corsHeaders(request.headers.origin, parts.cors)))
      // What is kept of entities varies as well (authorization), and one must not take the other's place.
      if (name === 'vary') response.appendHeader(name, value);
      else response.setHeader(name, value);
  const headers = [
    'content-type',
    CONTENT_TYPES[type],
    'content-length',
    String(Buffer.byteLength(body)),
    'x-request-id',
    requestId,
    'x-content-type-options',
    'nosniff',
    ...more,
  ];
  const places = parts.admission?.places(parts.untaken?.many);
  if (places !== undefined) headers.push(PLACES_HEADER, String(places));
  response.writeHead(status, headers);
  if (rest) {
    response.write(body);
    void rest.then(() => response.end());
  } else if (request.method === 'HEAD') response.end();
  // Head and body in one piece are one write; a buffer would be a second one.
  else if (typeof body !== 'string' && body.length <= ONE_PIECE_BYTES && isAscii(body))
    response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
  if (response.writableLength > 0) parts.untaken?.add(response);
}

const ONE_PIECE_BYTES = 16 * 1024;

/** What is brought beyond it would be refused: deploy/haproxy.cfg refuses it instead. */
const PLACES_HEADER = 'tributary-places';

const CONTENT_TYPES: Readonly<Record<ResponseType, string>> = {
  'application/json': 'application/json; charset=utf-8',
  'application/graphql-response+json': 'application/graphql-response+json; charset=utf-8',
};
