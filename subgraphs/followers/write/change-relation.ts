import type { Database } from '#libs/database';
import { Failure } from '#libs/failure';
import { foundAsAsked } from '#libs/outbox';
import { whyNothingIsDone } from '#libs/saga';
import type { Clock } from '#libs/telemetry';
import { bringBack } from '../parted.js';
import {
  aggregateOf,
  checkPeople,
  noSuchPerson,
  pairOf,
  VERBS,
  type Pair,
  type Relation,
  type Side,
  type Verb,
} from '../relation.js';
import { lockRelations, readRelations, registerPerson, storeChanges } from '../relation.store.js';
import { untilHeardOf, type Waiting } from './until-heard-of.js';

/** Follow, unfollow, block and unblock: one path, because they change the same pair and must keep one order. */
export class ChangeRelation {
  readonly #database: Pick<Database, 'query' | 'transaction'>;
  readonly #clock: Clock;
  readonly #waiting: Waiting;

  constructor(parts: { database: Pick<Database, 'query' | 'transaction'>; clock: Clock; waiting: Waiting }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#waiting = parts.waiting;
  }

  async run(verb: Verb, actorId: string, targetId: string): Promise<void> {
    const pair = pairOf(actorId, targetId);
    await untilHeardOf(targetId, this.#database, this.#waiting);
    try {
      await this.#change(verb, pair, actorId);
    } catch (error) {
      const isFrozen = error instanceof Failure && error.code === 'ACCOUNT_FROZEN';
      throw isFrozen ? await whyNothingIsDone(this.#database, actorId, 'erase-follows') : error;
    }
  }

  async #change(verb: Verb, pair: Pair, actorId: string): Promise<void> {
    await this.#database.transaction(async (tx) => {
      const decide = (relation: Relation | undefined) => {
        if (relation === undefined) throw noSuchPerson();
        const [actor, target] = sides(relation, actorId);
        checkPeople(actor, target);
        return VERBS[verb](actor, target);
      };
      // What is named of a write that found all as asked is the actor's own: whether the other one blocks is told to nobody.
      // Looked at first without a lock: a refusal, or the same again, ends here and has written nothing.
      const [seen] = await readRelations(tx, [pair]);
      if (seen !== undefined && sides(seen, actorId)[0].state === undefined) {
        // Whoever comes with a token has an account, heard of or not.
        await registerPerson(tx, actorId);
      } else if (decide(seen).length === 0 && seen?.isParted !== true) {
        return foundAsAsked(tx, aggregateOf(pair), actorId);
      }
      const at = new Date(this.#clock()).toISOString();
      const [locked] = await lockRelations(tx, [pair]);
      if (locked !== undefined) checkPeople(...sides(locked, actorId));
      const relation = locked?.isParted === true ? await bringBack(tx, locked, at) : locked;
      const changes = decide(relation);
      if (relation === undefined || changes.length === 0) return foundAsAsked(tx, aggregateOf(pair), actorId);
      await storeChanges(tx, [{ relation, changes }], { actor: actorId, at });
    });
  }
}

function sides(relation: Relation, actorId: string): [actor: Side, target: Side] {
  return relation.pair.low === actorId ? [relation.low, relation.high] : [relation.high, relation.low];
}
