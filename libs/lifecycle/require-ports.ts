import { createServer, type Server } from 'node:net';

/**
 * Rejects as listening there would (`whyNotListening` says it to a person) where one of these ports is taken, or two of them are one. For who makes a
 * lot before it listens; somebody may still take one meanwhile. Undefined, or 0: none that is said.
 */
export async function requirePorts(host: string, ports: readonly (number | undefined)[]): Promise<void> {
  const held: Server[] = [];
  try {
    for (const port of ports) {
      if (!port) continue;
      const server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, resolve);
      });
      held.push(server);
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
