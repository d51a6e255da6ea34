import type { Json } from '../run/json.js';

/** What an answer's `Cache-Control` says (RFC 9111, RFC 5861), as far as a shared cache heeds it. Seconds. */
export interface CacheControl {
  readonly keep: boolean;
  /** Only for whoever asked. */
  readonly private: boolean;
  /** It says that it is for everybody, also where somebody asked by name (RFC 9111, 3.5). */
  readonly public: boolean;
  /** Undefined: it does not say. */
  readonly maxAge: number | undefined;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
}

/** Undefined when there is no header: then it says nothing. What cannot be understood is taken as "keep nothing". */
export function readCacheControl(header: string | undefined): CacheControl | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const directives = new Map<string, string>();
  for (const part of header.split(',')) {
    const [name = '', value = ''] = part.split('=', 2);
    directives.set(name.trim().toLowerCase(), value.trim().replaceAll('"', ''));
  }
  const seconds = (name: string): number | undefined => {
    const value = directives.get(name);
    if (value === undefined) return undefined;
    return /^\d{1,10}$/.test(value) ? Number(value) : 0;
  };
  const keep = !directives.has('no-store') && !directives.has('no-cache');
  // Someone who must revalidate may not be shown what is stale.
  const strict = directives.has('must-revalidate') || directives.has('proxy-revalidate');
  return {
    keep,
    private: directives.has('private'),
    public: directives.has('public') || directives.has('s-maxage'),
    maxAge: seconds('s-maxage') ?? seconds('max-age'),
    staleWhileRevalidate: strict ? 0 : (seconds('stale-while-revalidate') ?? 0),
    staleIfError: strict ? 0 : (seconds('stale-if-error') ?? 0),
  };
}

/** How long it is known that there is none. */
export const NEGATIVE_MS = 10_000;

/** There is none; of a list, at a place of it. */
export function isNothing(came: Json | undefined): boolean {
  return came === null || (Array.isArray(came) && came.some(isNothing));
}

/** How long a client may keep it, s. One that comes into being ends what is kept here, and nothing that a client keeps. */
export function forClient(maxAge: number, isNone: boolean): number {
  return isNone ? Math.min(maxAge, NEGATIVE_MS / 1_000) : maxAge;
}

/** Where only a header speaks, to somebody who asked by name, it has to say that it is for everybody. */
export function isPrivate(
  control: CacheControl,
  { byHeader }: { readonly byHeader: boolean },
  subject: string | null,
): boolean {
  return control.private || (byHeader && subject !== null && !control.public);
}

/** How long a whole answer may be kept: the least of all that is in it. */
export class AnswerPolicy {
  #maxAge = Number.POSITIVE_INFINITY;
  #private = false;
  #ageMs = 0;

  restrict(maxAge: number, isPrivate: boolean): void {
    if (maxAge < this.#maxAge) this.#maxAge = maxAge;
    if (isPrivate) this.#private = true;
  }

  /** Some part of it was loaded so long ago. */
  aged(ms: number): void {
    if (ms > this.#ageMs) this.#ageMs = ms;
  }

  headers(ageMs = this.#ageMs): [name: string, value: string][] {
    const maxAge = Math.floor(this.#maxAge);
    if (!(maxAge > 0) || !Number.isFinite(maxAge)) return [['cache-control', 'no-store']];
    return [
      ['cache-control', `max-age=${maxAge}, ${this.#private ? 'private' : 'public'}`],
      ['age', String(Math.ceil(ageMs / 1_000))],
    ];
  }
}

/** What `cacheHeadersOf` looks at. */
export const CACHE_HEADERS = ['cache-control', 'age', 'vary', 'surrogate-key', 'cache-tag'] as const;

/** `Cache-Control`, and the tags of `Surrogate-Key` (separated by spaces) and `Cache-Tag` (by commas). */
export function cacheHeadersOf(headers: Readonly<Record<string, string | string[] | undefined>>): Said | undefined {
  const all = (name: string): string => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(',') : (value ?? '');
  };
  const key = CACHE_HEADERS.map(all).join('\n');
  let said = readBefore.get(key);
  if (said === undefined && !readBefore.has(key)) {
    said = saidBy(all);
    // A service says a few different things; one that says another each time is read each time.
    if (readBefore.size < READ_MAX) readBefore.set(key, said);
  }
  return said;
}

interface Said {
  readonly cacheControl: CacheControl | undefined;
  readonly tags: readonly string[];
}

const READ_MAX = 1_000;
const readBefore = new Map<string, Said | undefined>();

function saidBy(all: (name: string) => string): Said | undefined {
  const cacheControl = aged(readCacheControl(all('cache-control')), all('age'), all('vary'));
  const tags = [...all('surrogate-key').split(/[\s,]+/), ...all('cache-tag').split(',')]
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
    .slice(0, TAGS_MAX);
  return cacheControl === undefined && tags.length === 0 ? undefined : { cacheControl, tags };
}

/** Some other cache has had it for a while already; and what is never twice the same is not kept. */
function aged(control: CacheControl | undefined, age: string, vary: string): CacheControl | undefined {
  if (control === undefined) return undefined;
  if (vary.includes('*')) return { ...control, keep: false };
  if (control.maxAge === undefined || !/^\d{1,10}$/.test(age)) return control;
  return { ...control, maxAge: Math.max(0, control.maxAge - Number(age)) };
}

/** Of one answer; a subgraph that sends more is not one to be believed. */
const TAGS_MAX = 100;
