import { describe, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { cleanBody, cleanExpectedVersion, decide, evolve, type Post, type PostFact } from './post.js';

const alice = newId();
const bob = newId();
const id = newId();
const at = '2026-11-20T19:11:00.000Z';
const later = '2026-11-20T19:12:00.000Z';
const published: PostFact = { type: 'published', authorId: alice, body: 'hello', inReplyToId: null, at };
const edited: PostFact = { type: 'edited', body: 'hello again', basedOn: null, at: later };
const deleted: PostFact = { type: 'deleted', reason: 'author', at: later };
const withdrawn: PostFact = { type: 'deleted', reason: 'account', at: later };

const given = (...facts: PostFact[]) =>
  facts.reduce<Post | undefined>((post, fact) => evolve(id, post, fact), undefined);
const change = (body: string, expectedVersion: number | null = null) => ({
  viewer: alice,
  body,
  expectedVersion,
  at: later,
});
const code = (expected: string) => expect.objectContaining({ code: expected }) as unknown as Error;

describe('a post', () => {
  it('is published by its author', () => {
    expect(decide.publish({ authorId: alice, body: 'hello', inReplyToId: null, at })).toEqual(published);
  });

  it('is edited by its author', () => {
    expect(decide.edit(given(published), change('hello again'))).toEqual(edited);
  });

  it('is not edited by the same body', () => {
    expect(decide.edit(given(published, edited), change('hello again'))).toBeUndefined();
  });

  it('is edited at the version that was read, and at no other', () => {
    expect(decide.edit(given(published), change('hello again', 1))).toEqual({ ...edited, basedOn: 1 });
    expect(() => decide.edit(given(published, edited), change('mine', 1))).toThrow(code('CONFLICT'));
  });

  it('is deleted by its author', () => {
    expect(decide.remove(given(published), { viewer: alice, at: later })).toEqual(deleted);
  });

  it('is restored by its author, with the text that it had', () => {
    const post = given(published, edited, deleted);
    const restored = decide.restore(post, { viewer: alice, body: 'hello again', at: later });
    expect(restored).toEqual({ type: 'restored', body: 'hello again', at: later });
    expect(given(published, edited, deleted, restored)).toEqual({ ...given(published, edited), version: 4 });
  });

  it.each([
    ['that is there', alice, [published]],
    ['of somebody else', bob, [published, deleted]],
    ['that went with its account', alice, [published, withdrawn]],
    ['that never was', alice, []],
  ])('%s is not restored', (_, viewer, facts) => {
    expect(() => decide.restore(given(...facts), { viewer, body: 'x', at: later })).toThrow(code('NOT_FOUND'));
  });

  it('is not edited or deleted by anybody else', () => {
    expect(() => decide.edit(given(published), { ...change('mine'), viewer: bob })).toThrow(code('FORBIDDEN'));
    expect(() => decide.remove(given(published), { viewer: bob, at })).toThrow(code('FORBIDDEN'));
  });

  it.each([
    ['before it is published', []],
    ['after it was deleted', [published, deleted]],
    ['after its account was', [published, withdrawn]],
  ])('is not there %s', (_, facts) => {
    expect(() => decide.edit(given(...facts), change('mine'))).toThrow(code('NOT_FOUND'));
    expect(() => decide.remove(given(...facts), { viewer: alice, at })).toThrow(code('NOT_FOUND'));
  });

  it('is the fold of its facts: one version each, and no body when it is gone', () => {
    expect(given(published, edited)).toEqual({
      id,
      authorId: alice,
      body: 'hello again',
      createdAt: at,
      editedAt: later,
      inReplyToId: null,
      version: 2,
      state: 'published',
    });
    expect(given(published, edited, deleted)).toMatchObject({ body: '', version: 3, state: 'deleted' });
    expect(given(published, withdrawn)).toMatchObject({ body: '', version: 2, state: 'withdrawn' });
    expect(() => given(edited)).toThrow('before');
  });
});

describe('a body', () => {
  const family = '👨‍👩‍👧‍👦';
  it.each([
    ['one letter', 'a'],
    ['500 letters', 'a'.repeat(500)],
    ['200 families, each one character to its reader', family.repeat(200)],
    ['right-to-left text', 'שלום ‏עולם'],
    ['markup, which is only text', '<script>alert(1)</script> <b>&amp;</b>'],
    ['SQL, which is only text', `'; DROP TABLE posts; --`],
    ['lines', 'one\n\ttwo'],
  ])('may be %s, kept as it was written', (_, body) => {
    expect(cleanBody(body)).toBe(body);
  });

  it('is kept in one form, however it was composed', () => {
    expect(cleanBody('cafe\u0301')).toBe('caf\u00e9');
  });

  it.each([
    ['nothing', ''],
    ['blanks', ' \n '],
    ['only what nobody can see', '\u200b\u200d'],
    ['501 letters', 'a'.repeat(501)],
    ['500 characters of more than 5,000 bytes', family.repeat(201)],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['NUL', 'a\0b'],
    ['half of a surrogate pair', 'a\ud800'],
    ['another control character', 'a\u001b[31m'],
  ])('may not be %s', (_, body) => {
    expect(() => cleanBody(body)).toThrow(code('BAD_USER_INPUT'));
  });
});

it('an expected version is a version or nothing', () => {
  expect([1, 7, null, undefined].map(cleanExpectedVersion)).toEqual([1, 7, null, null]);
  for (const version of [0, -1]) expect(() => cleanExpectedVersion(version)).toThrow(code('BAD_USER_INPUT'));
});
