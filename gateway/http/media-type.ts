import { Refusal } from './refusal.js';

export type ResponseType = 'application/json' | 'application/graphql-response+json';

/** `text/html;q=0.8; charset=utf-8` → type and parameters, lower case; undefined when it is no media type. */
function mediaType(text: string): { type: string; parameters: Map<string, string> } | undefined {
  const [type = '', ...rest] = text.split(';');
  const name = type.trim().toLowerCase();
  if (!/^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+$/.test(name)) return undefined;
  const parameters = new Map<string, string>();
  for (const one of rest) {
    const equals = one.indexOf('=');
    if (equals > 0) parameters.set(one.slice(0, equals).trim().toLowerCase(), unquoted(one.slice(equals + 1).trim()));
  }
  return { type: name, parameters };
}

/** The body has to be JSON in UTF-8 (RFC 8259 knows no other). Other charsets have been a way to smuggle and to stall. */
export function requireJson(contentType: string): void {
  if (contentType === 'application/json') return;
  const media = contentType.length <= 256 ? mediaType(contentType) : undefined;
  if (media?.type !== 'application/json') {
    throw new Refusal(415, 'BAD_REQUEST', 'The body has to be application/json.', {
      headers: { accept: 'application/json' },
    });
  }
  const charset = media.parameters.get('charset')?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') {
    throw new Refusal(415, 'BAD_REQUEST', 'JSON is sent in UTF-8; leave the charset out or say charset=utf-8.');
  }
}

/** Which of our two types the client would rather have; without a wish, application/json. Undefined: neither will do. */
export function responseTypeFor(accept: string | undefined): ResponseType | undefined {
  if (accept === undefined || accept.trim() === '' || accept === 'application/json' || accept === '*/*')
    return 'application/json';
  const ranges = rangesOf(accept);
  const json = qualityOf(ranges, 'application/json');
  const graphql = qualityOf(ranges, 'application/graphql-response+json');
  if (json === 0 && graphql === 0) return undefined;
  // The newer type only when it was named: whoever takes anything gets what every client can read.
  const named = ranges.some((range) => range.type === 'application/graphql-response+json');
  return named && graphql >= json ? 'application/graphql-response+json' : 'application/json';
}

export function notAcceptable(): Refusal {
  return new Refusal(
    406,
    'BAD_REQUEST',
    'Answers are application/graphql-response+json or application/json; accept one of them.',
  );
}

/** A browser that is shown a page rather than data: text/html is named, and liked at least as much as JSON is. */
export function wantsPage(accept: string | undefined): boolean {
  if (!accept?.includes('text/html')) return false;
  const ranges = rangesOf(accept);
  const named = (type: string) => ranges.find((range) => range.type === type)?.quality ?? 0;
  return named('text/html') > Math.max(named('application/json'), named('application/graphql-response+json'));
}

interface Range {
  readonly type: string;
  readonly quality: number;
}

function rangesOf(accept: string): Range[] {
  return accept
    .slice(0, 1024)
    .split(',')
    .flatMap((text) => {
      const media = mediaType(text);
      if (!media) return [];
      const charset = media.parameters.get('charset')?.toLowerCase();
      if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') return [];
      const quality = Number(media.parameters.get('q') ?? 1);
      return [{ type: media.type, quality: quality >= 0 && quality <= 1 ? quality : 1 }];
    });
}

/** The most exact range decides, as RFC 9110 has it: `application/json;q=0, * / *` refuses JSON. */
function qualityOf(ranges: readonly Range[], type: string): number {
  const range =
    ranges.find((one) => one.type === type) ??
    ranges.find((one) => one.type === `${type.slice(0, type.indexOf('/'))}/*`) ??
    ranges.find((one) => one.type === '*/*');
  return range?.quality ?? 0;
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
