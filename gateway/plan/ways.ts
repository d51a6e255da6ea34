import { Kind, type FieldNode, type SelectionNode, type SelectionSetNode } from 'graphql';
import type { DraftSet } from './draft.js';
import { fieldsIn, textOfSelections } from './fetch-text.js';
import { fieldsNamed, type Home, type Joins } from './joins.js';

export interface Roots {
  readonly query: string;
  readonly mutation: string | undefined;
}

/** A subgraph that is asked about the object at a place. */
export interface Here {
  readonly subgraph: string;
  /** What it calls the object; not the object's type where it only knows the interface. */
  readonly as: string;
  readonly set: DraftSet;
  /** What the field that led here provides besides. */
  readonly provided: readonly SelectionSetNode[];
  /** What it was given besides the key. */
  readonly given: string;
}

/** As far as it matters for what it can be asked. */
type Asked = Pick<Here, 'subgraph' | 'as' | 'provided' | 'given'>;

/** A way into a subgraph: by a key of the object's type there, or of an interface that is an object there. */
export interface Entry {
  readonly subgraph: string;
  readonly as: string;
  readonly key: SelectionSetNode;
}

export interface Reached {
  readonly subgraph: string;
  readonly as: string;
  readonly here: Here | undefined;
  readonly entry: Entry | undefined;
}

interface Reach {
  readonly reached: readonly Reached[];
  /** Each way in, also into what is reached already, for a field that requires something is asked there again; and what is reached by then. */
  readonly entries: readonly { readonly entry: Entry; readonly reached: readonly Reached[] }[];
}

export interface Way {
  readonly entry: Entry;
  readonly home: Home;
  /** All that can be reached by then, in the order in which it was. */
  readonly reached: readonly Reached[];
}

/** Who can be asked for what about an object, and how to get there from those who are asked already. */
export class Ways {
  readonly #joins: Joins;
  readonly #roots: Roots;
  readonly #isOn: (label: string) => boolean;
  readonly #entriesOf = new Map<string, readonly Entry[]>();
  /** A list of those who are asked only grows: as long as it has not, what can be reached from it is the same. */
  readonly #reachOf = new WeakMap<readonly Here[], Reach & { readonly type: string; readonly length: number }>();

  constructor(joins: Joins, roots: Roots, isOn: (label: string) => boolean) {
    this.#joins = joins;
    this.#roots = roots;
    this.#isOn = isOn;
  }

  isRoot(type: string): boolean {
    return type === this.#roots.query || type === this.#roots.mutation;
  }

