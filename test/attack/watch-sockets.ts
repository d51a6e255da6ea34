import { Socket } from 'node:net';

/** Sockets of this process that lead to another machine. */
export interface SocketWatch {
  /** To where, since this was asked last. */
  away(): string[];
  end(): void;
}

/** test/supply-chain/sockets.fixture.mjs has the same for whole programs, names that are looked up included. */
export function watchSockets(): SocketWatch {
  let away: string[] = [];
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const connect = Socket.prototype.connect as (this: Socket, ...asked: unknown[]) => Socket;
  Socket.prototype.connect = function watched(this: Socket, ...asked: unknown[]): Socket {
    const [given] = Array.isArray(asked[0]) ? (asked[0] as unknown[]) : asked;
    const { host, path } = (typeof given === 'object' ? given : { host: asked[1] }) as { host?: string; path?: string };
    if (path === undefined && host !== undefined && !/^(localhost|127\.|\[?::1\]?$)/.test(host)) away.push(host);
    return connect.apply(this, asked);
  } as typeof Socket.prototype.connect;
  return {
    away() {
      const found = away;
      away = [];
      return found;
    },
    end: () => void (Socket.prototype.connect = connect as typeof Socket.prototype.connect),
  };
}
