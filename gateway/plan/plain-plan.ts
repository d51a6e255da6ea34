import type { FieldNode, SelectionNode, SelectionSetNode } from 'graphql';
import { DraftSet, fetchNode, onType, type DraftFetch } from './draft.js';
import { fieldsIn, readFetchText, type FetchText } from './fetch-text.js';
import type { Joins } from './joins.js';
import { Needs, requiredOf, type Needed } from './needs.js';
import type { Path, Plan, Required, Rewrite } from './plan.js';
import type { Asked } from './planner.js';
import { asksTypename, fieldCount, fieldsOn, without } from './selected.js';
import { Ways, type Entry, type Here, type Reached, type Roots, type Way } from './ways.js';

/**
 * A plan by the rules alone, with no search for the cheapest: at every place whoever is there is asked for what it has, and the
 * rest is asked of the nearest subgraph that has it, by a key that is known by then. What a @requires needs is asked for under a
 * name of its own, so that nothing it needs can be taken for anything else. Fetches are listed in an order in which each finds what it
 * needs; which of them can go at once, gateway/run/compile.ts finds out.
 *
 * It is asked where the planners' plans do not pass the gateway's check (checks.ts), and itself has to pass it.
 */
export function plainPlan(joins: Joins, roots: Roots, asked: Asked, isOn: (label: string) => boolean): Plan {
  return new PlainPlan(joins, roots, asked, isOn).plan();
}

/** By the rules there is no way to a field, or looking for one took too long. */
export class NoPlan extends Error {}

interface Place {
  readonly path: Path;
  /** For the memory of who is asked about it. */
  readonly key: string;
}

class PlainPlan {
  readonly #joins: Joins;
  readonly #roots: Roots;
  readonly #ways: Ways;
  readonly #text: FetchText;
  readonly #mutation: boolean;
  readonly #fetches: DraftFetch[] = [];
  readonly #known = new Map<string, Here[]>();
  readonly #needs: Needs;
  #steps = 0;

  constructor(joins: Joins, roots: Roots, { query, kind }: Asked, isOn: (label: string) => boolean) {
    this.#joins = joins;
    this.#roots = roots;
    this.#ways = new Ways(joins, roots, isOn);
    this.#text = readFetchText(query);
    this.#mutation = kind === 'mutation';
    this.#needs = new Needs(joins, query);
  }

  plan(): Plan {
    const root = this.#mutation ? this.#roots.mutation! : this.#roots.query;
    const fields = fieldsOn(this.#joins, [this.#text.selectionSet], root);
    // Mutations go one after the other, each with all that follows from it.
    const steps = this.#mutation ? fields.map((field) => [field]) : [fields];
    steps.forEach((step, index) => {
      const place: Place = { path: [], key: this.#mutation ? `${index}` : '' };
      const lost = this.#obtain(place, root, step, this.#knownAt(place, root), []);
      if (lost.length > 0) throw new NoPlan(`No subgraph can be asked for ${root}.${lost[0]!.name.value}.`);
    });
    const nodes = this.#fetches.map((fetch) => fetchNode(fetch, this.#text));
    return { root: nodes.length === 1 ? nodes[0] : { kind: 'sequence', nodes } };
  }

  /** Asks for these fields of the object at the place; returns those that cannot be had. */
  #obtain(
    place: Place,
    type: string,
    fields: readonly FieldNode[],
    known: Here[],
    stack: readonly string[],
  ): FieldNode[] {
    const pending = fields.map((field) => ({ field, tried: new Set<string>() }));
    const lost: FieldNode[] = [];
    for (let one = pending.shift(); one; one = pending.shift()) {
      this.#step();
      const { field, tried } = one;
      if (field.name.value === '__typename') continue;
      const here = known.find((some) => !tried.has(some.subgraph) && this.#ways.has(some, field));
      if (here) {
        const left = this.#take(here, place, type, field);
        if (left) pending.push({ field: left, tried: new Set([...tried, here.subgraph]) });
        continue;
      }
      const way = this.#ways.way(type, field, known, tried);
      if (!way) {
        lost.push(field);
        continue;
      }
      const { entry, home } = way;
      const asked = `${entry.subgraph} ${entry.as}.${field.name.value}`;
      if (stack.includes(asked)) {
        pending.push({ field, tried: new Set([...tried, entry.subgraph]) });
        continue;
      }
      const needs = home.requires && this.#needs.of(place.key, home.requires, type);
      if (needs && this.#obtain(place, type, needs.fields, known, [...stack, asked]).length > 0) {
        pending.push({ field, tried: new Set([...tried, entry.subgraph]) });
        continue;
      }
      const there = this.#enter(place, type, way, known, needs);
      const left = this.#take(there, place, type, field);
      if (left) pending.push({ field: left, tried: new Set([...tried, entry.subgraph]) });
    }
    return lost;
  }

  /** Puts the field into the fetch; returns what has to be asked elsewhere of what is below it. */
  #take(here: Here, place: Place, type: string, field: FieldNode): FieldNode | undefined {
    const name = field.name.value;
    const home = this.#joins.home(here.as, name, here.subgraph)!;
    const below = here.set.add(here.as, field, home.type, field.selectionSet && home.named);
    if (!below) return undefined;
    const key = field.alias?.value ?? name;
    const lists = Array.from({ length: home.lists }, () => ({ kind: 'list' as const }));
    const at: Place = {
      path: [...place.path, ...onlyFor(type, here.set), { kind: 'key', key }, ...lists],
      key: `${place.key}/${type}.${key}`,
    };
    const provided = this.#ways.providedBelow(here, name, home);
    const left = this.#select(at, field.selectionSet!, {
      subgraph: here.subgraph,
      as: home.named,
      set: below,
      provided,
      given: '',
    });
    if (left.length === 0) return undefined;
    if (this.#mutation && place.path.length === 0) throw new NoPlan(`${type}.${name} would have to be run twice.`);
    return { ...field, selectionSet: fieldsIn(left) };
  }

