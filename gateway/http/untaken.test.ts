import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SERVER_OPTIONS } from './node-limits.js';
import { Untaken } from './untaken.js';

const MB = 1024 * 1024;
const BIG = Buffer.alloc(64 * MB, 'x');

/** GET /24 answers 24 MB, far more than the kernel takes of it; /0 a little, /late a little after half a second, /early is known beforehand. */
let server: Server | undefined;
async function start(options: ConstructorParameters<typeof Untaken>[0]): Promise<Untaken> {
  const untaken = new Untaken(options);
  server = createServer(SERVER_OPTIONS, (request, response) => {
    const what = request.url!.slice(1);
    const early = what === 'early';
    if (early) untaken.add(response);
    void delay(what === 'late' ? 500 : 0).then(() => {
      response.end(Number(what) > 0 ? BIG.subarray(0, Number(what) * MB) : 'a little');
      if (response.writableLength > 0 && !early) untaken.add(response);
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return untaken;
}
const clients: Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await new Promise((resolve) => server!.close(resolve).closeAllConnections());
});

/** Asks for these at once, and takes nothing until it is told how much and how often. */
function ask(...whats: string[]) {
  let taken = 0;
  let text = '';
  let most = 0;
  const socket = connect((server!.address() as AddressInfo).port, '127.0.0.1');
  clients.push(socket);
  socket.pause();
  socket.write(whats.map((what) => `GET /${what} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''));
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    taken += chunk.length;
    if (text.length < 10_000) text += String(chunk);
    if (taken >= most) socket.pause();
  });
  const take = (bytes = Infinity): void => {
    most = taken + bytes;
    socket.resume();
  };
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { take, closed, taken: () => taken, text: () => text };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

/** How many MB a client gets that takes one every twentieth of a second, until it has as many or is cut. */
async function slowly({ take, closed, taken }: ReturnType<typeof ask>, megabytes: number): Promise<number> {
  const timer = setInterval(() => take(MB), 50);
  let cut = false;
  void closed.then(() => (cut = true));
  await until(() => cut || taken() >= megabytes * MB);
  clearInterval(timer);
  return Math.floor(taken() / MB);
}

describe('a client that asks, and takes of its answer', () => {
  it('nothing, is cut, and what it was to have had is given back', async () => {
    const told: number[] = [];
    const untaken = await start({ bytesMax: 128 * MB, ms: 200, told: (bytes) => told.push(bytes) });
    const client = ask('24');
    await until(() => untaken.bytes > 0);
    expect(untaken.bytes).toBeGreaterThan(23 * MB);
    await until(() => untaken.bytes === 0);
    expect(told).toEqual([expect.any(Number)]);
    client.take();
    await client.closed;
    expect(client.taken()).toBeLessThan(24 * MB);
  });

  it('nothing, of many on one connection, is cut as well', async () => {
    const untaken = await start({ bytesMax: 128 * MB, ms: 200 });
    ask(...Array.from({ length: 20 }, () => '2'));
    await until(() => untaken.bytes > 0);
    await until(() => untaken.bytes === 0);
  });

  it('nothing, is there as long as it likes where nobody looks (control)', async () => {
    const untaken = await start({ bytesMax: 128 * MB, ms: 3_600_000 });
    const client = ask('24');
    await until(() => untaken.bytes > 0);
    await delay(600);
    expect(untaken.bytes).toBeGreaterThan(23 * MB);
    client.take();
    await until(() => client.taken() > 24 * MB);
    await until(() => untaken.bytes === 0);
  });

  it('a little now and then, gets it whole, though it takes longer than who takes nothing may', async () => {
    const untaken = await start({ bytesMax: 128 * MB, ms: 300 });
    expect(await slowly(ask('16'), 16)).toBe(16);
    await until(() => untaken.bytes === 0);
  });

  it('a little now and then, is cut when that takes ten times as long', async () => {
    await start({ bytesMax: 128 * MB, ms: 150 });
    const began = performance.now();
    const got = await slowly(ask('64'), 64);
    expect(got).toBeLessThan(64);
    expect(performance.now() - began).toBeGreaterThan(1_000);
  });

  it('all of it, behind one that is still being worked on, is not taken for one that does not', async () => {
    const untaken = await start({ bytesMax: 128 * MB, ms: 100 });
    const client = ask('late', '0', '0');
    client.take();
    await until(() => client.text().split('a little').length === 4);
    await until(() => untaken.bytes === 0);
  });

  it('all of it, is counted no longer, though it was from the beginning', async () => {
    const untaken = await start({ bytesMax: 128 * MB, ms: 100 });
    const client = ask('early');
    client.take();
    await until(() => client.text().endsWith('a little'));
    await until(() => untaken.bytes === 0);
  });
});

describe('when all together leave too much', () => {
  it('who has most is cut, and the others get theirs', async () => {
    const untaken = await start({ bytesMax: 40 * MB, ms: 60_000 });
    const most = ask('24');
    await until(() => untaken.bytes > 0);
    const other = ask('16');
    await until(() => untaken.bytes > 0 && untaken.bytes < 20 * MB);
    most.take();
    other.take();
    await most.closed;
    await until(() => other.taken() > 16 * MB);
    expect(most.taken()).toBeLessThan(24 * MB);
    await until(() => untaken.bytes === 0);
  });

  it('it is first who has been still for longest', async () => {
    const untaken = await start({ bytesMax: 40 * MB, ms: 3_000 });
    const still = ask('16');
    await until(() => untaken.bytes > 0);
    await delay(2_000);
    const most = ask('24');
    await until(() => untaken.bytes > 20 * MB && untaken.bytes < 30 * MB);
    most.take();
    await until(() => most.taken() > 24 * MB);
    still.take();
    await still.closed;
    expect(still.taken()).toBeLessThan(16 * MB);
  });
});
