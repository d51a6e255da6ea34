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
import { Askable, askedAs, Given, type TypesAt } from './askable.js';
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
  readonly #api: GraphQLSchema;
  readonly #whole: GraphQLSchema;
  readonly #joins: Joins;
  readonly #askable: Askable;

  constructor(supergraph: Supergraph, joins = new Joins(supergraph)) {
    const { schema, document } = supergraph;
    this.#api = schema;
    this.#whole = buildASTSchema(document, { assumeValidSDL: true, assumeValid: true });
    this.#joins = joins;
    this.#askable = new Askable(joins);
  }

  /**
   * `users.posts@Post.title`, or `posts: User.name` where a subgraph is asked for what it only knows by name (@external); throws when
   * an operation of the plan cannot be read.
   */
  uncovered(operation: string, kind: 'query' | 'mutation', plan: Plan): Set<string> {
    const brought: Brought = new Map();
    const left = new Set<string>();
    const types: TypesAt = new Map();
    const renames = new Set<string>();
    const root = (kind === 'query' ? this.#whole.getQueryType() : this.#whole.getMutationType())!.name;
    for (const fetch of fetchesOf(plan.root)) {
      const text = readFetchText(fetch.operation);
      if (fetch.kind === 'root') {
        const base = keysOf(fetch.path);
        const type = base === '' ? root : this.#whole.getQueryType()!.name;
        this.#askable.check(fetch.subgraph, type, text.selectionSet, left);
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
          this.#askable.check(
            fetch.subgraph,
            undefined,
            set,
            left,
            new Given(this.#joins, base, at, requires, brought),
          );
          this.#askable.typesAt(fetch.subgraph, undefined, set, base, types);
          this.#keys(this.#whole, set, base, at, brought);
          renamed(outputRewrites, base, brought, renames);
        }
      }
    }
    const wanted: Brought = new Map();
    this.#keys(this.#api, readFetchText(operation).selectionSet, '', new Set([root]), wanted);
    for (const key of wanted.keys()) {
      if (brought.has(key)) continue;
      const [place, field] = key.split('@') as [string, string];
      const possible = isRenamed(place, renames) ? undefined : types.get(place);
      // Whoever gives the object cannot give one of that type.
      if (possible && !possible.has(field.slice(0, field.indexOf('.')))) continue;
      left.add(key);
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
      const below = new Set<string>();
      for (const name of types) {
        note(found, `${place}@${name}.${key}`, askedAs(selection));
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
        const key = `${place}@${type}.${selection.read}`;
        if (!brought.has(key)) left.add(key);
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
    const type = schema.getType(name);
    return new Set(isAbstractType(type) ? schema.getPossibleTypes(type).map((one) => one.name) : [name]);
  }
}

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
    for (const [key, asked] of Array.from(brought)) {
      if (key.startsWith(`${place}@`) && key.endsWith(`.${last.key}`))
        for (const one of asked) note(brought, `${key.slice(0, -last.key.length)}${rewrite.to}`, one);
    }
  }
}

/** Of what is at such a place, or below it, the types are not known by their fetches' texts. */
function isRenamed(place: string, renames: ReadonlySet<string>): boolean {
  return [...renames].some((one) => place === one || place.startsWith(`${one}.`));
}

/** `users.posts@Post.title` → which fields were asked under that key, with which arguments. */
type Brought = Map<string, Set<string>>;

function note(brought: Brought, key: string, asked: string): void {
  const known = brought.get(key);
  if (known) known.add(asked);
  else brought.set(key, new Set([asked]));
}
