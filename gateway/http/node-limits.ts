import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { limitConnections, refusalText, type Limited } from '#libs/lifecycle';
import { answerProblem, problemBody } from './problem.js';
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

/** `rejected`: told of each connection beyond the most that may be; `bodyBytesMax`: nobody is told to go on with a longer body. */
export function limitServer(
  server: Server,
  connectionsMax: number,
  newId: () => string,
  rejected?: () => void,
  { headersMax, bodyBytesMax = Infinity }: Pick<NodeLimits, 'headersMax'> & { bodyBytesMax?: number } = NODE_LIMITS,
): Limited {
  // One more than may be: that there are more is seen by it.
  server.maxHeadersCount = headersMax + 1;
  server.maxRequestsPerSocket = 1_000;
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('connection', 'close');
    answerProblem(response, 417, 'Only Expect: 100-continue can be met.', newId());
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // Whoever reads it refuses it, and is not waited for: the body is not on its way (read-body.ts).
    if (!(Number(request.headers['content-length'] ?? 0) > bodyBytesMax)) response.writeContinue();
    server.emit('request', request, response);
  });
  // Without a listener Node closes the connection without a word.
  server.on('connect', (_request, socket) =>
    afterUnderWay(socket as Socket, () =>
      letGo(
        socket as Socket,
        problemText('405 Method Not Allowed', 'This is no proxy.', newId(), 'allow: GET, POST\r\n'),
      ),
    ),
  );
  server.prependListener('request', noteUnderWay);
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
 * What came whole before it is answered first, however long that takes: it may be a mutation that is done.
 */
export function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Socket,
  newId: () => string,
  limits: NodeLimits = NODE_LIMITS,
): void {
  if (socket.destroyed || !socket.writable) return void socket.destroy();
  // What comes after what cannot be read is told once more, for each piece of it.
  if (broken.has(socket)) return;
  broken.add(socket);
  const { status, message } = ANSWERS[error.code ?? '']?.(limits) ?? {
    status: '400 Bad Request',
    message: 'This is no HTTP/1.1 request.',
  };
  const answer = (): void => {
    // That one may have been the last, by its own `Connection: close`.
    if (socket.destroyed || !socket.writable) return;
    // A second answer to one request would be taken for the next one's.
    letGo(socket, hasBeenAnswered(socket) ? '' : problemText(status, message, newId()));
  };
  afterUnderWay(socket, answer);
}

function afterUnderWay(socket: Socket, answer: () => void): void {
  const before = underWay(socket);
  if (before === undefined) return answer();
  socket.pause();
  before.once('close', () => {
    socket.resume();
    afterUnderWay(socket, answer);
  });
}

const broken = new WeakSet<Socket>();

/**
 * The last two of each connection that are not out: of the last one the body may be what cannot be read. They are answered in turn. Of what is out nothing is
 * held: a response holds its request, and ten thousand idle connections would hold the last body of each.
 */
const lastOf = new WeakMap<Socket, Known>();

interface Known {
  last: ServerResponse | undefined;
  before: ServerResponse | undefined;
  /** The last request, answered before all of its body came: until then Node holds it. */
  answered: WeakRef<IncomingMessage> | undefined;
}

/** The request of which the rest cannot be read, or does not come. */
function hasBeenAnswered(socket: Socket): boolean {
  return lastOf.get(socket)?.answered?.deref()?.complete === false;
}

function noteUnderWay({ socket }: IncomingMessage, response: ServerResponse): void {
  let known = lastOf.get(socket);
  if (known === undefined) lastOf.set(socket, (known = { last: undefined, before: undefined, answered: undefined }));
  known.before = known.last;
  known.last = response;
  known.answered = undefined;
  response.once('close', () => {
    if (known.before === response) known.before = undefined;
    if (known.last !== response) return;
    known.last = undefined;
    if (!response.req.complete) known.answered = new WeakRef(response.req);
  });
}

/** The last response on this connection that has begun or whose request has come whole, while it is not out. */
function underWay(socket: Socket): ServerResponse | undefined {
  const { last, before } = lastOf.get(socket) ?? {};
  const response = last === undefined || !(last.req.complete || last.headersSent) ? before : last;
  return response === undefined || response.destroyed || response.writableFinished ? undefined : response;
}

function problemText(status: string, message: string, requestId: string, headers = ''): string {
  const body = problemBody('BAD_REQUEST', message, requestId);
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\nx-request-id: ${requestId}\r\n${headers}`;
  return `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function letGo(socket: Socket, text: string): void {
  socket.on('error', () => {});
  socket.end(text);
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
  if (hasTwoHosts(request.rawHeaders)) return { status: 400, message: 'A request has one Host header.' };
  const coding = request.headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  // RFC 9112, 6.1: where such a message ends nobody can know.
  if (request.httpVersion === '1.0') return { status: 400, message: 'HTTP/1.0 has no Transfer-Encoding.' };
  if (coding.trim().toLowerCase() !== 'chunked')
    return { status: 501, message: 'Of Transfer-Encoding only chunked can be read; compress by Content-Encoding.' };
  return undefined;
}

/** Node takes the first, and a proxy before us may have taken another. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let nth = 0; nth < rawHeaders.length; nth += 2)
    if (rawHeaders[nth]!.length === 4 && rawHeaders[nth]!.toLowerCase() === 'host') hosts += 1;
  return hosts > 1;
}
