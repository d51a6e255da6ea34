import type { Came } from '../../test/servers/answer-proxy.js';
import type { Heard } from './crowd.js';
import { CANARY } from './lies.js';

/** Bodies that people write, as they have to come back. */
const WRITTEN = /^op-[0-9a-f]{6}-\d+$/;
const INSIDE = new RegExp(`${CANARY}|serviceName|stacktrace|https?://|127\\.0\\.0\\.1|polluted`);
const ERRORS_MAX = 50;
const BYTES_MAX = 20_000;

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly unknown[];
}

/** What is wrong with an answer that somebody got while a service lied; nothing: it is as it may be. */
export function wrongIn({ status, text }: Heard): string[] {
  if (status === 500) return ['500'];
  const found: string[] = [];
  if (INSIDE.test(text)) found.push('a word of our insides');
  if (text.includes('\ufffd')) found.push('altered bytes');
  if (text.length > BYTES_MAX) found.push(`more than ${BYTES_MAX} characters`);
  const { data, errors = [] } = JSON.parse(text) as Answer;
  if (errors.length > ERRORS_MAX) found.push(`more than ${ERRORS_MAX} errors`);
  if (data && 'me' in data && data['me'] === null) found.push('a part was taken that another service has answered');
  const bodies = [...text.matchAll(/"body":("(?:[^"\\]|\\.)*")/g)].map(([, one]) => JSON.parse(one!) as string);
  if (bodies.some((body) => !WRITTEN.test(body))) found.push('a body that nobody wrote');
  const person = data?.['userByHandle'] as Record<string, unknown> | null | undefined;
  const hole = (value: unknown): boolean => value === null || value === undefined;
  const isHole = data
    ? Object.values(data).some(hole) || (person && [person['posts'], person['postCount']].some(hole))
    : true;
  if (isHole && errors.length === 0) found.push('a hole and no error');
  return found;
}

/** Listens to all answers, and keeps count of what is wrong in them. */
export class Told {
  answers = 0;
  readonly wrong = new Map<string, { n: number; readonly text: string }>();

  readonly hear = (heard: Heard): void => {
    this.answers += 1;
    for (const what of wrongIn(heard)) {
      const one = this.wrong.get(what) ?? { n: 0, text: heard.text.slice(0, 400) };
      one.n += 1;
      this.wrong.set(what, one);
    }
  };

  violations(): string[] {
    return [...this.wrong].map(([what, { n, text }]) => `${n} answers have ${what}: ${text}`);
  }
}

/** How often the same thing was asked for the same request: of a query once more is right, of a mutation nothing is. */
export function repeated(came: readonly Came[]): { queries: number; queriesMore: number; mutations: number } {
  const times = new Map<string, number>();
  for (const { requestId, body } of came)
    times.set(`${requestId} ${body}`, (times.get(`${requestId} ${body}`) ?? 0) + 1);
  const found = { queries: 0, queriesMore: 0, mutations: 0 };
  for (const [asked, n] of times) {
    const isMutation = isMutationBody(asked.slice(asked.indexOf(' ') + 1));
    if (n > 1 && isMutation) found.mutations += 1;
    if (n > 1 && !isMutation) found.queries += 1;
    if (n > 2 && !isMutation) found.queriesMore += 1;
  }
  return found;
}

export function isMutationBody(body: string): boolean {
  return /^\{"query":"mutation\b/.test(body);
}
