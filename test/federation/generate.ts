import {
  buildASTSchema,
  getNamedType,
  isAbstractType,
  isEnumType,
  isLeafType,
  isObjectType,
  parse,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
} from 'graphql';
import { withResolvers, type Resolvers, type SubgraphFixture } from './harness.js';

/** Numbers that follow from a seed: the same seed, the same graph and the same questions. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** 0 … sides - 1 (mulberry32). */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  }

  chance(percent: number): boolean {
    return this.roll(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.roll(items.length)]!;
  }

  some<T>(items: readonly T[], least: number): T[] {
    const left = [...items];
    const taken: T[] = [];
    const count = least + this.roll(items.length - least + 1);
    while (taken.length < count) taken.push(left.splice(this.roll(left.length), 1)[0]!);
    return items.filter((item) => taken.includes(item));
  }
}

/** One graph, once as services that are composed and once as a single schema, with the same data and the same failures. */
export interface Generated {
  readonly subgraphs: Readonly<Record<string, SubgraphFixture>>;
  readonly monolith: GraphQLSchema;
}

interface Field {
  readonly type: string;
  readonly name: string;
  /** `[E1!]` … */
  readonly gives: string;
  readonly args: boolean;
  readonly owner: number;
  /** Also resolved there. */
  readonly alsoAt: readonly number[];
  readonly requires: readonly string[];
  /** Where it used to be, and is still answered, wrongly. */
  readonly overrides: number | undefined;
  readonly fails: number;
}

const IDS = 4;

export function generate(seed: number, failures: boolean): Generated {
  const dice = new Dice(seed);
  const services = 2 + dice.roll(3);
  const entities = Array.from({ length: 2 + dice.roll(3) }, (_, i) => `E${i}`);
  const all = Array.from({ length: services }, (_, i) => i);
  const inInterface = dice.some(entities, 1);
  const inUnion = dice.some(entities, 1);
  /** One service may know the interface as an object. It then knows none of its implementations. */
  const objectAt = services > 2 && dice.chance(40) ? dice.roll(services) : -1;
  const homes = new Map(
    entities.map((entity) => [
      entity,
      dice.some(all, 1).filter((at) => at !== objectAt || !inInterface.includes(entity)),
    ]),
  );
  for (const [entity, at] of homes) if (at.length === 0) homes.set(entity, [(objectAt + 1) % services]);
  /** A service that has the interface has all of it. */
  const ifaceAt = all.filter((at) => at !== objectAt && dice.chance(70));
  if (ifaceAt.length === 0) ifaceAt.push((objectAt + 1) % services);
  for (const at of ifaceAt)
    for (const entity of inInterface)
      if (!homes.get(entity)!.includes(at))
        homes.set(
          entity,
          [...homes.get(entity)!, at].sort((one, other) => one - other),
        );
  const unionAt = all.filter((at) => inUnion.every((entity) => homes.get(entity)!.includes(at)));

  const fields: Field[] = [];
  const targetsAt = (at: number): string[] => [
    ...entities.filter((entity) => homes.get(entity)!.includes(at)),
    ...(ifaceAt.includes(at) || at === objectAt ? ['Iface'] : []),
    ...(unionAt.includes(at) ? ['Union'] : []),
    'Value',
  ];
  const typeOf = (at: number): string => {
    const named = dice.chance(45)
      ? dice.pick(targetsAt(at))
      : dice.pick(['Int', 'String', 'Mood', 'Float', 'Boolean', 'ID']);
    const shape = dice.roll(6);
    return shape === 0
      ? `${named}!`
      : shape === 1
        ? `[${named}]`
        : shape === 2
          ? `[${named}!]!`
          : shape === 3
            ? `[${named}!]`
            : named;
  };
  for (const entity of entities) {
    for (const owner of homes.get(entity)!) {
      const plain: string[] = [];
      for (let i = dice.roll(4); i >= 0; i -= 1) {
        const others = homes.get(entity)!.filter((at) => at !== owner);
        const gives = typeOf(owner);
        const leaf = /^(Int|String|Mood|Float|Boolean|ID)!?$/.test(gives);
        const requires = dice.chance(25)
          ? fields.filter(
              (field) =>
                field.type === entity &&
                field.owner !== owner &&
                /^(Int|String)$/.test(field.gives) &&
                !field.args &&
                field.requires.length < 2 &&
                field.fails === 0 &&
                field.overrides === undefined &&
                !field.alsoAt.includes(owner),
            )
          : [];
        const field: Field = {
          type: entity,
          name: `f${fields.length}`,
          gives: requires.length > 0 ? 'String' : gives,
          args: leaf && requires.length === 0 && dice.chance(25),
          owner,
          alsoAt: leaf && requires.length === 0 && others.length > 0 && dice.chance(15) ? [dice.pick(others)] : [],
          requires: requires.length > 0 ? [dice.pick(requires).name] : [],
          overrides: undefined,
          fails: failures && dice.chance(20) ? 1 + dice.roll(3) : 0,
        };
        const old = others.filter((at) => !field.alsoAt.includes(at));
        fields.push(
          leaf && field.requires.length === 0 && field.alsoAt.length === 0 && old.length > 0 && dice.chance(10)
            ? { ...field, overrides: dice.pick(old) }
            : field,
        );
        plain.push(field.name);
      }
    }
  }
  if (objectAt >= 0) {
    for (let i = dice.roll(3); i >= 0; i -= 1) {
      fields.push({
        type: 'Iface',
        name: `f${fields.length}`,
        gives: typeOf(objectAt),
        args: false,
        owner: objectAt,
        alsoAt: [],
        requires: [],
        overrides: undefined,
        fails: failures && dice.chance(20) ? 1 + dice.roll(3) : 0,
      });
    }
  }
  const roots = all.flatMap((at) => {
    const targets = targetsAt(at).filter((type) => type !== 'Value');
    return targets.flatMap((type, i): Field[] => {
      const shapes = dice.some([type, `[${type}!]!`, `[${type}]`], i === 0 ? 1 : 0);
      return shapes.map((gives) => ({
        type: 'Query',
        name: `q${at}_${type}_${shapes.indexOf(gives)}`,
        gives,
        args: false,
        owner: at,
        alsoAt: [],
        requires: [],
        overrides: undefined,
        fails: failures && dice.chance(5) ? 1 : 0,
      }));
    });
  });
  const model: Model = { dice: seed, entities, inInterface, inUnion, fields: [...fields, ...roots], objectAt };

  const subgraphs: Record<string, SubgraphFixture> = {};
  for (const at of all) subgraphs[`s${at}`] = fixture(model, at, homes, ifaceAt, unionAt);
  const monolith = withResolvers(
    buildASTSchema(parse(monolithSdl(model))),
    resolversOf(model, undefined, new Set(['Iface', 'Union', ...entities, 'Query', 'Value'])),
  );
  return { subgraphs, monolith };
}

