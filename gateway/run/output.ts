import { AnswerTooLong } from '../http/answer-bytes.js';
import { quotedExactly } from './exact-numbers.js';
import { kindOf, type Json, type JsonObject } from './json.js';
import type { Gone } from './outcome.js';

/**
 * The answer's bytes while they are written, and what went wrong on the way. Bytes and not strings: joining strings makes
 * two objects per piece and flattens them all at the end, which was a third of the time of a profile page.
 *
 * One is used for all answers, since writing one is synchronous.
 */
export class Output {
  #bytes = Buffer.allocUnsafe(START_BYTES);
  at = 0;
  /** No character so far took more than one byte. */
  #ascii = true;
  readonly troubles: Trouble[] = [];
  /** Some fetch failed, so a field that never came is to be told even where null is allowed. */
  failed = false;
  /** Some fetch failed, or a subgraph told an error. */
  troubled = false;
  /** Entities that are not there, as long as an answer is written: they are its data, and not for this to keep. */
  gone: Gone | undefined;
  #bytesMax = Infinity;

  start(failed: boolean, troubled: boolean, bytesMax = Infinity, gone?: Gone): void {
    this.at = 0;
    this.#bytesMax = bytesMax;
    this.#ascii = true;
    this.failed = failed;
    this.troubled = troubled;
    this.gone = gone;
    this.troubles.length = 0;
    // One huge answer is no reason to hold on to its memory.
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafe(START_BYTES);
  }

  /** What was written; a copy, since this is used again. */
  bytes(): Buffer {
    this.#requireShort();
    return Buffer.from(this.#bytes.subarray(0, this.at));
  }

  /** The same as text. */
  text(): string {
    return this.#bytes.toString(this.#ascii ? 'latin1' : 'utf8', 0, this.at);
  }

  /** A piece that was made ready before: keys, constants. */
  piece(piece: Buffer): void {
    const { length } = piece;
    if (this.at + length > this.#bytes.length) this.#grow(length);
    const bytes = this.#bytes;
    let { at } = this;
    for (let i = 0; i < length; i += 1) bytes[at++] = piece[i]!;
    this.at = at;
  }

  byte(byte: number): void {
    if (this.at === this.#bytes.length) this.#grow(1);
    this.#bytes[this.at++] = byte;
  }

  /** JSON text as it is. */
  json(text: string): void {
    const { length } = text;
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    if (this.at + length * 3 > this.#bytes.length) this.#grow(length * 3);
    const written = this.#bytes.write(text, this.at);
    if (written !== length) this.#ascii = false;
    this.at += written;
  }

  /** A string value. Most are short and plain, and looking at each character is then cheaper than any call. */
  string(text: string): void {
    const { length } = text;
    if (length > PLAIN_MAX) return this.json(quotedExactly(text));
    if (this.at + length + 2 > this.#bytes.length) this.#grow(length + 2);
    const bytes = this.#bytes;
    let { at } = this;
    bytes[at++] = QUOTE;
    for (let i = 0; i < length; i += 1) {
      const code = text.charCodeAt(i);
      if (code < 32 || code > 126 || code === QUOTE || code === BACKSLASH) return this.json(quotedExactly(text));
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.at = at;
  }

  /** A 32-bit integer. */
  integer(value: number): void {
    if (value < 0 || value > 99_999) return this.json(String(value));
    if (this.at + 5 > this.#bytes.length) this.#grow(5);
    let rest = value;
    const digits = value > 9_999 ? 5 : value > 999 ? 4 : value > 99 ? 3 : value > 9 ? 2 : 1;
    for (let i = this.at + digits - 1; i >= this.at; i -= 1) {
      this.#bytes[i] = 48 + (rest % 10);
      rest = (rest / 10) | 0;
    }
    this.at += digits;
  }

  trouble(kind: Trouble['kind'], message: string): void {
    // Everywhere in a long list: a client is shown 50.
    if (kind === 'denied' && this.troubles.length >= DENIALS_KEPT) return;
    this.troubles.push({ kind, message, reversedPath: [] });
  }

  /**
   * A field of this object is null where none may be: is that because who was asked answered that there is no such entity? Then the
   * reference to it is null, as if whoever gave it had known, and what was noted of the field since `before` is no trouble.
   */
  isGone(object: JsonObject, key: string, value: Json | undefined, before: number): boolean {
    if (value !== undefined && value !== null) return false;
    const asked = this.gone?.get(object);
    if (!asked || !(asked.includes(key) || key === '__typename')) return false;
    if (this.troubles.length !== before + 1 || this.troubles[before]!.kind === 'denied') return false;
    this.troubles.length = before;
    return true;
  }

  /** All troubles since `before` happened below this key. */
  below(before: number, key: string | number): void {
    for (let i = before; i < this.troubles.length; i += 1) this.troubles[i]!.reversedPath.push(key);
  }

  /** Room for as much as an answer may have and a little is all that is taken; the last word is that of `bytes`. */
  #grow(more: number): void {
    this.#requireShort();
    const doubled = Math.min(this.#bytes.length * 2, this.#bytesMax + START_BYTES);
    const bytes = Buffer.allocUnsafe(Math.max(doubled, this.at + more));
    this.#bytes.copy(bytes, 0, 0, this.at);
    this.#bytes = bytes;
  }

  #requireShort(): void {
    if (this.at > this.#bytesMax) throw new AnswerTooLong(this.#bytesMax);
  }
}

export interface Trouble {
  /**
   * missing: it never came. null: null where none may be. invalid: not a value of its type. denied: not this client's. done: what a mutation did
   * is to something that is not there.
   */
  readonly kind: 'missing' | 'null' | 'invalid' | 'denied' | 'done';
  readonly message: string;
  readonly reversedPath: (string | number)[];
}

/** The value is in the output. */
export const WRITTEN = 1;
/** It is null, and nobody has been told of it yet. Nothing is in the output. */
export const NULL = 0;
/** It is null because of a trouble. What is in the output since does not count. */
export const BROKEN = -1;

export type Write = (value: Json | undefined, output: Output) => typeof WRITTEN | typeof NULL | typeof BROKEN;

/**
 * Told when a value is none of its type; it then counts as null. The log is told of it, so the value itself is not in it. Of a mutation too: who
 * answers so may have done nothing (`npm run faults -- FG6`), so its client sends it again under its key.
 */
export function invalid(output: Output, what: string, expected: string, came: Json | undefined): typeof BROKEN {
  output.trouble('invalid', `${what} should be ${expected}, and ${kindOf(came)} came.`);
  return BROKEN;
}

const START_BYTES = 256 * 1024;
const KEPT_BYTES = 4 * 1024 * 1024;
const PLAIN_MAX = 256;
const DENIALS_KEPT = 200;
const QUOTE = 34;
const BACKSLASH = 92;
