import type { SubgraphAnswer } from '../run/answer.js';
import { isObject, type Json } from '../run/json.js';
import { forClient, isNothing, isPrivate, type CacheControl } from './cache-control.js';
import { Fills } from './fills.js';
import type { Item } from './item.js';
import type { Lookup } from './lookup.js';
import type { AnswerHeaders } from './run-cache.js';
import type { Fields } from './shape.js';

export interface Learned {
  readonly item: Item;
  readonly wanted: readonly number[];
  /** What came for it; null: there is none. */
  readonly value: Json | undefined;
}

/** Keeps what came. Nothing is kept of an answer that tells an error: what is missing in it may be missing because of that. */
export async function learn(
  lookup: Lookup,
  learned: readonly Learned[],
  answer: SubgraphAnswer,
  headers: AnswerHeaders | undefined,
): Promise<void> {
  const control = headers?.cacheControl;
  for (const one of learned) restrict(lookup, one.item.fields, control, isNone(one));
  const { stamp, run } = lookup;
  if (!mayKeep(lookup, answer, control) || stamp === undefined) return;
  const fills = new Fills(lookup, control, headers?.tags ?? []);
  for (const { item, wanted, value } of learned) {
    if (isObject(value)) fills.entity(item, wanted, value);
    else if (value === null && item.only === undefined) fills.gone(item);
  }
  if (fills.list.length === 0) return;
  await run.stored('fill', () => run.graph.cache.records.fill(fills.list, stamp));
}

/** Nothing of it is kept, but how long the client may keep its answer is the same. `came`: the entities, or the root fields' values. */
export function passed(
  lookup: Lookup,
  all: Iterable<Fields>,
  answer: SubgraphAnswer,
  came: readonly (Json | undefined)[],
  headers: AnswerHeaders | undefined,
): void {
  for (const fields of all) restrict(lookup, fields, headers?.cacheControl, came.some(isNothing));
  mayKeep(lookup, answer, headers?.cacheControl);
}

/** There is no such entity, or nothing at a root field. */
function isNone({ item, value }: Learned): boolean {
  if (item.only === undefined) return value === null;
  return isObject(value) && isNothing(value[item.fields.list[item.only]!.key]);
}

function restrict({ run }: Lookup, { whole }: Fields, control: CacheControl | undefined, none: boolean): void {
  const hinted = whole.byHeader ? 0 : whole.maxAge;
  const said = control === undefined ? hinted : control.keep ? Math.min(control.maxAge ?? hinted, whole.maxAge) : 0;
  const own = control !== undefined && isPrivate(control, whole, run.context.subject);
  run.policy.restrict(forClient(said, none), whole.private || own);
}

function mayKeep({ run, subgraph }: Lookup, answer: SubgraphAnswer, control: CacheControl | undefined): boolean {
  if (answer.errors.length > 0 || control?.keep === false) return false;
  if ((control?.maxAge ?? 0) > 0) run.graph.speaking.add(subgraph);
  return true;
}
