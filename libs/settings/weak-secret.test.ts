import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { port, readSettings, secret, weakSecretsIn, whyWeak } from './index.js';

const FEW = 'a few characters again and again';
const REPEATED = 'a short text again and again';
const ROW = 'characters in a row';
const WORDS = 'the words of an example';

/** The naive rule, which only counts. */
const isLongEnough = (text: string): boolean => Buffer.byteLength(text) >= 32;

describe('a secret that anybody would try first', () => {
  it.each([
    ['s'.repeat(32), FEW],
    ['0'.repeat(64), FEW],
    ['secret'.repeat(6), FEW],
    ['changeme'.repeat(4), REPEATED],
    ['0123456789abcdef'.repeat(4), REPEATED],
    ['tributary-tributary-tributary-tribut', REPEATED],
    ['abcdefghijklmnopqrstuvwxyz0123456789', ROW],
    ['zyxwvutsrqponmlkjihgfedcba9876543210', ROW],
    ['changemechangemechangemechangeme1', WORDS],
    ['changeme-in-production-please-0000', WORDS],
    ['change-this-to-a-long-random-string', WORDS],
    ['CHANGE_ME_CHANGE_ME_SECRET_FOR_USERS', WORDS],
    ['my-super-secret-assertion-secret-for-users-1', WORDS],
    ['a secret of thirty-two characters!', WORDS],
    ['changeme111111111111111111111111', WORDS],
    ['replace me with openssl rand -hex 32', WORDS],
  ])('is known: %j', (text, why) => {
    expect(whyWeak(text)).toBe(why);
    expect(isLongEnough(text)).toBe(true);
  });

  it.each([
    ['a phrase of words that were drawn', 'correct horse battery staple mandolin oyster'],
    ['one with a name before it', `posts-secret-${randomBytes(32).toString('hex')}`],
    ['a UUID twice', '9b2f7c1e-0d4a-4c55-8f0e-61d2a7b3c9e8'.repeat(2)],
  ])('is not %s', (_what, text) => expect(whyWeak(text)).toBeUndefined());

  it('is none that is drawn by chance, of any length and in any letters', () => {
    const refused: string[] = [];
    for (let nth = 0; nth < 4_000; nth++)
      for (const bytes of [randomBytes(16), randomBytes(24), randomBytes(32)])
        for (const text of [
          bytes.toString('hex'),
          bytes.toString('base64'),
          bytes.toString('base64url'),
          bytes.toString('latin1'),
        ])
          if (text.length >= 32 && whyWeak(text) !== undefined) refused.push(text);
    expect(refused).toEqual([]);
  });

  it('is each that a page, an example or the compose file shows for one', async () => {
    const root = join(import.meta.dirname, '../..');
    const pages = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', '.env.example', 'docker-compose.yml', 'Dockerfile'];
    for (const folder of ['docs', 'docs/decisions', 'docs/measured', 'deploy'])
      for (const name of await readdir(join(root, folder)))
        if (/\.(md|yml|yaml|cfg)$/.test(name)) pages.push(`${folder}/${name}`);
    const texts = await Promise.all(pages.map((page) => readFile(join(root, page), 'utf8')));
    expect(texts.flatMap(shownSecrets).filter((text) => isLongEnough(text) && whyWeak(text) === undefined)).toEqual([]);
    expect(shownSecrets(`export METRICS_TOKEN=${'a1b2c3d4'.repeat(4)} X=1`)).toEqual(['a1b2c3d4'.repeat(4)]);
  });
});

/** What a page gives to a setting that is a secret; what is to be put there by a command or from elsewhere is none. */
function shownSecrets(page: string): string[] {
  return [...page.matchAll(/\b\w*(?:SECRET|TOKEN|KEYS?)\w*(?:=|: )["']?([^\s"'`$<…]{8,})/g)].map(
    ([, value = '']) => value,
  );
}

describe('a program that is given one', () => {
  const settings = { KEY: secret({ why: 'signs' }), PORT: port({ default: 1, why: 'where' }) };
  const weak = { KEY: 'hunter2'.repeat(5) };

  it('refuses it in production, in one sentence with what was expected and how to have it, and never shows it', () => {
    const read = () => readSettings(settings, { ...weak, NODE_ENV: 'production' }, () => ['KEY is missing somewhere']);
    expect(read).toThrow(
      /started\.\n {2}KEY takes at least 32 characters that nobody can guess \(openssl rand -hex 32\); came a short text again and again \(not shown\), which NODE_ENV=production refuses$/,
    );
    expect(read).not.toThrow('hunter2');
    expect(weakSecretsIn(settings, { ...weak, NODE_ENV: 'production' })).toEqual([]);
    const good = { KEY: randomBytes(32).toString('hex'), NODE_ENV: 'production' };
    expect(readSettings(settings, good).KEY).toBe(good.KEY);
  });

  it('takes it elsewhere, and says so', () => {
    expect(readSettings(settings, weak).KEY).toBe(weak.KEY);
    const said = weakSecretsIn(settings, weak);
    expect(said).toEqual([
      {
        variable: 'KEY',
        says: 'KEY takes at least 32 characters that nobody can guess (openssl rand -hex 32); came a short text again and again (not shown), which is taken only because NODE_ENV is not production',
      },
    ]);
    expect(weakSecretsIn(settings, { KEY: randomBytes(32).toString('base64') })).toEqual([]);
    // It is not taken at all, which is told by whoever reads it.
    expect(weakSecretsIn(settings, { KEY: 'hunter2' })).toEqual([]);
    const key = { ...settings.KEY, weak: () => 'something' };
    expect(weakSecretsIn({ KEY: key }, { KEY: 'hunter2' })).toEqual([]);
  });
});
