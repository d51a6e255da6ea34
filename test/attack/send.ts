import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { Bytes, Message, Seen } from './attack.js';
import { sendCrowd } from './crowd.js';

const ANSWER_MS = 60_000;

/** By Node's own client, which sends what it is told and adds nothing; or as bytes on a socket. Never rejects: no answer is status 0. */
export function send(url: string, message: Message): Promise<Seen> {
  const { bytes, crowd } = message;
  if (crowd) return sendCrowd(url, crowd, (ordinary) => sendRequest(url, ordinary));
  return bytes === undefined ? sendRequest(url, message) : sendBytes(url, bytes);
}

function sendRequest(url: string, { method = 'POST', path = '', headers, body, from }: Message): Promise<Seen> {
  return new Promise((resolve) => {
    const given = (headers ?? { 'content-type': 'application/json' }) as Record<string, string | string[]>;
    const asked = { method, headers: given, agent: false, timeout: ANSWER_MS, ...(from ? { localAddress: from } : {}) };
    const outgoing = httpRequest(`${url}${path}`, asked);
    const gone = (): void => resolve({ status: 0, headers: {}, text: '' });
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', gone);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    outgoing.on('error', gone).on('timeout', () => outgoing.destroy());
    outgoing.end(body);
  });
}

function sendBytes(url: string, bytes: string | Bytes): Promise<Seen> {
  const { port, hostname } = new URL(url);
  const { parts, every, unreadMs = 0, goes }: Bytes = typeof bytes === 'string' ? { parts: [bytes], every: 0 } : bytes;
  return new Promise((resolve) => {
    let text = '';
    const rest = [...parts];
    const write = (): void => {
      const part = rest.shift();
      if (part !== undefined) socket.write(Buffer.from(part, 'latin1'));
      else if (goes === 'reset') socket.resetAndDestroy();
      else if (goes === 'half') socket.end();
      // Whoever has said all that it has to say, and is not answered, goes.
      else if (every === 0 && unreadMs === 0) leaving ??= setTimeout(() => socket.end(), 2_000);
    };
    let leaving: NodeJS.Timeout | undefined;
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: goes === 'half' }, write);
    const timer = setInterval(write, Math.max(every, 50));
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    if (unreadMs > 0) socket.pause();
    const reading = setTimeout(() => socket.resume(), unreadMs);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (unreadMs > 0) return;
      leaving?.refresh();
      if (isWhole(text)) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      clearTimeout(leaving);
      clearTimeout(reading);
      resolve(unreadMs > 0 && !areWhole(text) ? { status: 0, headers: {}, text: '' } : seenOf(text));
    });
  });
}

/** One answer, with its length, and the other side keeps the connection. Several of them end by `connection: close`. */
function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0 || text.startsWith('HTTP/1.1 200')) return false;
  const length = /^content-length: (\d+)$/im.exec(text.slice(0, end))?.[1];
  return length !== undefined && text.length >= end + 4 + Number(length);
}

/** Answers one behind another, each with its length, in ASCII. */
function areWhole(text: string): boolean {
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at);
    const length = /^content-length: (\d+)$/im.exec(text.slice(at, Math.max(at, end)))?.[1];
    if (length === undefined) return false;
    at = end + 4 + Number(length);
  }
  return at > 0 && at === text.length;
}

function seenOf(text: string): Seen {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const body = end < 0 ? '' : text.slice(end + 4);
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(first)?.[1] ?? 0), headers, text: body };
}
