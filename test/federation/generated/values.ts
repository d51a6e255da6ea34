import { Kind, parse, valueFromASTUntyped, type SelectionSetNode } from 'graphql';
import { hash } from './choose.js';
import { HUES, INSTANCES, isLeaf, type Field, type Key, type Model, type ObjectType, type TypeRef } from './model.js';

/** An object as resolvers pass it on. Everything else about it follows from these. */
export interface Thing {
  readonly __typename: string;
  readonly id: string;
  /** What came with the representation, for @requires. */
  readonly given?: Readonly<Record<string, unknown>>;
  /** What the field that led here provides besides. */
  readonly provided?: ReadonlySet<string>;
}

/** What is wrong while one operation runs, and how many mutations have run. */
export interface Moment {
  /** `Type.field` */
  readonly failing: ReadonlySet<string>;
  /** This subgraph answers nothing. */
  readonly down: string | undefined;
  /** Does a field that could have come from elsewhere count as lost too? For the monolith. */
  readonly pessimistic: boolean;
  turns: number;
}

/**
 * The one logical data set: every value follows from type, id, field and arguments. So each subgraph says the same as the
 * monolith, unless it is asked for what it does not own, or with other arguments or required fields.
 */
export class Values {
  readonly #model: Model;
  readonly #selections = new Map<string, SelectionSetNode>();

  constructor(model: Model) {
    this.#model = model;
  }

  field(typename: string, name: string): Field {
    const { objects, interfaces } = this.#model;
    const field = objects.get(typename)?.fields.get(name) ?? interfaces.get(typename)?.added.get(name);
    if (!field) throw new Error(`the world has no ${typename}.${name}`);
    return field;
  }

  /** An @interfaceObject knows its key and what it adds; which implementation it is, it does not say. */
  keyOf(thing: Thing, name: string): Field {
    return this.field(thing.id.replace(/-\d+$/, ''), name);
  }

  /** The whole truth, with whatever fails at this moment. */
  monolith(thing: Thing, field: Field, args: Readonly<Record<string, unknown>>, moment: Moment): unknown {
    this.#refuse(thing, field, moment);
    const required =
      field.requires === undefined ? undefined : this.#select(this.#selection(field.requires), thing, moment);
    return this.#value(thing, field, args, required, moment);
  }

  /** What one subgraph makes of being asked. */
  subgraph(
    subgraph: string,
    thing: Thing,
    field: Field,
    args: Readonly<Record<string, unknown>>,
    moment: Moment,
  ): unknown {
    const home = field.homes.get(subgraph);
    if (home?.role === 'stale') throw new Error(`${subgraph} was asked for ${field.name}, which is overridden.`);
    if (home?.role === 'external' && !thing.provided?.has(field.name)) {
      throw new Error(`${subgraph} was asked for ${field.name}, which is external there.`);
    }
    if (moment.failing.has(nameOf(thing, field))) throw new Error(`${field.name} fails`);
    const required = field.requires === undefined ? undefined : this.#required(thing, this.#selection(field.requires));
    const value = this.#value(thing, field, args, required, moment);
    return home?.provides === undefined ? value : this.#providing(value, this.#selection(home.provides));
  }

