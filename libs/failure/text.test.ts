import { describe, expect, it } from '@jest/globals';
import { badInput, cleanText, cut, Failure, graphemeCount } from './index.js';

const rule = { name: 'body', graphemesMin: 1, graphemesMax: 5, bytesMax: 100 };
const family = '👨‍👩‍👧‍👦';

describe('text', () => {
  it.each([
    ['plain', 'hello', 'hello'],
    ['a family emoji is one character', family.repeat(4), family.repeat(4)],
    ['right-to-left writing', 'שלום', 'שלום'],
    ['decomposed letters become composed ones', 'e\u0301', '\u00e9'],
    ['line breaks and tabs', 'a\n\tb', 'a\n\tb'],
    ['lines as forms and old programs end them', 'a\r\nb\rc', 'a\nb\nc'],
    ['HTML is text like any other', '<b>x', '<b>x'.normalize()],
    ['blanks around it stay', ' a ', ' a '],
  ])('takes %s', (_, came, kept) => {
    expect(cleanText(came, rule)).toBe(kept);
  });

  it.each([
    ['nothing', ''],
    ['one character too many', 'abcdef'],
    ['a megabyte', 'x'.repeat(1_000_000)],
    ['few characters of many bytes', `a${'\u0301'.repeat(60)}`],
    ['what grows beyond the bytes by normalisation', '\u{1d160}'.repeat(9)],
    ['NUL', 'a\0b'],
    ['an escape character', 'a\u001b[0m'],
    ['a C1 control', 'a\u0085b'],
    ['half of a surrogate pair', 'a\ud83d'],
    ['nothing but blanks', ' \n\u00a0'],
    ['nothing but zero-width characters', '\u200b\u200d\ufeff'],
  ])('refuses %s', (_, came) => {
    expect(codeOf(() => cleanText(came, rule))).toBe('BAD_USER_INPUT');
  });

  it.each([
    ['a line break', 'a\nb'],
    ['a carriage return', 'a\rb'],
    ['a tab', 'a\tb'],
    ['a line separator', 'a\u2028b'],
    ['an override', 'a\u202eb'],
  ])('refuses %s in a name, which stands on one line', (_, came) => {
    expect(codeOf(() => cleanText(came, { ...rule, oneLine: true }))).toBe('BAD_USER_INPUT');
  });

  it('takes nothing where nothing is asked for', () => {
    expect(cleanText('', { ...rule, graphemesMin: 0 })).toBe('');
  });

  it('never repeats more than 60 characters of what came', () => {
    expect(() => cleanText('x'.repeat(1_000), rule)).toThrow(/^.{1,160}$/);
  });

  it('counts what a reader counts, unlike length and code points', () => {
    expect(graphemeCount(family)).toBe(1);
    expect(Array.from(family).length).toBe(7);
    expect(family.length).toBe(11);
  });
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return 'taken';
}

describe('a text that is cut', () => {
  it('is what it was up to its length, and an ellipsis after that', () => {
    expect(cut('abc', 3)).toBe('abc');
    expect(cut('abcd', 3)).toBe('abc…');
  });

  it('never ends in half of a pair: strict readers of JSON refuse an answer that has one', () => {
    for (let length = 0; length <= 8; length++) expect(cut(family, length)).not.toMatch(/\p{Surrogate}/u);
    for (let before = 0; before < 4; before++) {
      expect(badInput('a rule', `${'x'.repeat(before)}${'😀'.repeat(200)}`).message).not.toMatch(/\p{Surrogate}/u);
    }
  });
});
