/** What somebody can put right who started a program that may not listen where it should; undefined: something else went wrong. */
export function whyNotListening(error: unknown): string | undefined {
  const { code, syscall, port, address } = error as Partial<NodeJS.ErrnoException> & {
    port?: number;
    address?: string;
  };
  // A worker of several binds; who connects to somebody may be told the same codes.
  if (syscall !== 'listen' && syscall !== 'bind') return undefined;
  if (code === 'EADDRINUSE')
    return `Something else listens on port ${port} already; end it, or set another one (PORT, METRICS_PORT, and of a gateway ENTITY_CACHE_PORT).`;
  if (code === 'EACCES' && port !== undefined)
    return `Port ${port} may not be listened on by this user; set one from 1024 on (PORT, METRICS_PORT, and of a gateway ENTITY_CACHE_PORT).`;
  if (code === 'EADDRNOTAVAIL') return `This machine has no address ${address}; set HOST to one of its own.`;
  return undefined;
}
