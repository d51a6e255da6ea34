import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '#libs/identity';
import { ConsistencyTokens, mergeWrites, parseWrites, WRITES_MAX, writesText, type Write } from './index.js';

const NOW_S = 1_800_000_000;
const SECRET = 'a secret of at least thirty-two characters';

const write = fc
  .record({
    source: fc.constantFrom('users', 'posts', 'followers'),
    aggregate: fc.oneof(
      fc.constant(0).map(() => `post:${newId()}`),
      fc.constant(0).map(() => `relation:${newId()}:${newId()}`),
      fc.stringMatching(/^[a-z]{1,20}$/),
    ),
    version: fc.integer({ min: 1, max: 2_147_483_647 }),
    at: fc.integer({ min: NOW_S - 200, max: NOW_S }),
  })
  .map((one): Write => one);

const longest = (nth: number): Write => ({
  source: 'followers',
  aggregate: `relation:${newId()}:${newId()}`,
  version: 2_147_483_647,
  at: NOW_S - 100 + nth,
});

describe('writes as text', () => {
  it('come back as they were, oldest first, one of each aggregate', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
        expect(parseWrites(writesText(writes))).toEqual(mergeWrites(writes));
      }),
    );
  });

  it('keep the highest version of an aggregate, whichever came first', () => {
    const [one, two] = [longest(1), { ...longest(2) }];
    const older = { ...two, aggregate: one.aggregate, version: one.version - 1 };
    expect(mergeWrites([one], [older])).toEqual([one]);
    expect(mergeWrites([older], [one])).toEqual([one]);
  });

  it('are at most 40 and fit into a cookie: what is dropped is the oldest', () => {
    const many = Array.from({ length: 200 }, (_, nth) => longest(nth));
    const text = writesText(many);
    const kept = parseWrites(text) ?? [];
    expect(text.length).toBeLessThan(3_700);
    expect(kept).toEqual(many.slice(-WRITES_MAX));
  });

  it.each([
    'posts',
    'posts!post:1.0.a',
    'posts!post:1.99999999999.a',
    'posts!post:1.2147483648.a',
    'posts!a b.1.a',
    'posts!post:1.1.a|',
    `posts!${'a'.repeat(300)}.1.a`,
    Array.from({ length: WRITES_MAX + 1 }, (_, nth) => `posts!post:${nth}.1.a`).join('|'),
    'x'.repeat(10_000_000),
  ])('that nobody of us made are no writes (%#)', (text) => {
    expect(parseWrites(text)).toBeUndefined();
  });
});

describe('a consistency token', () => {
  let nowS = NOW_S;
  const tokens = new ConsistencyTokens({ secret: SECRET, lifetimeS: 300, clock: () => nowS * 1_000 });
  const written = [longest(0)];
  const refused = (token: string, subject: string | null) => {
    expect(() => tokens.read(token, subject)).toThrow(expect.objectContaining({ code: 'CONSISTENCY_TOKEN_REFUSED' }));
  };
  beforeEach(() => {
    nowS = NOW_S;
  });

  it('is read by whoever has the secret, for the person it was made for', () => {
    const elsewhere = new ConsistencyTokens({ secret: SECRET, lifetimeS: 300, clock: () => nowS * 1_000 });
    expect(elsewhere.read(tokens.make('user_a', written), 'user_a')).toEqual(written);
  });

  it('of another person, or of somebody for nobody, is refused', () => {
    const token = tokens.make('user_a', written);
    refused(token, 'user_b');
    refused(token, null);
  });

  it('of nobody is good for whoever they are since: that is what a sign-up answers', () => {
    expect(tokens.read(tokens.make(null, written), 'user_a')).toEqual(written);
  });

  it('from the future is refused; a clock that is a minute ahead is not the future', () => {
    nowS = NOW_S + 120;
    const token = tokens.make('user_a', written);
    nowS = NOW_S + 61;
    expect(tokens.read(token, 'user_a')).toEqual(written);
    nowS = NOW_S;
    refused(token, 'user_a');
  });

  it('says nothing any more when its writes are older than it lives', () => {
    const token = tokens.make('user_a', written);
    nowS = NOW_S + 400;
    expect(tokens.read(token, 'user_a')).toEqual([]);
  });

  it('of which any character was changed is refused', () => {
    const token = tokens.make('user_a', written);
    for (let at = 0; at < token.length; at += 1)
      refused(`${token.slice(0, at)}${token[at] === 'a' ? 'b' : 'a'}${token.slice(at + 1)}`, 'user_a');
  });

  it.each(['', '1', 'a.b.c.d', '2.a.b.c', `${'1.a.'.padEnd(5_000, 'a')}.${'a'.repeat(22)}`])(
    'that is none is refused: %#',
    (token) => refused(token, 'user_a'),
  );

  it('may come with others of the same person, all of which hold; one that is none, or a seventeenth, and none is taken', () => {
    const many = Array.from({ length: 16 }, (_, nth) => [longest(nth)]);
    const list = many.map((one) => tokens.make('user_a', one));
    expect(tokens.readAll(list.join(', '), 'user_a')).toEqual(many.flat());
    expect(tokens.readAll(list[0]!, 'user_a')).toEqual(many[0]);
    const foreign = tokens.make('user_b', written);
    for (const wrong of [[...list.slice(1), foreign], [...list, list[0]], [list[0], ''], [foreign], ['']])
      expect(() => tokens.readAll(wrong.join(','), 'user_a')).toThrow(
        expect.objectContaining({ code: 'CONSISTENCY_TOKEN_REFUSED' }),
      );
  });

  it('made by another secret is refused', () => {
    const forger = new ConsistencyTokens({ secret: `${SECRET}!`, lifetimeS: 300, clock: () => nowS * 1_000 });
    refused(forger.make('user_a', written), 'user_a');
  });
});
