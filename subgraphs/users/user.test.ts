import { describe, expect, it } from '@jest/globals';
import {
  cleanAvatarUrl,
  cleanBio,
  cleanDisplayName,
  cleanEmail,
  readHandle,
  readPassword,
  takeHandle,
  takePassword,
} from './user.js';

describe('what a person takes', () => {
  it.each<[string, (written: string) => unknown, string, unknown]>([
    ['a handle is case-folded', takeHandle, 'Alice_7', 'alice_7'],
    ['a handle has at least 2 characters', takeHandle, 'ab', 'ab'],
    ['and at most 30', takeHandle, 'a'.repeat(30), 'a'.repeat(30)],
    ['a reserved handle can be asked for', readHandle, 'admin', 'admin'],
    ['a name in any script', cleanDisplayName, 'Ελένη 李 👩‍🚀', 'Ελένη 李 👩‍🚀'],
    ['a name of 64 characters', cleanDisplayName, 'n'.repeat(64), 'n'.repeat(64)],
    ['a name is normalised', cleanDisplayName, 'Zoe\u0308', 'Zo\u00eb'],
    ['no bio', cleanBio, '', ''],
    ['a bio of lines', cleanBio, 'one\ntwo', 'one\ntwo'],
    ['an avatar', cleanAvatarUrl, 'https://Example.org/a b.png'.replace(' ', '%20'), 'https://example.org/a%20b.png'],
    ['an e-mail address', cleanEmail, 'Alice+x@Example.org', 'Alice+x@Example.org'],
    ['an e-mail address in other letters', cleanEmail, 'jose\u0301@例え.jp', 'jos\u00e9@例え.jp'],
    ['a password of 8 characters', takePassword, '12345678', '12345678'],
    ['a password of 128 characters', takePassword, 'p'.repeat(128), 'p'.repeat(128)],
    ['a password is the same however it was typed', takePassword, 'pa\u0308sswort', 'p\u00e4sswort'],
  ])('%s', (_, rule, written, kept) => {
    expect(rule(written)).toBe(kept);
  });

  it.each<[string, (written: string) => unknown, readonly string[]]>([
    [
      'handle',
      readHandle,
      [
        '',
        'a',
        'a'.repeat(31),
        'al ice',
        ' alice',
        'alice\n',
        'alice\0',
        'аlice',
        'ＡＢ',
        '\u212aelvin',
        'a-b',
        "'; DROP TABLE users; --",
        'x'.repeat(1_000_000),
      ],
    ],
    ['handle that is reserved', takeHandle, ['admin', 'ADMIN', 'me', '__proto__', 'constructor', 'graphql']],
    [
      'displayName',
      cleanDisplayName,
      [
        '',
        ' ',
        '\u200b',
        'n'.repeat(65),
        'a\nb',
        'a\0',
        'a\u202eb',
        'a\ud800',
        `a${'\u0301'.repeat(400)}`,
        'x'.repeat(1_000_000),
      ],
    ],
    ['bio', cleanBio, ['b'.repeat(257), 'a\0', 'a\ud800', `a${'\u0301'.repeat(2_000)}`, 'x'.repeat(1_000_000)]],
    [
      'avatarUrl',
      cleanAvatarUrl,
      [
        '',
        'a.png',
        'http://a.example/x',
        'javascript:alert(1)',
        'data:image/png;base64,AA',
        'file:///etc/passwd',
        'https://',
        'https://me:secret@a.example/',
        'https://a.example/\n',
        'ht\ttps://a.example/',
        ' https://a.example/',
        `https://a.example/${'x'.repeat(2_048)}`,
        `https://a.example/${'é'.repeat(1_000)}`,
      ],
    ],
    [
      'email',
      cleanEmail,
      ['', 'alice', '@', 'a@', '@b', 'a@b@c', 'a b@c', 'a@b\n', 'a\0@b', `${'a'.repeat(65)}@b`, `a@${'b'.repeat(400)}`],
    ],
    ['password', takePassword, ['', '1234567', 'p'.repeat(129), 'a\ud800bcdefgh', 'x'.repeat(1_000_000)]],
  ])('refuses a wrong %s', (_, rule, wrong) => {
    for (const written of wrong) {
      expect(() => rule(written)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }) as unknown as Error);
    }
  });

  it('never repeats a password or an e-mail address', () => {
    for (const rule of [takePassword, cleanEmail]) {
      expect(() => rule('hunter2')).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hunter2') }) as unknown as Error,
      );
    }
  });

  it('knows before any work that a megabyte is nobody’s password', () => {
    expect(readPassword('x'.repeat(1_000_000))).toBeUndefined();
    expect(readPassword('short')).toBe('short');
  });
});

it('an e-mail address that is too long is told how long one may be, and is not repeated', () => {
  const long = `${'a'.repeat(65)}@example.org`;
  expect(() => cleanEmail(`${'a'.repeat(64)}@${'b'.repeat(255)}`)).not.toThrow();
  for (const written of [long, `a@${'b'.repeat(256)}`, 'x'.repeat(1_000_000)])
    expect(() => cleanEmail(written)).toThrow('of at most 64 characters before the @ and 255 behind it');
  expect(() => cleanEmail(long)).not.toThrow('aaaa');
});