  /**
   * What a resolver finds of what it requires: in the representation, or in the object itself where the field that led here provides
   * it. A planner may then ask for both in one fetch, and nobody outside need say it.
   */
  #required(thing: Thing, selection: SelectionSetNode): Record<string, unknown> {
    const own = selection.selections.filter((one) => one.kind === Kind.FIELD && thing.provided?.has(one.name.value));
    const provided = this.#select({ ...selection, selections: own }, thing, CALM);
    return picked(selection, { ...provided, ...thing.given });
  }

  /** Null: this subgraph does not know it. */
  byRepresentation(subgraph: string, representation: Readonly<Record<string, unknown>>): Thing | null {
    const typename = String(representation['__typename']);
    const object = this.#model.objects.get(typename);
    const members = object
      ? [object]
      : this.#model.interfaces.get(typename)!.members.map((name) => this.#model.objects.get(name)!);
    const keys: readonly Key[] = object ? object.homes.get(subgraph)! : [{ fields: 'id', resolvable: true }];
    for (const member of members) {
      for (let index = 0; index < INSTANCES; index += 1) {
        const thing: Thing = { __typename: member.name, id: `${member.name}-${index}` };
        for (const key of keys) {
          const selection = this.#selection(key.fields);
          const given = JSON.stringify(picked(selection, representation));
          if (key.resolvable && given === JSON.stringify(this.#select(selection, thing, CALM))) {
            if (forgotten(object, thing, subgraph)) return null;
            // Who has an interface as an entity says which implementation it is; an @interfaceObject cannot.
            const known = object ?? this.#model.interfaces.get(typename)?.objectAt !== subgraph;
            return { __typename: known ? member.name : typename, id: thing.id, given: representation };
          }
        }
      }
    }
    throw new Error(`${subgraph} was asked for ${JSON.stringify(representation)}, which is no entity of it.`);
  }

  // Values

  #value(
    thing: Thing,
    field: Field,
    args: Readonly<Record<string, unknown>>,
    required: unknown,
    moment: Moment,
  ): unknown {
    if (field.name === 'turn') return (moment.turns += 1);
    if (thing.__typename === 'Mutation') moment.turns += 1;
    const object = this.#model.objects.get(thing.__typename);
    if (field.key) return field.key(Number(/-(\d+)$/.exec(thing.id)![1]));
    if (thing.__typename === 'Place' && field.name === 'no') return Number(/-(\d+)\.place$/.exec(thing.id)?.[1] ?? 0);
    // Only what is its own is lost with it, not what it may provide of others.
    const lost = object?.forgetful === undefined ? undefined : field.homes.get(object.forgetful)?.role;
    if (lost !== undefined && lost !== 'external' && forgotten(object, thing, object!.forgetful!)) return null;
    const turn = thing.__typename === 'Mutation' ? moment.turns : 0;
    const typename = field.of ?? thing.__typename;
    const seed = hash(
      [this.#model.seed, typename, thing.id, field.name, canonical(args), JSON.stringify(required), turn].join('|'),
    );
    return this.#made(field.type, seed, field);
  }

  #made(type: TypeRef, seed: number, field: Field): unknown {
    if (!type.nonNull && seed % 7 === 0) return null;
    if (type.list)
      return Array.from({ length: seed % 3 }, (_, index) => this.#made(type.list, hash(`${seed} ${index}`), field));
    const random = hash(`${seed} value`);
    if (isLeaf(type.name)) return leaf(type.name, random);
    const typename = field.gives[random % field.gives.length]!;
    const entity = this.#model.objects.get(typename)!.kind === 'entity';
    return {
      __typename: typename,
      id: entity ? `${typename}-${(random >> 8) % INSTANCES}` : `v${random.toString(36)}`,
    };
  }

  #providing(value: unknown, selection: SelectionSetNode): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#providing(item, selection));
    if (value === null || typeof value !== 'object') return value;
    const thing = value as Thing;
    const provided = new Set<string>();
    for (const one of selection.selections) {
      if (one.kind === Kind.FIELD) provided.add(one.name.value);
      else if (one.kind === Kind.INLINE_FRAGMENT && one.typeCondition!.name.value === thing.__typename) {
        for (const inner of one.selectionSet.selections) if (inner.kind === Kind.FIELD) provided.add(inner.name.value);
      }
    }
    return { ...thing, provided };
  }

  /** What a FieldSet reads of an object. */
  #select(selection: SelectionSetNode, thing: Thing, moment: Moment): Record<string, unknown> {
    const selected: Record<string, unknown> = {};
    for (const node of selection.selections) {
      if (node.kind !== Kind.FIELD) continue;
      const field = this.field(thing.__typename, node.name.value);
      const args = this.#argumentsOf(
        field,
        Object.fromEntries((node.arguments ?? []).map((one) => [one.name.value, valueFromASTUntyped(one.value)])),
      );
      const walk = (value: unknown): unknown => {
        if (Array.isArray(value)) return value.map(walk);
        return value !== null && node.selectionSet ? this.#select(node.selectionSet, value as Thing, moment) : value;
      };
      selected[node.name.value] = walk(this.monolith(thing, field, args, moment));
    }
    return selected;
  }

  /** As graphql-js would coerce what a FieldSet says. */
  #argumentsOf(field: Field, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const args: Record<string, unknown> = {};
    for (const { name, type, default: otherwise } of field.args) {
      if (name in given) args[name] = coerced(type, given[name]);
      else if (otherwise !== undefined) args[name] = valueFromASTUntyped(literal(otherwise));
    }
    return args;
  }

  #selection(fields: string): SelectionSetNode {
    let selection = this.#selections.get(fields);
    if (!selection) {
      const definition = parse(`{ ${fields.replaceAll('\\"', '"')} }`).definitions[0]!;
      if (definition.kind !== Kind.OPERATION_DEFINITION) throw new Error(`not a field set: ${fields}`);
      selection = definition.selectionSet;
      this.#selections.set(fields, selection);
    }
    return selection;
  }

  #refuse(thing: Thing, field: Field, { failing, down, pessimistic }: Moment): void {
    if (failing.has(nameOf(thing, field))) throw new Error(`${field.name} fails`);
    if (down === undefined) return;
    const owners = [...field.homes].filter(([, { role }]) => role === 'owns').map(([home]) => home);
    const object = this.#model.objects.get(thing.__typename)!;
    if (object.kind === 'value') return;
    // Who has the interface as an object knows its key.
    if (field.key && field.name === 'id')
      for (const name of object.interfaces) {
        const at = this.#model.interfaces.get(name)?.objectAt;
        if (at !== undefined) owners.push(at);
      }
    const hit = pessimistic
      ? this.#mayNeed(object, field, down)
      : owners.every((home) => home === down) && ![...field.homes.values()].some(({ role }) => role === 'external');
    if (hit) throw new Error(`${down} is down`);
  }

  /** Entities may be found, and types told, by way of the subgraph that is down. */
  #mayNeed(object: ObjectType, field: Field, down: string): boolean {
    if (object.kind === 'root') {
      const owners = [...field.homes.keys()];
      return owners.includes(down) || field.gives.some((name) => this.#model.objects.get(name)!.banned.size > 0);
    }
    return object.homes.has(down) || object.banned.size > 0;
  }
}

