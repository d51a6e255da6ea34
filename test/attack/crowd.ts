import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { query, type Crowd, type Message, type Seen } from './attack.js';

/** As many are connecting at a time: a kernel that is sent more is silent to some, who try again seconds later. */
const WAVE = 1_000;
const ALONE = 100;

export async function sendCrowd(url: string, crowd: Crowd, ask: (message: Message) => Promise<Seen>): Promise<Seen> {
  const { connections, says = '', atOnce, ms, beside = false } = crowd;
  const ordinary = async (): Promise<{ seen: Seen; tookMs: number }> => {
    const began = performance.now();
    const seen = await ask({ body: query('{__typename}') });
    return { seen, tookMs: performance.now() - began };
  };
  const alone: number[] = [];
  while (beside && alone.length < ALONE) alone.push((await ordinary()).tookMs);
  const held: Socket[] = [];
  try {
    for (let left = connections; left > 0; left -= WAVE)
      held.push(...(await Promise.all(Array.from({ length: Math.min(left, WAVE) }, () => connected(url, says)))));
    if (atOnce) await Promise.all(held.map((socket, nth) => answered(socket, atOnce(nth))));
    const until = performance.now() + ms;
    if (!beside) await delay(ms);
    const together: number[] = [];
    for (;;) {
      const { seen, tookMs } = await ordinary();
      together.push(tookMs);
      if (performance.now() < until && seen.status === 200) continue;
      return beside ? { ...seen, p99Ms: { alone: p99(alone), beside: p99(together) } } : seen;
    }
  } finally {
    for (const socket of held) socket.destroy();
  }
}

/** When it is connected and, where it says something, answered; or turned away. */
function connected(url: string, says: string): Promise<Socket> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    let heard = false;
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.once('connect', () => (says === '' ? resolve(socket) : socket.write(says)));
    socket.on('data', () => {
      heard = true;
      resolve(socket);
    });
    // Who was told why stays, and who was turned away without a word has nothing to stay for.
    socket.on('end', () => heard || socket.destroy());
    socket.on('error', () => {}).on('close', () => resolve(socket));
  });
}

function answered(socket: Socket, said: string): Promise<void> {
  return new Promise((resolve) => {
    socket.once('data', () => resolve()).once('close', () => resolve());
    if (socket.destroyed) resolve();
    else socket.write(said);
  });
}

export function p99(times: readonly number[]): number {
  return quantile(times, 0.99);
}

export function quantile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.ceil(sorted.length * part) - 1] ?? 0;
}
