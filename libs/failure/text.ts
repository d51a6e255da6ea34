import { badInput } from './failure.js';

export interface TextRule {
  /** What the text is called where the client wrote it, for example `displayName`. */
  readonly name: string;
  readonly graphemesMin: number;
  readonly graphemesMax: number;
  /** Of UTF-8, after normalisation. Checked first, so that nobody makes us count the graphemes of a megabyte. */
  readonly bytesMax: number;
  /** A name stands on one line: no line breaks, no tabs, nothing that turns the writing direction of what follows. */
  readonly oneLine?: boolean;
}

/**
 * Text as people write it, in the one form that is kept: NFC, lines ended by LF (forms send CR LF). Emoji, every script and every direction are welcome. Refused is
 * what no reader could see or what the database could not hold: control characters (NUL among them), halves of surrogate
 * pairs, a text of nothing but blanks where something is asked for. Nothing is trimmed: what was accepted is what is shown.
 */
export function cleanText(value: string, rule: TextRule): string {
  const { name, graphemesMin: min, graphemesMax: max, bytesMax } = rule;
  const expected = `${name} takes ${min} to ${max} characters, at most ${bytesMax} bytes`;
  // A UTF-16 unit is at least one byte; NFC makes a text at most three times as long.
  if (value.length > bytesMax) throw badInput(expected, value);
  if (HALF.test(value)) throw badInput(`${name} takes Unicode text; came half of a surrogate pair`);
  const lines = value.replaceAll(/\r\n?/g, '\n');
  if (CONTROLS.test(lines)) throw badInput(`${name} takes no control characters`, value);
  if (rule.oneLine && NOT_ON_ONE_LINE.test(lines)) throw badInput(`${name} takes one line of text`, value);
  const text = lines.normalize('NFC');
  if (Buffer.byteLength(text) > bytesMax) throw badInput(expected, value);
  if (min > 0 && BLANK.test(text)) throw badInput(expected, value);
  const count = graphemeCount(text);
  if (count < min || count > max) throw badInput(expected, value);
  return text;
}

/** What a reader counts as characters: a family emoji is one. */
export function graphemeCount(text: string): number {
  let count = 0;
  for (const _ of SEGMENTER.segment(text)) count += 1;
  return count;
}

// With the u flag a pair is one character, so this finds only halves.
const HALF = /\p{Surrogate}/u;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });
// C0 and C1 controls and DEL, but for tab and line feed.
const CONTROLS = /(?![\t\n])\p{Cc}/u;
// Line and paragraph separators; embeddings, overrides and isolates, by which a name could rewrite the line it stands in.
const NOT_ON_ONE_LINE = /[\t\n\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
// White space and characters that draw nothing by themselves (zero-width space and joiners, fillers).
const BLANK = /^[\s\p{Cf}\u115f\u1160\u3164\uffa0\u2800]*$/u;
