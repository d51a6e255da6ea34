import { entityNames as nameOf, LIFETIME_MAX_MS, type FieldFill, type RecordFill } from '#libs/cache';
import { isObject, type Json, type JsonObject } from '../run/json.js';
import { isNothing, isPrivate, NEGATIVE_MS, type CacheControl } from './cache-control.js';
import { isOfKey, type Item } from './item.js';
import type { Lookup } from './lookup.js';
import type { Policy } from './shape.js';
import { tagsFor } from './tags.js';
import { Learning, missing, type Ref } from './values.js';
import { inputsOf } from './wants.js';

/** Up to this share is taken off by chance, so that what was kept together does not end together. */
const JITTER = 0.1;

type Lifetime = Pick<FieldFill, 'freshMs' | 'revalidateMs' | 'errorMs'> & { readonly private: boolean };

/** Gathers what is kept of one answer: one fill for each record. */
export class Fills {
  readonly #byRecord = new Map<string, RecordFill & { fields: FieldFill[] }>();
  readonly #lookup: Lookup;
  readonly #control: CacheControl | undefined;
  readonly #tags: readonly string[];
  readonly #learning: Learning;

  constructor(lookup: Lookup, control: CacheControl | undefined, tags: readonly string[]) {
    this.#lookup = lookup;
    this.#control = control;
    this.#tags = tags.map(nameOf.tag);
    this.#learning = new Learning(lookup.run.textsOf, (fields, key, object) => {
      const all = fields.list.map((_, index) => index);
      this.entity(lookup.itemWithin(undefined, fields, key, object), all, object);
    });
  }

  get list(): RecordFill[] {
    return [...this.#byRecord.values()];
  }

  entity(item: Item, wanted: readonly number[], object: JsonObject): void {
    const { run, subgraph } = this.#lookup;
    const texts = run.textsOf(item.fields);
    for (const index of wanted) {
      const field = item.fields.list[index]!;
      if (field.name === '__typename' || isOfKey(item, field)) continue;
      const there = Object.hasOwn(object, field.key) ? object[field.key] : undefined;
      if (there === undefined) continue;
      const lifetime = this.#lifetime(field.policy, item.only !== undefined && isNothing(there));
      if (lifetime === undefined) continue;
      const value = this.#learning.value(field.below, there);
      if (value === missing) continue;
      const { private: own, ...times } = lifetime;
      const tags = [
        ...this.#tags,
        ...tagsFor(run.graph.rules, subgraph, item.fields.type, field, item.key, run.variable),
      ];
      if (item.only !== undefined) tags.push(...this.#ends(value));
      this.#add(item, own, { name: texts[index]! + inputsOf(subgraph, item, field), value, tags, ...times });
    }
  }

  /** An answer of a root field ends with the entity that it leads to; a list, or that there is none, with the next write there. */
  #ends(value: Json): string[] {
    const ref = isObject(value) ? (value as unknown as Partial<Ref>).$ref : undefined;
    if (!ref) return [nameOf.nothing(this.#lookup.subgraph)];
    return [nameOf.leadsTo(nameOf.entity(this.#lookup.subgraph, ref[0], JSON.stringify(ref[1])))];
  }

  gone(item: Item): void {
    const lifetime = this.#lifetime({ ...item.fields.whole, private: false }, true);
    if (lifetime === undefined) return;
    const { private: _, ...times } = lifetime;
    this.#add(item, false, { name: this.#lookup.run.gone, value: true, tags: this.#tags, ...times });
  }

  /** What schema and header allow, each if it says anything; undefined: it is not kept. */
  #lifetime(policy: Policy, negative: boolean): Lifetime | undefined {
    const control = this.#control;
    if (policy.byHeader && control?.maxAge === undefined) return undefined;
    const said = 1_000 * Math.min(policy.maxAge, control?.maxAge ?? Number.POSITIVE_INFINITY);
    const freshMs = Math.min(said, LIFETIME_MAX_MS, negative ? NEGATIVE_MS : LIFETIME_MAX_MS);
    if (!(freshMs > 0)) return undefined;
    const left = LIFETIME_MAX_MS - freshMs;
    return {
      freshMs: Math.max(1, Math.floor(freshMs * (1 - JITTER * this.#lookup.graph.cache.random()))),
      revalidateMs: Math.min((control?.staleWhileRevalidate ?? 0) * 1_000, left),
      errorMs: Math.min((control?.staleIfError ?? 0) * 1_000, left),
      private:
        policy.private || (control !== undefined && isPrivate(control, policy, this.#lookup.run.context.subject)),
    };
  }

  #add(item: Item, own: boolean, field: FieldFill): void {
    const { run, subgraph } = this.#lookup;
    const variant = own ? run.own : run.everybody;
    const record = `${item.entity}\n${variant}`;
    let fill = this.#byRecord.get(record);
    if (!fill) {
      const { subject } = run.context;
      const epochs = [nameOf.type(subgraph, item.fields.type), nameOf.subgraph(subgraph)];
      if (own && subject !== null) epochs.push(nameOf.viewer(subject));
      fill = { entity: item.entity, variant, epochs, fields: [] };
      this.#byRecord.set(record, fill);
    }
    fill.fields.push(field);
  }
}