  /** Can it be asked for the field right where it is? */
  has({ subgraph, as, provided, given }: Asked, field: FieldNode): boolean {
    const name = field.name.value;
    if (provided.some((set) => fieldsNamed(set, name).length > 0)) return true;
    const home = this.#joins.home(as, name, subgraph);
    if (!home || !this.#isActive(home) || (home.external && !this.#isInKey(as, subgraph, name))) return false;
    return home.requires === undefined || textOfSelections(home.requires) === given;
  }

  /** All of it, with nobody else's help? */
  #hasWhole(here: Asked, set: SelectionSetNode): boolean {
    return set.selections.every((selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const as = selection.typeCondition?.name.value ?? here.as;
        return this.#hasWhole({ ...here, as }, selection.selectionSet);
      }
      if (selection.kind !== Kind.FIELD) return false;
      if (selection.name.value === '__typename') return true;
      if (!this.has(here, selection)) return false;
      if (!selection.selectionSet) return true;
      const home = this.#joins.home(here.as, selection.name.value, here.subgraph)!;
      const provided = this.providedBelow(here, selection.name.value, home);
      return this.#hasWhole({ subgraph: here.subgraph, as: home.named, provided, given: '' }, selection.selectionSet);
    });
  }

  #isActive({ overridden, contextual, label }: Home): boolean {
    return !overridden && !contextual && (label === undefined || this.#isOn(label.name) === label.on);
  }

  #isInKey(type: string, subgraph: string, field: string): boolean {
    const keys = this.#joins.types.get(type)?.subgraphs.get(subgraph)?.allKeys ?? [];
    return keys.some((key) => fieldsNamed(key, field).length > 0);
  }

  providedBelow({ provided }: Pick<Here, 'provided'>, name: string, home: Home): SelectionSetNode[] {
    const below = provided.flatMap((set) => fieldsNamed(set, name).flatMap(({ selectionSet }) => selectionSet ?? []));
    return home.provides ? [...below, home.provides] : below;
  }

  /** The nearest subgraph that has the field and can be asked about the object. */
  way(type: string, field: FieldNode, known: readonly Here[], tried: ReadonlySet<string>): Way | undefined {
    if (this.isRoot(type)) {
      const homes = this.#joins.types.get(type)?.fields.get(field.name.value) ?? new Map<string, Home>();
      for (const [subgraph, home] of homes)
        if (!tried.has(subgraph) && this.#isActive(home) && !home.external)
          return { entry: { subgraph, as: type, key: fieldsIn([]) }, home, reached: [] };
      return undefined;
    }
    let first: Way | undefined;
    for (const { entry, reached } of this.#reach(type, known).entries) {
      const home = this.#joins.home(entry.as, field.name.value, entry.subgraph);
      const usable =
        home &&
        this.#isActive(home) &&
        !tried.has(entry.subgraph) &&
        (!home.external || this.#isInKey(entry.as, entry.subgraph, field.name.value));
      if (!usable) continue;
      if (!home.requires) return { entry, home, reached };
      first ??= { entry, home, reached };
    }
    return first;
  }

  /** Everything that can be asked about the object, the nearest first. */
  reach(type: string, known: readonly Here[]): readonly Reached[] {
    return this.#reach(type, known).reached;
  }

  #reach(type: string, known: readonly Here[]): Reach {
    const before = this.#reachOf.get(known);
    if (before?.type === type && before.length === known.length) return before;
    const reach = { ...this.#reachNow(type, known), type, length: known.length };
    this.#reachOf.set(known, reach);
    return reach;
  }

  #reachNow(type: string, known: readonly Here[]): Reach {
    const reached: Reached[] = known.map((here) => ({ subgraph: here.subgraph, as: here.as, here, entry: undefined }));
    const entries = this.#entries(type);
    const told = new Map<Entry, Reach['entries'][number]>();
    for (let grown = true; grown;) {
      grown = false;
      const so = reached.slice();
      for (const entry of entries) {
        if (told.has(entry) || !this.isReached(entry.key, so)) continue;
        told.set(entry, { entry, reached: so });
        if (reached.some(({ subgraph, as }) => subgraph === entry.subgraph && as === entry.as)) continue;
        reached.push({ subgraph: entry.subgraph, as: entry.as, here: undefined, entry });
        grown = true;
      }
    }
    return { reached, entries: [...told.values()] };
  }

  #entries(type: string): readonly Entry[] {
    let entries = this.#entriesOf.get(type);
    if (!entries) this.#entriesOf.set(type, (entries = this.#entriesNow(type)));
    return entries;
  }

  #entriesNow(type: string): Entry[] {
    const joined = this.#joins.types.get(type);
    return [type, ...(joined?.interfaces ?? [])].flatMap((as) =>
      [...(this.#joins.types.get(as)?.subgraphs ?? [])].flatMap(([subgraph, { keys, isInterfaceObject }]) =>
        as === type
          ? (joined?.kind === 'object' || isInterfaceObject ? keys : []).map((key) => ({ subgraph, as, key }))
          : isInterfaceObject
            ? keys.map((key) => ({ subgraph, as, key }))
            : [],
      ),
    );
  }

  isReached(key: SelectionSetNode, reached: readonly Reached[]): boolean {
    return key.selections.every((field) => this.sourceOf(field, reached) !== undefined);
  }

  sourceOf(field: SelectionNode, reached: readonly Reached[]): Reached | undefined {
    return reached.find(({ subgraph, as, here }) =>
      this.#hasWhole(here ?? { subgraph, as, provided: [], given: '' }, fieldsIn([field])),
    );
  }
}
