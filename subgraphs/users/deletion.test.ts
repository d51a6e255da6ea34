import { describe, expect, it } from '@jest/globals';
import {
  awaitedBy,
  followsOf,
  heard,
  nextOf,
  STEPS,
  type Ask,
  type DeletionState,
  type DeletionStep,
  type Ended,
  type StepState,
} from './deletion.js';

/** States of the six steps, by their first letters: Pending, Running, Done, Failed, Going back, Undone. */
function steps(letters: string): DeletionStep[] {
  return STEPS.map(({ name }, nth) => ({ name, state: OF[letters[nth] as keyof typeof OF], at: null, tries: 0 }));
}
const OF = { P: 'PENDING', R: 'RUNNING', D: 'DONE', F: 'FAILED', G: 'UNDOING', U: 'UNDONE' } as const satisfies Record<
  string,
  StepState
>;

describe('an orchestrated deletion does next', () => {
  it.each<[DeletionState, string, string | undefined]>([
    ['RUNNING', 'DPPPPP', 'ask withdraw-posts'],
    ['RUNNING', 'DRPPPP', undefined],
    ['RUNNING', 'DDPPPP', 'ask dissolve-follows'],
    ['RUNNING', 'DDRPPP', undefined],
    ['RUNNING', 'DDDPPP', 'erase'],
    ['RUNNING', 'DDDRRR', undefined],
    ['RUNNING', 'DDDDRD', undefined],
    // The others have erased; what is here is not all gone.
    ['RUNNING', 'DDDRDD', undefined],
    ['RUNNING', 'DDDDDD', 'end'],
    ['COMPENSATING', 'DRPPPP', 'ask restore-posts'],
    ['COMPENSATING', 'DDRPPP', 'ask restore-follows'],
    ['COMPENSATING', 'DDGPPP', undefined],
    // What failed has undone itself.
    ['COMPENSATING', 'DDFPPP', 'ask restore-posts'],
    ['COMPENSATING', 'DGFPPP', undefined],
    ['COMPENSATING', 'DFPPPP', 'thaw'],
    ['COMPENSATING', 'DUUPPP', 'thaw'],
    ['DONE', 'DDDDDD', undefined],
    ['REVERTED', 'UUUPPP', undefined],
  ])('%s %s: %s', (state, letters, said) => {
    const next = nextOf(state, steps(letters));
    expect(next?.do === 'ask' ? `ask ${next.step}` : next?.do).toBe(said);
  });
});

describe('a choreographed deletion does next', () => {
  it.each<[DeletionState, string, string | undefined]>([
    ['RUNNING', 'DRRPPP', undefined],
    ['RUNNING', 'DDRPPP', undefined],
    ['RUNNING', 'DDDPPP', 'erase'],
    ['RUNNING', 'DDDRDD', undefined],
    ['RUNNING', 'DDDDDD', 'end'],
    ['COMPENSATING', 'DRFPPP', 'thaw'],
    ['COMPENSATING', 'URFPPP', undefined],
    ['COMPENSATING', 'UUFPPP', 'end'],
    ['COMPENSATING', 'UFUPPP', 'end'],
    ['DONE', 'DDDDDD', undefined],
    ['REVERTED', 'UUFPPP', undefined],
  ])('%s %s: %s', (state, letters, said) => {
    expect(followsOf(state, steps(letters))?.do).toBe(said);
  });
});

describe('an answer is heard', () => {
  it.each<[DeletionState, string, Ended['step'], Ended['outcome'], string | undefined]>([
    ['RUNNING', 'DRPPPP', 'withdraw-posts', 'done', 'RUNNING WITHDRAW_POSTS DONE'],
    ['RUNNING', 'DRPPPP', 'withdraw-posts', 'failed', 'COMPENSATING WITHDRAW_POSTS FAILED'],
    ['RUNNING', 'DDDDRR', 'erase-follows', 'done', 'RUNNING ERASE_FOLLOWS DONE'],
    // A second one.
    ['RUNNING', 'DDRPPP', 'withdraw-posts', 'done', undefined],
    ['RUNNING', 'DDRPPP', 'withdraw-posts', 'failed', undefined],
    ['RUNNING', 'DRPPPP', 'restore-posts', 'done', undefined],
    // One that was given up meanwhile.
    ['COMPENSATING', 'DGPPPP', 'withdraw-posts', 'done', undefined],
    ['COMPENSATING', 'DGPPPP', 'restore-posts', 'done', 'COMPENSATING WITHDRAW_POSTS UNDONE'],
    ['COMPENSATING', 'DUFPPP', 'restore-posts', 'done', undefined],
    ['COMPENSATING', 'DRFPPP', 'restore-follows', 'done', undefined],
    // After the end.
    ['REVERTED', 'UUUPPP', 'withdraw-posts', 'done', undefined],
    ['REVERTED', 'UUUPPP', 'restore-posts', 'done', undefined],
    ['DONE', 'DDDDDD', 'erase-posts', 'done', undefined],
  ])('%s %s, %s %s: %s', (state, letters, step, outcome, said) => {
    const change = heard(state, steps(letters), { step, outcome });
    expect(change && `${change.state} ${change.name} ${change.to}`).toBe(said);
  });
});

describe('a step that goes on', () => {
  it.each<[string, Ask, string | undefined]>([
    ['DRPPPP', 'withdraw-posts', 'WITHDRAW_POSTS'],
    ['DGPPPP', 'restore-posts', 'WITHDRAW_POSTS'],
    ['DDDDRR', 'erase-follows', 'ERASE_FOLLOWS'],
    ['DDRPPP', 'withdraw-posts', undefined],
    ['DGPPPP', 'withdraw-posts', undefined],
    ['UUUPPP', 'restore-posts', undefined],
  ])('%s, %s: %s is waited for', (letters, asked, name) => {
    expect(awaitedBy(steps(letters), asked)).toBe(name);
  });
});
