import { parse, Kind, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';
import { allStale, entityNames as nameOf, staleEntity } from '#libs/cache';
import { traced, type Span } from '#libs/telemetry';
import type { RequestContext } from '../engine.js';
import { readFetchText } from '../plan/fetch-text.js';
import type { CompiledRoot, Unit } from '../run/compile.js';
import type { JsonObject } from '../run/json.js';
import type { TypeFamilies } from '../run/types.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import type { EntityCache } from './entity-cache.js';
import { CacheRules } from './rules.js';
import { RunCache, type CacheDoor, type Variable, type Variants } from './run-cache.js';
import { Shapes, textOf, type Fields, type Shape } from './shape.js';
import { entitiesIn } from './values.js';
import { Worth } from './worth.js';

type Definitions = readonly { readonly name: string; readonly definition: string }[];

/** A root fetch taken apart. */
export interface RootShape {
  readonly shape: Shape;
  /** Of its root type. */
  readonly fields: Fields;
  readonly definitions: Definitions;
  /** `{"query":…` that asks only for some of its fields; `{"query":…}` goes on with variables. */
  head(missing: readonly number[]): { head: string; variables: readonly string[] };
  /** Stands for entities that were found in its answers, when they are asked about by themselves. */
  readonly unit: Unit;
}

/** The cache as it is for one supergraph: what may be kept by its rules, compiled once for each selection. */
export class GraphCache {
  readonly rules: CacheRules;
  /** Subgraphs that said by a header that something may be kept: there also fields without a hint are looked for. */
  readonly speaking = new Set<string>();
  readonly #shapes = new Map<string, Shapes>();
  readonly #units = new WeakMap<Unit, Shape>();
  readonly #roots = new WeakMap<CompiledRoot, RootShape>();
  readonly #worths = new WeakMap<Unit | CompiledRoot, Worth>();
  /** Weak by fields, too: beyond a number of types they are made anew for each request (shape.ts). */
  readonly #variants = new WeakMap<Unit, WeakMap<Fields, Map<string, Unit>>>();

  constructor(
    readonly cache: EntityCache,
    supergraph: Supergraph,
    readonly families: TypeFamilies,
  ) {
    this.rules = new CacheRules(supergraph);
  }

  /** For one execution of one operation. */
  run(context: RequestContext, variable: Variable, door: CacheDoor, variants: Variants): RunCache {
    return new RunCache(this, context, variable, door, variants);
  }

  /** Ends what is kept of the entities that a mutation answered. True when nobody can read it any more. */
  changed(fetch: CompiledRoot, answer: JsonObject, trace?: Span): Promise<boolean> {
    const { shape } = this.rootOf(fetch);
    const stale: { entities: string[]; epochs: string[] }[] = [];
    entitiesIn(shape, answer, (fields, key) => stale.push(staleEntity(fetch.subgraph, fields.type, key)));
    const { records } = this.cache;
    const all = allStale([...stale, { epochs: [nameOf.nothing(fetch.subgraph)] }]);
    return traced(trace, ...records.span('drop'), () => records.drop(all));
  }

  shapeOf(subgraph: string, unit: Unit): Shape {
    let shape = this.#units.get(unit);
    if (!shape) {
      shape = this.#shapesOf(subgraph).shape('_Entity', [selectionIn(`query${unit.selection}`)]);
      this.#units.set(unit, shape);
    }
    return shape;
  }

  /** A mutation that also asks for the keys of what it changes, whether its client does or not. */
  identified(fetch: CompiledRoot): { head: string; variables: readonly string[] } {
    const root = this.rootOf(fetch);
    return root.head(root.fields.list.map((_, index) => index));
  }

  rootOf(fetch: CompiledRoot): RootShape {
    let root = this.#roots.get(fetch);
    if (!root) {
      root = this.#root(fetch);
      this.#roots.set(fetch, root);
    }
    return root;
  }

  worthOf(asked: Unit | CompiledRoot): Worth {
    let worth = this.#worths.get(asked);
    if (!worth) this.#worths.set(asked, (worth = new Worth()));
    return worth;
  }

  /** The unit asking only for some fields, about entities of one type. */
  variant(unit: Unit, fields: Fields, wanted: readonly number[]): Unit {
    let byFields = this.#variants.get(unit);
    if (!byFields) this.#variants.set(unit, (byFields = new WeakMap()));
    let byWanted = byFields.get(fields);
    if (!byWanted) byFields.set(fields, (byWanted = new Map()));
    const key = wanted.join();
    let variant = byWanted.get(key);
    if (!variant) {
      variant = variantOf(unit, fields, wanted);
      if (byWanted.size < VARIANTS_MAX) byWanted.set(key, variant);
    }
    return variant;
  }

  #root(fetch: CompiledRoot): RootShape {
    const text = readFetchText(fetch.operation);
    const [shapes, type] = fetch.mutation
      ? [this.#changing(fetch.subgraph), this.rules.mutation]
      : [this.#shapesOf(fetch.subgraph), this.rules.query];
    const shape = shapes.shape(type, [text.selectionSet]);
    const fields = shape.of(type);
    const definitions = [...text.variables].map(([name, definition]) => ({ name, definition }));
    const heads = new Map<string, { head: string; variables: readonly string[] }>();
    const unit: Unit = {
      id: nextId(),
      selection: '',
      alone: { head: '', alias: '_entities', variable: 'representations', operation: '' },
      variables: definitions,
      locators: [fetch.locator],
      represent: undefined as never,
      shared: true,
      exact: fetch.exact,
      rewrite: undefined,
      topKeys: fetch.topKeys,
      context: [],
      contextDefinitions: new Map(),
    };
    return {
      shape,
      fields,
      definitions,
      unit,
      head: (missing) => {
        const key = missing.join();
        let made = heads.get(key);
        if (!made) {
          const operation = fetch.mutation ? 'mutation' : 'query';
          const body = textOf(fields, (index) => missing.includes(index)).replace(/^\.\.\.on [^{]*/, '');
          const used = usedIn(body, definitions);
          const parameters = used.length === 0 ? '' : `(${used.map(({ definition }) => definition).join(',')})`;
          made = {
            head: `{"query":${JSON.stringify(`${operation}${parameters}${body}`)}`,
            variables: used.map(({ name }) => name),
          };
          if (heads.size < VARIANTS_MAX) heads.set(key, made);
        }
        return made;
      },
    };
  }

  /** For mutations. */
  #changing(subgraph: string): Shapes {
    return new Shapes(subgraph, this.rules, this.families, this.cache.count, true);
  }

  #shapesOf(subgraph: string): Shapes {
    let shapes = this.#shapes.get(subgraph);
    if (!shapes) {
      shapes = new Shapes(subgraph, this.rules, this.families, this.cache.count);
      this.#shapes.set(subgraph, shapes);
    }
    return shapes;
  }
}

/** Which of its fields are missing makes another text. Beyond so many they are made anew each time. */
const VARIANTS_MAX = 64;

function variantOf(unit: Unit, fields: Fields, wanted: readonly number[]): Unit {
  const set = new Set(wanted);
  const selection = `{${textOf(fields, (index) => set.has(index))}}`;
  const variables = usedIn(selection, unit.variables);
  const definitions = ['$representations:[_Any!]!', ...variables.map(({ definition }) => definition)].join(',');
  const operation = `query(${definitions}){_entities(representations:$representations)${selection}}`;
  return {
    ...unit,
    id: nextId(),
    selection,
    variables,
    alone: {
      head: `{"query":${JSON.stringify(operation)}`,
      alias: '_entities',
      variable: 'representations',
      operation,
    },
    topKeys: wanted.map((index) => fields.list[index]!.key).filter((key) => key !== '__typename'),
  };
}

function usedIn(text: string, definitions: Definitions): Definitions {
  if (definitions.length === 0) return definitions;
  const names = new Set(Array.from(text.matchAll(/\$(\w+)/g), ([, name]) => name!));
  return definitions.filter(({ name }) => names.has(name));
}

function selectionIn(text: string): SelectionSetNode {
  const [definition] = parse(text, { noLocation: true }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error('A selection is an operation without a name.');
  return (definition as OperationDefinitionNode).selectionSet;
}

/** Away from those that compiled operations count from 0. */
let lastId = 1_000_000_000;
function nextId(): number {
  lastId += 1;
  return lastId;
}
