import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { Failure } from '#libs/failure';
import type { Head } from './heed.js';

/** Why this is no answer to a GraphQL request, as far as its head tells. */
export function whyRefused(status: number, headers: Head): Failure | undefined {
  const ok = (status >= 200 && status < 300 && status !== 204) || status === 400 || status === 422;
  if (!ok) {
    const code = status >= 500 || status === 429 ? 'SUBGRAPH_UNAVAILABLE' : 'SUBGRAPH_BAD_RESPONSE';
    return new Failure(code, `The subgraph answered with status ${status}.`);
  }
  const type = String(headers['content-type'] ?? '');
  return JSON_TYPE.test(type) ? undefined : bad(`The subgraph answered ${type || 'no media type'}, not JSON.`);
}

const JSON_TYPE = /^application\/(graphql-response\+)?json\s*(;|$)/i;

export function encodingOf(header: string | string[] | undefined): string {
  if (header === undefined) return '';
  const encoding = String(header).trim().toLowerCase();
  return encoding === 'identity' ? '' : encoding;
}

type Decode = (
  bytes: Buffer,
  options: { maxOutputLength: number },
  done: (error: NodeJS.ErrnoException | null, plain: Buffer) => void,
) => void;

export const DECODERS: Readonly<Record<string, Decode>> = { gzip: gunzip, deflate: inflate, br: brotliDecompress };

export function bad(message: string, cause?: unknown): Failure {
  return new Failure('SUBGRAPH_BAD_RESPONSE', message, { cause });
}

/** More than an object weighs that a client asks for: thirty aliases of the longest text here are 0.9 MB, even where each character is escaped. */
const OBJECT_BYTES = 1024 * 1024;

/**
 * Whose doing is it that an answer is too long? Where the objects that the operation asks for, as its cost counts them, could fill the
 * limit, the client's: it is told so, as where its own answer is too long, and nobody is woken, or each stranger could do that with a legal
 * query. Where they could not, a service sends what nobody asked for, and that is a fault (FG9). It is one limit for both, so a service that
 * sends too much to a large question looks as if its client had asked for it, but for `error_type` of its calls. Of what the
 * gateway asks for itself, and of the answer to a write, the service alone can be to blame.
 */
export function tooLong(bytesMax: number, cost: number): Failure {
  if (cost * OBJECT_BYTES < bytesMax) return bad(`The answer is longer than ${bytesMax} bytes.`);
  return new Failure(
    'ANSWER_TOO_LONG',
    `A part of the answer would have more than ${bytesMax.toLocaleString('en-US')} bytes; ask for less at once.`,
  );
}
