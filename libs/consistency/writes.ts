/**
 * Something that was written: the version that an aggregate has since then. An aggregate's events are heard in order, so
 * whoever has heard this one has heard all that it rests on.
 */
export interface Write {
  /** The service that stored it and tells it. */
  readonly source: string;
  /** As in its events, for example `post:<uuid>`. */
  readonly aggregate: string;
  readonly version: number;
  /** Seconds since 1970, on the clock of who noted it. */
  readonly at: number;
}

/** To a subgraph: what the reader has to be shown at least. */
export const UP_TO_HEADER = 'tributary-up-to';
/** From a subgraph: what it has written in this call. */
export const WROTE_HEADER = 'tributary-wrote';

/** From a subgraph that has refused a read: what of that it has not heard, of each aggregate the first version; empty: what was brought is heard. */
export const BEHIND_HEADER = 'tributary-behind';

/** As many writes as one text holds, the newest: 40 of the longest that we know are 3,600 characters, and a cookie may have 4,096. */
export const WRITES_MAX = 40;
export const WRITES_TEXT_MAX = 3_700;

/** One of each aggregate, the newest `WRITES_MAX` of all, oldest first. */
export function mergeWrites(...lists: readonly (readonly Write[])[]): Write[] {
  const merged = new Map<string, Write>();
  for (const write of lists.flat()) {
    const key = `${write.source} ${write.aggregate}`;
    const known = merged.get(key);
    if (known !== undefined && known.version > write.version) continue;
    merged.delete(key);
    merged.set(key, write);
  }
  return [...merged.values()].sort((one, other) => one.at - other.at).slice(-WRITES_MAX);
}

/**
 * `posts!post:~AZq…~.3.sm0x2k`: writes as one text that may stand in a header and in a cookie. A uuid is 22 characters of
 * base64url between two `~`. What would be too long loses its oldest writes.
 */
export function writesText(writes: readonly Write[]): string {
  let text = '';
  for (const write of mergeWrites(writes).reverse()) {
    const { source, aggregate, version, at } = write;
    const packed = aggregate.replaceAll(UUID, (uuid) => `~${bytesOf(uuid).toString('base64url')}~`);
    const one = `${source}!${packed}.${version}.${at.toString(36)}`;
    if (!ONE.test(one)) throw new RangeError(`no name of an aggregate: ${aggregate}`);
    if (text.length + one.length >= WRITES_TEXT_MAX) break;
    text = text === '' ? one : `${one}|${text}`;
  }
  return text;
}

/** Undefined for a text that `writesText` did not make. */
export function parseWrites(text: string): Write[] | undefined {
  if (text === '') return [];
  if (text.length > WRITES_TEXT_MAX) return undefined;
  const parts = text.split('|');
  if (parts.length > WRITES_MAX) return undefined;
  const writes: Write[] = [];
  for (const part of parts) {
    const [, source, packed, version, at] = ONE.exec(part) ?? [];
    if (source === undefined || packed === undefined) return undefined;
    const aggregate = packed.replaceAll(PACKED, (_, bytes: string) => uuidOf(bytes));
    const write = { source, aggregate, version: Number(version), at: Number.parseInt(at ?? '', 36) };
    if (!isVersion(write.version)) return undefined;
    writes.push(write);
  }
  return writes;
}

/** Of an aggregate: at least 1. */
export function isVersion(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= VERSION_MAX;
}

/** PostgreSQL's integer. */
const VERSION_MAX = 2_147_483_647;
const ONE = /^([a-z][a-z0-9_-]{0,62})!([\w:~-]{1,200})\.([1-9]\d{0,9})\.([0-9a-z]{1,8})$/;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const PACKED = /~([\w-]{22})~/g;

function bytesOf(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function uuidOf(packed: string): string {
  const hex = Buffer.from(packed, 'base64url').toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
