import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { startRedis, tell, type RedisServer } from '../../test/servers/redis.js';

/** A primary and its replica, each behind doors that can be shut and that lead to whichever is the primary. */
export interface SwitchedRedis {
  /** A door of one's own. */
  door(): Promise<Door>;
  /** The replica takes over, with what it has; the old primary begins anew as its replica. */
  failOver(): Promise<void>;
  close(): Promise<void>;
}

export interface Door {
  readonly url: string;
  /** Open connections hang, new ones are not answered. */
  shut(isShut: boolean): void;
}

export async function startSwitchedRedis(): Promise<SwitchedRedis> {
  // Else a replica has nothing for its first five seconds, and takes over with that.
  const settings = { 'repl-diskless-sync-delay': '0' };
  let [primary, replica]: [RedisServer, RedisServer] = [await startRedis({ settings }), await startRedis({ settings })];
  const follow = (one: RedisServer, other: RedisServer): Promise<string> =>
    tell(one.port, `REPLICAOF 127.0.0.1 ${other.port}`);
  await follow(replica, primary);
  const closers: (() => Promise<void>)[] = [];
  const cuts: (() => void)[] = [];

  async function door(): Promise<Door> {
    let isShut = false;
    const pairs = new Set<[Socket, Socket]>();
    const server = createServer((inside) => {
      const outside = connect(primary.port, '127.0.0.1');
      const pair: [Socket, Socket] = [inside, outside];
      pairs.add(pair);
      for (const [from, to] of [pair, [outside, inside]] as const) {
        from.on('data', (data) => to.write(data));
        from.on('error', () => {});
        from.on('close', () => {
          to.destroy();
          pairs.delete(pair);
        });
      }
      if (isShut) for (const socket of pair) socket.pause();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const cut = (): void => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    };
    cuts.push(cut);
    closers.push(
      () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          cut();
        }),
    );
    return {
      url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
      shut(shut) {
        isShut = shut;
        for (const socket of [...pairs].flat()) {
          if (shut) socket.pause();
          else socket.resume();
        }
      },
    };
  }

  return {
    door,
    async failOver() {
      await tell(replica.port, 'REPLICAOF NO ONE');
      [primary, replica] = [replica, primary];
      for (const cut of cuts) cut();
      await follow(replica, primary);
    },
    async close() {
      await Promise.all(closers.map((close) => close()));
      await Promise.all([primary.stop(), replica.stop()]);
    },
  };
}
