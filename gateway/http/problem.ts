import type { ServerResponse } from 'node:http';
import { CODES, type Code } from '#libs/failure';
import { refusalBody, type Refusal } from './refusal.js';

/** Whatever is no GraphQL request gets the same JSON shape: never HTML, never a stack. */
export function answerProblem(response: ServerResponse, status: number, message: string, requestId: string): void {
  // 501: what the client sent takes what we do not have.
  const isOurs = status >= 500 && status !== 501;
  const code: Code = status === 404 ? 'NOT_FOUND' : isOurs ? 'INTERNAL_SERVER_ERROR' : 'BAD_REQUEST';
  write(response, status, problemBody(code, message, requestId), requestId);
}

export function problemBody(code: Code, message: string, requestId: string): string {
  return JSON.stringify({ errors: [{ message, extensions: { code, requestId } }] });
}

export function answerRefusal(response: ServerResponse, refusal: Refusal, requestId: string): void {
  for (const [name, value] of Object.entries(refusal.more.headers ?? {})) response.setHeader(name, value);
  if (CODES[refusal.code].retry && !response.hasHeader('retry-after')) response.setHeader('retry-after', '1');
  write(response, refusal.status, refusalBody(refusal, requestId), requestId);
}

function write(response: ServerResponse, status: number, body: string, requestId: string): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
