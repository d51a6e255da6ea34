import type { CompiledEntities, Unit } from '../run/compile.js';
import { hasMarked, parseExactly } from '../run/exact-numbers.js';
import { isObject, type JsonObject } from '../run/json.js';
import type { Heard, Part } from '../run/requests.js';
import { newItem, type Item } from './item.js';
import { passed, type Learned } from './learn.js';
import { Lookup } from './lookup.js';
import type { RunCache } from './run-cache.js';
import type { Fields, Shape } from './shape.js';
import { keyOf } from './values.js';
import { hashOf, type Worth } from './worth.js';

/** Different sets of missing fields that are asked for apart; where there are more, all are asked for what any lacks. */
const SETS_MAX = 4;
/** More than there are waits (lookup.ts): after that an entity is asked for as if nothing were known. */
const ITERATIONS_MAX = 16;

/**
 * The entity fetches that go to one subgraph together, seen through the cache. `look`, then as long as `goesOn`: put what is known
 * where it is awaited, send `parts`, and wait for what others load.
 */
export class Asking {
  readonly lookup: Lookup;
  readonly #run: RunCache;
  readonly #items: Item[] = [];
  /** About these the cache has nothing to say. */
  readonly #past: Part[] = [];
  readonly #worths = new Map<Worth, Item[]>();
  #iterations = 0;

  constructor(run: RunCache, subgraph: string, parts: readonly Part[]) {
    this.#run = run;
    this.lookup = new Lookup(run, subgraph);
    for (const part of parts) this.#add(part);
  }