export const CALM: Moment = { failing: new Set(), down: undefined, pessimistic: false, turns: 0 };

export function nameOf(thing: Thing, field: Field): string {
  return `${field.of ?? thing.__typename}.${field.name}`;
}

function forgotten(object: ObjectType | undefined, thing: Thing, subgraph: string): boolean {
  return object?.forgetful === subgraph && thing.id.endsWith('-1');
}

/** The same fields of a representation. */
function picked(selection: SelectionSetNode, from: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const selected: Record<string, unknown> = {};
  for (const node of selection.selections) {
    if (node.kind !== Kind.FIELD) continue;
    const walk = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(walk);
      const object = node.selectionSet && value !== null && typeof value === 'object';
      return object ? picked(node.selectionSet, value as Record<string, unknown>) : value;
    };
    selected[node.name.value] = walk(from[node.name.value]);
  }
  return selected;
}

function leaf(name: string, random: number): unknown {
  switch (name) {
    case 'Int':
      return random % 9 === 0 ? -2147483648 : (random % 2000) - 1000;
    case 'Float':
      return (random % 1000) / 8;
    case 'Boolean':
      return random % 2 === 0;
    case 'ID':
      return `id ${random % 10}`;
    case 'Hue':
      return HUES[random % HUES.length];
    case 'Blob':
      return [1.5, 'text', true, { a: [null, { b: 'ü' }] }, [], {}][random % 6];
    default:
      return (
        ['plain', 'with "quotes" and \\', 'ünï ☃ 👩‍🚀', 'line\nbreak\u2028', '', '\u0000'][random % 6]! + (random % 10)
      );
  }
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function coerced(type: string, value: unknown): unknown {
  if (value === null) return null;
  if (type === '[ID!]') return (Array.isArray(value) ? value : [value]).map(String);
  if (type === 'Filter') {
    const { also, ...others } = value as Record<string, unknown>;
    return { max: 3, ...others, ...(also !== undefined && { also: coerced(type, also) }) };
  }
  return value;
}

function literal(text: string) {
  const definition = parse(`{ a(b: ${text}) }`).definitions[0]!;
  if (definition.kind !== Kind.OPERATION_DEFINITION) throw new Error('not an operation');
  const field = definition.selectionSet.selections[0]!;
  if (field.kind !== Kind.FIELD) throw new Error('not a field');
  return field.arguments![0]!.value;
}
