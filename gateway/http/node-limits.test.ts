import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, get, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answerBrokenRequest, limitServer, SERVER_OPTIONS } from './node-limits.js';

/** Node's own server with our limits, their times a hundred times shorter. */
const SHORT = { headersTimeout: 100, requestTimeout: 150, connectionsCheckingInterval: 10 };
let server: Server;
/** One whose times are its own: a connection on which nothing was asked for a tenth of a second is in its time. */
let patient: Server;
let rejected = 0;
beforeAll(async () => {
  server = await started(SHORT);
  patient = await started({});
});
afterAll(() => Promise.all([server, patient].map(ended)));

async function started(
  times: Partial<typeof SHORT>,
  answerBroken: (error: Error, socket: Socket) => void = answerBrokenRequest,
): Promise<Server> {
  const made = createServer({ ...SERVER_OPTIONS, ...times }, (request, response) => {
    request.resume().on('end', () => response.end('{}'));
  });
  made.on('clientError', answerBroken);
  limitServer(
    made,
    3,
    () => 'r1',
    () => (rejected += 1),
  );
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return made;
}

function ended(made: Server): Promise<unknown> {
  return new Promise((resolve) => {
    made.close(resolve);
    made.closeAllConnections();
  });
}

/** Sends the parts with pauses until the other side ends; what it said. */
function drip(parts: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const rest = [...parts];
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const timer = setInterval(() => rest.length > 0 && socket.write(rest.shift()!), 20);
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      resolve(text);
    });
  });
}

describe('a client that takes its time', () => {
  it.each<[string, string[]]>([
    ['H3 over its headers', ['GET / HTTP/1.1\r\nhost: x\r\n', ...Array.from({ length: 1_000 }, () => 'a: b\r\n')]],
    [
      'H4 over its body',
      ['POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n', ...Array.from({ length: 1_000 }, () => 'x')],
    ],
  ])('%s is told 408, in JSON, and let go', async (_row, parts) => {
    const text = await drip(parts);
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(text).toContain('content-type: application/json; charset=utf-8');
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toMatchObject({
      errors: [{ extensions: { code: 'BAD_REQUEST' } }],
    });
  });
});

describe('a client that heeds no goodbye', () => {
  /** Three that say nothing, read, and never end their half. */
  function held(made: Server): { port: number; told: () => number; open: () => Promise<number>; end: () => void } {
    const { port } = made.address() as AddressInfo;
    let told = 0;
    const sockets = [1, 2, 3].map(() =>
      connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        .on('error', () => {})
        .once('data', (chunk: Buffer) => (told += Number(chunk.toString().startsWith('HTTP/1.1 408 ')))),
    );
    return {
      port,
      told: () => told,
      open: () => new Promise((resolve) => made.getConnections((_error, count) => resolve(count))),
      end: () => sockets.forEach((socket) => socket.destroy()),
    };
  }

  const answered = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      get({ port, host: '127.0.0.1', agent: false }, (response) => {
        response.resume();
        resolve(true);
      }).on('error', () => resolve(false));
    });

  it('is told 408 and let go, and others have its place; control: by end() alone it keeps it', async () => {
    const ours = await started(SHORT);
    const naive = await started(SHORT, (_error, socket) => void socket.end('HTTP/1.1 408 Request Timeout\r\n\r\n'));
    const [letGo, kept] = [held(ours), held(naive)];
    while (letGo.told() < 3 || kept.told() < 3 || (await letGo.open()) > 0) await delay(10);
    expect([await answered(letGo.port), await kept.open(), await answered(kept.port)]).toEqual([true, 3, false]);
    for (const { end } of [letGo, kept]) end();
    await Promise.all([ours, naive].map(ended));
  });
});

describe('connections', () => {
  it('beyond the most that may be are closed, and those that are there go on', async () => {
    const { port } = patient.address() as AddressInfo;
    const open = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(port, '127.0.0.1', () => resolve(socket));
            socket.on('error', () => {});
          }),
      ),
    );
    const before = rejected;
    const dropped = new Promise((resolve) => patient.once('drop', resolve));
    const one = connect(port, '127.0.0.1');
    one.on('error', () => {});
    await dropped;
    expect(rejected).toBe(before + 1);
    one.destroy();
    const answered = new Promise<string>((resolve) =>
      open[0]!.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    open[0]!.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await answered).toMatch(/^HTTP\/1\.1 200 /);
    for (const socket of open) socket.destroy();
  });
});
