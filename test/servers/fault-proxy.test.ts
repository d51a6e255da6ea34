import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { startFaultProxy, type FaultProxy } from './fault-proxy.js';

/** A server that says everything back. */
let echo: Server;
let proxy: FaultProxy;
const sockets = new Set<Socket>();

beforeEach(async () => {
  echo = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  proxy = await startFaultProxy({ port: (echo.address() as AddressInfo).port });
});
afterEach(async () => {
  await proxy.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await new Promise((resolve) => echo.close(resolve));
});

function client() {
  const socket = connect(proxy.port, '127.0.0.1');
  sockets.add(socket);
  const pieces: string[] = [];
  let came = () => {};
  const ended = new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'error'));
    socket.once('close', () => resolve('closed'));
  });
  socket.on('data', (chunk: Buffer) => {
    pieces.push(chunk.toString());
    came();
  });
  const said = async (text: string): Promise<void> => {
    while (pieces.join('') !== text) await new Promise<void>((resolve) => (came = resolve));
  };
  return { socket, pieces, ended, said };
}

describe('a door that can fail', () => {
  it('is none while nothing is wrong', async () => {
    const one = client();
    one.socket.write('hello');
    await one.said('hello');
    expect(proxy.connections()).toBe(1);
  });

  it('down: who is connected is cut off, who comes is refused; healed, all is as before', async () => {
    const one = client();
    one.socket.write('hello');
    await one.said('hello');
    proxy.set({ down: true });
    expect(await one.ended).toMatch(/ECONNRESET|closed/);
    expect(await client().ended).toMatch(/ECONNRESET|closed/);
    proxy.set({});
    const again = client();
    again.socket.write('hello');
    await again.said('hello');
  });

  it('timeout: nothing comes back, and nothing is closed', async () => {
    proxy.set({ timeout: true });
    const one = client();
    one.socket.write('hello');
    expect(await Promise.race([one.ended, new Promise((resolve) => setTimeout(resolve, 100, 'nothing'))])).toBe(
      'nothing',
    );
    expect(one.pieces).toEqual([]);
  });

  it('latency: comes later', async () => {
    proxy.set({ latency: 80 });
    const one = client();
    const began = performance.now();
    one.socket.write('hello');
    await one.said('hello');
    expect(performance.now() - began).toBeGreaterThanOrEqual(79);
  });

  it('limitData: comes in part, and then a reset', async () => {
    proxy.set({ limitData: 3 });
    const one = client();
    one.socket.write('hello');
    expect(await one.ended).toMatch(/ECONNRESET|closed/);
    expect('hello'.startsWith(one.pieces.join(''))).toBe(true);
    expect(one.pieces.join('').length).toBeLessThanOrEqual(3);
  });

  it('redisError: each command is answered with it, but INFO; who is connected is cut off', async () => {
    const before = client();
    before.socket.write('hello');
    await before.said('hello');
    proxy.set({ redisError: 'LOADING' });
    expect(await before.ended).toMatch(/ECONNRESET|closed/);
    const [one, other] = [client(), client()];
    one.socket.write('*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n');
    await one.said('-LOADING\r\n-LOADING\r\n');
    other.socket.write('*1\r\n$4\r\ninfo\r\n');
    await other.said('*1\r\n$4\r\ninfo\r\n');
  });

  it('slicer: all of it comes', async () => {
    proxy.set({ slicer: 2 });
    const one = client();
    one.socket.write('hello');
    await one.said('hello');
  });

  it('parts: who has said it is cut off, and who says it; all others pass', async () => {
    const [watcher, other] = [client(), client()];
    watcher.socket.write('I am a sentinel-1');
    await watcher.said('I am a sentinel-1');
    other.socket.write('hello');
    await other.said('hello');
    proxy.set({ parts: /sentinel-/ });
    expect(await watcher.ended).toMatch(/ECONNRESET|closed/);
    const another = client();
    another.socket.write('sent');
    await another.said('sent');
    another.socket.write('inel-2');
    expect(await another.ended).toMatch(/ECONNRESET|closed/);
    other.socket.write('!');
    await other.said('hello!');
  });

  it('led elsewhere: who comes is there, and who is connected stays', async () => {
    const one = client();
    one.socket.write('hello');
    await one.said('hello');
    const shouts = createServer((socket) => {
      sockets.add(socket);
      socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
    });
    await new Promise<void>((resolve) => shouts.listen(0, '127.0.0.1', resolve));
    proxy.leadTo((shouts.address() as AddressInfo).port);
    const two = client();
    two.socket.write('hello');
    await two.said('HELLO');
    one.socket.write('!');
    await one.said('hello!');
    await proxy.close();
    shouts.close();
  });
});
