import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Bodies } from './bodies.js';
import { CLIENT_GONE } from './ending.js';
import { Refusal } from './refusal.js';

/**
 * The body, inflated, at most `bytesMax` of it. The limit counts what comes out of gzip, so a bomb stops at the limit; and what goes in,
 * since gzip may be a row of empty pieces that never come to anything.
 */
export function readBody(request: IncomingMessage, bytesMax: number, bodies?: Bodies): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new Refusal(415, 'BAD_REQUEST', 'The body may be compressed by gzip or not at all.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > bytesMax)
    // Whoever waits to be told to go on was not (node-limits.ts), and sends nothing.
    throw tooLarge(request, bytesMax, request.headers.expect === undefined);
  if (encoding === 'identity') return collect(request, request, bytesMax, bodies);
  const gunzip = createGunzip();
  request.pipe(gunzip);
  return collect(request, gunzip, bytesMax, bodies);
}

/** What inflating needs beside what comes out of it. */
const GUNZIP_BYTES = 64 * 1024;

/** So many pieces of a body become one; until then each is an object, which counts as so many bytes more. */
const PIECES = 64;
const PIECE_BYTES = 16;

function collect(
  request: IncomingMessage,
  stream: Readable,
  bytesMax: number,
  bodies: Bodies | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let small: Buffer[] = [];
    let bytes = 0;
    let sent = 0;
    let refused = false;
    const refuse = (): void => {
      refused = true;
      coming?.end();
      chunks.length = small.length = 0;
      if (stream === request) return;
      request.unpipe();
      stream.destroy();
    };
    const refuseTooLarge = (): void => {
      refuse();
      reject(tooLarge(request, bytesMax));
    };
    const coming = bodies?.begin((why) => {
      refuse();
      reject(why);
    });
    if (stream !== request) coming?.add(GUNZIP_BYTES);
    stream.on('data', (chunk: Buffer) => {
      if (refused) return;
      bytes += chunk.length;
      // A body that comes byte by byte would be a hundred times its size in objects.
      small.push(chunk);
      if (small.length === PIECES) {
        chunks.push(Buffer.concat(small));
        small = [];
      }
      if (bytes > bytesMax) refuseTooLarge();
      else coming?.add(chunk.length + PIECE_BYTES);
    });
    if (stream !== request)
      request.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (!refused && sent > bytesMax) refuseTooLarge();
      });
    stream.on('end', () => {
      coming?.end();
      chunks.push(...small);
      if (!refused) resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
      // These listeners stay as long as the request is held by anybody.
      chunks.length = small.length = 0;
    });
    stream.on('error', (cause) => {
      if (refused) return;
      coming?.end();
      request.unpipe();
      request.resume();
      reject(Refusal.of('BAD_REQUEST', 'The body ended early or is not the gzip it claims to be.', { cause }));
    });
    if (stream !== request) request.once('aborted', () => stream.destroy(new Error('the client went away')));
    request.on('close', () => {
      coming?.end();
      // Nobody is there to be told, and nobody's fault: a phone that lost its network.
      if (!refused && !request.complete) reject(CLIENT_GONE);
    });
  });
}

/** How much more of a refused body is taken in, so that a client that sends before it reads can still read the answer. */
const DRAIN_BYTES = 16 * 1024 * 1024;
const DRAIN_MS = 1_000;

function tooLarge(request: IncomingMessage, bytesMax: number, isSent = true): Refusal {
  const rest = request.complete || !isSent ? undefined : drained(request);
  return new Refusal(413, 'BAD_REQUEST', `The body may be at most ${bytesMax} bytes, inflated.`, {
    headers: { connection: 'close' },
    ...(rest && { rest }),
  });
}

function drained(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const finish = () => {
      clearTimeout(timer);
      request.off('data', drain);
      resolve();
    };
    const drain = (chunk: Buffer) => (bytes += chunk.length) > DRAIN_BYTES && finish();
    const timer = setTimeout(finish, DRAIN_MS);
    request.on('data', drain).once('end', finish).once('close', finish);
    request.resume();
  });
}
