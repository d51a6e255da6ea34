import { describe, expect, it } from '@jest/globals';
import { checkPeople, pairOf, part, VERBS, type PersonState, type Side, type Verb } from './relation.js';

const A = '0199aaaa-0000-7000-8000-000000000001';
const B = '0199bbbb-0000-7000-8000-000000000002';

/** `→` A follows B, `←` B follows A, `⊣` A blocks B, `⊢` B blocks A. */
function standing(signs: string): [Side, Side] {
  return [
    { userId: A, state: 'active', follows: signs.includes('→'), blocks: signs.includes('⊣') },
    { userId: B, state: 'active', follows: signs.includes('←'), blocks: signs.includes('⊢') },
  ];
}
const say = (changes: { type: string; from: string }[]) =>
  changes.map(({ type, from }) => `${type} by ${from === A ? 'A' : 'B'}`);

describe('what A does to B', () => {
  it.each<[Verb, string, string[]]>([
    ['follow', '', ['follow-started by A']],
    ['follow', '←', ['follow-started by A']],
    ['follow', '→', []],
    ['unfollow', '→ ←', ['follow-ended by A']],
    ['unfollow', '←', []],
    ['unfollow', '⊢', []],
    ['block', '', ['block-started by A']],
    ['block', '→', ['follow-ended by A', 'block-started by A']],
    ['block', '←', ['follow-ended by B', 'block-started by A']],
    ['block', '→ ←', ['follow-ended by A', 'follow-ended by B', 'block-started by A']],
    ['block', '⊢', ['block-started by A']],
    ['block', '⊣', []],
    ['unblock', '⊣ ⊢', ['block-ended by A']],
    ['unblock', '⊢', []],
    ['unblock', '', []],
  ])('%s, standing "%s": %j', (verb, signs, changes) => {
    expect(say(VERBS[verb](...standing(signs)))).toEqual(changes);
  });

  it('is no follow while A blocks B: it says what to do', () => {
    expect(failureOf(() => VERBS.follow(...standing('⊣'))).code).toBe('FORBIDDEN');
    expect(failureOf(() => VERBS.follow(...standing('⊣ ⊢'))).code).toBe('FORBIDDEN');
  });

  it('is no follow while B blocks A: the answer is, to the letter, that of a person who is not there', () => {
    const [a, b] = standing('');
    const absent = failureOf(() => checkPeople(a, { ...b, state: undefined }));
    expect(failureOf(() => VERBS.follow(...standing('⊢')))).toEqual(absent);
    expect(absent.code).toBe('NOT_FOUND');
  });

  it.each<[PersonState | undefined, PersonState | undefined, string]>([
    ['active', undefined, 'NOT_FOUND'],
    ['active', 'frozen', 'NOT_FOUND'],
    ['active', 'gone', 'NOT_FOUND'],
    ['frozen', 'active', 'ACCOUNT_FROZEN'],
    ['gone', 'gone', 'UNAUTHENTICATED'],
  ])('is nothing when A is %s and B is %s: %s', (a, b, code) => {
    const [actor, target] = standing('');
    expect(failureOf(() => checkPeople({ ...actor, state: a }, { ...target, state: b })).code).toBe(code);
  });

  it('has one order with what B does to A: the pair is the same from both sides, and nobody is a pair', () => {
    expect(pairOf(B, A)).toEqual(pairOf(A, B));
    expect(failureOf(() => pairOf(A, A)).code).toBe('BAD_USER_INPUT');
  });

  it('ends, all of it, when one of the two leaves', () => {
    const [low, high] = standing('→ ← ⊣ ⊢');
    expect(say(part({ pair: pairOf(A, B), version: 0, low, high, isParted: false }))).toEqual([
      'follow-ended by A',
      'follow-ended by B',
      'block-ended by A',
      'block-ended by B',
    ]);
  });
});

function failureOf(act: () => unknown): { code: string; message: string } {
  try {
    act();
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
  throw new Error('It was allowed');
}
