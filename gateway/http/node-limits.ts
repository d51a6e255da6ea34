import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { limitConnections, refusalText, type Limited } from '#libs/lifecycle';
import { answerProblem } from './problem.js';
import { TOO_MANY, refusalBody } from './refusal.js';

/** What a request may be before anybody looks at what it asks. */
export interface NodeLimits {
  /** Of all headers together, with the first line. */
  readonly headerBytes: number;
  readonly headersMax: number;
  /** How long the headers may take, */
  readonly headersTimeoutMs: number;
  /** and how long the whole of it. */
  readonly arrivalTimeoutMs: number;
}

/** Node's defaults wait 60 s for headers and 300 s for a request. */
export const NODE_LIMITS: NodeLimits = {
  headerBytes: 16 * 1024,
  headersMax: 100,
  headersTimeoutMs: 10_000,
  arrivalTimeoutMs: 15_000,
};

/** What Node's own HTTP server takes. */
export const serverOptions = ({ headerBytes, headersTimeoutMs, arrivalTimeoutMs }: NodeLimits) => ({
  maxHeaderSize: headerBytes,
  headersTimeout: headersTimeoutMs,
  requestTimeout: arrivalTimeoutMs,
  /** How often the two above are looked at. */
  connectionsCheckingInterval: 1_000,
  /** Longer than load balancers keep an idle connection (60 s is usual), so that it is never we who cut one in use. */
  keepAliveTimeout: 75_000,
  /** Node's own answer has no body; `whyNotTaken` below has one. */
  requireHostHeader: false,
});

export const SERVER_OPTIONS = serverOptions(NODE_LIMITS);

/** `rejected`: told of each connection beyond the most that may be. */
export function limitServer(
  server: Server,
  connectionsMax: number,
  newId: () => string,
  rejected?: () => void,
  { headersMax }: Pick<NodeLimits, 'headersMax'> = NODE_LIMITS,
): Limited {
  // One more than may be: that there are more is seen by it.
  server.maxHeadersCount = headersMax + 1;
  server.maxRequestsPerSocket = 1_000;
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('connection', 'close');
    answerProblem(response, 417, 'Only Expect: 100-continue can be met.', newId());
  });
  const refusal = (): string => {
    const id = newId();
    return refusalText(refusalBody(TOO_MANY, id), `x-content-type-options: nosniff\r\nx-request-id: ${id}\r\n`);
  };
  return limitConnections(server, connectionsMax, { refusal, rejected });
}

const ANSWERS: Record<string, (limits: NodeLimits) => { status: string; message: string }> = {
  HPE_HEADER_OVERFLOW: ({ headerBytes }) => ({
    status: '431 Request Header Fields Too Large',
    message: `The headers are too large: with the address they have to be shorter than ${headerBytes} bytes.`,
  }),
  ERR_HTTP_REQUEST_TIMEOUT: ({ headersTimeoutMs, arrivalTimeoutMs }) => ({
    status: '408 Request Timeout',
    message: `The request took too long to arrive: its headers may take ${headersTimeoutMs / 1_000} s, the whole of it ${arrivalTimeoutMs / 1_000} s.`,
  }),
};

/** So long a client has to read why its connection ends. */
const LET_GO_MS = 1_000;

/**
 * What is not even HTTP gets the same JSON as everything else, and the connection ends: also for a client that does not end its half of
 * it. Node has looked at it for the last time when it told us, and it would keep a place of `connectionsMax` for as long as that likes.
 */
export function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Socket,
  newId: () => string,
  limits: NodeLimits = NODE_LIMITS,
): void {
  if (socket.destroyed || !socket.writable) return void socket.destroy();
  const { status, message } = ANSWERS[error.code ?? '']?.(limits) ?? {
    status: '400 Bad Request',
    message: 'This is no HTTP/1.1 request.',
  };
  const requestId = newId();
  const body = JSON.stringify({ errors: [{ message, extensions: { code: 'BAD_REQUEST', requestId } }] });
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\nx-request-id: ${requestId}\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  const cut = setTimeout(() => socket.destroy(), LET_GO_MS);
  socket.once('close', () => clearTimeout(cut));
}

/** What a request lacks, or has too much of, whatever it asks for. */
export function whyNotTaken(
  request: IncomingMessage,
  { headersMax }: Pick<NodeLimits, 'headersMax'> = NODE_LIMITS,
): { status: number; message: string } | undefined {
  // Node drops headers beyond `maxHeadersCount` without a word: one that we need could be among them.
  if (request.rawHeaders.length > 2 * headersMax)
    return { status: 431, message: `A request may have at most ${headersMax} headers.` };
  if (request.headers.host === undefined && request.httpVersion !== '1.0')
    return { status: 400, message: 'A request has to have a Host header.' };
  return undefined;
}
