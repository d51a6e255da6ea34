import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CODES } from '#libs/failure';
import { AWAY_HEADER, limitConnections, refusalText } from '#libs/lifecycle';

/** A port that is listened on from the first moment to the last, whoever answers there. */
export interface Listening {
  /** Where GraphQL is answered, for example http://127.0.0.1:40123/graphql */
  readonly url: string;
  readonly server: Server;
  /** Somebody answers, nobody ends it, and its heap has room. */
  readonly ready: boolean;
  /** From now on `handle` answers; until then /health says what is waited for. */
  answerWith(handle: RequestListener): void;
  /** Goes on answering, is not ready, and ends each connection with its next answer: others are asked before it closes. */
  drain(): void;
  /** Ends what is under way, refuses what is new. */
  close(): Promise<void>;
}

/** Longer than the gateway's pool keeps an idle connection, so that it is never we who cut one that is being used. */
const KEEP_ALIVE_MS = 75_000;
const REQUEST_MS = 15_000;
/** Whoever is still at it then is cut: nobody waits longer for an answer, or nothing was ever asked. */
const CUT_MS = 10_000;

/**
 * Listens at once. Migrations may take minutes, and whoever looks whether the program lives would end it in the middle of an index if
 * nobody answered.
 */
export async function listen({
  host,
  port,
  waitingFor,
  connectionsMax,
  heapFull = () => false,
}: {
  host: string;
  port: number;
  /** What /health/startup and /health/ready say until somebody answers. */
  waitingFor: readonly string[];
  /** More are told 503, or closed at once: gateways ask again for queries, and mutations fail. Absent: as many as come. */
  connectionsMax?: number | undefined;
  /** It answers, and others are to be asked. */
  heapFull?: () => boolean;
}): Promise<Listening> {
  let handle: RequestListener = (request, response) => {
    const path = pathOf(request.url);
    if (path === '/health/live') return tell(response, 200, { status: 'live' });
    response.setHeader(AWAY_HEADER, 'starting');
    tell(response, 503, { status: path === '/health/startup' ? 'starting' : 'waiting', waitingFor });
  };
  let answering = false;
  let ending = false;
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_MS }, (request, response) => {
    if (heapFull() && pathOf(request.url) === '/health/ready') return tell(response, 503, HEAP_FULL);
    if (ending) {
      response.setHeader('connection', 'close');
      response.setHeader(AWAY_HEADER, 'ending');
      if (pathOf(request.url) === '/health/ready') return tell(response, 503, ENDING);
    }
    handle(request, response);
  });
  if (connectionsMax !== undefined) limitConnections(server, connectionsMax, { refusal: () => NO_PLACE });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}/graphql`,
    server,
    get ready() {
      return answering && !ending && !heapFull();
    },
    answerWith(next) {
      handle = next;
      answering = true;
    },
    drain() {
      ending = true;
    },
    close() {
      ending = true;
      closed ??= close(server);
      return closed;
    },
  };
}

async function close(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), CUT_MS);
  // A connection whose last answer is out is idle, and kept alive by its client for as long as it likes.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await new Promise((resolve) => server.close(resolve));
  clearInterval(idle);
  clearTimeout(cut);
}

/** As GraphQL has it, for gateways, and for who looks at its health. */
const NO_PLACE = refusalText(
  JSON.stringify({ errors: [{ message: CODES.OVERLOADED.message, extensions: { code: 'OVERLOADED' } }] }),
);

/** In the words of the gateway. */
const HEAP_FULL = { status: 'waiting', waitingFor: ['heap: it is nearly full'] };
const ENDING = { status: 'waiting', waitingFor: ['nothing: it is ending'] };

function tell(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function pathOf(url = ''): string | undefined {
  return url.split('?', 1)[0];
}
