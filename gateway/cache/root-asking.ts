import { entityNames as nameOf } from '#libs/cache';
import type { SubgraphAnswer } from '../run/answer.js';
import type { CompiledEntities, CompiledRoot } from '../run/compile.js';
import type { JsonObject } from '../run/json.js';
import type { Part } from '../run/requests.js';
import { partsOf, refreshesOf } from './asking.js';
import { newItem, type Item } from './item.js';
import { passed } from './learn.js';
import { Lookup } from './lookup.js';
import type { AnswerHeaders, RunCache } from './run-cache.js';
import type { Fields } from './shape.js';
import { hashOf } from './worth.js';

/** More than there are waits (lookup.ts): after that an entity is asked for as if nothing were known. */
const ITERATIONS_MAX = 16;

/**
 * A root fetch seen through the cache: each root field with its arguments is a record of its own, that says which entity it leads to
 * (or that there is none), and the entity's fields are where every other way to it finds them.
 */
export class RootAsking {
  readonly lookup: Lookup;
  readonly #run: RunCache;
  readonly #fetch: CompiledRoot;
  readonly #fields: Fields;
  #made: Item[] | undefined;
  readonly #entities: CompiledEntities;
  #iterations = 0;

  constructor(run: RunCache, fetch: CompiledRoot) {
    this.#run = run;
    this.#fetch = fetch;
    this.lookup = new Lookup(run, fetch.subgraph);
    this.#entities = { kind: 'entities', id: fetch.id, subgraph: fetch.subgraph, needs: 0, next: [], units: [] };
    this.#fields = run.graph.rootOf(fetch).fields;
  }

  /** One for each root field; made when they are needed, which is not always. */
  get #items(): readonly Item[] {
    if (this.#made) return this.#made;
    const texts = this.#run.textsOf(this.#fields);
    const { subgraph } = this.#fetch;
    this.#made = this.#fields.list.map((field, index) => {
      const item = newItem({
        fields: this.#fields,
        only: index,
        key: {},
        entity: nameOf.entity(subgraph, this.#run.graph.rules.query, texts[index]!),
        representation: '',
      });
      if (field.name === '__typename') return { ...item, state: 'known', data: { [field.key]: this.#fields.type } };
      return item;
    });
    return this.#made;
  }

  /** Without anything that may be kept there is nothing to look up. */
  get worthIt(): boolean {
    return this.#fields.list.some(({ policy }) => this.#run.keepable(this.#fetch.subgraph, policy));
  }

  /** Where what this fetch asks for is hardly ever found, only what was asked for before is looked up; of a stranger's, nothing. */
  get passes(): boolean {
    const { stranger, graph } = this.#run;
    const fields = this.#fields;
    if (!stranger) {
      const worth = graph.worthOf(this.#fetch);
      if (!worth.doubted) return false;
      const what = `${this.#run.textsOf(fields).join()}\n${this.lookup.variantOf(fields)}`;
      if (graph.cache.seen.again(hashOf(what, worth.seed))) return false;
      worth.count(1, 0);
    }
    this.lookup.doubt(fields, 1);
    return true;
  }

  /** What was not looked up has come. */
  passed(answer: SubgraphAnswer, headers: AnswerHeaders | undefined): void {
    passed(this.lookup, [this.#fields], answer, Object.values(answer.data ?? {}), headers);
  }

  /** It cannot be had, so what is kept of it may do. */
  rescued(): Promise<JsonObject | undefined> {
    return this.failed(this.#items);
  }

  async look(): Promise<void> {
    const items = this.#items.filter(({ state }) => state === 'new');
    await this.lookup.resolve(items);
    this.lookup.tell(this.#run.graph.worthOf(this.#fetch), items);
  }

  /** `counts`: it was looked up. */
  known(put: (data: JsonObject, counts: boolean) => void): void {
    for (const item of this.#items) {
      if (item.handed || item.open > 0 || item.whole || item.state !== 'known') continue;
      item.handed = true;
      put(item.data, this.#fields.list[item.only!]!.name !== '__typename');
    }
  }

  /** The root fields that have to be asked for: the beginning of the body, and the variables that it uses. */
  rest(): { head: string; variables: readonly string[]; items: readonly Item[] } | undefined {
    const items = this.#items.filter(({ state, handed }) => state === 'load' && !handed);
    if (items.length === 0) return undefined;
    for (const item of items) {
      item.state = 'asked';
      item.handed = true;
    }
    return { ...this.#run.graph.rootOf(this.#fetch).head(items.map(({ only }) => only!)), items };
  }

  /** Entities within that lack something. */
  parts(): Part[] {
    const load = this.lookup.items.filter(({ state }) => state === 'load');
    for (const item of load) item.state = 'asked';
    const { unit } = this.#run.graph.rootOf(this.#fetch);
    return partsOf(this.#run, this.lookup, load, () => ({ unit, fetch: this.#entities }));
  }

  refreshes(): {
    parts: Part[];
    roots: { head: string; variables: readonly string[]; item: Item; landed: () => void }[];
  } {
    const { unit, head } = this.#run.graph.rootOf(this.#fetch);
    const parts = refreshesOf(this.#run, this.lookup, this.lookup.items, () => ({ unit, fetch: this.#entities }));
    const roots = this.#items.flatMap((item) => {
      const landed = item.refresh.length > 0 ? this.lookup.flights.leadRefresh(item) : undefined;
      item.refresh = [];
      return landed ? [{ ...head([item.only!]), item, landed }] : [];
    });
    return { parts, roots };
  }

  async awaited(): Promise<void> {
    const items = [...this.#items, ...this.lookup.items].filter(({ state }) => state === 'awaited');
    if (items.length > 0) await this.lookup.wait(items);
  }

  goesOn(): boolean {
    this.#iterations += 1;
    if (this.#iterations > ITERATIONS_MAX)
      for (const item of this.#items) if (!item.handed && item.state !== 'asked') this.lookup.failed(item);
    const on =
      this.#iterations <= ITERATIONS_MAX + 1 &&
      (this.#items.some(({ handed }) => !handed) ||
        this.lookup.items.some(({ state, forgotten }) => !forgotten && (state === 'load' || state === 'awaited')));
    if (!on) this.lookup.flights.landed();
    return on;
  }

  came(items: readonly Item[], answer: SubgraphAnswer, headers: AnswerHeaders | undefined): void {
    if (answer.data === null) return this.lookup.flights.land(items);
    this.lookup.learn(
      items.map((item) => ({ item, wanted: [item.only!], value: answer.data! })),
      answer,
      headers,
    );
  }

  /** What may be shown where loading failed: all of it, or nothing. */
  async failed(items: readonly Item[]): Promise<JsonObject | undefined> {
    this.lookup.flights.land(items);
    const parts = await this.lookup.rescue(items);
    return parts.every((part) => part !== undefined) ? (Object.assign({}, ...parts) as JsonObject) : undefined;
  }
}
