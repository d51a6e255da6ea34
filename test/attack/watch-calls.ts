import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';

interface Asked {
  readonly origin: string | URL;
  readonly path: string;
}

/** What is asked of these services in this process. */
export interface CallWatch {
  /** Operations. */
  readonly calls: number;
  /** How often it was asked which log-ins have ended: a gateway does that by itself. None is under way when this is answered. */
  polls(): Promise<number>;
  end(): void;
}

export function watchCalls(urls: readonly string[]): CallWatch {
  const origins = new Set(urls.map((url) => new URL(url).origin));
  const open = new Set<Asked>();
  let [calls, polls] = [0, 0];
  const requestOf = (message: unknown): Asked => (message as { request: Asked }).request;
  const created = (message: unknown): void => {
    const request = requestOf(message);
    if (!origins.has(String(request.origin))) return;
    if (request.path === '/graphql') calls += 1;
    else if (request.path.startsWith('/ended-sessions')) open.add(request);
  };
  const over = (message: unknown): void => {
    if (open.delete(requestOf(message))) polls += 1;
  };
  const channels = [
    ['undici:request:create', created],
    ['undici:request:trailers', over],
    ['undici:request:error', over],
  ] as const;
  for (const [name, hear] of channels) subscribe(name, hear);
  return {
    get calls() {
      return calls;
    },
    async polls() {
      while (open.size > 0) await delay(1);
      return polls;
    },
    end() {
      for (const [name, hear] of channels) unsubscribe(name, hear);
    },
  };
}
