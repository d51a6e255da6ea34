import { createServer, request, Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A whole answer of an HTTP server. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer;
}

/** One request that came, whatever became of it. */
export interface Came {
  readonly method: string;
  readonly body: string;
  /** What whoever asks calls this request. */
  readonly requestId: string;
  /** 1 for the first on its connection. */
  readonly nthOnConnection: number;
}

/** What is answered instead of the real answer. */
export type Lie = (real: HttpAnswer, came: Came) => HttpAnswer;

export interface Lies {
  /** Each POST gets the next one, and after the last one the first. */
  readonly answers?: readonly Lie[];
  /** These connections are reset, and what came on them goes no further. */
  readonly resets?: (came: Came) => boolean;
  /** Answers are HTTP/1.0, and end with their connection. */
  readonly old?: boolean;
}

export interface AnswerProxy {
  readonly port: number;
  /** What came by POST since the last `tell`. */
  readonly came: readonly Came[];
  /** Where requests of whatever method went since then. */
  readonly paths: readonly string[];
  /** Connections since then that were given up before anything was asked, as whoever does not trust us does. */
  readonly refused: number;
  /** How often one of `answers` was told since the last `tell`, by their place. */
  readonly told: readonly number[];
  /** From now on, for open connections too; nothing: the truth. */
  tell(lies: Lies): void;
  /** Who comes from now on is shown this certificate; connections are cut. */
  show(certificate: Certificate): void;
  close(): Promise<void>;
}

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Of one connection alone (RFC 9110, 7.6.1), and what is said anew of the answer as it is then. */
const NOT_PASSED_ON = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date']);

/** Between whoever asks over HTTP and a real server: passes requests on as they are, and of the real answers it makes others. */
export async function startAnswerProxy(to: { port: number; tls?: Certificate }): Promise<AnswerProxy> {
  const agent = new Agent({ keepAlive: true });
  const sockets = new Set<Socket>();
  const turns = new WeakMap<Socket, number>();
  let lies: Lies = {};
  let came: Came[] = [];
  let paths: string[] = [];
  let refused = 0;
  let told: number[] = [];
  let next = 0;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { socket, method = '' } = request;
    const nthOnConnection = (turns.get(socket) ?? 0) + 1;
    turns.set(socket, nthOnConnection);
    paths.push(request.url ?? '');
    const bytes = await buffer(request);
    const requestId = String(request.headers['x-request-id'] ?? '');
    const one: Came = { method, body: bytes.toString(), requestId, nthOnConnection };
    if (method === 'POST') came.push(one);
    if (method === 'POST' && lies.resets?.(one)) return void socket.resetAndDestroy();
    const real = await forward(to.port, agent, request, bytes);
    // Those of now: what was asked before may be answered otherwise.
    const { answers = [], old = false } = lies;
    const nth = next % Math.max(1, answers.length);
    const lie = method === 'POST' ? answers[nth] : undefined;
    if (lie !== undefined) {
      next += 1;
      told[nth] = (told[nth] ?? 0) + 1;
    }
    const { status, headers, body } = lie === undefined ? real : lie(real, one);
    if (!old) return void response.writeHead(status, headers as Record<string, string>).end(body);
    const head = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((line) => `${name}: ${line}`));
    socket.write([`HTTP/1.0 ${status} .`, ...head, '', ''].join('\r\n'));
    socket.end(body);
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(() => request.socket.destroy());
  };
  const server = to.tls === undefined ? createServer(serve) : createTlsServer({ ...to.tls }, serve);
  const open = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  server.on('connection', open).on('tlsClientError', () => (refused += 1));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get came() {
      return came;
    },
    get paths() {
      return paths;
    },
    get refused() {
      return refused;
    },
    get told() {
      return told;
    },
    tell(other) {
      lies = other;
      came = [];
      paths = [];
      refused = 0;
      told = [];
      next = 0;
    },
    show(certificate) {
      (server as TlsServer).setSecureContext({ ...certificate });
      cut();
    },
    close: () =>
      new Promise((resolve) => {
        agent.destroy();
        server.close(() => resolve());
        cut();
      }),
  };
}

function forward(port: number, agent: Agent, came: IncomingMessage, body: Buffer): Promise<HttpAnswer> {
  const { method, url: path, headers } = came;
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, path, headers, agent }, (answer) => {
      const heads = Object.entries(answer.headers).filter(([name]) => !NOT_PASSED_ON.has(name));
      buffer(answer).then(
        (bytes) =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: Object.fromEntries(heads) as HttpAnswer['headers'],
            body: bytes,
          }),
        reject,
      );
    });
    asked.once('error', reject).end(body);
  });
}
