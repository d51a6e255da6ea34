import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Failure } from '#libs/failure';
import { globalId, isId, kindOfGlobalId, newId, parseGlobalId, shardOf, timeOf } from './index.js';

const anyId = fc
  .record({
    now: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    shard: fc.integer({ min: 0, max: 4095 }),
    random: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  })
  .map(({ now, shard, random }) => ({ now, shard, id: newId({ now, shard, random: () => random }) }));

describe('ids', () => {
  it('are UUIDv7 that tell their time and their shard', () => {
    fc.assert(
      fc.property(anyId, ({ now, shard, id }) => {
        expect(isId(id)).toBe(true);
        expect(timeOf(id)).toBe(now);
        expect(shardOf(id)).toBe(shard);
      }),
    );
  });

  it('of one shard sort by creation, also within one millisecond', () => {
    const ids = Array.from({ length: 10_000 }, () => newId({ shard: 7 }));
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('of one millisecond do not sort when each is drawn by chance alone (control)', () => {
    const ids = Array.from({ length: 100 }, () => newId({ shard: 7, now: 1 }));
    expect([...ids].sort()).not.toEqual(ids);
  });

  it('take no shard that twelve bits cannot hold', () => {
    expect(() => newId({ shard: 4096 })).toThrow(RangeError);
  });
});

describe('the ids that clients see', () => {
  it('are 26 characters that give the uuid back and sort as it does', () => {
    fc.assert(
      fc.property(anyId, anyId, ({ id: a }, { id: b }) => {
        const shown = globalId('post', a);
        expect(shown).toMatch(/^post_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
        expect(parseGlobalId('post', shown)).toBe(a);
        expect(kindOfGlobalId(shown)).toBe('post');
        expect(shown < globalId('post', b)).toBe(a < b);
      }),
    );
  });

  it('are known by heart: one fixed pair', () => {
    expect(globalId('user', '01890a5d-ac96-774b-bcce-b302099a8057')).toBe('user_01h455vb4pex5vsknk084sn02q');
  });

  const good = globalId('user', '01890a5d-ac96-774b-bcce-b302099a8057');
  it.each([
    ['empty', ''],
    ['of another kind', good.replace('user', 'post')],
    ['without a kind', good.slice(5)],
    ['in capitals', good.toUpperCase()],
    ['one capital', good.replace('p', 'P')],
    ['too short', good.slice(0, -1)],
    ['too long', `${good}0`],
    ['64 KB', `user_${'0'.repeat(65_536)}`],
    ['letters that are not in the alphabet', good.replace('h', 'u')],
    ['a look-alike (o for 0)', good.replace('_0', '_o')],
    ['129 bits', good.replace('_0', '_8')],
    ['a uuid', '01890a5d-ac96-774b-bcce-b302099a8057'],
    ['no version 7', globalId('user', '01890a5d-ac96-474b-bcce-b302099a8057')],
    ['another variant', globalId('user', '01890a5d-ac96-774b-1cce-b302099a8057')],
    ['SQL', "user_' OR 1=1 --"],
    ['NUL', `${good.slice(0, -1)}\0`],
    ['blanks around it', ` ${good}`],
    ['a line break after it', `${good}\n`],
    ['full-width digits', good.replace('0', '０')],
  ])('are refused when %s', (_, text) => {
    for (const parse of [() => parseGlobalId('user', text), () => kindOfGlobalId(text.replace(/^post_/, 'page_'))]) {
      expect(parse).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }) as unknown as Failure);
    }
  });
});