interface Model {
  readonly dice: number;
  readonly entities: readonly string[];
  readonly inInterface: readonly string[];
  readonly inUnion: readonly string[];
  readonly fields: readonly Field[];
  readonly objectAt: number;
}

const COMMON = 'enum Mood { GLAD SAD CALM }';
const VALUE = 'type Value { x: Int y(n: Int = 1): String! }';

function fixture(
  model: Model,
  at: number,
  homes: ReadonlyMap<string, readonly number[]>,
  ifaceAt: readonly number[],
  unionAt: readonly number[],
): SubgraphFixture {
  const here = model.entities.filter((entity) => homes.get(entity)!.includes(at));
  const parts = [COMMON, 'type Value @shareable { x: Int y(n: Int = 1): String! }'];
  const types = new Set(['Value']);
  for (const entity of here) {
    const iface = model.inInterface.includes(entity) && ifaceAt.includes(at);
    const lines = ['id: ID!', ...(model.inInterface.includes(entity) ? ['label: String @shareable'] : [])];
    for (const field of model.fields) {
      if (field.type === entity) lines.push(...fieldLines(model, field, at));
    }
    parts.push(`type ${entity} ${iface ? 'implements Iface ' : ''}@key(fields: "id") { ${lines.join(' ')} }`);
    types.add(entity);
  }
  if (ifaceAt.includes(at)) {
    parts.push(`interface Iface ${model.objectAt >= 0 ? '@key(fields: "id") ' : ''}{ id: ID! label: String }`);
    types.add('Iface');
  }
  if (at === model.objectAt) {
    parts.push(
      `type Iface @interfaceObject @key(fields: "id") { id: ID! ${model.fields
        .filter(({ type }) => type === 'Iface')
        .map((field) => line(field))
        .join(' ')} }`,
    );
    types.add('Iface');
  }
  if (unionAt.includes(at)) {
    parts.push(`union Union = ${model.inUnion.join(' | ')}`);
    types.add('Union');
  }
  const roots = model.fields.filter((field) => field.type === 'Query' && field.owner === at);
  if (roots.length > 0) {
    parts.push(`type Query { ${roots.map((field) => line(field)).join(' ')} }`);
    types.add('Query');
  }
  return { sdl: parts.join('\n'), resolvers: resolversOf(model, at, types) };
}

