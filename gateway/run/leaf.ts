import { isEnumType, type GraphQLLeafType } from 'graphql';
import { digitsOf, writeExactly } from './exact-numbers.js';
import { numberText, type Json } from './json.js';
import { invalid, NULL, WRITTEN, type BROKEN, type Output, type Write } from './output.js';

/** Result coercion by the type that clients see (GraphQL §3.5, §3.9). Custom scalars pass as they came. */
export function leafWriter(type: GraphQLLeafType, what: string): Write {
  if (isEnumType(type)) {
    const names = new Map<unknown, Buffer>(
      type.getValues().map(({ name }) => [name, Buffer.from(JSON.stringify(name))]),
    );
    // A value that clients may not know (@inaccessible) is no value of this type for them.
    return (value, output) => {
      if (value === null || value === undefined) return NULL;
      const name = names.get(value);
      if (!name) return invalid(output, what, `a ${type.name}`, value);
      output.piece(name);
      return WRITTEN;
    };
  }
  const writeValue = BUILT_IN[type.name] ?? custom;
  return (value, output) => {
    if (value === null || value === undefined) return NULL;
    return writeValue(value, output) ? WRITTEN : wrong(output, what, type.name, value);
  };
}

function wrong(output: Output, what: string, type: string, value: Json): typeof BROKEN {
  return invalid(output, what, `a value of type ${type}`, value);
}

/** False when the value is none of the type. */
type WriteValue = (value: Exclude<Json, null>, output: Output) => boolean;

const BUILT_IN: Readonly<Record<string, WriteValue>> = {
  String(value, output) {
    if (typeof value === 'object') return false;
    output.string(typeof value === 'string' ? value : String(value));
    return true;
  },
  ID(value, output) {
    if (typeof value === 'string') output.string(value);
    else if (Number.isInteger(value)) output.string(String(value as number));
    else return false;
    return true;
  },
  Int(value, output) {
    const number = numberOf(value);
    if (typeof number !== 'number' || (number | 0) !== number) return false;
    output.integer(number | 0);
    return true;
  },
  Float(value, output) {
    const number = numberOf(value);
    if (typeof number !== 'number' || !Number.isFinite(number)) return false;
    output.json(`${number}`);
    return true;
  },
  Boolean(value, output) {
    const number = numberOf(value);
    const truth = typeof value === 'boolean' ? value : typeof number === 'number' ? number !== 0 : value;
    if (typeof truth !== 'boolean') return false;
    output.piece(truth ? TRUE : FALSE);
    return true;
  },
};

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

const custom: WriteValue = (value, output) => {
  const digits = typeof value === 'string' ? digitsOf(value) : undefined;
  if (digits !== undefined) output.json(digits);
  else if (typeof value === 'string') output.string(value);
  else output.json(typeof value === 'number' ? numberText(value) : writeExactly(value));
  return true;
};

function numberOf(value: Exclude<Json, null>): Exclude<Json, null> {
  if (typeof value === 'boolean') return Number(value);
  const digits = typeof value === 'string' ? digitsOf(value) : undefined;
  return digits === undefined ? value : Number(digits);
}
