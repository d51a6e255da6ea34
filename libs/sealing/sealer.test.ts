import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { NotOpened, parseSealingKeys, Sealer, sealingKeyOf } from './index.js';

const EMAIL = { table: 'users', column: 'email' };
const TEXT = 'jos\u00e9@例え.jp';
const key = sealingKeyOf('2026-11', randomBytes(32));
const sealer = new Sealer([key]);

function why(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return (error as NotOpened).why;
  }
}

describe('a sealed text', () => {
  it('opens where it was sealed, says by which key and nothing of the text, and is another each time', () => {
    const kept = sealer.seal(EMAIL, 'row', TEXT);
    expect(sealer.open(EMAIL, 'row', kept)).toBe(TEXT);
    expect(kept).toMatch(/^sealed:1:2026-11:[\w-]+$/);
    expect(Buffer.from(kept.split(':')[3]!, 'base64url').byteLength).toBe(12 + Buffer.byteLength(TEXT) + 16);
    expect(kept.startsWith(sealer.beginning)).toBe(true);
    expect(new Set(Array.from({ length: 1_000 }, () => sealer.seal(EMAIL, 'row', TEXT))).size).toBe(1_000);
    expect(sealer.open(EMAIL, 'row', sealer.seal(EMAIL, 'row', ''))).toBe('');
  });

  it('does not open in another row, column or table, nor under another key of the same name', () => {
    const kept = sealer.seal(EMAIL, 'row', TEXT);
    expect([
      why(() => sealer.open(EMAIL, 'another', kept)),
      why(() => sealer.open({ ...EMAIL, column: 'bio' }, 'row', kept)),
      why(() => sealer.open({ ...EMAIL, table: 'people' }, 'row', kept)),
      why(() => new Sealer([sealingKeyOf('2026-11', randomBytes(32))]).open(EMAIL, 'row', kept)),
    ]).toEqual(['changed', 'changed', 'changed', 'changed']);
  });

  it('does not open when any letter of it was changed, or it was cut', () => {
    const kept = sealer.seal(EMAIL, 'row', TEXT);
    const start = sealer.beginning.length;
    for (let at = start; at < kept.length; at += 1) {
      for (const letter of ['A', 'B', 'x', '_'].filter((one) => one !== kept[at]))
        expect(why(() => sealer.open(EMAIL, 'row', kept.slice(0, at) + letter + kept.slice(at + 1)))).toBe('changed');
      if (at > start) expect(why(() => sealer.open(EMAIL, 'row', kept.slice(0, at)))).toBe('changed');
    }
  });

  it('of a key or a version that is not here says which, and where it stands, and not what', () => {
    const other = new Sealer([sealingKeyOf('lost', randomBytes(32))]).seal(EMAIL, 'row', TEXT);
    const open = (kept: string) => () => sealer.open(EMAIL, 'row', kept);
    expect(open(other)).toThrow(NotOpened);
    expect(open(other)).toThrow('users.email of row is sealed (version 1) by the key lost, which is not here');
    expect(why(open(sealer.seal(EMAIL, 'row', TEXT).replace('sealed:1:', 'sealed:2:')))).toBe('key');
    expect(open(other)).not.toThrow(other);
  });

  it('of a key that is not the first any more opens; new ones are of the first', () => {
    const next = new Sealer([sealingKeyOf('2027-01', randomBytes(40)), key]);
    expect(next.open(EMAIL, 'row', sealer.seal(EMAIL, 'row', TEXT))).toBe(TEXT);
    expect(next.seal(EMAIL, 'row', TEXT)).toMatch(/^sealed:1:2027-01:/);
  });

  it.each(['alice@example.org', 'sealed:1:2026-11:AAAA@example.org', 'sealed:', ''])(
    'is not what stands there plain: %j',
    (plain) => expect(sealer.open(EMAIL, 'row', plain)).toBe(plain),
  );
});

describe('the keys of a setting', () => {
  const secret = randomBytes(33).toString('base64');

  it('are in their order, with or without blanks and padding', () => {
    const text = `a:${secret}, B-2:${randomBytes(32).toString('base64').replace('=', '')}`;
    expect(parseSealingKeys(text)?.map(({ id }) => id)).toEqual(['a', 'B-2']);
    const [one, same] = [new Sealer(parseSealingKeys(`a:${secret}`)!), new Sealer(parseSealingKeys(`a:${secret}`)!)];
    expect(same.open(EMAIL, 'row', one.seal(EMAIL, 'row', TEXT))).toBe(TEXT);
  });

  it.each([
    ['', 'nothing'],
    [secret, 'no name'],
    [`:${secret}`, 'an empty name'],
    [`_made:${secret}`, 'a name that is ours'],
    [`a:${randomBytes(31).toString('base64')}`, '31 bytes'],
    [`a:${secret}!`, 'what is no base64'],
    [`a:${'z'.repeat(64)}\n`.repeat(2), 'two lines'],
    [`a:${secret},a:${secret}`, 'a name twice'],
    [`a:${secret},`, 'an end that is missing'],
    [Array.from({ length: 17 }, (_, nth) => `k${nth}:${secret}`).join(), 'seventeen'],
  ])('are none where %# it is %s', (text) => expect(parseSealingKeys(text)).toBeUndefined());

  it('that are too short say how long they are', () => {
    expect(() => sealingKeyOf('a', randomBytes(31))).toThrow('a sealing key takes 32 bytes or more; a has 31');
    expect(() => new Sealer([])).toThrow(RangeError);
  });
});
