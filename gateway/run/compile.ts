import type { GraphQLSchema } from 'graphql';
import type { NormalOperation } from '../plan/normalise.js';
import type { Entities, EntityFetch, Plan, PlanNode, Required, Rewrite, RootFetch } from '../plan/plan.js';
import {
  asksForAny,
  entitiesField,
  join,
  placesIn,
  readFetchText,
  textOfSelections,
  topKeys,
  variablesIn,
  type FetchText,
} from '../plan/fetch-text.js';
import { locator, type Locator } from './locate.js';
import { compileProjection, type Projection } from './projection.js';
import { Representer } from './representation.js';
import { outputRewriter, type OutputRewriter } from './rewrite.js';
import type { TypeFamilies } from './types.js';

/** Everything about one normalised operation and one schema that does not change by request. */
export interface Compiled {
  readonly fetches: readonly CompiledFetch[];
  /** Fetches that need nothing of the answer. */
  readonly first: readonly CompiledFetch[];
  /** Its client writes. */
  readonly mutation: boolean;
  readonly projection: Projection;
  /** Request texts of fetches that travelled together, by their ids. */
  readonly together: Map<string, string>;
}

export type CompiledFetch = CompiledRoot | CompiledEntities;

interface Scheduled {
  readonly id: number;
  readonly subgraph: string;
  /** How many fetches must have ended before this one. */
  needs: number;
  /** Those that wait for this one. */
  readonly next: CompiledFetch[];
}

export interface CompiledRoot extends Scheduled {
  readonly kind: 'root';
  readonly mutation: boolean;
  readonly operation: string;
  /** `{"query":"…"` up to the variables. */
  readonly head: string;
  readonly variables: readonly string[];
  /** Custom scalars are asked for: their numbers are kept to the digit. */
  readonly exact: boolean;
  readonly locator: Locator;
  readonly atRoot: boolean;
  readonly topKeys: readonly string[];
  readonly rewrite: OutputRewriter | undefined;
}

export interface CompiledEntities extends Scheduled {
  readonly kind: 'entities';
  /** The planner's batch, kept together with MERGE=plan; otherwise one. */
  readonly units: readonly Unit[];
}

/** One `_entities` field. */
export interface Unit {
  readonly id: number;
  /** `{...on User{name}}` */
  readonly selection: string;
  readonly alone: {
    readonly head: string;
    readonly alias: string;
    readonly variable: string;
    readonly operation: string;
  };
  readonly variables: readonly { readonly name: string; readonly definition: string }[];
  readonly exact: boolean;
  readonly locators: readonly Locator[];
  readonly represent: Representer;
  /** May what came for one path be the same object at another? Not where later fetches write different things below it. */
  shared: boolean;
  readonly rewrite: OutputRewriter | undefined;
  readonly topKeys: readonly string[];
  readonly context: Entities['contextRewrites'];
  readonly contextDefinitions: ReadonlyMap<string, string>;
}

export interface CompileOptions {
  readonly plan: Plan;
  readonly operation: NormalOperation;
  readonly schema: GraphQLSchema;
  readonly families: TypeFamilies;
  /** Names of fields that are custom scalars. */
  readonly custom: ReadonlySet<string>;
  /** Keep the planner's batches instead of sending each part when its inputs are there. */
  readonly keepBatches: boolean;
}

export function compile(options: CompileOptions): Compiled {
  const scheduler = new Scheduler(options);
  if (options.plan.root) markUnshared(scheduler.add(options.plan.root, []));
  return {
    fetches: scheduler.fetches,
    first: scheduler.fetches.filter((fetch) => fetch.needs === 0),
    mutation: options.operation.definition.operation === 'mutation',
    projection: compileProjection(options.operation, options.schema),
    together: new Map(),
  };
}

/** A fetch with what decides its turn: the places that it reads and those that it writes. */
interface Placed {
  readonly fetch: CompiledFetch;
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
}

/**
 * The planner answers with waves: everything in a step waits for the whole step before. What a fetch really waits for is
 * less: those who write a place on its path or a field that its representations are made of. Only fetches of earlier steps
 * can, so the result is an order that the planner's tree allows. Mutations keep the tree: their order is their meaning.
 */
