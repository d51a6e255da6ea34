import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Refusal } from './refusal.js';

/**
 * The body, inflated, at most `bytesMax` of it. The limit counts what comes out of gzip, so a bomb stops at the limit; and what goes in,
 * since gzip may be a row of empty pieces that never come to anything.
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new Refusal(415, 'BAD_REQUEST', 'The body may be compressed by gzip or not at all.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > bytesMax)
    return tooLarge(request, bytesMax).then((refusal) => Promise.reject(refusal));
  if (encoding === 'identity') return collect(request, request, bytesMax);
  const gunzip = createGunzip();
  request.pipe(gunzip);
  return collect(request, gunzip, bytesMax);
}

function collect(request: IncomingMessage, stream: Readable, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let sent = 0;
    let refused = false;
    const refuse = (): void => {
      refused = true;
      if (stream !== request) {
        request.unpipe();
        stream.destroy();
      }
      tooLarge(request, bytesMax).then(reject, reject);
    };
    stream.on('data', (chunk: Buffer) => {
      if (refused) return;
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > bytesMax) refuse();
    });
    if (stream !== request)
      request.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (!refused && sent > bytesMax) refuse();
      });
    stream.on('end', () => refused || resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)));
    stream.on('error', (cause) => {
      if (refused) return;
      request.unpipe();
      request.resume();
      reject(Refusal.of('BAD_REQUEST', 'The body ended early or is not the gzip it claims to be.', { cause }));
    });
    if (stream !== request) request.once('aborted', () => stream.destroy(new Error('the client went away')));
    request.on(
      'close',
      () => refused || request.complete || reject(Refusal.of('BAD_REQUEST', 'The body ended early.')),
    );
  });
}

/** How much more of a refused body is taken in, so that a client that sends before it reads can still read the answer. */
const DRAIN_BYTES = 16 * 1024 * 1024;
const DRAIN_MS = 1_000;

function tooLarge(request: IncomingMessage, bytesMax: number): Promise<Refusal> {
  const refusal = new Refusal(413, 'BAD_REQUEST', `The body may be at most ${bytesMax} bytes, inflated.`, {
    headers: { connection: 'close' },
  });
  return new Promise((resolve) => {
    let drained = 0;
    const finish = () => {
      clearTimeout(timer);
      request.off('data', drain);
      request.pause();
      resolve(refusal);
    };
    const drain = (chunk: Buffer) => (drained += chunk.length) > DRAIN_BYTES && finish();
    const timer = setTimeout(finish, DRAIN_MS);
    if (request.complete) return finish();
    request.on('data', drain).once('end', finish).once('close', finish);
    request.resume();
  });
}
