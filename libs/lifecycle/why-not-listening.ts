/** What somebody can put right who started a program that may not listen where it should; undefined: something else went wrong. */
export function whyNotListening(error: unknown): string | undefined {
  const { code, port, address } = error as { code?: unknown; port?: number; address?: string };
  if (code === 'EADDRINUSE')
    return `Something else listens on port ${port} already; end it, or set another one (PORT, METRICS_PORT).`;
  if (code === 'EACCES' && port !== undefined)
    return `Port ${port} may not be listened on by this user; set PORT to one from 1024 on.`;
  if (code === 'EADDRNOTAVAIL') return `This machine has no address ${address}; set HOST to one of its own.`;
  return undefined;
}
