import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** One request of the gateway to one service, and what the service answered. */
export interface Call {
  /** The engines that send exactly this. */
  readonly sentBy: readonly string[];
  /** Global id of who asks. */
  readonly subject: string | null;
  readonly query: string;
  readonly variables: Record<string, unknown>;
  readonly answer: { readonly data?: unknown; readonly errors?: unknown };
}

/** What is in `recorded/<service>/<operation>.json`. */
export type Recording = readonly Call[];

export const RECORDED = fileURLToPath(new URL('recorded/', import.meta.url));

/** Everything committed: `<service>/<operation>` → its text. */
export async function committedRecordings(): Promise<Map<string, string>> {
  const files = (await readdir(RECORDED, { recursive: true })).filter((file) => file.endsWith('.json')).sort();
  return new Map(
    await Promise.all(
      files.map(async (file) => [file.slice(0, -'.json'.length), await readFile(RECORDED + file, 'utf8')] as const),
    ),
  );
}

/**
 * What differs from run to run gets a name: an id that is not in the demo graph, a token, an instant since `started`. The
 * demo graph itself is the same every time.
 */
export function normalised<T>(value: T, isKnown: (id: string) => boolean, started: number): T {
  const names = new Map<string, string>();
  const nameOf = (id: string): string => {
    const name = names.get(id) ?? `<${id.split('_')[0]} ${names.size + 1}>`;
    names.set(id, name);
    return name;
  };
  const walk = (part: unknown, key?: string): unknown => {
    if (Array.isArray(part)) return part.map((item) => walk(item));
    if (typeof part === 'object' && part !== null)
      return Object.fromEntries(Object.entries(part).map(([name, item]) => [name, walk(item, name)]));
    if (typeof part !== 'string') return part;
    if (key === 'token') return '<token>';
    // A store that was laid out before all tests has trending posts of then.
    if (INSTANT.test(part) && (Date.parse(part) >= started || key === 'asOf')) return '<instant>';
    return ID.test(part) && !isKnown(part) ? nameOf(part) : part;
  };
  return walk(value) as T;
}

export function isWrite({ query }: { readonly query: string }): boolean {
  return query.trimStart().startsWith('mutation');
}

const ID = /^(user|post|deletion)_[0-9a-z]{26}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
