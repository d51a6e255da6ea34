import { entityNames as nameOf, type Ask, type Found, type KeptField, type Stamp } from '#libs/cache';
import type { SubgraphAnswer } from '../run/answer.js';
import type { Json, JsonObject } from '../run/json.js';
import { Flights } from './flights.js';
import type { GraphCache } from './graph-cache.js';
import { isOfKey, newItem, topOf, type Item } from './item.js';
import { learn, type Learned } from './learn.js';
import { dueAt } from './made-of.js';
import type { AnswerHeaders, RunCache } from './run-cache.js';
import type { Fields, FieldShape } from './shape.js';
import { missing, Recalling } from './values.js';
import { Wants } from './wants.js';
import type { Worth } from './worth.js';

/** Lists within lists of entities: nothing is looked up deeper. */
const ROUNDS_MAX = 10;
/** So near its end one look in so many begins to load a value anew. */
const EARLY_CHANCE = 0.05;

/** Looks up entities of one subgraph, knows what has to be loaded, and learns from what comes. */
export class Lookup {
  stamp: Stamp | undefined;
  #covered = false;
  /** Those that were found in kept values of others, too. */
  readonly items: Item[] = [];
  /** ms on the store's clock; what was loaded until then may be older than what the client has written. Infinity: nothing kept counts. */
  #notBefore = 0;
  readonly flights: Flights;
  readonly #wants: Wants;

  constructor(
    readonly run: RunCache,
    readonly subgraph: string,
  ) {
    this.flights = new Flights(run);
    this.#wants = new Wants(run, subgraph);
  }

  get graph(): GraphCache {
    return this.run.graph;
  }

  async resolve(items: readonly Item[]): Promise<void> {
    let round = items;
    for (let nth = 0; round.length > 0; nth += 1) {
      if (nth === ROUNDS_MAX) for (const item of round) this.#unknown(item, 'too deep');
      else round = await this.#round(round);
      if (nth === ROUNDS_MAX) break;
    }
    await this.#cover(items);
  }

  /**
   * Before the first load: its answer may hold entities that nobody has looked up, and what was dropped of those since counts too. On
   * one Redis a look has told all of that; on a cluster the other nodes are asked now.
   */
  async #cover(items: readonly Item[]): Promise<void> {
    if (this.#covered || this.stamp === undefined) return;
    if (![...items, ...this.items].some(({ state }) => state === 'load')) return;
    this.#covered = true;
    const { stamp } = this;
    const { records } = this.graph.cache;
    this.stamp = await this.run.stored('cover', () => records.cover(stamp));
    if (this.stamp) this.run.began(this.stamp);
  }

