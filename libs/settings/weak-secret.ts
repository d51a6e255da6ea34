import type { Environment } from './settings.js';

/**
 * Why anybody would try this secret before others, as what came instead of one (never with the secret itself); undefined: nothing is known
 * against it. What is drawn by chance is not refused: of 32 hexadecimal digits one text in 10¹² is, of base64 far fewer.
 * A phrase of words drawn from a list (diceware) passes, for nobody can tell it from what is none.
 */
export function whyWeak(secret: string): string | undefined {
  if (new Set(secret).size <= DISTINCT_MAX) return 'a few characters again and again';
  if (isRepeated(secret)) return 'a short text again and again';
  if (isInARow(secret)) return 'characters in a row';
  // Not only found, but found to be nearly all of it: by chance any word may be in a long text.
  const left = secret.replace(WORDS, '');
  if (left === secret) return undefined;
  const rest = left.replaceAll(/[-_ .,:;!?]/g, '');
  const isLittle = rest.length < REST_MIN || new Set(rest).size <= DISTINCT_MAX;
  return isLittle || isRepeated(rest) || isInARow(rest) ? 'the words of an example' : undefined;
}

/** Where others may reach a program a weak secret is a mistake; elsewhere it is told of, and taken. */
export function refusesWeak(env: Environment): boolean {
  return env['NODE_ENV'] === 'production';
}

/** Of 32 hexadecimal digits that are drawn by chance one text in 3 · 10¹² has so few different ones. */
const DISTINCT_MAX = 5;

/** Of a secret that has words of an example in it: what is left has to be half of one. */
const REST_MIN = 16;

/** As people and their examples write them where a secret belongs. Of three letters and more, or chance would find them everywhere. */
const WORDS = new RegExp(
  [
    'change[-_ ]?(me|it|this)?',
    'replace[-_ ]?(me|it|this)?',
    'passw(or)?d',
    'passphrase',
    'secrets?',
    'tokens?',
    'keys?',
    'examples?',
    'default',
    'dummy',
    'sample',
    'test(ing)?',
    'insecure',
    'unsafe',
    'placeholder',
    'todo',
    'foobar',
    'admin',
    'root',
    'user(s|name)?',
    'posts?',
    'followers?',
    'gateway',
    'subgraphs?',
    'tributary',
    'assertions?',
    'session',
    'signing',
    'sealing',
    'consistency',
    'metrics',
    'explain',
    'entity',
    'cache',
    'production',
    'prod',
    'staging',
    'development',
    'local(host)?',
    'random',
    'strings?',
    'values?',
    'characters?',
    'chars',
    'bytes?',
    'long(er)?',
    'least',
    'thirty',
    'two',
    'super',
    'very',
    'please',
    'before',
    'your',
    'this',
    'that',
    'with',
    'some(thing)?',
    'nobody',
    'can',
    'guess',
    'the',
    'and',
    'for',
    'qwerty(uiop)?',
    'asdf(ghjkl)?',
    'letmein',
    'hunter2',
    '1234567890',
    '123456789',
    '12345678',
    '123456',
    '1234',
  ].join('|'),
  'gi',
);

/** Is it a text of less than 32 characters, written at least twice (the last time perhaps in part)? */
function isRepeated(text: string): boolean {
  const longest = Math.min(31, Math.floor(text.length / 2));
  for (let length = 1; length <= longest; length++) {
    if (text.slice(length) === text.slice(0, -length)) return true;
  }
  return false;
}

/** Is of nearly all characters the next one the same, the one after or the one before: 0123456789abcdef, zyxwv? */
function isInARow(text: string): boolean {
  let steps = 0;
  for (let index = 1; index < text.length; index++)
    if (Math.abs(text.charCodeAt(index) - text.charCodeAt(index - 1)) <= 1) steps += 1;
  return text.length > 1 && steps >= IN_A_ROW * (text.length - 1);
}

const IN_A_ROW = 0.75;
