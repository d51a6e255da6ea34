import { CODES } from '#libs/failure';
import { LEAK } from '../tiny/tiny-http.js';
import { isSubgraph, type Attack, type Seen } from './attack.js';

interface Told {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly requestId?: string };
}

const REFUSAL_BYTES_MAX = 16 * 1024;
const ERRORS_MAX = 50;
/** Sentences of ours in which the word is meant. */
const MEANT = [
  'Handle and password do not belong together.',
  'password takes 8 to 128 characters',
  'may select at most',
  String.raw`\"password\"`,
  String.raw`\"ChangePasswordInput\"`,
];

/** What is wrong with what came; none: it is as it must be. What holds for every answer, and what this row asks for. */
export function violations({ come, send, to }: Attack, { status, headers, text, wrong = [] }: Seen): string[] {
  const found: string[] = [...wrong];
  const expect = (holds: boolean, otherwise: string): void => void (holds || found.push(otherwise));
  const statuses = typeof come.status === 'number' ? [come.status] : come.status;
  expect(statuses.includes(status), `status ${status}, not ${statuses.join(' or ')}: ${text.slice(0, 200)}`);
  for (const [name, pattern] of Object.entries(come.headers ?? {})) {
    const value = headers[name];
    if (pattern === null) expect(value === undefined, `${name}: ${String(value)}, and there must be none`);
    else expect(pattern.test(String(value ?? '')), `${name}: ${String(value)}, not ${String(pattern)}`);
  }
  if (come.says) expect(come.says.test(text), `it does not say ${String(come.says)}: ${text.slice(0, 300)}`);
  if (come.hides) expect(!come.hides.test(text), `it says ${String(come.hides)}: ${text.slice(0, 300)}`);
  const bare = typeof send !== 'function' && (send.method === 'HEAD' || send.method === 'OPTIONS');
  if (bare || status === 0) return found;

  // Pipelined answers are one text; each was written by the same hand.
  if (text.includes('HTTP/1.1 ')) return found;
  const body = parsed(text);
  found.push(...wrongInEveryAnswer({ status, headers, text }));
  // A subgraph is read by the gateway alone, never by a browser.
  const isGateway = !isSubgraph(to);
  const errors = body?.errors ?? [];
  const code = errors[0]?.extensions?.code;
  const codes = come.code === undefined ? undefined : [come.code].flat();
  if (codes) expect(codes.includes(code ?? ''), `code ${String(code)}, not ${codes.join(' or ')}`);
  if (status === 200 && codes === undefined) {
    expect(errors.length === 0, `errors: ${JSON.stringify(errors).slice(0, 300)}`);
    return found;
  }
  const { errorsMax = ERRORS_MAX, bytesMax = REFUSAL_BYTES_MAX } = come;
  expect(errors.length > 0 && errors.length <= errorsMax, `${errors.length} errors`);
  if (come.ran) return found;
  expect(body?.data === undefined, 'it has data beside what refuses it');
  expect(Buffer.byteLength(text) <= bytesMax, `${Buffer.byteLength(text)} bytes for a refusal`);
  if (isGateway) expect(headers['cache-control'] === 'no-store', `cache-control ${String(headers['cache-control'])}`);
  return found;
}

/** Of any answer with a body. `sent`: words that are its client's own are no leak where they come back. */
export function wrongInEveryAnswer({ headers, text }: Seen, sent = ''): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, otherwise: string): void => void (holds || found.push(otherwise));
  const body = parsed(text);
  expect(body !== undefined, `no JSON: ${text.slice(0, 100)}`);
  const type = String(headers['content-type']);
  expect(/^application\/(graphql-response\+)?json; charset=utf-8$/.test(type), `content-type ${type}`);
  const leak = LEAK.exec(MEANT.reduce((rest, words) => rest.replaceAll(words, ''), withoutData(text)))?.[0];
  const isOwn = leak !== undefined && sent.toLowerCase().includes(leak.toLowerCase());
  expect(leak === undefined || isOwn, `it leaks ${JSON.stringify(leak)}`);
  for (const { extensions } of body?.errors ?? []) {
    expect(Object.hasOwn(CODES, extensions?.code ?? ''), `a code that is in no table: ${String(extensions?.code)}`);
    const allowed = ['code', 'requestId', ...(WAIT.has(String(extensions?.code)) ? ['retryAfter'] : [])];
    const others = Object.keys(extensions ?? {}).filter((name) => !allowed.includes(name));
    expect(others.length === 0, `extensions say ${others.join(', ')}`);
  }
  return found;
}

/** How long to wait is said with these. */
const WAIT: ReadonlySet<string> = new Set(['RATE_LIMITED', 'OVERLOADED']);

/** Did this row have to end before any service was asked? */
export function mustNotRun({ come }: Attack): boolean {
  if (come.unasked) return true;
  return !come.ran && !([come.status].flat().includes(200) && come.code === undefined) && come.status !== 0;
}

function parsed(text: string): { errors?: Told[]; data?: unknown } | undefined {
  try {
    return (JSON.parse(text) as object | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** People may write addresses; what is looked for is what we say of ourselves. */
function withoutData(text: string): string {
  const body = parsed(text);
  return body?.errors === undefined ? '' : JSON.stringify(body.errors);
}