  async look(): Promise<void> {
    if (this.#items.length === 0) return;
    await this.lookup.resolve(this.#items);
    for (const [worth, items] of this.#worths) this.lookup.tell(worth, items);
  }

  /** Each that is known, as the subgraph would have answered it; null: there is none. `all`: nobody has to be asked about it. */
  known(put: (part: Part, index: number, entity: JsonObject | null, all: boolean) => void): void {
    for (const item of this.#items) {
      if (item.handed || item.open > 0 || item.whole || item.state === 'awaited' || item.state === 'new') continue;
      item.handed = true;
      put(item.part!, item.index, item.gone ? null : item.data, item.state === 'known');
    }
  }

  /** What has to be asked now. */
  parts(): Part[] {
    const parts = this.#past.splice(0);
    this.#whole();
    const load = [...this.#items, ...this.lookup.items].filter(({ state }) => state === 'load');
    for (const item of load) item.state = 'asked';
    return [
      ...parts,
      ...partsOf(this.#run, this.lookup, load, (item) => ({ unit: item.part!.unit, fetch: item.part!.fetch })),
    ];
  }

  /** What was shown although it is stale, or soon will be: to be loaded anew, with nobody waiting. */
  refreshes(): Part[] {
    return refreshesOf(this.#run, this.lookup, [...this.#items, ...this.lookup.items], (item) => ({
      unit: item.part!.unit,
      fetch: item.part!.fetch,
    }));
  }

  /** Resolves when what others load has come, or has taken too long. */
  async awaited(): Promise<void> {
    const items = [...this.#items, ...this.lookup.items].filter(({ state }) => state === 'awaited');
    if (items.length > 0) await this.lookup.wait(items);
  }

  goesOn(): boolean {
    this.#iterations += 1;
    if (this.#iterations > ITERATIONS_MAX)
      for (const item of this.#items) if (!item.handed && item.state !== 'asked') this.lookup.failed(item);
    const on = [...this.#items, ...this.lookup.items].some(
      (item) =>
        item.state === 'load' || item.state === 'awaited' || (item.within === undefined && !item.handed && !item.whole),
    );
    if (!on || this.#iterations > ITERATIONS_MAX + 1) this.lookup.flights.landed();
    return on && this.#iterations <= ITERATIONS_MAX + 1;
  }

  #add(part: Part): void {
    if (part.context) {
      this.#past.push(part);
      return;
    }
    const { graph } = this.#run;
    const shape = graph.shapeOf(this.lookup.subgraph, part.unit);
    const worth = graph.worthOf(part.unit);
    const doubted = worth.doubted ? new Doubted(this.#run, this.lookup, shape, worth) : undefined;
    const items: Item[] = [];
    const past: number[] = [];
    const unseen: number[] = [];
    part.representations.forEach((text, index) => {
      if (doubted?.passes(text)) {
        unseen.push(index);
        return;
      }
      const item = this.#itemOf(part, index, text, (type) => shape.of(type));
      if (item) items.push(item);
      else past.push(index);
    });
    for (const item of items) this.#items.push(item);
    this.#worths.set(worth, items);
    if (past.length > 0) this.#past.push(past.length === part.representations.length ? part : subset(part, past));
    if (unseen.length === 0) return;
    worth.count(unseen.length, 0);
    doubted!.note();
    const rest = unseen.length === part.representations.length ? part : subset(part, unseen);
    this.#past.push({ ...rest, heard: this.#heardOf(rest, doubted!) });
  }

  /** Nothing is learned of what was not looked up, but if it cannot be had, what is kept of it may do. */
  #heardOf(part: Part, doubted: Doubted): Heard {
    return {
      apart: false,
      came: (answer, entities, _offset, headers) => passed(this.lookup, doubted.fields, answer, entities, headers),
      failed: async (offset, count) => {
        const rescued = new Map<number, JsonObject>();
        const texts = part.representations.slice(offset, offset + count);
        const { unit } = part;
        const shape = this.#run.graph.shapeOf(this.lookup.subgraph, unit);
        const lost = texts.flatMap((text, nth) => this.#itemOf(part, nth, text, (type) => shape.of(type)) ?? []);
        (await this.lookup.rescue(lost)).forEach((data, nth) => data && rescued.set(lost[nth]!.index, data));
        return rescued;
      },
    };
  }

  #itemOf(part: Part, index: number, text: string, of: (type: string) => Fields): Item | undefined {
    const representation = parseExactly(text) as JsonObject;
    const type = representation['__typename'];
    if (typeof type !== 'string') return undefined;
    const rule = this.#run.graph.rules.type(type);
    if (!rule || rule.abstract) return undefined;
    const fields = of(type);
    if (!this.lookup.mayKeepOf(fields)) return undefined;
    for (const { set, names } of rule.keys.get(this.lookup.subgraph) ?? []) {
      const key = keyOf(set, representation);
      // Only this process would know an entity again by a number that is kept to the digit.
      if (!key || hasMarked(JSON.stringify(key))) continue;
      const others = Object.entries(representation).filter(([name]) => name !== '__typename' && !names.has(name));
      const base = this.lookup.itemWithin(undefined, fields, key, {});
      const inputs = others.length === 0 ? '' : JSON.stringify(others.sort(([one], [other]) => (one < other ? -1 : 1)));
      return newItem({ ...base, part, index, representation: text, inputs });
    }
    return undefined;
  }

  /** What could not be put together from its pieces. */
  #whole(): void {
    for (const item of this.#items) {
      if (!item.whole || item.state !== 'load') continue;
      item.handed = true;
      item.missing = item.fields.list.map((_, index) => index);
    }
  }
}

/**
 * A part of a stranger's (worth.ts): nothing is looked up, found or kept, so it goes the way it would go without a cache. What the
 * client may keep of the answer is told all the same.
 */
export function askedByStranger(run: RunCache, subgraph: string, part: Part): Part {
  if (part.context) return part;
  const lookup = new Lookup(run, subgraph);
  const shape = run.graph.shapeOf(subgraph, part.unit);
  const counts = new Map<string, number>();
  let head = '';
  for (const text of part.representations) {
    // Those of one type mostly stand together.
    if (head === '' || !text.startsWith(head)) head = text.slice(0, text.indexOf('"', TYPENAME.length) + 1);
    counts.set(head, (counts.get(head) ?? 0) + 1);
  }
  const fields: Fields[] = [];
  for (const [begins, times] of counts) {
    const type = begins.slice(TYPENAME.length, -1);
    if (!begins.startsWith(TYPENAME) || run.graph.rules.type(type)?.abstract !== false) continue;
    const found = shape.of(type);
    if (!lookup.mayKeepOf(found)) continue;
    lookup.doubt(found, times);
    fields.push(found);
  }
  if (fields.length === 0) return part;
  return {
    ...part,
    heard: {
      apart: false,
      came: (answer, entities, _offset, headers) => passed(lookup, fields, answer, entities, headers),
      failed: async () => new Map(),
    },
  };
}

/** The entities of one part, where what it asks for is hardly ever found. */
class Doubted {
  readonly #run: RunCache;
  readonly #lookup: Lookup;
  readonly #shape: Shape;
  readonly #worth: Worth;
  /** By type; undefined: it is none of the cache's. */
  readonly #types = new Map<string, Passing | undefined>();

  constructor(run: RunCache, lookup: Lookup, shape: Shape, worth: Worth) {
    this.#run = run;
    this.#lookup = lookup;
    this.#shape = shape;
    this.#worth = worth;
  }

  /** Was it not asked for of late? Told from the text alone: to read it and make an item of it costs more than the rest together. */
  passes(text: string): boolean {
    if (!text.startsWith(TYPENAME)) return false;
    const type = text.slice(TYPENAME.length, text.indexOf('"', TYPENAME.length));
    let passing = this.#types.get(type);
    if (passing === undefined && !this.#types.has(type)) this.#types.set(type, (passing = this.#passing(type)));
    if (passing === undefined) return false;
    if (this.#run.graph.cache.seen.again(hashOf(text, passing.seed))) return false;
    passing.count += 1;
    return true;
  }

  note(): void {
    for (const passing of this.#types.values()) if (passing) this.#lookup.doubt(passing.fields, passing.count);
  }

  get fields(): Fields[] {
    return [...this.#types.values()].flatMap((passing) => (passing ? [passing.fields] : []));
  }

  #passing(type: string): Passing | undefined {
    if (this.#run.graph.rules.type(type)?.abstract !== false) return undefined;
    const fields = this.#shape.of(type);
    if (!this.#lookup.mayKeepOf(fields)) return undefined;
    return { fields, count: 0, seed: hashOf(this.#lookup.variantOf(fields), this.#worth.seed) };
  }
}

interface Passing {
  readonly fields: Fields;
  count: number;
  readonly seed: number;
}

const TYPENAME = '{"__typename":"';

/** Items that have to be loaded → parts, one for each part, type and set of missing fields. */
export function partsOf(
  run: RunCache,
  lookup: Lookup,
  items: readonly Item[],
  of: (item: Item) => { unit: Unit; fetch: CompiledEntities },
): Part[] {
  const groups = new Map<Unit, Map<Fields, Map<boolean, Map<string, Item[]>>>>();
  for (const item of items) {
    const { unit } = of(item);
    const within = item.within !== undefined;
    const byFields = groups.get(unit) ?? groups.set(unit, new Map()).get(unit)!;
    const byWithin = byFields.get(item.fields) ?? byFields.set(item.fields, new Map()).get(item.fields)!;
    const byMissing = byWithin.get(within) ?? byWithin.set(within, new Map()).get(within)!;
    const key = item.missing.join();
    const group = byMissing.get(key);
    if (group) group.push(item);
    else byMissing.set(key, [item]);
  }
  const parts: Part[] = [];
  for (const [unit, byFields] of groups)
    for (const [fields, byWithin] of byFields)
      for (const byMissing of byWithin.values()) {
        const sets =
          byMissing.size <= SETS_MAX
            ? [...byMissing.values()].map((group) => ({ group, wanted: group[0]!.missing }))
            : [{ group: [...byMissing.values()].flat(), wanted: unionOf([...byMissing.values()]) }];
        for (const { group, wanted } of sets)
          parts.push(partOf(lookup, run.graph.variant(unit, fields, wanted), of(group[0]!).fetch, group, wanted));
      }
  return parts;
}

export function refreshesOf(
  run: RunCache,
  lookup: Lookup,
  items: readonly Item[],
  of: (item: Item) => { unit: Unit; fetch: CompiledEntities },
): Part[] {
  return items.flatMap((item) => {
    if (item.refresh.length === 0 || item.only !== undefined || item.forgotten) return [];
    const wanted = item.refresh;
    item.refresh = [];
    const landed = lookup.flights.leadRefresh(item);
    if (!landed) return [];
    const { unit, fetch } = of(item);
    const part = partOf(lookup, run.graph.variant(unit, item.fields, wanted), fetch, [item], wanted);
    return [{ ...part, targets: [[]], groups: undefined, heard: heardBehind(lookup, item, wanted, landed) }];
  });
}

function heardBehind(lookup: Lookup, item: Item, wanted: readonly number[], landed: () => void): Heard {
  return {
    apart: true,
    came(answer, [value], _, headers) {
      lookup.learn([{ item, wanted, value }], answer, headers);
      landed();
    },
    async failed() {
      landed();
      return new Map();
    },
  };
}

function unionOf(groups: readonly Item[][]): number[] {
  return [...new Set(groups.flatMap(([item]) => item!.missing))].sort((one, other) => one - other);
}

function partOf(
  lookup: Lookup,
  unit: Unit,
  fetch: CompiledEntities,
  items: readonly Item[],
  wanted: readonly number[],
): Part {
  const [first] = items as [Item];
  const apart = first.within !== undefined;
  const groups = first.part?.groups;
  return {
    fetch,
    unit,
    representations: items.map(({ representation }) => representation),
    targets: apart ? items.map(({ data }) => [data]) : items.map(({ part, index }) => part!.targets[index]!),
    groups: apart || !groups ? undefined : items.map(({ part, index }) => part!.groups![index]!),
    context: undefined,
    heard: heardBy(lookup, items, wanted, apart),
  };
}

function heardBy(lookup: Lookup, items: readonly Item[], wanted: readonly number[], apart: boolean): Heard {
  return {
    apart,
    came(answer, entities, offset, headers) {
      const learned: Learned[] = [];
      entities.forEach((value, nth) => {
        const item = items[offset + nth]!;
        learned.push({ item, wanted, value });
        if (!apart || item.forgotten) return;
        if (isObject(value) && answer.errors.length === 0) {
          // What is learned below must not see it change: later fetches write into what was put in.
          lookup.completed(Object.assign(item, { data: Object.assign(item.data, structuredClone(value)) }));
        } else lookup.failed(item);
      });
      lookup.learn(learned, answer, headers);
    },
    async failed(offset, count) {
      const rescued = new Map<number, JsonObject>();
      const lost = items.slice(offset, offset + count);
      lookup.flights.land(lost);
      (await lookup.rescue(lost)).forEach((data, nth) => {
        const item = lost[nth]!;
        if (!apart && data) rescued.set(nth, data);
        else if (apart && data) lookup.completed(Object.assign(item, { data: Object.assign(item.data, data) }));
        else if (apart) lookup.failed(item);
      });
      return rescued;
    },
  };
}

function subset(part: Part, indices: readonly number[]): Part {
  return {
    ...part,
    representations: indices.map((index) => part.representations[index]!),
    targets: indices.map((index) => part.targets[index]!),
    groups: part.groups && indices.map((index) => part.groups![index]!),
  };
}
