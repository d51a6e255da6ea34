import type { ServerResponse } from 'node:http';
import type { Code } from '#libs/failure';

/** Whatever is no GraphQL request gets the same JSON shape: never HTML, never a stack. */
export function answerProblem(response: ServerResponse, status: number, message: string, requestId: string): void {
  const code: Code = status === 404 ? 'NOT_FOUND' : status >= 500 ? 'INTERNAL_SERVER_ERROR' : 'BAD_REQUEST';
  const body = JSON.stringify({ errors: [{ message, extensions: { code, requestId } }] });
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
