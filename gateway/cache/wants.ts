import { entityNames as nameOf, type Ask } from '#libs/cache';
import { isOfKey, type Item } from './item.js';
import type { RunCache } from './run-cache.js';
import type { Fields, FieldShape, Policy } from './shape.js';

/** What is asked of the store about an entity: of what is everybody's, and of what is the viewer's own. */
interface Wanted {
  readonly common: readonly string[];
  readonly own: readonly string[];
  readonly epochs: readonly string[];
  readonly ownEpochs: readonly string[];
}

/** Which of the answers are an item's; undefined: nothing was asked. */
export interface Place {
  common: number | undefined;
  own: number | undefined;
}

/** What one lookup asks of the store: which fields of which records may be kept, in whose name. */
export class Wants {
  readonly #run: RunCache;
  readonly #subgraph: string;
  #speaks: boolean | undefined;
  readonly #made = new Map<Fields, Map<string, Wanted>>();

  constructor(run: RunCache, subgraph: string) {
    this.#run = run;
    this.#subgraph = subgraph;
  }

  /** Adds what has to be asked for the item; which answers will be its. */
  ask(item: Item, asks: Ask[]): Place {
    const { common, own, epochs, ownEpochs } = this.#of(item);
    const place: Place = { common: undefined, own: undefined };
    if (common.length > 0) {
      place.common = asks.length;
      asks.push({ entity: item.entity, variant: this.#run.everybody, epochs, fields: common, lease: true });
    }
    if (own.length > 0) {
      place.own = asks.length;
      asks.push({ entity: item.entity, variant: this.#run.own, epochs: ownEpochs, fields: own, lease: false });
    }
    return place;
  }

  /** By what was known when this lookup began: answers are matched with what was asked for by their place, also after a wait. */
  keepable(policy: Policy): boolean {
    return policy.maxAge > 0 && (!policy.byHeader || (this.#speaks ??= this.#run.graph.speaking.has(this.#subgraph)));
  }

  /** For items that have it in common one and the same, made once. */
  #of(item: Item): Wanted {
    if (item.only !== undefined || item.inputs !== '') return this.#make(item);
    const key = Object.keys(item.key).join();
    let byKey = this.#made.get(item.fields);
    if (!byKey) this.#made.set(item.fields, (byKey = new Map()));
    let wanted = byKey.get(key);
    if (!wanted) byKey.set(key, (wanted = this.#make(item)));
    return wanted;
  }

  #make(item: Item): Wanted {
    const texts = this.#run.textsOf(item.fields);
    const common: string[] = [];
    const own: string[] = [];
    item.fields.list.forEach((field, index) => {
      if (!this.#isKept(item, index, field)) return;
      const text = texts[index]! + inputsOf(this.#subgraph, item, field);
      if (!field.policy.private) common.push(text);
      // A header may have made it the viewer's own.
      if (field.policy.private || field.policy.byHeader) own.push(text);
    });
    if (common.length > 0 && item.only === undefined) common.push(this.#run.gone);
    const { subject } = this.#run.context;
    const epochs = [nameOf.type(this.#subgraph, item.fields.type), nameOf.subgraph(this.#subgraph)];
    return { common, own, epochs, ownEpochs: subject === null ? epochs : [...epochs, nameOf.viewer(subject)] };
  }

  #isKept(item: Item, index: number, field: FieldShape): boolean {
    if (item.only !== undefined && index !== item.only) return false;
    if (field.name === '__typename' || isOfKey(item, field)) return false;
    return this.keepable(field.policy);
  }
}

/** What a @requires brought is part of the name of a value that was made of it. */
export function inputsOf(subgraph: string, item: Item, field: FieldShape): string {
  return item.inputs !== '' && field.rule?.requires.has(subgraph) === true ? `#${item.inputs}` : '';
}
