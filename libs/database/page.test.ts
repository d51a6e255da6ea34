import { describe, expect, it } from '@jest/globals';
import { connectionOf, decodeCursor, encodeCursor, pageArguments } from './index.js';

const rows = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ id: String(from + index) }));

describe('the arguments of a page', () => {
  it.each([
    ['nothing', {}, 20],
    ['null, which is nothing', { first: null }, 20],
    ['none', { first: 0 }, 0],
    ['the most', { first: 100 }, 100],
    ['from the start, said so', { first: 5, after: null }, 5],
  ])('may be %s', (_, args, first) => {
    expect(pageArguments(args, 1)).toEqual({ first, after: undefined });
  });

  it('may go on behind a cursor', () => {
    expect(pageArguments({ after: encodeCursor(['2026', 'a']) }, 2)).toEqual({ first: 20, after: ['2026', 'a'] });
  });

  it.each([
    ['one too many', 101],
    ['a billion', 1e9],
    ['negative', -1],
    ['half a row', 1.5],
    ['no number', NaN],
  ])('may not be %s', (_, first) => {
    expect(() => pageArguments({ first }, 1)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });
});

describe('a cursor', () => {
  const written = encodeCursor(['0198a5c0', 'ü"\\']);

  it('is read as it was written', () => {
    expect(decodeCursor(written, 2)).toEqual(['0198a5c0', 'ü"\\']);
  });

  it.each([
    ['empty', ''],
    ['cut', written.slice(0, -1)],
    ['changed', written.replace(/^./, 'X')],
    ['padded', `${written}=`],
    ['followed by something', `${written}AA`],
    ['in the other alphabet', Buffer.from('["ÿ~","?>"]').toString('base64')],
    ['of one part', encodeCursor(['a'])],
    ['of three parts', encodeCursor(['a', 'b', 'c'])],
    ['of numbers', Buffer.from('[1,2]').toString('base64url')],
    ['an object', Buffer.from('{"length":2}').toString('base64url')],
    ['spelled otherwise', Buffer.from('[ "a", "b" ]').toString('base64url')],
    ['with a NUL, which PostgreSQL cannot store', encodeCursor(['a', 'b\0'])],
    ['no text', Buffer.from([0x5b, 0xff, 0xfe]).toString('base64url')],
    ['too long', encodeCursor(['a', 'b'.repeat(600)])],
    ["'; DROP TABLE users; --", "'; DROP TABLE users; --"],
  ])('that is %s is the mistake of the client', (_, text) => {
    expect(() => decodeCursor(text, 2)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });

  it('that this list could not have written is the mistake of the client', () => {
    expect(() => decodeCursor(encodeCursor(['not a number']), 1, ([part]) => /^\d+$/.test(part!))).toThrow('"after"');
  });
});

describe('a connection', () => {
  const page = (found: { id: string }[], first: number) =>
    connectionOf(
      found,
      first,
      (row) => [row.id],
      (row) => `node ${row.id}`,
    );

  it('leaves out the row that only tells that there is more', () => {
    const { edges, pageInfo } = page(rows(0, 3), 2);
    expect(edges.map((edge) => edge.node)).toEqual(['node 0', 'node 1']);
    expect(pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: edges[0]!.cursor,
      endCursor: edges[1]!.cursor,
    });
    expect(decodeCursor(pageInfo.endCursor!, 1)).toEqual(['1']);
  });

  it('of fewer rows than asked is the last page', () => {
    expect(page(rows(0, 2), 2).pageInfo.hasNextPage).toBe(false);
  });

  it('of nothing has no cursors', () => {
    const none = { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null };
    expect(page([], 20)).toEqual({ edges: [], pageInfo: none });
    expect(page(rows(0, 1), 0)).toEqual({ edges: [], pageInfo: { ...none, hasNextPage: true } });
  });

  it('may say more on its edges', () => {
    const { edges } = connectionOf(
      rows(0, 1),
      1,
      (row) => [row.id],
      (row) => row,
      (row) => ({ since: `since ${row.id}` }),
    );
    expect(edges[0]!.since).toBe('since 0');
  });
});
