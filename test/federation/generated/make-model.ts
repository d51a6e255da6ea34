import type { Choose } from './choose.js';
import {
  INSTANCES,
  LEAVES,
  isLeaf,
  namedOf,
  type Argument,
  type Field,
  type Home,
  type InterfaceType,
  type Key,
  type Model,
  type ObjectType,
  type TypeRef,
} from './model.js';

/** A world that composes by construction: what a rule of composition forbids is not chosen, rather than thrown away. */
export function makeModel(seed: number, choose: Choose): Model {
  return new Maker(seed, choose).make();
}

const SUBGRAPHS = ['ant', 'bee', 'cat-fish', 'd_og'];
const ENTITIES = ['User', 'Post', 'Shop', 'Film', 'Book'];
const VALUES = ['Size', 'Money', 'Spot'];

class Maker {
  readonly #choose: Choose;
  readonly #model: Model;
  #names = 0;

  constructor(seed: number, choose: Choose) {
    this.#choose = choose;
    const subgraphs = SUBGRAPHS.slice(0, 2 + choose.below(3));
    this.#model = { seed, subgraphs, objects: new Map(), interfaces: new Map(), unions: new Map() };
  }

  make(): Model {
    this.#entities();
    this.#interfaceObject();
    this.#values();
    this.#interfaces();
    this.#unions();
    for (const entity of this.#ofKind('entity')) this.#fieldsOf(entity);
    for (const entity of this.#ofKind('entity')) this.#requiring(entity);
    this.#addedToInterfaces();
    this.#roots();
    this.#close();
    return this.#model;
  }

  #ofKind(kind: ObjectType['kind']): ObjectType[] {
    return [...this.#model.objects.values()].filter((type) => type.kind === kind);
  }

  #name(prefix: string): string {
    return `${prefix}${(this.#names += 1)}`;
  }

  // Types

  #entities(): void {
    const choose = this.#choose;
    for (const name of ENTITIES.slice(0, 2 + choose.below(4))) {
      const keys = choose.one([
        ['id'],
        ['id'],
        ['id', 'code'],
        ['half rest'],
        ['id', 'half rest'],
        ['place { no }'],
        ['id', 'place { no }'],
        ['code id'],
        ['id', 'code', 'half rest'],
      ]);
      const [hub, ...others] = choose.some(this.#model.subgraphs, choose.chance(80) ? 2 : 1);
      const type: ObjectType = {
        name,
        kind: 'entity',
        fields: new Map(),
        keys,
        homes: new Map([[hub!, keys.map(resolvable)]]),
        interfaces: [],
        banned: new Set(),
      };
      for (const other of others) type.homes.set(other, choose.some(keys, 1).map(resolvable));
      this.#model.objects.set(name, type);
    }
  }

  /** One subgraph may know an interface as an object. It then knows none of the implementations. */
  #interfaceObject(): void {
    const choose = this.#choose;
    const { subgraphs, interfaces } = this.#model;
    if (subgraphs.length < 2 || !choose.chance(40)) return;
    const objectAt = choose.one(subgraphs);
    const keyAt = choose.one(subgraphs.filter((one) => one !== objectAt));
    const members = choose.some(this.#ofKind('entity'), 2, 3);
    for (const member of members) {
      const withId = [...new Set(['id', ...member.keys])];
      Object.assign(member, { keys: withId });
      const homes = [...member.homes.keys()].filter((home) => home !== objectAt && home !== keyAt);
      member.homes.clear();
      member.homes.set(keyAt, withId.map(resolvable));
      for (const home of homes) member.homes.set(home, [...new Set(['id', ...choose.some(withId, 1)])].map(resolvable));
      member.banned.add(objectAt);
    }
    this.#addInterface({
      name: 'Thing',
      members: members.map(({ name }) => name),
      homes: new Map([[keyAt, []]]),
      keyAt,
      objectAt,
      added: new Map(),
    });
    interfaces.get('Thing')!.homes.set(objectAt, []);
  }

  #addInterface(type: InterfaceType): void {
    this.#model.interfaces.set(type.name, type);
    for (const name of type.members) this.#model.objects.get(name)!.interfaces.push(type.name);
  }

  #values(): void {
    const choose = this.#choose;
    const { subgraphs, objects } = this.#model;
    const place: ObjectType = this.#value('Place');
    // A part of keys: without it nobody can be asked about anything.
    place.fields.set('no', { ...this.#plain('no', { name: 'Int', nonNull: true }, subgraphs), needed: true });
    place.fields.set('zone', this.#plain('zone', { name: 'String', nonNull: false }, subgraphs));
    for (const name of VALUES.slice(0, 1 + choose.below(3))) {
      const type = this.#value(name);
      const others = this.#ofKind('value').filter((one) => one !== type && one !== place);
      const targets = [...others, ...this.#ofKind('entity').filter(({ banned }) => banned.size === 0)];
      for (let i = choose.below(3); i >= 0; i -= 1) {
        const named = targets.length > 0 && choose.chance(30) ? choose.one(targets).name : choose.one(LEAVES);
        const field = this.#plain(this.#name('v'), this.#wrapped(named), subgraphs, this.#arguments());
        type.fields.set(field.name, field);
      }
      objects.set(name, type);
    }
  }

  #value(name: string): ObjectType {
    const type: ObjectType = {
      name,
      kind: 'value',
      fields: new Map(),
      keys: [],
      homes: new Map(),
      interfaces: [],
      banned: new Set(),
    };
    this.#model.objects.set(name, type);
    return type;
  }

  #interfaces(): void {
    const choose = this.#choose;
    for (const name of choose.some(['Named', 'Dated'], 0)) {
      const members = choose.some(
        this.#ofKind('entity').filter(({ banned }) => banned.size === 0),
        2,
        3,
      );
      if (members.length < 2) continue;
      for (const member of members) {
        Object.assign(member, { keys: [...new Set(['id', ...member.keys])] });
        for (const [home, keys] of member.homes) {
          const first = home === [...member.homes.keys()][0];
          const fields = first ? member.keys : ['id', ...keys.map((key) => key.fields)];
          member.homes.set(home, [...new Set(fields)].map(resolvable));
        }
      }
      const primary = choose.one([...members[0]!.homes.keys()]);
      this.#addInterface({
        name,
        members: members.map((one) => one.name),
        homes: new Map([[primary, []]]),
        keyAt: undefined,
        objectAt: undefined,
        added: new Map(),
      });
    }
    for (const type of this.#model.interfaces.values()) this.#interfaceFields(type);
  }

  /** Where the interface declares a field, all its implementations there have it; elsewhere they have it from anywhere. */
  #interfaceFields(type: InterfaceType): void {
    const choose = this.#choose;
    const primary = type.keyAt ?? [...type.homes.keys()][0]!;
    for (let i = choose.below(3); i > 0; i -= 1) {
      const name = this.#name('i');
      const ref = this.#wrapped(choose.chance(25) ? this.#ofKind('value').at(-1)!.name : choose.one(LEAVES));
      const args = this.#arguments();
      for (const member of type.members) {
        const { fields, homes } = this.#model.objects.get(member)!;
        const home = homes.has(primary) ? primary : choose.one([...homes.keys()]);
        fields.set(name, { ...this.#plain(name, ref, [home], args), needed: true });
      }
      type.homes.get(primary)!.push(name);
    }
  }

  #unions(): void {
    const choose = this.#choose;
    const { subgraphs, objects, unions } = this.#model;
    if (!choose.chance(70)) return;
    const all = [...this.#ofKind('entity'), ...this.#ofKind('value').filter(({ name }) => name !== 'Place')];
    const members = choose.some(all, 2, 4).map(({ name }) => name);
    const homes = new Map<string, readonly string[]>();
    for (const subgraph of subgraphs) {
      const here = members.filter((name) => {
        const type = objects.get(name)!;
        return type.kind === 'value' || type.homes.has(subgraph);
      });
      if (here.length > 0) homes.set(subgraph, choose.some(here, 1));
    }
    unions.set('Either', { name: 'Either', homes });
  }

  // Fields

  #fieldsOf(type: ObjectType): void {
    const choose = this.#choose;
    for (const key of type.keys) this.#keyFields(type, key);
    const others = [...type.homes.keys()].slice(1);
    // Of several keys a planner may ask anybody who has them, also who does not know this one.
    const forgets = others.length > 0 && type.interfaces.length === 0 && type.keys.length === 1;
    if (forgets && choose.chance(20)) type.forgetful = choose.one(others);
    for (const subgraph of type.homes.keys()) {
      for (let i = choose.below(4); i > 0; i -= 1) this.#field(type, subgraph);
    }
  }

  #keyFields(type: ObjectType, key: string): void {
    const homes = [...type.homes].filter(([, keys]) => keys.some(({ fields }) => fields === key)).map(([home]) => home);
    const add = (name: string, named: string, of: (index: number) => unknown) => {
      const known = type.fields.get(name);
      if (known) {
        for (const home of homes) known.homes.set(home, { role: 'owns', directives: [] });
        return;
      }
      const field = this.#plain(name, { name: named, nonNull: true }, homes);
      type.fields.set(name, { ...field, key: of, needed: true, ...(named === 'Place' && { gives: ['Place'] }) });
    };
    for (const name of key.match(/^\w+ \{|\w+/g)!) {
      if (name === 'id') add('id', 'ID', (index) => `${type.name}-${index}`);
      if (name === 'code') add('code', 'String', (index) => `"${type.name}" № ${index}`);
      if (name === 'half') add('half', 'Int', (index) => index >> 1);
      if (name === 'rest') add('rest', 'Int', (index) => index & 1);
      if (name === 'place {')
        add('place', 'Place', (index) => ({ __typename: 'Place', id: `${type.name}-${index}.place`, no: index }));
    }
  }

  #field(type: ObjectType, subgraph: string): void {
    const choose = this.#choose;
    const forgetful = type.forgetful === subgraph;
    const ref = nullable(this.#anyType(subgraph), forgetful);
    const named = namedOf(ref);
    const home: Home = { role: 'owns', directives: [], ...this.#provides(named, subgraph) };
    const field: Field = {
      name: this.#name('f'),
      type: ref,
      args: this.#arguments(),
      gives: this.#concrete(named, [subgraph]),
      homes: new Map([[subgraph, home]]),
    };
    type.fields.set(field.name, field);
    const others = [...type.homes.keys()].filter((other) => other !== subgraph && other !== type.forgetful);
    if (others.length === 0 || forgetful || home.provides !== undefined) return;
    const other = choose.one(others);
    const fits = isLeaf(named) || this.#model.objects.get(named)?.kind === 'value';
    const shape = choose.below(10);
    if (shape < 2 && (fits || this.#concrete(named, [subgraph, other]).length > 0)) {
      Object.assign(field, { gives: this.#concrete(named, [subgraph, other]) });
      home.directives.push('@shareable');
      const strict = !ref.nonNull && choose.chance(15) && fits;
      if (strict) Object.assign(field, { type: { ...ref, nonNull: true }, needed: true });
      field.homes.set(subgraph, strict ? { ...home, strict: false } : home);
      field.homes.set(other, { role: 'owns', directives: ['@shareable'], ...(strict && { strict: true }) });
    } else if (shape === 2 && fits) {
      home.directives.push(`@override(from: "${other}"${choose.chance(30) ? ', label: "percent(100)"' : ''})`);
      field.homes.set(other, { role: home.directives[0]!.includes('label') ? 'owns' : 'stale', directives: [] });
    } else if (shape === 3) {
      home.directives.push('@inaccessible');
      field.inaccessible = true;
    }
  }

  #anyType(subgraph: string): TypeRef {
    const { objects, interfaces, unions } = this.#model;
    if (this.#choose.chance(50)) return this.#wrapped(this.#choose.one(LEAVES));
    const targets = [
      ...[...objects.values()].filter((type) => !type.banned.has(subgraph) && type.name !== 'Place'),
      ...[...interfaces.values()].filter((type) => this.#concrete(type.name, [subgraph]).length > 0),
      ...[...unions.values()].filter((type) => type.homes.has(subgraph)),
    ].map(({ name }) => name);
    return this.#wrapped(this.#choose.one(targets.filter((name) => name !== 'Query' && name !== 'Mutation')));
  }

  /** What a field of this type may give, so that each of these subgraphs can say it. */
  #concrete(named: string, subgraphs: readonly string[]): string[] {
    const { objects, interfaces, unions } = this.#model;
    const type = interfaces.get(named);
    if (type) {
      if (subgraphs.some((one) => one === type.objectAt)) {
        return subgraphs.every((one) => one === type.objectAt || one === type.keyAt) ? [...type.members] : [];
      }
      return type.members.filter((member) => subgraphs.every((one) => objects.get(member)!.homes.has(one)));
    }
    const union = unions.get(named);
    if (union) {
      const lists = subgraphs.map((one) => union.homes.get(one) ?? []);
      return lists[0]!.filter((member) => lists.every((list) => list.includes(member)));
    }
    const object = objects.get(named);
    return object && subgraphs.every((one) => !object.banned.has(one)) ? [named] : [];
  }

  #provides(named: string, subgraph: string): { provides?: string } {
    const choose = this.#choose;
    if (!choose.chance(35)) return {};
    const { objects, interfaces } = this.#model;
    if (interfaces.get(named)?.objectAt === subgraph) return {};
    const parts = this.#concrete(named, [subgraph]).flatMap((member) => {
      const type = objects.get(member)!;
      if (type.kind !== 'entity') return [];
      const fields = [...type.fields.values()].filter(
        (field) =>
          field.args.length === 0 &&
          !field.requires &&
          this.#foreign(type, field, subgraph) &&
          isLeaf(namedOf(field.type)),
      );
      const chosen = choose.some(fields, 0, 2);
      for (const field of chosen) {
        // What another provides it resolves too, so its owner has to share it.
        for (const { role, directives } of field.homes.values())
          if (role === 'owns' && !directives.includes('@shareable')) directives.push('@shareable');
        external(field, subgraph);
      }
      if (chosen.length === 0) return [];
      const text = chosen.map(({ name }) => name).join(' ');
      return [member === named ? text : `... on ${member} { ${text} }`];
    });
    return parts.length > 0 ? { provides: parts.join(' ') } : {};
  }

  /** Resolved elsewhere, and only there. */
  #foreign(type: ObjectType, field: Field, subgraph: string): boolean {
    const home = field.homes.get(subgraph);
    if (
      (home && home.role !== 'external') ||
      field.key ||
      field.of !== undefined ||
      (type.forgetful && field.homes.has(type.forgetful))
    )
      return false;
    return [...field.homes.values()].every(
      ({ role, directives }) => role !== 'stale' && directives.every((text) => !text.includes('override')),
    );
  }

  #requiring(type: ObjectType): void {
    const choose = this.#choose;
    for (const [subgraph, keys] of type.homes) {
      if (!choose.chance(45) || !keys.some(({ resolvable: yes }) => yes) || type.forgetful === subgraph) continue;
      for (let i = choose.below(3); i >= 0; i -= 1) {
        const candidates = [...type.fields.values()].filter(
          (field) =>
            this.#foreign(type, field, subgraph) && (isLeaf(namedOf(field.type)) || this.#flat(namedOf(field.type))),
        );
        const required = choose.some(candidates, 1, 2);
        if (required.length === 0) continue;
        const text = required.map((field) => {
          external(field, subgraph);
          field.needed = true;
          return this.#select(field);
        });
        const field: Field = {
          name: this.#name('r'),
          type: this.#anyType(subgraph),
          args: this.#arguments(),
          gives: [],
          homes: new Map([[subgraph, { role: 'owns', directives: [] }]]),
          requires: text.join(' '),
        };
        Object.assign(field, { gives: this.#concrete(namedOf(field.type), [subgraph]) });
        type.fields.set(field.name, field);
      }
    }
  }

  /** A value type of which something can be asked in one step. */
  #flat(name: string): boolean {
    const type = this.#model.objects.get(name);
    return type?.kind === 'value' && [...type.fields.values()].some((field) => isLeaf(namedOf(field.type)));
  }

  #select(field: Field): string {
    const choose = this.#choose;
    const named = namedOf(field.type);
    const inner = isLeaf(named)
      ? ''
      : ` { ${choose
          .some(
            [...this.#model.objects.get(named)!.fields.values()].filter((one) => isLeaf(namedOf(one.type))),
            1,
          )
          .map((one) => {
            // What is required and fails is told as null to whoever requires it: there is no one truth to compare with.
            one.needed = true;
            return this.#select(one);
          })
          .join(' ')} }`;
    const given = field.args.filter((one) => one.type.endsWith('!') || choose.chance(60));
    const args = given.map((one) => `${one.name}: ${choose.one(LITERALS[one.type]!)}`);
    return `${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''}${inner}`;
  }

  #addedToInterfaces(): void {
    for (const type of this.#model.interfaces.values()) {
      if (type.objectAt === undefined) continue;
      for (let i = this.#choose.below(3); i >= 0; i -= 1) {
        const ref = this.#anyType(type.objectAt);
        const name = this.#name('x');
        const field: Field = {
          ...this.#plain(name, ref, [type.objectAt], this.#arguments()),
          gives: this.#concrete(namedOf(ref), [type.objectAt]),
          of: type.name,
        };
        type.added.set(name, field);
        for (const member of type.members) this.#model.objects.get(member)!.fields.set(name, field);
      }
    }
  }

  #roots(): void {
    const choose = this.#choose;
    const { subgraphs, objects } = this.#model;
    const query = this.#root('Query');
    const mutation = this.#root('Mutation');
    for (const subgraph of subgraphs) {
      for (let i = 1 + choose.below(3); i >= 0; i -= 1) this.#rootField(query, subgraph, this.#composite(subgraph));
      if (choose.chance(50)) {
        const ref = this.#composite(subgraph);
        this.#rootField(mutation, subgraph, nullable(ref, true));
      }
    }
    const shared: Field = this.#plain(this.#name('q'), this.#wrapped('Size'), subgraphs, this.#arguments());
    for (const home of shared.homes.values()) home.directives.push('@shareable');
    query.fields.set(shared.name, shared);
    if (mutation.fields.size > 0) {
      const first = [...mutation.fields.values()][0]!;
      const [home] = first.homes.keys();
      mutation.fields.set('turn', this.#plain('turn', { name: 'Int', nonNull: false }, [home!]));
    } else objects.delete('Mutation');
  }

  #root(name: string): ObjectType {
    const type = { ...this.#value(name), kind: 'root' as const };
    this.#model.objects.set(name, type);
    return type;
  }

  #composite(subgraph: string): TypeRef {
    for (let tries = 0; tries < 10; tries += 1) {
      const ref = this.#anyType(subgraph);
      if (!isLeaf(namedOf(ref))) return ref;
    }
    return this.#wrapped('Size');
  }

  #rootField(type: ObjectType, subgraph: string, ref: TypeRef): void {
    const field: Field = {
      name: this.#name(type.name === 'Query' ? 'q' : 'm'),
      type: ref,
      args: this.#arguments(),
      gives: this.#concrete(namedOf(ref), [subgraph]),
      homes: new Map([[subgraph, { role: 'owns', directives: [], ...this.#provides(namedOf(ref), subgraph) }]]),
    };
    type.fields.set(field.name, field);
  }

  #plain(name: string, type: TypeRef, homes: readonly string[], args: readonly Argument[] = []): Field {
    const named = namedOf(type);
    return {
      name,
      type,
      args,
      gives: isLeaf(named) ? [] : [named],
      homes: new Map(homes.map((home) => [home, { role: 'owns', directives: [] }])),
    };
  }

  #wrapped(name: string): TypeRef {
    const choose = this.#choose;
    const named: TypeRef = { name, nonNull: choose.chance(30) };
    const depth = choose.one([0, 0, 0, 1, 1, 1, 2]);
    let type: TypeRef = named;
    for (let i = 0; i < depth; i += 1) type = { list: type, nonNull: choose.chance(40) };
    return type;
  }

  #arguments(): Argument[] {
    const choose = this.#choose;
    if (!choose.chance(25)) return [];
    return choose.some(ARGUMENTS, 1, 2).map((one) => ({ ...one }));
  }

  /** Whatever a subgraph speaks of, it has to have: at least a key of each entity. */
  #close(): void {
    const { objects, interfaces, unions } = this.#model;
    const reach = (named: string, subgraph: string): boolean => {
      const type = interfaces.get(named);
      if (type) {
        if (type.objectAt === subgraph || type.homes.has(subgraph)) return false;
        type.homes.set(subgraph, []);
        return true;
      }
      const object = objects.get(named);
      if (!object || object.kind === 'root' || object.homes.has(subgraph)) return false;
      const key: Key = {
        fields: object.interfaces.length > 0 ? 'id' : this.#choose.one(object.keys),
        resolvable: this.#choose.chance(50),
      };
      object.homes.set(subgraph, object.kind === 'entity' ? [key] : []);
      if (object.kind === 'entity') this.#keyFields(object, key.fields);
      return true;
    };
    for (let again = true; again;) {
      again = false;
      for (const type of objects.values()) {
        for (const field of type.fields.values()) {
          for (const [home] of field.homes) {
            if (type.kind === 'value' && !type.homes.has(home)) continue;
            if (reach(namedOf(field.type), home)) again = true;
          }
        }
      }
      for (const union of unions.values())
        for (const [home, members] of union.homes) for (const member of members) if (reach(member, home)) again = true;
    }
  }
}

