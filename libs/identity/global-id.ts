import { badInput } from '#libs/failure';
import { isId } from './ids.js';

/** What has an id that clients see. */
export type Kind = Node | 'notification' | 'deletion';
type Node = 'user' | 'post';
/** What `node(id:)` takes. */
const NODES: readonly Node[] = ['user', 'post'];

/** The id as clients see it: `user_`, `post_` or `deletion_` and 26 characters of Crockford's base32. Sorts as the uuid does. */
export function globalId(kind: Kind, uuid: string): string {
  let text = '';
  let rest = 0;
  let bits = 2; // 26 characters hold 130 bits: two zeros come first
  for (let at = 0; at < uuid.length; at += 1) {
    const code = uuid.charCodeAt(at);
    if (code === 45 /* - */) continue;
    rest = (rest << 4) | (code < 58 ? code - 48 : code - 87);
    bits += 4;
    if (bits < 5) continue;
    bits -= 5;
    text += ALPHABET[rest >>> bits];
    rest &= (1 << bits) - 1;
  }
  return `${kind}_${text}`;
}

/**
 * Back to the stored uuid. Takes exactly what `globalId` prints: one thing has one id, so caches and joins can compare texts.
 * The key of a representation is no type's: it may be anything.
 */
export function parseGlobalId(kind: Kind, text: unknown): string {
  const uuid =
    typeof text === 'string' && text.startsWith(`${kind}_`) ? uuidOf(text.slice(kind.length + 1)) : undefined;
  if (uuid === undefined) throw badInput(`the id of a ${kind} is "${kind}_" and 26 characters`, text);
  return uuid;
}

export function kindOfGlobalId(text: string): Node {
  const kind = NODES.find((candidate) => text.startsWith(`${candidate}_`));
  if (kind === undefined)
    throw badInput(`an id begins with ${NODES.map((candidate) => `"${candidate}_"`).join(' or ')}`, text);
  parseGlobalId(kind, text);
  return kind;
}

// Crockford's base32 without i, l, o, u; in ASCII order, so texts sort as the numbers do.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const VALUES = new Map(Array.from(ALPHABET, (character, value) => [character, value]));

function uuidOf(text: string): string | undefined {
  if (text.length !== 26) return undefined;
  let hex = '';
  let rest = 0;
  let bits = -2;
  for (const character of text) {
    const value = VALUES.get(character);
    if (value === undefined) return undefined;
    rest = (rest << 5) | value;
    bits += 5;
    if (bits === 3 && value > 7) return undefined; // more than 128 bits
    while (bits >= 4) {
      bits -= 4;
      hex += (rest >>> bits).toString(16);
      rest &= (1 << bits) - 1;
    }
  }
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return isId(uuid) ? uuid : undefined;
}
