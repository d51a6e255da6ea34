import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Asks for `extensions.explain`; with EXPLAIN=token its value is the token. Like every `tributary-` header it goes no further. */
export const EXPLAIN_HEADER = 'tributary-explain';

export interface ExplainRules {
  readonly who: 'nobody' | 'anybody' | 'token';
  readonly token: string | undefined;
}

/** May this request be told how it was answered? Undefined: nobody may, and nobody is asked. */
export function explainPermission({
  who,
  token,
}: ExplainRules): ((headers: IncomingHttpHeaders) => boolean) | undefined {
  if (who === 'nobody') return undefined;
  if (who === 'anybody') return (headers) => headers[EXPLAIN_HEADER] !== undefined;
  const expected = digest(token!);
  return (headers) => {
    const given = headers[EXPLAIN_HEADER];
    return typeof given === 'string' && timingSafeEqual(digest(given), expected);
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