function resolvable(fields: string): Key {
  return { fields, resolvable: true };
}

function nullable(type: TypeRef, wanted: boolean): TypeRef {
  return wanted ? { ...type, nonNull: false } : type;
}

function external(field: Field, subgraph: string): void {
  field.homes.set(subgraph, { role: 'external', directives: ['@external'] });
}

const ARGUMENTS: readonly Argument[] = [
  { name: 'n', type: 'Int', default: '1' },
  { name: 'max', type: 'Int!' },
  { name: 'text', type: 'String' },
  { name: 'hue', type: 'Hue', default: 'GREEN' },
  { name: 'filter', type: 'Filter' },
  { name: 'ids', type: '[ID!]' },
  { name: 'blob', type: 'Blob' },
  { name: 'sure', type: 'Boolean!', default: 'true' },
];

/** What can be written for an argument, by its type; also in a FieldSet, where quotes would have to be escaped. */
export const LITERALS: Readonly<Record<string, readonly string[]>> = {
  Int: ['0', '-7', '2147483647', 'null'],
  'Int!': ['2', '3'],
  String: ['null', '\\"a\\"', '\\"\\"'],
  Hue: ['RED', 'BLUE', 'null'],
  Filter: ['{ max: 1 }', '{ hues: [RED, BLUE] }', '{ also: { max: null, hues: [] } }', '{}'],
  '[ID!]': ['[]', '[1, 2]', '[\\"x\\"]', '3'],
  Blob: ['1', '{ a: [1, { b: null }] }', '[]', 'null'],
  'Boolean!': ['true', 'false'],
};

export { INSTANCES };