function fieldLines(model: Model, field: Field, at: number): string[] {
  if (field.owner === at) {
    const requires = field.requires.length > 0 ? ` @requires(fields: "${field.requires.join(' ')}")` : '';
    const override = field.overrides === undefined ? '' : ` @override(from: "s${field.overrides}")`;
    return [`${line(field)}${requires}${override}${field.alsoAt.length > 0 ? ' @shareable' : ''}`];
  }
  if (field.alsoAt.includes(at)) return [`${line(field)} @shareable`];
  if (field.overrides === at) return [line(field)];
  const needed = model.fields.some(
    (other) => other.type === field.type && other.owner === at && other.requires.includes(field.name),
  );
  return needed ? [`${line(field)} @external`] : [];
}

function line({ name, args, gives }: Field): string {
  return `${name}${args ? '(n: Int = 1)' : ''}: ${gives}`;
}

function monolithSdl(model: Model): string {
  const object = model.fields.filter(({ type }) => type === 'Iface').map(line);
  const entity = (name: string) => {
    const iface = model.inInterface.includes(name);
    const lines = [
      'id: ID!',
      ...(iface ? ['label: String', ...object] : []),
      ...model.fields.filter(({ type }) => type === name).map(line),
    ];
    return `type ${name} ${iface ? 'implements Iface ' : ''}{ ${lines.join(' ')} }`;
  };
  const roots = model.fields.filter(({ type }) => type === 'Query').map(line);
  return [
    COMMON,
    VALUE,
    `interface Iface { id: ID! label: String ${object.join(' ')} }`,
    `union Union = ${model.inUnion.join(' | ')}`,
    ...model.entities.map(entity),
    `type Query { ${roots.join(' ')} }`,
  ].join('\n');
}

type Thing = { readonly __typename: string; readonly id: string; readonly [field: string]: unknown };

/** Values follow from type, id, field and argument, so every service that is asked says the same. `at` undefined: the monolith. */
function resolversOf(model: Model, at: number | undefined, types: ReadonlySet<string>): Resolvers {
  const resolvers: Record<string, Record<string, unknown>> = {};
  for (const type of types) {
    const own: Record<string, unknown> = {};
    if ((type === 'Iface' && at !== model.objectAt) || type === 'Union')
      own['__resolveType'] = (thing: Thing) => thing.__typename;
    if (model.entities.includes(type) || type === 'Iface')
      own['__resolveReference'] = (thing: Thing) => (type === 'Iface' ? named(model, thing) : thing);
    if (type === 'Union') delete own['__resolveReference'];
    if (at === undefined) delete own['__resolveReference'];
    if (model.inInterface.includes(type)) own['label'] = ({ id }: Thing) => `label ${type} ${id}`;
    if (type === 'Value') {
      own['x'] = ({ seed }: { seed: number }) => (seed % 5 === 0 ? null : seed % 1000);
      own['y'] = ({ seed }: { seed: number }, { n }: { n: number }) => `y${seed % 100}/${n}`;
    }
    for (const field of model.fields) {
      const mine =
        field.type === type || (at === undefined && field.type === 'Iface' && model.inInterface.includes(type));
      if (!mine || (type === 'Iface' && at !== model.objectAt)) continue;
      const answered = at === undefined || field.owner === at || field.alsoAt.includes(at) || field.overrides === at;
      if (answered)
        own[field.name] = resolver(model, field, field.overrides !== undefined && field.overrides === at, at);
    }
    resolvers[type] = own;
  }
  return resolvers;
}

function resolver(model: Model, field: Field, old: boolean, at: number | undefined) {
  return (thing: Thing | undefined, { n = 0 }: { n?: number }): unknown => {
    if (old) return null;
    const id = thing?.id ?? 'root';
    const type = field.type === 'Query' ? 'Query' : field.type === 'Iface' ? 'Iface' : field.type;
    const seed = hash(`${model.dice} ${type} ${id} ${field.name} ${n}`);
    if (field.fails > 0 && seed % 4 < field.fails) throw new Error(`${field.name} fails`);
    if (field.requires.length > 0) {
      const values = field.requires.map((name) => {
        const required = model.fields.find((one) => one.type === field.type && one.name === name)!;
        return at === undefined ? resolver(model, required, false, undefined)(thing, {}) : thing![name];
      });
      return `needs ${JSON.stringify(values)}`;
    }
    return value(model, field.gives, seed);
  };
}