  /** Asks for what is selected of an object that a fetch gives; returns what cannot be had this way. */
  #select(place: Place, set: SelectionSetNode, here: Here): SelectionNode[] {
    this.#step();
    const { subgraph, as } = here;
    const joined = this.#joins.types.get(as);
    if (joined?.subgraphs.get(subgraph)?.isInterfaceObject) return this.#selectInterfaceObject(place, set, here);
    const types = joined && joined.kind !== 'object' ? (joined.members.get(subgraph) ?? []) : [as];
    return [...types].flatMap((type): SelectionNode[] => {
      const fields = fieldsOn(this.#joins, [set], type);
      const provided = here.provided.flatMap((one) =>
        this.#joins.possible(as).size > 1 ? [fieldsIn(fieldsOn(this.#joins, [one], type))] : [one],
      );
      const known = this.#knownAt(place, type);
      known.push({ ...here, as: type, provided });
      const lost = this.#obtain(place, type, fields, known, []);
      return lost.length > 0 ? [onType(type, lost)] : [];
    });
  }

  /** It says of the object what every implementation has. What it is, and what only that has, another subgraph knows. */
  #selectInterfaceObject(place: Place, set: SelectionSetNode, here: Here): SelectionNode[] {
    const type = here.as;
    const known = this.#knownAt(place, type);
    known.push(here);
    const common = fieldsOn(this.#joins, [set], type);
    const isCommon = common.length === fieldCount(set) && !asksTypename(set);
    const own = isCommon ? common : common.filter((field) => this.#ways.has(here, field));
    const lost = this.#obtain(place, type, own, known, []);
    if (isCommon && lost.length === 0) return [];
    const rest = isCommon ? fieldsIn(lost) : fieldsIn([...without(set, new Set(own)), ...lost]);
    const reached = this.#ways.reach(type, known);
    const entries = [...(this.#joins.types.get(type)?.subgraphs ?? [])].flatMap(
      ([subgraph, { keys, isInterfaceObject }]) =>
        isInterfaceObject ? [] : keys.map((key): Entry => ({ subgraph, as: type, key })),
    );
    const entry = entries.find(({ key }) => this.#ways.isReached(key, reached));
    if (!entry) return rest.selections.slice();
    const there = this.#enter(place, type, { entry, reached }, known, undefined, true);
    return this.#select(place, rest, there);
  }

  /** Adds the fetch, and those on the way to it. */
  #enter(
    place: Place,
    type: string,
    { entry, reached }: Pick<Way, 'entry' | 'reached'>,
    known: Here[],
    needs: Needed | undefined,
    asksType = false,
  ): Here {
    const given = needs?.text ?? '';
    const there = known.find(
      (one) => one.subgraph === entry.subgraph && one.as === entry.as && one.given === given && one.given !== '',
    );
    if (there) return there;
    const isRoot = this.#ways.isRoot(type);
    const outputRewrites: Rewrite[] = [];
    const set = new DraftSet(isRoot ? type : undefined, asksType, outputRewrites);
    if (!isRoot) for (const field of entry.key.selections) this.#takeKey(place, type, field, reached, known);
    const requires: Required[] = [
      { kind: 'field', read: '__typename', name: '__typename', selections: undefined },
      ...requiredOf(entry.key),
      ...(needs?.required ?? []),
    ];
    const typeStep = { kind: 'types' as const, types: [type] };
    const isAbstract = this.#joins.types.get(type)?.kind !== 'object';
    this.#fetches.push({
      subgraph: entry.subgraph,
      path: isRoot || isAbstract ? place.path : [...place.path, typeStep],
      set,
      requires: isRoot ? undefined : [{ kind: 'type', type, selections: requires }],
      inputRewrites:
        entry.as === type
          ? []
          : [{ kind: 'set', path: [typeStep, { kind: 'key', key: '__typename' }], value: entry.as }],
      outputRewrites,
      mutation: this.#mutation && type === this.#roots.mutation,
    });
    const here: Here = { subgraph: entry.subgraph, as: entry.as, set, provided: [], given };
    if (!asksType) known.push(here);
    return here;
  }

  #takeKey(place: Place, type: string, field: SelectionNode, reached: readonly Reached[], known: Here[]): void {
    const source = this.#ways.sourceOf(field, reached)!;
    const { subgraph, as } = source;
    const here =
      source.here ??
      known.find((one) => one.subgraph === subgraph && one.as === as && one.given === '') ??
      this.#enter(
        place,
        type,
        { entry: source.entry!, reached: reached.slice(0, reached.indexOf(source)) },
        known,
        undefined,
      );
    for (const one of fieldsOn(this.#joins, [fieldsIn([field])], as)) this.#take(here, place, type, one);
  }

  #knownAt({ key }: Place, type: string): Here[] {
    const at = `${key} ${type}`;
    let known = this.#known.get(at);
    if (!known) this.#known.set(at, (known = []));
    return known;
  }

  #step(): void {
    this.#steps += 1;
    if (this.#steps > STEPS_MAX) throw new NoPlan(`Planning by the rules took more than ${STEPS_MAX} steps.`);
  }
}

/** About one for each field and subgraph on the way: far more than an operation within the limits takes. */
const STEPS_MAX = 5_000;

/** An object that may be of several types is passed only where it is of this one. */
function onlyFor(type: string, set: DraftSet): Path {
  return set.type === type ? [] : [{ kind: 'types', types: [type] }];
}
