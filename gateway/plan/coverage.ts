import {
  buildASTSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  Kind,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import type { Supergraph } from '../supergraph/supergraph.js';
import { Askable, askedAs, Given, type IsOn, type TypesAt } from './askable.js';
import { Brought } from './brought.js';
import { entitiesField, readFetchText } from './fetch-text.js';
import { Joins } from './joins.js';
import { fetchesOf, type Path, type Plan, type Required, type Rewrite } from './plan.js';

/**
 * Follows a plan on paper: for every place of the answer and every type that an object there can have, which keys do the
 * fetches bring? What the operation asks for, or a fetch needs, and nobody brings is returned.
 *
 * A planner that silently leaves a field out is the worst kind of wrong: the client would be told null. A key may still be left out
 * rightly, because no object of that type can be there, so this is a reason to ask the other planner, not a verdict.
 */
export class Coverage {
  /** Whoever looks plans of one supergraph over shares what is known of it. */
  static of(supergraph: Supergraph): Coverage {
    let coverage = COVERAGES.get(supergraph);
    if (!coverage) COVERAGES.set(supergraph, (coverage = new Coverage(supergraph)));
    return coverage;
  }

  readonly #api: GraphQLSchema;
  readonly #whole: GraphQLSchema;
  readonly joins: Joins;
  /** Plans looked over so far, by this thread: for tests. */
  looked = 0;
  readonly #askable: Askable;
  readonly #possibleTypes = new WeakMap<GraphQLSchema, Map<string, ReadonlySet<string>>>();

  private constructor(supergraph: Supergraph) {
    const joins = new Joins(supergraph);
    const { schema, document } = supergraph;
    this.#api = schema;
    this.#whole = buildASTSchema(document, { assumeValidSDL: true, assumeValid: true });
    this.joins = joins;
    this.#askable = new Askable(joins);
  }

  /**
   * `users.posts@Post.title`, or `posts: User.name` where a subgraph is asked for what it only knows by name (@external); throws when
   * an operation of the plan cannot be read.
   */
  uncovered(operation: string, kind: 'query' | 'mutation', plan: Plan, isOn?: IsOn): Set<string> {
    this.looked += 1;
    const brought = new Brought();
    const left = new Set<string>();
    const types: TypesAt = new Map();
    const renames = new Set<string>();
    const root = (kind === 'query' ? this.#whole.getQueryType() : this.#whole.getMutationType())!.name;
    for (const fetch of fetchesOf(plan.root)) {
      const text = readFetchText(fetch.operation);
      if (fetch.kind === 'root') {
        const base = keysOf(fetch.path);
        const type = base === '' ? root : this.#whole.getQueryType()!.name;
        this.#askable.check(fetch.subgraph, type, text.selectionSet, left, { isOn });
        this.#askable.typesAt(fetch.subgraph, type, text.selectionSet, base, types);
        this.#keys(this.#whole, text.selectionSet, base, new Set([type]), brought);
        renamed(fetch.outputRewrites, base, brought, renames);
        continue;
      }
      for (const { alias, paths, requires, outputRewrites } of fetch.entities) {
        const set = entitiesField(text, alias).selectionSet!;
        for (const path of paths) {
          const base = keysOf(path);
          const at = this.#typesAt(path, requires);
          for (const type of at) this.#needs(requires, base, type, brought, left);
          const given = new Given(this.joins, base, at, requires, brought);
          this.#askable.check(fetch.subgraph, undefined, set, left, { given, isOn });
          this.#askable.typesAt(fetch.subgraph, undefined, set, base, types);
          this.#keys(this.#whole, set, base, at, brought);
          renamed(outputRewrites, base, brought, renames);
        }
      }
    }
    const wanted = new Brought();
    this.#keys(this.#api, readFetchText(operation).selectionSet, '', new Set([root]), wanted);
    for (const { place, type, key } of wanted.all()) {
      if (brought.fields(place, type, key)) continue;
      const possible = isRenamed(place, renames) ? undefined : types.get(place);
      // Whoever gives the object cannot give one of that type.
      if (possible && !possible.has(type)) continue;
      left.add(`${place}@${type}.${key}`);
    }
    return left;
  }

  /** Adds every key that the selection writes, for each of the types that the object can have. */
  #keys(schema: GraphQLSchema, set: SelectionSetNode, place: string, types: ReadonlySet<string>, found: Brought): void {
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value;
        this.#keys(
          schema,
          selection.selectionSet,
          place,
          condition === undefined ? types : common(types, this.#possible(schema, condition)),
          found,
        );
        continue;
      }
      if (selection.kind !== Kind.FIELD || selection.name.value === '__typename') continue;
      const key = selection.alias?.value ?? selection.name.value;
      const asked = askedAs(selection);
      const below = new Set<string>();
      for (const name of types) {
        found.note(place, name, key, asked);
        const type = schema.getType(name);
        const field = isObjectType(type) ? type.getFields()[selection.name.value] : undefined;
        const inner = field && getNamedType(field.type);
        if (isCompositeType(inner)) for (const one of this.#possible(schema, inner.name)) below.add(one);
      }
      if (selection.selectionSet && below.size > 0)
        this.#keys(schema, selection.selectionSet, place === '' ? key : `${place}.${key}`, below, found);
    }
  }

  /** A fetch can only ask with what earlier ones brought. */
  #needs(requires: readonly Required[], place: string, type: string, brought: Brought, left: Set<string>): void {
    for (const selection of requires) {
      if (selection.kind === 'type') {
        if (selection.type === '' || this.#possible(this.#whole, selection.type).has(type))
          this.#needs(selection.selections, place, type, brought, left);
      } else if (selection.read !== '__typename') {
        if (!brought.fields(place, type, selection.read)) left.add(`${place}@${type}.${selection.read}`);
      }
    }
  }

  #typesAt(path: Path, requires: readonly Required[]): Set<string> {
    const asked = new Set(
      requires.flatMap((one) => (one.kind === 'type' ? [...this.#possible(this.#whole, one.type)] : [])),
    );
    const last = path.at(-1);
    return last?.kind === 'types'
      ? common(asked, new Set(last.types.flatMap((type) => [...this.#possible(this.#whole, type)])))
      : asked;
  }

  #possible(schema: GraphQLSchema, name: string): ReadonlySet<string> {
    let known = this.#possibleTypes.get(schema);
    if (!known) this.#possibleTypes.set(schema, (known = new Map()));
    let possible = known.get(name);
    if (!possible) {
      const type = schema.getType(name);
      possible = new Set(isAbstractType(type) ? schema.getPossibleTypes(type).map((one) => one.name) : [name]);
      // Only names of the schema's own.
      if (type) known.set(name, possible);
    }
    return possible;
  }
}

const COVERAGES = new WeakMap<Supergraph, Coverage>();

function common(one: ReadonlySet<string>, other: ReadonlySet<string>): Set<string> {
  return new Set([...one].filter((item) => other.has(item)));
}

function keysOf(path: Path): string {
  return path.flatMap((step) => (step.kind === 'key' ? [step.key] : [])).join('.');
}

/** A renamed key is brought under its new name, for whatever type the old one was. */
function renamed(rewrites: readonly Rewrite[], base: string, brought: Brought, renames: Set<string>): void {
  for (const rewrite of rewrites) {
    const last = rewrite.path.at(-1);
    if (rewrite.kind !== 'rename' || last?.kind !== 'key') continue;
    const parents = rewrite.path.slice(0, -1).flatMap((step) => (step.kind === 'key' ? [step.key] : []));
    const place = [...(base === '' ? [] : [base]), ...parents].join('.');
    renames.add(place === '' ? rewrite.to : `${place}.${rewrite.to}`);
    brought.rename(place, last.key, rewrite.to);
  }
}

/** Of what is at such a place, or below it, the types are not known by their fetches' texts. */
function isRenamed(place: string, renames: ReadonlySet<string>): boolean {
  if (renames.size === 0) return false;
  for (let end = place.indexOf('.'); end >= 0; end = place.indexOf('.', end + 1))
    if (renames.has(place.slice(0, end))) return true;
  return renames.has(place);
}
