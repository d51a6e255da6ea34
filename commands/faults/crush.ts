import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const AGAIN_MS = 100;

/** For `ms` there are always `count` clients who come, ask once and stay; who is closed at once comes again. */
export async function crush(port: number, count: number, ms: number): Promise<{ answered: number; closed: number }> {
  const here = new Set<Socket>();
  let [answered, closed, nth] = [0, 0, 0];
  const come = (): void => {
    const request = requestOf((nth += 1));
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    here.add(socket);
    socket.once('data', () => (answered += 1)).resume();
    socket.on('error', () => {});
    socket.once('close', () => {
      here.delete(socket);
      closed += 1;
    });
  };
  for (const end = performance.now() + ms; performance.now() < end; await sleep(AGAIN_MS))
    while (here.size < count) come();
  const all = { answered, closed };
  for (const socket of here) socket.destroy();
  return all;
}

/** Each another question, so that no call is another’s as well. */
function requestOf(nth: number): string {
  const body = JSON.stringify({ query: `{ users(first: ${1 + (nth % 50)}) { edges { node { id } } } }` });
  return `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
