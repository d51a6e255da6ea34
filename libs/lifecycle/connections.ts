import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** So long somebody beyond them has to ask, and as long again to read that there is no place. */
const LET_GO_MS = 1_000;
/** Of what they send meanwhile. Cut before they have read their answer, they would not see it. */
const HEARD_BYTES_MAX = 1024 * 1024;

/** How many of those beyond the most that may be are told so at a time. */
export function reserveOf(connectionsMax: number): number {
  return Math.min(64, Math.ceil(connectionsMax / 16));
}

export interface Limited {
  /** How many have a place. */
  count(): number;
}

/**
 * More than `max` find no place. Node would close them without a word; here a few at a time, `reserveOf(max)` beside the others, are
 * answered `refusal()`, a whole HTTP answer, and let go: one fixed text, and no request is read. Beyond those it is as with Node.
 */
export function limitConnections(
  server: Server,
  max: number,
  { refusal, rejected = () => {} }: { refusal: () => string; rejected?: (() => void) | undefined },
): Limited {
  let count = 0;
  const taken = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.maxConnections = max + reserveOf(max);
  server.on('drop', rejected);
  server.on('connection', (socket: Socket) => {
    if (count >= max) {
      rejected();
      return turnAway(socket, refusal);
    }
    count += 1;
    socket.once('close', () => (count -= 1));
    for (const take of taken) take.call(server, socket);
  });
  return { count: () => count };
}

/** Told when it asks: to whoever has not, an answer is a mistake. */
function turnAway(socket: Socket, refusal: () => string): void {
  let heard = 0;
  let cut = setTimeout(() => socket.destroy(), LET_GO_MS);
  socket.on('error', () => {});
  socket.once('close', () => clearTimeout(cut));
  socket.once('end', () => heard === 0 && socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (heard === 0) {
      socket.end(refusal());
      clearTimeout(cut);
      cut = setTimeout(() => socket.destroy(), LET_GO_MS);
    }
    heard += chunk.length;
    if (heard > HEARD_BYTES_MAX) socket.destroy();
  });
}

/** For `refusal`: 503, and to be tried again in a second. */
export function refusalText(body: string, headers = ''): string {
  return `HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncache-control: no-store\r\ncontent-type: application/json; charset=utf-8\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
