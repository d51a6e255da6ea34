import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const AGAIN_MS = 100;
const ANSWERED_MS = 5_000;
const NO_PLACE = /^HTTP\/1\.1 503 .*\r\nconnection: close\r\nretry-after: 1\r\n/;

export interface Crushed {
  answered: number;
  /** 503, and let go: there was no place. */
  told: number;
  /** Without a word. */
  closed: number;
}

/** For `ms` there are always `count` clients who come, ask once and stay; who is let go comes again. */
export async function crush(port: number, count: number, ms: number): Promise<Crushed> {
  const here = new Set<Socket>();
  const all: Crushed = { answered: 0, told: 0, closed: 0 };
  let isOver = false;
  let nth = 0;
  const come = (): void => {
    const request = requestOf((nth += 1));
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    here.add(socket);
    let isAnswered = false;
    socket.once('data', (chunk: Buffer) => {
      isAnswered = true;
      all[NO_PLACE.test(chunk.toString('latin1')) ? 'told' : 'answered'] += 1;
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      here.delete(socket);
      if (!isAnswered && !isOver) all.closed += 1;
    });
  };
  // On a busy machine until somebody was answered.
  const mayEnd = (): boolean => all.answered > 0 || performance.now() > end + ANSWERED_MS;
  const end = performance.now() + ms;
  for (; performance.now() < end || !mayEnd(); await sleep(AGAIN_MS)) while (here.size < count) come();
  isOver = true;
  for (const socket of here) socket.destroy();
  return all;
}

/** Each another question, so that no call is another’s as well. */
function requestOf(nth: number): string {
  const body = JSON.stringify({ query: `{ users(first: ${1 + (nth % 50)}) { edges { node { id } } } }` });
  return `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
