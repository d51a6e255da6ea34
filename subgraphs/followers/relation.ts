import { badInput, Failure, noAccount } from '#libs/failure';

/**
 * `active`: may follow and be followed. `frozen`: the account is being deleted, which may still be taken back. `gone`: it was
 * deleted; the row stays, so that a late event or an old token cannot bring the person back.
 */
export type PersonState = 'active' | 'frozen' | 'gone';

/** One of the two people of a relation, and what this one does to the other. */
export interface Side {
  readonly userId: string;
  /** Undefined: never heard of. */
  readonly state: PersonState | undefined;
  readonly follows: boolean;
  readonly blocks: boolean;
}

/** Two people, whichever asked: the smaller id is `low`. What happens between them, in either direction, has one order. */
export interface Pair {
  readonly low: string;
  readonly high: string;
}

export interface Relation {
  readonly pair: Pair;
  /** The number of its events. */
  readonly version: number;
  readonly low: Side;
  readonly high: Side;
  /** Something of what a deletion has ended between them is still to come back: see parted.ts. */
  readonly isParted: boolean;
}

export interface Change {
  readonly type: 'follow-started' | 'follow-ended' | 'block-started' | 'block-ended';
  readonly from: string;
  readonly to: string;
  /** Since when, where that is not now. */
  readonly at?: string;
}

export type Verb = keyof typeof VERBS;

/** What each verb changes, given how the two stand now; an empty list when everything is as asked already. */
export const VERBS = { follow, unfollow, block, unblock };

function follow(actor: Side, target: Side): Change[] {
  if (actor.blocks) throw new Failure('FORBIDDEN', 'You block this person; unblock first.');
  // Word for word what a person who is not there answers. FORBIDDEN would tell the blocked one who did it.
  if (target.blocks) throw noSuchPerson();
  return actor.follows ? [] : [{ type: 'follow-started', from: actor.userId, to: target.userId }];
}

function unfollow(actor: Side, target: Side): Change[] {
  return actor.follows ? [followEnded(actor, target)] : [];
}

function block(actor: Side, target: Side): Change[] {
  if (actor.blocks) return [];
  return [
    ...unfollow(actor, target),
    ...unfollow(target, actor),
    { type: 'block-started', from: actor.userId, to: target.userId },
  ];
}

function unblock(actor: Side, target: Side): Change[] {
  return actor.blocks ? [{ type: 'block-ended', from: actor.userId, to: target.userId }] : [];
}

/** Everything that is between two people ends, when one of them has left. */
export function part(relation: Relation): Change[] {
  const { low, high } = relation;
  return [...endFollows(relation), ...unblock(low, high), ...unblock(high, low)];
}

export function endFollows({ low, high }: Relation): Change[] {
  return [...unfollow(low, high), ...unfollow(high, low)];
}

export function checkPeople(actor: Side, target: Side): void {
  if (actor.state === 'frozen') throw new Failure('ACCOUNT_FROZEN');
  if (actor.state !== 'active') throw noAccount();
  if (target.state !== 'active') throw noSuchPerson();
}

export function noSuchPerson(): Failure {
  return new Failure('NOT_FOUND', 'There is no such person.');
}

/** Ids are lower-case uuid texts, whose order is the order of the uuids in the database. */
export function pairOf(one: string, other: string): Pair {
  if (one === other) throw badInput('Follow and block are for other people than yourself');
  return one < other ? { low: one, high: other } : { low: other, high: one };
}

export function aggregateOf(pair: Pair): string {
  return `relation:${pair.low}:${pair.high}`;
}

function followEnded(from: Side, to: Side): Change {
  return { type: 'follow-ended', from: from.userId, to: to.userId };
}
