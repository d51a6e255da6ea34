import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { answerBrokenRequest, limitServer, NODE_LIMITS, serverOptions } from './node-limits.js';

/** Node's own server with our limits, their times a hundred times shorter. */
const SHORT = {
  ...serverOptions({ ...NODE_LIMITS, headersTimeoutMs: 100, arrivalTimeoutMs: 150 }),
  connectionsCheckingInterval: 10,
};
let server: Server;
let rejected = 0;
beforeAll(async () => {
  server = await started(SHORT);
});
afterAll(() => ended(server));

async function started(
  times: Partial<typeof SHORT>,
  answerBroken: (error: Error, socket: Socket) => void = (error, socket) =>
    answerBrokenRequest(error, socket, () => 'r2'),
): Promise<Server> {
  const made = createServer({ ...serverOptions(NODE_LIMITS), ...times }, (request, response) => {
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
      errors: [{ extensions: { code: 'BAD_REQUEST', requestId: 'r2' } }],
    });
    expect(text).toContain('x-request-id: r2\r\n');
  });
});

it('headers that are too large, or too slow, are told how large and slow they may be', async () => {
  const answered = async (error: Error & { code: string }): Promise<string> => {
    const limits = { ...NODE_LIMITS, headerBytes: 2_048, headersTimeoutMs: 1_500 };
    const made = await started({ ...serverOptions(limits) }, (_, socket) =>
      answerBrokenRequest(error, socket, () => 'r3', limits),
    );
    const socket = connect((made.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`GET / HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(4_096)}\r\n\r\n`);
    const text = await new Promise<string>((resolve) => {
      let all = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => (all += chunk));
      socket.on('error', () => {}).once('close', () => resolve(all));
    });
    await ended(made);
    return text;
  };
  const of = (code: string) => answered(Object.assign(new Error(code), { code }));
  expect(await of('HPE_HEADER_OVERFLOW')).toMatch(
    /^HTTP\/1\.1 431 [^]*"The headers are too large: with the address they have to be shorter than 2048 bytes\."/,
  );
  expect(await of('ERR_HTTP_REQUEST_TIMEOUT')).toMatch(
    /^HTTP\/1\.1 408 [^]*its headers may take 1\.5 s, the whole of it 15 s\./,
  );
});

