import { createServer } from 'node:net';

/**
 * None of those that the system gives to whoever connects to somebody (Linux: 32768 and above): until a program listens there, or again
 * after it was ended, seconds may pass.
 */
const [FROM, COUNT] = [20_000, 12_000];

/** A port on which nobody listens, nor on those that lie `and` above it. */
export async function freePort(...and: readonly number[]): Promise<number> {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * COUNT);
    const free = await Promise.all([0, ...and].map((above) => isFree(port + above)));
    if (!free.includes(false)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
