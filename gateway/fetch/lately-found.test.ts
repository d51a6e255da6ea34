import { expect, it } from '@jest/globals';
import { LatelyFound } from './lately-found.js';

/** What a name stands for after each look, by what was found, one letter an address. */
function looks(found: string, lately = new LatelyFound()): string {
  return found
    .split(' ')
    .map((addresses) => lately.found(addresses.split('')).join(''))
    .join(' ');
}

it('one that is found again and again is that one, and one that moves is followed at once', () => {
  expect(looks('a a a b b c')).toBe('a a a b b c');
});

it('one that took over and gave back is not asked any more', () => {
  expect(looks('a a b b a a a')).toBe('a a b b a a a');
});

it('those that come in turns are all of it, as soon as two have come back', () => {
  expect(looks('a b a b a b')).toBe('a b a ab ab ab');
  expect(looks('a b c a b c d')).toBe('a b c a abc abc abcd');
});

it('one that does not come any more is left after ten looks, and when nothing comes back it is one again', () => {
  expect(looks('a b a b a a a a a a a a a a a')).toBe('a b a ab ab ab ab ab ab ab ab ab ab a a');
});

it('where several are found at once those are all', () => {
  expect(looks('a b a b ac c')).toBe('a b a ab ac c');
});

it('of any number eight are kept, those that were found last', () => {
  const lately = new LatelyFound();
  looks('a b a b', lately);
  expect(looks('c d e f g h', lately).split(' ').at(-1)).toBe('abcdefgh');
  expect(looks('i b', lately)).toBe('bcdefghi bcdefghi');
});