function value(model: Model, gives: string, seed: number): unknown {
  if (gives.endsWith('!')) return value(model, `${gives.slice(0, -1)}?`, seed);
  const required = gives.endsWith('?');
  const type = required ? gives.slice(0, -1) : gives;
  if (!required && seed % 7 === 0) return null;
  if (type.startsWith('[')) {
    const inner = type.slice(1, -1);
    return Array.from({ length: seed % 4 }, (_, i) => value(model, inner, hash(`${seed} ${i}`)));
  }
  switch (type) {
    case 'Int':
      return (seed % 2000) - 1000;
    case 'Float':
      return (seed % 1000) / 8;
    case 'Boolean':
      return seed % 2 === 0;
    case 'String':
      return ['plain', 'with "quotes"', 'ünï', 'line\nbreak', ''][seed % 5]! + (seed % 10);
    case 'ID':
      return `id${seed % 10}`;
    case 'Mood':
      return ['GLAD', 'SAD', 'CALM'][seed % 3];
    case 'Value':
      return { seed };
    case 'Iface':
      return named(model, { __typename: '', id: String(seed % IDS) });
    case 'Union':
      return { __typename: model.inUnion[seed % model.inUnion.length], id: String(seed % IDS) };
    default:
      return { __typename: type, id: String(seed % IDS) };
  }
}

/** Which implementation an id of the interface is: the same for everybody who is asked. */
function named(model: Model, { id }: Thing): Thing {
  return { __typename: model.inInterface[hash(`kind ${id}`) % model.inInterface.length]!, id };
}

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  h ^= h >>> 13;
  return Math.imul(h, 0x5bd1e995) >>> 1;
}

export interface Question {
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

/** A valid operation over the schema: aliases, arguments, fragments, conditions. */
export function question(schema: GraphQLSchema, dice: Dice): Question {
  const variables: Record<string, unknown> = { yes: true, no: false, n: 3 };
  const fragments: string[] = [];
  let names = 0;

  const condition = () =>
    dice.chance(8) ? ` @${dice.pick(['include', 'skip'])}(if: ${dice.pick(['$yes', '$no', 'true', 'false'])})` : '';
  const argument = (field: GraphQLField<unknown, unknown>) =>
    field.args.length > 0 && dice.chance(70) ? `(n: ${dice.pick(['1', '2', '$n', '7'])})` : '';
  const select = (type: GraphQLCompositeType, depth: number): string => {
    const parts: string[] = [];
    if (dice.chance(20)) parts.push(dice.chance(50) ? '__typename' : `t${(names += 1)}: __typename`);
    if ('getFields' in type) {
      const fields = Object.values(type.getFields());
      for (const field of dice.some(fields, 1).slice(0, type.name === 'Query' ? 3 : 4)) {
        const inner = getNamedType(field.type);
        const leaf = isLeafType(inner) || isEnumType(inner);
        if (!leaf && depth === 0) continue;
        const alias =
          type.name === 'Query' || dice.chance(60) || !leaf || field.args.length > 0 || field.name.startsWith('f')
            ? `${dice.chance(3) ? 'id' : 'a'}${(names += 1)}: `
            : '';
        parts.push(
          `${alias}${field.name}${argument(field)}${condition()}${leaf ? '' : ` ${select(inner as GraphQLCompositeType, depth - 1)}`}`,
        );
      }
    }
    if (isAbstractType(type)) {
      for (const member of dice.some(schema.getPossibleTypes(type), 0))
        parts.push(`... on ${member.name}${condition()} ${select(member, Math.max(0, depth - 1))}`);
    } else if (isObjectType(type) && type.name !== 'Query' && dice.chance(15)) {
      const name = `F${(names += 1)}`;
      fragments.push(`fragment ${name} on ${type.name} ${select(type, Math.max(0, depth - 1))}`);
      parts.push(`...${name}${condition()}`);
    }
    if (parts.length === 0)
      parts.push(
        dice.chance(50) || !('getFields' in type)
          ? '__typename'
          : 'getFields' in type && type.getFields()['id']
            ? 'id'
            : '__typename',
      );
    return `{ ${parts.join(' ')} }`;
  };
  const body = select(schema.getQueryType()!, 3);
  const used = `${body} ${fragments.join(' ')}`;
  const definitions = [
    ['yes', 'Boolean!'],
    ['no', 'Boolean!'],
    ['n', 'Int'],
  ].filter(([name]) => new RegExp(`\\$${name}\\b`).test(used));
  const head = definitions.length > 0 ? `(${definitions.map(([name, type]) => `$${name}: ${type}`).join(', ')})` : '';
  for (const name of Object.keys(variables)) if (!definitions.some(([used]) => used === name)) delete variables[name];
  return { query: `query${head} ${body} ${fragments.join(' ')}`, variables };
}
