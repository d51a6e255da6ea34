import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** What goes wrong on the way, by the names of Toxiproxy; nothing: bytes pass as they come. */
export interface Toxics {
  /** Nobody listens (connections are reset). */
  readonly down?: boolean;
  /** Connections are taken and nothing ever comes back: a black hole. */
  readonly timeout?: boolean;
  /** Each piece of an answer comes so much later, ms. */
  readonly latency?: number;
  /** An answer is cut by a reset after so many bytes. */
  readonly limitData?: number;
  /** An answer comes in pieces of so many bytes. */
  readonly slicer?: number;
  /**
   * Of a Redis: whatever is asked is answered with this error, but for INFO, by which a client looks whether it is there. Whoever is
   * connected is cut off first: an answer that is still on its way would be taken for that of another command.
   */
  readonly redisError?: string;
  /** Whoever says this in the first kilobyte is cut off, also who has said it before: a network that parts some of the server and not others. */
  readonly parts?: RegExp;
}

export interface FaultProxy {
  readonly port: number;
  /** Where it leads. */
  readonly target: number;
  /** Connections through it, now; to a port where one is named. */
  connections(port?: number): number;
  /** From now on, for open connections too. */
  set(toxics: Toxics): void;
  /** Nothing comes or goes on what is open now, and neither side is told, ever; new connections work: half-open connections. */
  forgetOpen(): void;
  /** New connections go there from now on; open ones are cut. */
  moveTo(port: number): void;
  /** The same, and open ones stay where they are: the record of a name that has changed. */
  leadTo(port: number): void;
  close(): Promise<void>;
}

/** A door in front of a server, at which a test lets the network fail. */
export async function startFaultProxy(to: { host?: string; port: number }): Promise<FaultProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let toxics: Toxics = {};
  let target = to.port;
  const forgotten = new Set<readonly [Socket, Socket]>();
  const leads = new Map<readonly [Socket, Socket], number>();
  const said = new Map<readonly [Socket, Socket], string>();
  const server = createServer((client) => {
    client.on('error', () => {});
    if (toxics.down) return void client.resetAndDestroy();
    const upstream = connect(target, to.host ?? '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    leads.set(pair, target);
    let answered = 0;
    const end = (): void => {
      pairs.delete(pair);
      forgotten.delete(pair);
      said.delete(pair);
      leads.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    upstream.on('error', end).on('close', end);
    client.on('close', end);
    client.on('data', (chunk: Buffer) => {
      const words = said.get(pair) ?? '';
      if (words.length < SAID_LENGTH) said.set(pair, words + chunk.toString('latin1', 0, SAID_LENGTH));
      if (isParted(pair)) return void client.resetAndDestroy();
      if (toxics.redisError !== undefined && !/\r\ninfo\r\n/i.test(chunk.toString('latin1')))
        return void client.write(`-${toxics.redisError}\r\n`.repeat(commandsIn(chunk)));
      if (!toxics.timeout && !forgotten.has(pair)) upstream.write(chunk);
    });
    const give = (chunk: Buffer): void => {
      if (client.destroyed || toxics.timeout || forgotten.has(pair)) return;
      const { limitData, slicer } = toxics;
      if (limitData !== undefined && answered + chunk.length > limitData) {
        client.write(chunk.subarray(0, Math.max(0, limitData - answered)), () => client.resetAndDestroy());
        return;
      }
      answered += chunk.length;
      if (slicer === undefined) client.write(chunk);
      else for (let at = 0; at < chunk.length; at += slicer) client.write(chunk.subarray(at, at + slicer));
    };
    upstream.on('data', (chunk: Buffer) => {
      if (toxics.latency === undefined) give(chunk);
      else setTimeout(give, toxics.latency, chunk).unref();
    });
  });
  const isParted = (pair: readonly [Socket, Socket]): boolean => toxics.parts?.test(said.get(pair) ?? '') === true;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const cut = (which: (pair: readonly [Socket, Socket]) => boolean = () => true): void => {
    for (const pair of [...pairs].filter(which)) {
      const [client, upstream] = pair;
      client.resetAndDestroy();
      upstream.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    get target() {
      return target;
    },
    connections: (port) => [...leads.values()].filter((led) => port === undefined || led === port).length,
    set(next) {
      toxics = next;
      if (next.down || next.redisError !== undefined) cut();
      else if (next.parts) cut(isParted);
    },
    forgetOpen() {
      for (const pair of pairs) forgotten.add(pair);
    },
    moveTo(port) {
      target = port;
      cut();
    },
    leadTo(port) {
      target = port;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}

const SAID_LENGTH = 1_024;

/** By their heads: how many arguments follow, and how long the first one is. */
function commandsIn(chunk: Buffer): number {
  return chunk.toString('latin1').match(/\*\d+\r\n\$\d+\r\n/g)?.length ?? 0;
}