describe('what is no HTTP, behind what is', () => {
  const GOOD = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}';
  const LAST = GOOD.replace('host: x', 'host: x\r\nconnection: close');
  const BAD_CHUNK = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n';

  /** All that its client is told when `behind` comes while `good` is under way, and is answered after that. */
  async function told(
    good: string,
    behind: string,
    answerBroken = (error: Error, socket: Socket): void => answerBrokenRequest(error, socket, () => 'r2'),
  ): Promise<string[]> {
    let begun: (response: ServerResponse) => void;
    const beginning = new Promise<ServerResponse>((resolve) => (begun = resolve));
    const made = createServer(serverOptions(NODE_LIMITS), (_request, response) => begun(response));
    const breaking = new Promise<void>((resolve) => {
      made.on('clientError', (error, socket) => {
        answerBroken(error, socket as Socket);
        resolve();
      });
      made.on('connect', () => resolve());
    });
    limitServer(made, 3, () => 'r1');
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    const socket = connect((made.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const over = new Promise<void>((resolve) => socket.on('error', () => {}).once('close', () => resolve()));
    socket.write(good);
    const response = await beginning;
    socket.write(behind);
    await breaking;
    response.end('done');
    await over;
    await ended(made);
    return text.match(/HTTP\/1\.1 \d+|done/g) ?? [];
  }

  it.each([
    ['a line that is none', GOOD, 'BAD\r\n\r\n', ['HTTP/1.1 200', 'done', 'HTTP/1.1 400']],
    ['twice', GOOD, `BAD\r\n\r\n${'x'.repeat(100_000)}`, ['HTTP/1.1 200', 'done', 'HTTP/1.1 400']],
    ['headers too large', GOOD, `GET /${'x'.repeat(20_000)} `, ['HTTP/1.1 200', 'done', 'HTTP/1.1 431']],
    ['a body that is none', GOOD, BAD_CHUNK, ['HTTP/1.1 200', 'done', 'HTTP/1.1 400']],
    ['a tunnel', GOOD, 'CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n', ['HTTP/1.1 200', 'done', 'HTTP/1.1 405']],
    ['a byte after the last request', LAST, 'x', ['HTTP/1.1 200', 'done']],
  ])('is told so after what came before it is answered: %s', async (_, good, behind, answers) => {
    expect(await told(good, behind)).toEqual(answers);
  });

  it('(control: answered at once, what was done is not told)', async () => {
    const naive = (_error: Error, socket: Socket): void => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await told(GOOD, 'BAD\r\n\r\n', naive)).toEqual(['HTTP/1.1 400']);
  });

  it('of what is answered nothing is held while its connection is idle; control: of what is under way it is', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const seen: WeakRef<IncomingMessage>[] = [];
    const waiting: ServerResponse[] = [];
    const made = createServer(serverOptions(NODE_LIMITS), (request, response) => {
      seen.push(new WeakRef(request));
      request.resume();
      if (request.url === '/waits') waiting.push(response);
      else response.end('{}');
    });
    limitServer(made, 3, () => 'r1');
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    const socket = connect((made.address() as AddressInfo).port, '127.0.0.1');
    const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.write(GOOD);
    await answered;
    socket.write(GOOD.replace('POST / ', 'POST /waits '));
    while (waiting.length === 0) await delay(5);
    while (seen[0]!.deref() !== undefined) {
      await delay(5);
      collect();
    }
    expect(seen[1]!.deref()).toBeDefined();
    waiting.forEach((response) => response.end());
    socket.destroy();
    await ended(made);
  });

  it('of a request whose own body cannot be read nothing is waited for', async () => {
    expect(await drip([BAD_CHUNK])).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('a request that is answered before its body has come', () => {
  const CHUNKED = 'POST /P HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
  const SIZED = 'POST /P HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n';
  const ours = (error: Error, socket: Socket): void => answerBrokenRequest(error, socket, () => 'r2');
  const naive = (_: Error, socket: Socket): void => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');

  /** All that its client is told, who sends `behind` when the answer has begun; by `/slow` it is ended after Node has complained. */
  async function told(good: string, behind: string, answerBroken = ours): Promise<string[]> {
    let complained: () => void;
    const complaint = new Promise<void>((resolve) => (complained = resolve));
    const made = createServer(SHORT, (request, response) => {
      response.writeHead(401, { 'content-length': 4 });
      response.write('do');
      if (request.url === '/slow') void complaint.then(() => response.end('ne'));
      else response.end('ne');
    });
    made.on('clientError', (error, socket) => {
      answerBroken(error, socket as Socket);
      complained();
    });
    limitServer(made, 3, () => 'r1');
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    const socket = connect((made.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const [begun, done] = [text === '', text.includes('done')];
      text += chunk;
      if (begun ? good.includes('/slow') || text.includes('done') : !done && text.includes('done'))
        socket.write(behind);
    });
    const over = new Promise<void>((resolve) => socket.on('error', () => {}).once('close', () => resolve()));
    socket.write(good);
    await over;
    await ended(made);
    return text.match(/HTTP\/1\.1 \d+|done/g) ?? [];
  }

  it.each([
    ['its body cannot be read', CHUNKED, 'xyz\r\n'],
    ['its body does not come', SIZED, '{'],
    ['its body cannot be read while the answer goes out', CHUNKED.replace('/P', '/slow'), 'xyz\r\n'],
    ['its body does not come while the answer goes out', SIZED.replace('/P', '/slow'), '{'],
  ])('is answered once: %s (control: told at once, twice or in the middle)', async (_, good, behind) => {
    expect(await told(good, behind)).toEqual(['HTTP/1.1 401', 'done']);
    expect(await told(good, behind, naive)).toContain('HTTP/1.1 400');
  });

  it('what comes behind its whole body is another request, and told', async () => {
    expect(await told(SIZED, '123456789BAD\r\n\r\n')).toEqual(['HTTP/1.1 401', 'done', 'HTTP/1.1 400']);
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
        resolve(response.statusCode === 200);
      }).on('error', () => resolve(false));
    });

  it('is told 408 and let go, and others have its place; control: by end() alone it keeps it', async () => {
    const ours = await started(SHORT);
    const naive = await started(SHORT, (_error, socket) => void socket.end('HTTP/1.1 408 Request Timeout\r\n\r\n'));
    const [letGo, kept] = [held(ours), held(naive)];
    while (letGo.told() < 3 || kept.told() < 3 || (await letGo.open()) > 0) await delay(10);
    // A place is free when its connection is closed to the last, which is a turn of the event loop later; and whoever comes has to be as quick
    // as nobody has to be on a busy machine.
    while (!(await answered(letGo.port))) await delay(10);
    expect([await kept.open(), await answered(kept.port)]).toEqual([3, false]);
    for (const { end } of [letGo, kept]) end();
    await Promise.all([ours, naive].map(ended));
  });
});

describe('connections', () => {
  let server: Server;
  beforeEach(async () => void (server = await started({})));
  afterEach(() => ended(server));

  const ASKS = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

  /** What it is told until the other side ends, or keeps it for `ms` after an answer. */
  function client(to: Server, { allowHalfOpen = false } = {}) {
    const { port } = to.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen });
    let text = '';
    const first = new Promise<string>((resolve) => {
      socket.setEncoding('utf8').on('data', (chunk: string) => resolve((text += chunk)));
      socket.on('error', () => {}).once('close', () => resolve(text));
    });
    const over = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const ask = (): void => void socket.write(ASKS);
    return { socket, ask, first, over, connected: new Promise((resolve) => socket.once('connect', resolve)) };
  }
  /** Asked, answered, and kept. */
  async function placed(to: Server, count: number) {
    const all = Array.from({ length: count }, () => client(to));
    for (const { ask } of all) ask();
    for (const { first } of all) expect(await first).toMatch(/^HTTP\/1\.1 200 /);
    return all;
  }
  const seen = (to: Server, event: 'drop' | 'connection') => new Promise((resolve) => to.once(event, resolve));

  it('up to the most that may be are answered; one more is told 503 and when to come again, and has a place when there is one', async () => {
    const before = rejected;
    const inside = await placed(server, 3);
    const one = client(server);
    one.ask();
    const text = await one.first;
    expect(text).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    for (const header of ['retry-after: 1', 'connection: close', 'cache-control: no-store', 'x-request-id: r1'])
      expect(text).toContain(`\r\n${header}\r\n`);
    const error = {
      message: 'The service is busy; try again.',
      extensions: { code: 'OVERLOADED', requestId: 'r1' },
    };
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toEqual({ errors: [error] });
    await one.over;
    expect(rejected).toBe(before + 1);
    // A place that is given up is another's.
    inside[0]!.socket.destroy();
    await inside[0]!.over;
    for (;;) {
      const next = client(server);
      next.ask();
      if ((await next.first).startsWith('HTTP/1.1 200 ')) break;
    }
  });

  it('beyond those that are told at a time they are closed without a word; who says nothing, or heeds no goodbye, is let go', async () => {
    const before = rejected;
    const inside = await placed(server, 3);
    const silent = client(server);
    await seen(server, 'connection');
    const dropped = seen(server, 'drop');
    const beyond = client(server);
    beyond.ask();
    await dropped;
    expect(await beyond.first).toBe('');
    expect(rejected).toBe(before + 2);
    // Nothing was asked, and nothing said.
    await silent.over;
    expect(await silent.first).toBe('');
    const stays = client(server, { allowHalfOpen: true });
    stays.ask();
    expect(await stays.first).toMatch(/^HTTP\/1\.1 503 /);
    const open = (): Promise<number> => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
    while ((await open()) > 3) await delay(10);
    // Those that are there go on.
    for (const { socket, ask } of inside) {
      const again = new Promise<string>((resolve) => socket.once('data', resolve));
      ask();
      expect(await again).toMatch(/^HTTP\/1\.1 200 /);
    }
    stays.socket.destroy();
  });

  it('of who sends without an end a megabyte is heard', async () => {
    await placed(server, 3);
    const floods = client(server, { allowHalfOpen: true });
    const chunk = Buffer.alloc(256 * 1024);
    const more = (): void => {
      while (!floods.socket.destroyed && floods.socket.write(chunk));
    };
    floods.socket.on('drain', more);
    more();
    await floods.over;
    expect(floods.socket.bytesWritten).toBeLessThan(64 * 1024 * 1024);
  });

  it('(control: by Node alone each that is too many is closed without a word)', async () => {
    const plain = createServer((_, response) => response.end('{}'));
    plain.maxConnections = 3;
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    await placed(plain, 3);
    const one = client(plain);
    one.ask();
    expect(await one.first).toBe('');
    await ended(plain);
  });
});
