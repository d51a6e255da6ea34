import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isLeafType,
  parse,
  type DocumentNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';
import type { Choose } from './choose.js';
import { LITERALS } from './make-model.js';

export interface Question {
  readonly document: DocumentNode;
  readonly variables: Record<string, unknown>;
}

/**
 * A random operation, valid in the schema: aliases, fragments of every kind, conditions, arguments by literal and variable. After
 * `fields` it goes no deeper: of large ones Apollo's planner weighs thousands of plans, for seconds.
 */
export function makeOperation(schema: GraphQLSchema, choose: Choose, fields: number): Question {
  return new Maker(schema, choose, fields).make();
}

/** What a client may call a field and an object of JavaScript might take for something else. */
const ODD_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '_entities', 'representations', 'length'];
const CONDITION_PERCENT = 7;

class Maker {
  readonly #schema: GraphQLSchema;
  readonly #choose: Choose;
  readonly #odd: string[];
  readonly #variables: Record<string, unknown> = {};
  readonly #declared: string[] = [];
  readonly #fragments: { name: string; on: string; text: string }[] = [];
  readonly #fieldsMax: number;
  #names = 0;
  #fields = 0;

  constructor(schema: GraphQLSchema, choose: Choose, fieldsMax: number) {
    this.#schema = schema;
    this.#fieldsMax = fieldsMax;
    this.#choose = choose;
    this.#odd = choose.chance(15) ? choose.some(ODD_NAMES, 1) : [];
  }

  make(): Question {
    const mutation = this.#schema.getMutationType();
    const root = mutation && this.#choose.chance(8) ? mutation : this.#schema.getQueryType()!;
    const body = this.#root(root);
    const kind = root === mutation ? 'mutation' : 'query';
    const head = this.#declared.length > 0 ? `(${this.#declared.join(', ')})` : '';
    const fragments = this.#fragments.map(({ name, on, text }) => `fragment ${name} on ${on} ${text}`);
    return { document: parse([`${kind} Q${head} ${body}`, ...fragments].join('\n')), variables: this.#variables };
  }

  #root(type: GraphQLObjectType): string {
    const parts = this.#choose.some(Object.values(type.getFields()), 1, 2).map((field) => this.#field(field, 4, true));
    if (this.#choose.chance(10)) parts.push('__typename');
    return `{ ${parts.join(' ')} }`;
  }

  #select(type: GraphQLCompositeType, depth: number): string {
    const choose = this.#choose;
    const parts: string[] = [];
    if (choose.chance(20)) parts.push(this.#alias('__typename', 40));
    if ('getFields' in type) {
      const usable = Object.values(type.getFields()).filter(
        (field) => depth > 0 || isLeafType(getNamedType(field.type)),
      );
      for (const field of choose.some(usable, 0, 3)) parts.push(this.#field(field, depth - 1, false));
    }
    if (isAbstractType(type)) {
      const others = this.#schema
        .getPossibleTypes(type)
        .flatMap((one): GraphQLCompositeType[] => [one, ...one.getInterfaces()]);
      for (const other of choose.some([...new Set(others)], 0, 2)) parts.push(this.#inline(other, depth - 1));
    } else if ('getInterfaces' in type && choose.chance(12)) {
      const wider = choose.one([type, ...type.getInterfaces()]);
      parts.push(this.#inline(wider, depth - 1));
    }
    if (choose.chance(10)) parts.push(this.#named(type, depth - 1));
    if (parts.length === 0) parts.push(this.#fallback(type));
    return `{ ${parts.join(' ')} }`;
  }

  #fallback(type: GraphQLCompositeType): string {
    const id = 'getFields' in type && type.getFields()['id'];
    return id ? 'id' : '__typename';
  }

  #inline(type: GraphQLCompositeType, depth: number): string {
    const on = this.#choose.chance(5) ? '' : ` on ${type.name}`;
    if (on === '') return `...${this.#condition()} { __typename }`;
    return `...${on}${this.#condition()} ${this.#select(type, Math.max(0, depth))}`;
  }

  #named(type: GraphQLCompositeType, depth: number): string {
    const known = this.#fragments.filter(({ on }) => on === type.name);
    if (known.length > 0 && this.#choose.chance(60)) return `...${this.#choose.one(known).name}${this.#condition()}`;
    const text = this.#select(type, Math.max(0, depth));
    const name = `F${(this.#names += 1)}`;
    this.#fragments.push({ name, on: type.name, text });
    return `...${name}${this.#condition()}`;
  }

  #field(field: GraphQLField<unknown, unknown>, depth: number, root: boolean): string {
    this.#fields += 1;
    const type = getNamedType(field.type);
    const args = this.#arguments(field);
    const name = this.#alias(field.name, args === '' && !(root && this.#choose.chance(30)) ? 15 : 100);
    const inner = isCompositeType(type) ? ` ${this.#select(type, this.#fields > this.#fieldsMax ? 0 : depth)}` : '';
    return `${name}${args}${this.#condition()}${inner}`;
  }

  /** With arguments a name of its own, so that no two fields of one name differ. */
  #alias(name: string, percent: number): string {
    if (this.#odd.length > 0 && this.#choose.chance(10)) return `${this.#odd.pop()!}: ${name}`;
    return this.#choose.chance(percent) ? `a${(this.#names += 1)}: ${name}` : name;
  }

  #condition(): string {
    if (!this.#choose.chance(CONDITION_PERCENT)) return '';
    const both = this.#choose.chance(10);
    const one = (name: string) =>
      ` @${name}(if: ${this.#choose.chance(30) ? String(this.#choose.chance(50)) : this.#flag()})`;
    return both ? one('skip') + one('include') : one(this.#choose.one(['skip', 'include']));
  }

  #flag(): string {
    const name = this.#choose.one(['yes', 'no']);
    if (!Object.hasOwn(this.#variables, name)) {
      this.#variables[name] = name === 'yes';
      this.#declared.push(`$${name}: Boolean!`);
    }
    return `$${name}`;
  }

  #arguments(field: GraphQLField<unknown, unknown>): string {
    const given = field.args.flatMap((arg) => {
      const type = String(arg.type);
      const optional = !type.endsWith('!') || arg.defaultValue !== undefined;
      if (optional && this.#choose.chance(35)) return [];
      const literal = this.#choose.one(LITERALS[type]!).replaceAll('\\"', '"');
      return [`${arg.name}: ${this.#choose.chance(50) ? this.#variable(type, literal) : literal}`];
    });
    return given.length > 0 ? `(${given.join(', ')})` : '';
  }

  #variable(type: string, literal: string): string {
    const name = `v${(this.#names += 1)}`;
    if (this.#choose.chance(20)) this.#declared.push(`$${name}: ${type} = ${literal}`);
    else {
      this.#declared.push(`$${name}: ${type}`);
      if (type.endsWith('!') || !this.#choose.chance(15)) this.#variables[name] = jsonOf(literal);
    }
    return `$${name}`;
  }
}

/** The literal as it would be sent in JSON. */
function jsonOf(literal: string): unknown {
  return JSON.parse(literal.replaceAll(/(\w+):/g, '"$1":').replaceAll(/\b(RED|BLUE|GREEN)\b/g, '"$1"'));
}
