import { badInput } from '#libs/failure';

export const FIRST_MAX = 100;
export const FIRST_DEFAULT = 20;
const CURSOR_LENGTH_MAX = 512;

export interface Page {
  readonly first: number;
  /** The parts of the cursor to go on behind; undefined: from the start. */
  readonly after: string[] | undefined;
}

export interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

export type Edge<Node, Extras = object> = { readonly cursor: string; readonly node: Node } & Extras;

export interface Connection<Node, Extras = object> {
  readonly edges: Edge<Node, Extras>[];
  readonly pageInfo: PageInfo;
}

/**
 * What a client asked of a list: `first` 0–100, and where to go on. Null says nothing, as in the spec's nullable arguments: typed
 * clients send it for a variable that has no value.
 */
export function pageArguments(
  args: { readonly first?: number | null | undefined; readonly after?: string | null | undefined },
  cursorParts: number,
  check?: CursorCheck,
): Page {
  const first = args.first ?? FIRST_DEFAULT;
  if (!Number.isInteger(first) || first < 0 || first > FIRST_MAX) {
    throw badInput(`"first" is a whole number from 0 to ${FIRST_MAX}`, first);
  }
  const after = args.after == null ? undefined : decodeCursor(args.after, cursorParts, check);
  return { first, after };
}

/** One page as a connection: `rows` holds one row more than asked when there are more. */
export function connectionOf<Row, Node, Extras extends object = object>(
  rows: readonly Row[],
  first: number,
  cursorOf: (row: Row) => readonly string[],
  nodeOf: (row: Row) => Node,
  edgeExtras?: (row: Row) => Extras,
): Connection<Node, Extras> {
  const edges = rows
    .slice(0, first)
    .map(
      (row) => ({ cursor: encodeCursor(cursorOf(row)), node: nodeOf(row), ...edgeExtras?.(row) }) as Edge<Node, Extras>,
    );
  return {
    edges,
    pageInfo: {
      hasNextPage: rows.length > first,
      // Only forward paging is offered, and Relay then says false.
      hasPreviousPage: false,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/** Says whether the parts are ones that we could have written, for example a uuid. */
export type CursorCheck = (parts: readonly string[]) => boolean;

/** The sort key of a row, so the next page starts right behind it whatever was inserted or removed since. */
export function encodeCursor(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Only what `encodeCursor` wrote is read: the one spelling, that many parts. Anything else is the client's mistake. */
export function decodeCursor(text: string, count: number, check: CursorCheck = () => true): string[] {
  if (text.length <= CURSOR_LENGTH_MAX) {
    const parts = parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (
      parts?.length === count &&
      encodeCursor(parts) === text &&
      !parts.some((part) => part.includes('\0')) &&
      check(parts)
    ) {
      return parts;
    }
  }
  throw badInput('"after" is the cursor of an edge of this list, as it was given', text);
}

function parse(json: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) && value.every((part) => typeof part === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}
