import { randomBytes } from 'node:crypto';
import type { Json } from './json.js';

/**
 * A custom scalar passes as it came, to the digit: `12345678901234567890` and `10.50` are numbers that JavaScript writes
 * differently. Such a number is kept as a text that begins with this mark, from the parse of the one side to the text of the
 * other. Nobody outside knows the mark, so no text that comes in is taken for a number.
 */
const MARK = `\u0001${randomBytes(12).toString('hex')}:`;
const QUOTED_MARK = JSON.stringify(MARK).slice(0, -1);

const NUMBER = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`;
const WHOLE_NUMBER = new RegExp(`^${NUMBER}$`);

/** Something like a number that would be written differently: it may also be within a text, so what it finds is looked at again. */
const SUSPECT = /[[,:\s]-?(?:[\d.]{16}|\d+(?:\.\d+)?[eE]|\d+\.\d*0(?=[\s,\]}])|0(?<=-0)(?=[\s,\]}]))/;
const QUOTE_OR_NUMBER = /"|-?\d[\d.eE+-]*/g;

/**
 * `JSON.parse` that keeps every digit. A third of its time more for a text without such numbers, twice the time for one that may have
 * some. Throws TooManyExactNumbers beyond `most` of them, before anything is made of it: each is five to ten times as dear as another.
 */
export function parseExactly(text: string, most = Infinity): unknown {
  // First of all: what is no JSON is refused by who reads each character once.
  const value: unknown = JSON.parse(text);
  return mayHaveExactNumbers(text) ? JSON.parse(marked(text, most)) : value;
}

/** Will `parseExactly` read it a second time? It may find that there was nothing. */
export function mayHaveExactNumbers(json: string): boolean {
  return SUSPECT.test(json);
}

export class TooManyExactNumbers extends Error {
  override readonly name = 'TooManyExactNumbers';

  constructor(readonly most: number) {
    super(`More than ${most} numbers have to be kept to the digit.`);
  }
}

/** Of JSON with so many bytes, the most marked numbers that it can have: each is a text with the mark, two characters at least and a comma. */
export function exactNumbersWithin(bytes: number): number {
  return Math.ceil(bytes / (QUOTED_MARK.length + 4));
}

/** Numbers that would change become texts with the mark. In JSON every text has an end, which is looked for from its beginning only. */
function marked(json: string, most: number): string {
  let written = '';
  let from = 0;
  let count = 0;
  QUOTE_OR_NUMBER.lastIndex = 0;
  for (let found = QUOTE_OR_NUMBER.exec(json); found !== null; found = QUOTE_OR_NUMBER.exec(json)) {
    const [token] = found;
    if (token === '"') {
      QUOTE_OR_NUMBER.lastIndex = endOfText(json, found.index);
    } else if (String(Number(token)) !== token) {
      count += 1;
      if (count > most) throw new TooManyExactNumbers(most);
      written += `${json.slice(from, found.index)}${QUOTED_MARK}${token}"`;
      from = found.index + token.length;
    }
  }
  return written + json.slice(from);
}

/** Behind the quotation mark that ends it: the next one before which there is no backslash, or an even number of them. */
function endOfText(json: string, begin: number): number {
  for (let end = json.indexOf('"', begin + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let before = end - 1;
    while (json[before] === '\\') before -= 1;
    if ((end - before) % 2 === 1) return end + 1;
  }
  return json.length;
}

/** The digits, when the text is a marked number: whoever had come to know the mark could write numbers with it, and nothing else. */
export function digitsOf(text: string): string | undefined {
  if (text.charCodeAt(0) !== 1 || !text.startsWith(MARK)) return undefined;
  const digits = text.slice(MARK.length);
  return WHOLE_NUMBER.test(digits) ? digits : undefined;
}

/** `JSON.stringify` of a value whose marked numbers become numbers again. */
export function writeExactly(value: unknown): string {
  const text = JSON.stringify(value);
  return text?.includes(QUOTED_MARK) ? unmarked(text) : text;
}

/** A text as JSON; a marked number as a text of its digits. */
export function quotedExactly(text: string): string {
  return JSON.stringify(digitsOf(text) ?? text);
}

const MARKED = new RegExp(`${QUOTED_MARK.replaceAll('\\', '\\\\')}(${NUMBER})"`, 'g');

/** A sentence in which values are written as JSON: marked numbers become numbers again. */
export function withoutMarks(sentence: string): string {
  return hasMarked(sentence) ? unmarked(sentence) : sentence;
}

function unmarked(text: string): string {
  return text.replace(MARKED, '$1');
}

/** Is there a marked number in this JSON text? */
export function hasMarked(json: string): boolean {
  return json.includes(QUOTED_MARK);
}

/** Marked numbers as the numbers that JavaScript has, for whoever cannot do better. */
export function roundedNumbers<Value>(value: Value): Value {
  const json = JSON.stringify(value);
  return json !== undefined && hasMarked(json) ? (JSON.parse(unmarked(json)) as Value) : value;
}

/** As a scalar of GraphQL's own wants it: a whole number stays whole as an ID, everything else is a JavaScript number. */
export function asBuiltIn(digits: string, type: string): Json {
  return (type === 'ID' || type === 'String') && /^-?\d+$/.test(digits) ? digits : Number(digits);
}
