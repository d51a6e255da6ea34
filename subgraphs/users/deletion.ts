import type { DomainEvent } from '#libs/events';

/** RUNNING until it is done, or has to go back; COMPENSATING until everything is as it was: REVERTED. */
export type DeletionState = 'RUNNING' | 'DONE' | 'COMPENSATING' | 'REVERTED';
export type StepState = 'PENDING' | 'RUNNING' | 'DONE' | 'FAILED' | 'UNDOING' | 'UNDONE';

export type StepName = (typeof STEPS)[number]['name'];
export type Ask = DomainEvent<'deletion-step-asked'>['payload']['step'];
/** How a step of another service ended, as that service tells it. */
export type Ended = Pick<DomainEvent<'posts-step-ended' | 'follows-step-ended'>['payload'], 'step' | 'outcome'>;

export interface DeletionStep {
  readonly name: StepName;
  readonly state: StepState;
  /** Of its last change; null while it is pending. */
  readonly at: Date | null;
  /** How often it was asked for. */
  readonly tries: number;
}

/**
 * The way of a deletion, in order. What `undo` names can be taken back. ERASE_ACCOUNT is the point of no return: from its beginning
 * on everything is tried until it is done.
 */
export const STEPS = [
  { name: 'FREEZE_ACCOUNT' },
  { name: 'WITHDRAW_POSTS', ask: 'withdraw-posts', undo: 'restore-posts' },
  { name: 'DISSOLVE_FOLLOWS', ask: 'dissolve-follows', undo: 'restore-follows' },
  { name: 'ERASE_ACCOUNT' },
  { name: 'ERASE_POSTS', ask: 'erase-posts' },
  { name: 'ERASE_FOLLOWS', ask: 'erase-follows' },
] as const satisfies readonly { name: string; ask?: Ask; undo?: Ask }[];

type Way = { readonly name: StepName; readonly ask?: Ask; readonly undo?: Ask };
export const WAY: readonly Way[] = STEPS;

/** The steps as they are after another service told how one ended; undefined: it changes nothing (a late or a second answer). */
export function heard(
  state: DeletionState,
  steps: readonly DeletionStep[],
  { step, outcome }: Ended,
): { readonly state: DeletionState; readonly name: StepName; readonly to: StepState } | undefined {
  const forward = WAY.find(({ ask }) => ask === step);
  const back = WAY.find(({ undo }) => undo === step);
  const name = (forward ?? back)?.name;
  const known = steps.find((one) => one.name === name);
  if (name === undefined || known === undefined) return undefined;
  if (forward !== undefined) {
    // An answer to what was given up meanwhile: its undoing has been asked for, and is answered after it.
    if (state !== 'RUNNING' || known.state === 'DONE') return undefined;
    return outcome === 'done' ? { state, name, to: 'DONE' } : { state: 'COMPENSATING', name, to: 'FAILED' };
  }
  // What failed has undone itself already.
  const isOpen = known.state !== 'UNDONE' && known.state !== 'FAILED';
  return state === 'COMPENSATING' && isOpen ? { state, name, to: 'UNDONE' } : undefined;
}

/** The step that is asked for by this name and not answered yet. */
export function awaitedBy(steps: readonly DeletionStep[], asked: Ask): StepName | undefined {
  const way = WAY.find(({ ask, undo }) => asked === ask || asked === undo);
  const awaited: StepState = asked === way?.undo ? 'UNDOING' : 'RUNNING';
  return steps.find(({ name, state }) => name === way?.name && state === awaited)?.name;
}

/** What is to be done next; undefined while others are at it. */
export type Next =
  | { readonly do: 'ask'; readonly name: StepName; readonly step: Ask; readonly to: 'RUNNING' | 'UNDOING' }
  | { readonly do: 'erase' | 'thaw' | 'end' };

/** Of an orchestrated deletion: one step after the other, and back in the reverse order. */
export function nextOf(state: DeletionState, steps: readonly DeletionStep[]): Next | undefined {
  const of = (name: StepName): StepState => steps.find((step) => step.name === name)?.state ?? 'PENDING';
  if (state === 'RUNNING') {
    if (of('DISSOLVE_FOLLOWS') === 'DONE' && of('ERASE_ACCOUNT') === 'PENDING') return { do: 'erase' };
    if (WAY.every(({ name }) => of(name) === 'DONE')) return { do: 'end' };
    const open = WAY.find(({ name }) => of(name) !== 'DONE');
    if (open?.ask === undefined || of(open.name) !== 'PENDING') return undefined;
    return { do: 'ask', name: open.name, step: open.ask, to: 'RUNNING' };
  }
  if (state !== 'COMPENSATING') return undefined;
  const done = WAY.filter(({ name, undo }) => undo !== undefined && ['DONE', 'RUNNING', 'UNDOING'].includes(of(name)));
  const last = done.at(-1);
  if (last?.undo === undefined) return { do: 'thaw' };
  return of(last.name) === 'UNDOING' ? undefined : { do: 'ask', name: last.name, step: last.undo, to: 'UNDOING' };
}

/** Of a choreographed one: nobody is asked; what is left to users itself follows from what it hears. */
export function followsOf(state: DeletionState, steps: readonly DeletionStep[]): Next | undefined {
  const of = (name: StepName): StepState => steps.find((step) => step.name === name)?.state ?? 'PENDING';
  if (state === 'RUNNING') {
    const ready = of('WITHDRAW_POSTS') === 'DONE' && of('DISSOLVE_FOLLOWS') === 'DONE';
    if (ready && of('ERASE_ACCOUNT') === 'PENDING') return { do: 'erase' };
    return WAY.every(({ name }) => of(name) === 'DONE') ? { do: 'end' } : undefined;
  }
  if (state !== 'COMPENSATING') return undefined;
  if (of('FREEZE_ACCOUNT') !== 'UNDONE') return { do: 'thaw' };
  const open = WAY.some(({ name, undo }) => undo !== undefined && !['FAILED', 'UNDONE'].includes(of(name)));
  return open ? undefined : { do: 'end' };
}