  async #round(items: readonly Item[]): Promise<Item[]> {
    const asks: Ask[] = [];
    const places = items.map((item) => this.#wants.ask(item, asks));
    // First this: what is told of then has been dropped before we look.
    if (asks.length > 0 && this.run.hasWritten && !this.run.unanswered)
      this.#notBefore = await this.run.notBefore(this.subgraph);
    const { records } = this.graph.cache;
    // What does not answer once is not waited for again: a request waits for it at most once (libs/cache/redis-link.ts).
    const asked = asks.length > 0 && !this.run.unanswered;
    const answer = asked ? await this.run.stored('look', () => records.look(asks)) : undefined;
    if (asks.length > 0 && answer === undefined) {
      this.run.unanswered = true;
      for (const item of items) this.#unknown(item, 'the store does not answer');
      return [];
    }
    if (answer) {
      // What is loaded from then on is as new as the first stamp says, and no newer.
      if (!this.#covered) {
        this.stamp ??= answer.stamp;
        this.run.began(answer.stamp);
      }
      this.run.made.saw(answer.stamp, asks);
    }
    const next: Item[] = [];
    const now = answer?.stamp.now ?? 0;
    items.forEach((item, nth) => {
      const { common, own } = places[nth]!;
      this.#put(
        item,
        common === undefined ? undefined : answer?.found[common],
        own === undefined ? undefined : answer?.found[own],
        now,
        next,
      );
    });
    return next;
  }

  #put(item: Item, common: Found | undefined, own: Found | undefined, now: number, next: Item[]): void {
    const { fields } = item;
    const gone = item.only === undefined ? common?.fields.at(-1) : undefined;
    if (gone !== undefined && gone.freshUntil > now && gone.loadedAt > this.#notBefore) {
      item.gone = true;
      this.run.shown(gone, now, this.run.context.subject !== null);
      item.found = gone.loadedAt < this.run.since;
      item.state = 'known';
      this.#settle(item);
      return;
    }
    const within: Item[] = [];
    const recalling = new Recalling(this.run.textsOf, (below, key, data) => {
      within.push(this.itemWithin(item, below, key, data));
    });
    let [nthCommon, nthOwn] = [0, 0];
    let [lacksCommon, lacksOwn] = [false, false];
    item.missing = [];
    fields.list.forEach((field, index) => {
      if (item.only !== undefined && index !== item.only) return;
      if (field.name === '__typename') item.data[field.key] = fields.type;
      else if (isOfKey(item, field)) item.data[field.key] = item.key[field.name]!;
      else if (!this.#wants.keepable(field.policy)) {
        item.missing.push(index);
        this.run.note(field.count.field, 'nothing says that it may be kept');
      } else {
        const { private: isOwn, byHeader } = field.policy;
        const ofAll = isOwn ? undefined : common?.fields[nthCommon++];
        const ofOne = isOwn || byHeader ? own?.fields[nthOwn++] : undefined;
        const kept = ofAll ?? ofOne;
        const before = within.length;
        const value =
          kept === undefined
            ? missing
            : this.#usable(item, index, field, kept, now, recalling, isOwn || ofAll === undefined);
        if (value !== missing) {
          item.data[field.key] = value;
          if (kept!.loadedAt < this.run.since) item.found = true;
          return;
        }
        within.length = before;
        item.missing.push(index);
        if (field.policy.private) lacksOwn = true;
        else lacksCommon = true;
        field.count.misses += 1;
        this.run.note(field.count.field, kept === undefined ? 'not kept' : 'too old, or kept with fewer fields');
      }
    });
    item.open = within.length;
    next.push(...within);
    this.items.push(...within);
    // Another process loads it anew.
    if (common?.lease === 'another') item.refresh = [];
    // As the record is named: who has other forwarded headers has another record, and nothing to wait for here.
    const whose = lacksCommon ? this.run.everybody : lacksOwn ? this.run.own : undefined;
    item.flight = whose === undefined ? undefined : `${item.entity}\n${whose}`;
    const busy = (lacksCommon && common?.lease === 'another') || this.flights.has(item.flight);
    if (item.missing.length === 0) item.state = 'known';
    else if (busy && !this.flights.leads(item.flight) && this.#mayWait()) item.state = 'awaited';
    else this.#load(item);
    this.#settle(item);
  }

  #mayWait(): boolean {
    // Whatever another loads would be no better than what is kept.
    return this.#notBefore !== Number.POSITIVE_INFINITY && this.flights.mayWait();
  }

  #load(item: Item): void {
    item.state = 'load';
    this.flights.lead(item);
  }

  #usable(
    item: Item,
    index: number,
    field: FieldShape,
    kept: KeptField,
    now: number,
    recalling: Recalling,
    isPrivate: boolean,
  ): Json | typeof missing {
    if (kept.loadedAt <= this.#notBefore) return missing;
    const fresh = kept.freshUntil > now;
    if (!fresh && kept.revalidateUntil <= now && !(item.rescued && kept.errorUntil > now)) return missing;
    const value = recalling.value(field.below, kept.value as Json);
    if (value === missing) return missing;
    if (!item.rescued && (!fresh || (now > dueAt(kept) && this.graph.cache.random() < EARLY_CHANCE)))
      item.refresh.push(index);
    if (fresh) field.count.hits += 1;
    else field.count.stale += 1;
    this.run.hit(field.count.field);
    this.run.shown(kept, now, isPrivate, field.count);
    return value;
  }

  #unknown(item: Item, why: string): void {
    item.missing = [];
    item.fields.list.forEach((field, index) => {
      if (item.only !== undefined && index !== item.only) return;
      if (field.name === '__typename') item.data[field.key] = item.fields.type;
      else if (isOfKey(item, field)) item.data[field.key] = item.key[field.name]!;
      else {
        item.missing.push(index);
        this.run.note(field.count.field, why);
      }
    });
    item.state = item.missing.length === 0 ? 'known' : 'load';
    this.#settle(item);
  }

  /** Does anything say that something of it may be kept? */
  mayKeepOf({ list }: Fields): boolean {
    return list.some(
      ({ name, told, policy }) => name !== '__typename' && !told && this.run.keepable(this.subgraph, policy),
    );
  }

  /** Whose fields it is about: everybody's, or if none of them are, the viewer's. */
  variantOf({ list }: Fields): string {
    const ofAll = list.some(({ policy }) => !policy.private && this.run.keepable(this.subgraph, policy));
    return ofAll ? this.run.everybody : this.run.own;
  }

  /**
   * How much of what was looked up was found, or is loaded by another request; nothing is told where the store did not answer. What
   * one step of an operation has kept for the next does not count: a profile page finds its own author in its posts, if it never
   * comes again.
   */
  tell(worth: Worth, items: readonly Item[]): void {
    if (this.stamp === undefined) return;
    let hits = 0;
    const { flights } = this.run;
    for (const { found, state, flight } of items)
      if (found || (state === 'awaited' && flight !== undefined && !flights.has(flight))) hits += 1;
    worth.count(items.length, hits);
    this.run.made.found(worth, items.length);
  }

  /** So many are asked for without a look. */
  doubt({ list }: Fields, items: number): void {
    for (const field of list) {
      if (field.name === '__typename' || field.told || !this.run.keepable(this.subgraph, field.policy)) continue;
      field.count.misses += items;
      this.run.note(
        field.count.field,
        'the like of it is hardly ever found, so it is looked up from its second reading on',
        items,
      );
    }
  }

  /** What an entity within lacked has come. */
  completed(item: Item): void {
    item.missing = [];
    item.state = 'known';
    this.#settle(item);
  }

  /** Something within cannot be had: the entity that holds it is asked about as if nothing were known. */
  failed(item: Item): void {
    const top = topOf(item);
    top.whole = true;
    top.state = 'load';
  }

  #settle(item: Item): void {
    const { within } = item;
    if (item.state !== 'known' || item.open > 0 || within === undefined || item.forgotten) return;
    if (item.gone) return this.failed(item);
    item.forgotten = true;
    within.open -= 1;
    this.#settle(within);
  }

  /**
   * Waits for others to load, and looks again; what is missing then is loaded here. It returns as soon as there is something to load,
   * whoever else is still awaited: others may wait for that, and whom they keep waiting we would wait for.
   */
  async wait(items: readonly Item[]): Promise<void> {
    try {
      let left = items;
      while (!this.flights.hasWaited(left)) {
        await this.flights.over(left);
        for (const item of left) this.#afresh(item);
        await this.resolve(left);
        left = left.filter(({ state }) => state === 'awaited');
        if (left.length === 0 || [...items, ...this.items].some(({ state }) => state === 'load')) return;
      }
      for (const item of left) this.#load(item);
      await this.#cover(left);
    } finally {
      this.flights.waitsNoMore();
    }
  }

  #afresh(item: Item): void {
    for (const other of this.items) if (other.within === item) this.#forget(other);
    item.state = 'new';
    item.open = 0;
    item.refresh = [];
    if (item.within === undefined) item.data = {};
  }

  #forget(item: Item): void {
    item.forgotten = true;
    if (item.state === 'load' || item.state === 'awaited') item.state = 'asked';
    for (const other of this.items) if (other.within === item) this.#forget(other);
  }

  itemWithin(holder: Item | undefined, fields: Fields, key: JsonObject, data: JsonObject): Item {
    const text = JSON.stringify(key);
    return newItem({
      part: holder?.part,
      index: holder?.index ?? 0,
      fields,
      key,
      data,
      entity: nameOf.entity(this.subgraph, fields.type, text),
      representation: `{"__typename":${JSON.stringify(fields.type)},${text.slice(1)}`,
      within: holder,
      rescued: holder?.rescued ?? false,
    });
  }

  /** What may be shown of each where loading failed; undefined: not all that was wanted. */
  async rescue(items: readonly Item[]): Promise<(JsonObject | undefined)[]> {
    const again = items.map((item) =>
      newItem({
        ...item,
        state: 'new',
        data: {},
        within: undefined,
        rescued: true,
        handed: true,
        open: 0,
        missing: [],
      }),
    );
    await this.resolve(again);
    return again.map((item) => {
      if (item.state !== 'known' || item.open > 0 || item.gone) return undefined;
      this.run.policy.restrict(0, false);
      return item.data;
    });
  }

  learn(learned: readonly Learned[], answer: SubgraphAnswer, headers: AnswerHeaders | undefined): void {
    this.flights.fill(
      learned.map(({ item }) => item),
      learn(this, learned, answer, headers),
    );
  }
}