class Scheduler {
  readonly fetches: CompiledFetch[] = [];
  readonly #options: CompileOptions;
  #units = 0;

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  add(node: PlanNode, earlier: readonly Placed[]): Placed[] {
    switch (node.kind) {
      case 'parallel':
        return node.nodes.flatMap((child) => this.add(child, earlier));
      case 'sequence': {
        const before = [...earlier];
        for (const child of node.nodes) before.push(...this.add(child, before));
        return before.slice(earlier.length);
      }
      case 'root':
        return [this.#place(this.#root(node), earlier)];
      case 'entities': {
        const parts = this.#options.keepBatches ? [node.entities] : node.entities.map((entities) => [entities]);
        const text = readFetchText(node.operation);
        return parts.map((part) => this.#place(this.#entities(node, text, part), earlier));
      }
    }
  }

  #place(placed: Placed, earlier: readonly Placed[]): Placed {
    const inOrder = this.#options.operation.definition.operation === 'mutation';
    const hasContext = placed.fetch.kind === 'entities' && placed.fetch.units.some((unit) => unit.context.length > 0);
    let suppliers = inOrder || hasContext ? earlier : earlier.filter(({ writes }) => intersects(placed.reads, writes));
    // An entity fetch whose supplier is not seen would start before there is anything to ask about.
    if (suppliers.length === 0 && placed.fetch.kind === 'entities') suppliers = earlier;
    for (const { fetch } of suppliers) {
      fetch.next.push(placed.fetch);
      placed.fetch.needs += 1;
    }
    this.fetches.push(placed.fetch);
    return placed;
  }

  #root(node: RootFetch): Placed {
    const text = readFetchText(node.operation);
    const where = locator(node.path, this.#options.families);
    const fetch: CompiledRoot = {
      kind: 'root',
      id: this.fetches.length,
      subgraph: node.subgraph,
      needs: 0,
      next: [],
      mutation: node.operationKind === 'mutation',
      operation: node.operation,
      head: `{"query":${JSON.stringify(node.operation)}`,
      variables: [...text.variables.keys()],
      exact: asksForAny(text.selectionSet, this.#options.custom),
      locator: where,
      atRoot: node.path.length === 0,
      topKeys: [...topKeys(text.selectionSet)],
      rewrite: outputRewriter(node.outputRewrites, this.#options.families),
    };
    const base = where.keys.join('.');
    const writes = placesIn(text.selectionSet, base);
    for (const place of renamed(node.outputRewrites, base)) writes.add(place);
    return { fetch, reads: prefixes(where.keys), writes };
  }

  #entities(node: EntityFetch, text: FetchText, parts: readonly Entities[]): Placed {
    const reads = new Set<string>();
    const writes = new Set<string>();
    const units = parts.map((part) => {
      const { unit, set } = this.#unit(node, text, part);
      for (const { keys } of unit.locators) {
        const base = keys.join('.');
        for (const place of prefixes(keys)) reads.add(place);
        requiredPlaces(part.requires, base, reads);
        placesIn(set, base, writes);
        for (const place of renamed(part.outputRewrites, base)) writes.add(place);
      }
      return unit;
    });
    return {
      fetch: { kind: 'entities', id: this.fetches.length, subgraph: node.subgraph, needs: 0, next: [], units },
      reads,
      writes,
    };
  }

  #unit(
    node: EntityFetch,
    text: FetchText,
    part: Entities,
  ): { unit: Unit; set: NonNullable<ReturnType<typeof entitiesField>['selectionSet']> } {
    const { families } = this.#options;
    const set = entitiesField(text, part.alias).selectionSet!;
    const used = variablesIn(set);
    const contextual = new Set(part.contextRewrites.map(({ variable }) => variable));
    const variables = [...text.variables].flatMap(([name, definition]) =>
      used.has(name) && !contextual.has(name) ? [{ name, definition }] : [],
    );
    const selection = textOfSelections(set);
    const only = node.entities.length === 1;
    const definitions = [`$representations:[_Any!]!`, ...variables.map(({ definition }) => definition)].join(',');
    const operation = only
      ? node.operation
      : `query(${definitions}){_entities(representations:$representations)${selection}}`;
    const unit: Unit = {
      id: this.#units++,
      selection,
      alone: {
        head: `{"query":${JSON.stringify(operation)}`,
        alias: only ? part.alias : '_entities',
        variable: only ? part.variable : 'representations',
        operation,
      },
      variables,
      exact: asksForAny(set, this.#options.custom),
      locators: part.paths.map((path) => locator(path, families)),
      represent: new Representer(part.requires, part.inputRewrites, families),
      rewrite: outputRewriter(part.outputRewrites, families),
      shared: part.contextRewrites.length === 0,
      topKeys: [...topKeys(set)].filter((key) => key !== '__typename'),
      context: part.contextRewrites,
      contextDefinitions: new Map([...text.variables].filter(([name]) => contextual.has(name))),
    };
    return { unit, set };
  }
}

/**
 * A unit with several paths answers for all of them at once. What it brings is taken over at each path, and later fetches
 * write below it: if they write the same at every path, the paths may share the objects; if not, each gets its own.
 */
function markUnshared(placed: readonly Placed[]): void {
  for (const { fetch } of placed) {
    if (fetch.kind !== 'entities') continue;
    for (const unit of fetch.units) {
      if (unit.locators.length < 2) continue;
      const below = unit.locators.map(({ keys }) => writtenBelow(keys.join('.'), unit, placed));
      if (below.some((text) => text !== below[0])) unit.shared = false;
    }
  }
}

function writtenBelow(base: string, unit: Unit, placed: readonly Placed[]): string {
  const found: string[] = [];
  for (const { fetch, writes } of placed) {
    for (const key of unit.topKeys) {
      const start = `${join(base, key)}.`;
      for (const place of writes) if (place.startsWith(start)) found.push(`${fetch.id} ${place.slice(start.length)}`);
    }
  }
  return found.sort().join();
}

function intersects(reads: ReadonlySet<string>, writes: ReadonlySet<string>): boolean {
  for (const place of reads) if (writes.has(place)) return true;
  return false;
}

/** `[a, b]` → `a`, `a.b`: objects that must be there before anything can be asked about them. */
function prefixes(keys: readonly string[]): Set<string> {
  const places = new Set<string>();
  let base = '';
  for (const key of keys) {
    base = join(base, key);
    places.add(base);
  }
  return places;
}

function requiredPlaces(requires: readonly Required[], base: string, places: Set<string>): void {
  for (const selection of requires) {
    if (selection.kind === 'type') {
      requiredPlaces(selection.selections, base, places);
      continue;
    }
    const place = join(base, selection.read);
    places.add(place);
    if (selection.selections) requiredPlaces(selection.selections, place, places);
  }
}

/** Where renamed keys end up. */
function renamed(rewrites: readonly Rewrite[], base: string): string[] {
  return rewrites.flatMap((rewrite) => {
    if (rewrite.kind !== 'rename') return [];
    const parents = rewrite.path.slice(0, -1).flatMap((step) => (step.kind === 'key' ? [step.key] : []));
    return [[...(base === '' ? [] : [base]), ...parents, rewrite.to].join('.')];
  });
}
