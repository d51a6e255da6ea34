import { GraphQLScalarType, isEnumType, type GraphQLLeafType } from 'graphql';
import { quote } from './json.js';
import { invalid, type Write } from './projection.js';

/** Result coercion by the type that clients see (GraphQL §3.5, §3.9). Custom scalars pass as they came. */
export function leafWriter(type: GraphQLLeafType, what: string): Write {
  if (isEnumType(type)) {
    const names = new Map<unknown, string>(type.getValues().map(({ name }) => [name, JSON.stringify(name)]));
    // A value that clients may not know (@inaccessible) is no value of this type for them.
    return (value, troubles) =>
      value === null || value === undefined
        ? null
        : (names.get(value) ?? invalid(troubles, what, `a ${type.name}`, value));
  }
  return BUILT_IN[type.name]?.(what) ?? custom(type);
}

const BUILT_IN: Readonly<Record<string, (what: string) => Write>> = {
  String: (what) => (value, troubles) => {
    if (typeof value === 'string') return quote(value);
    if (value === null || value === undefined) return null;
    if (typeof value === 'number' || typeof value === 'boolean') return `"${value}"`;
    return invalid(troubles, what, 'a String', value);
  },
  ID: (what) => (value, troubles) => {
    if (typeof value === 'string') return quote(value);
    if (value === null || value === undefined) return null;
    if (typeof value === 'number' && Number.isInteger(value)) return `"${value}"`;
    return invalid(troubles, what, 'an ID', value);
  },
  Int: (what) => (value, troubles) => {
    if (value === null || value === undefined) return null;
    const number = typeof value === 'boolean' ? Number(value) : value;
    if (typeof number === 'number' && (number | 0) === number) return String(number | 0);
    return invalid(troubles, what, 'an Int', value);
  },
  Float: (what) => (value, troubles) => {
    if (value === null || value === undefined) return null;
    const number = typeof value === 'boolean' ? Number(value) : value;
    if (typeof number === 'number' && Number.isFinite(number)) return JSON.stringify(number);
    return invalid(troubles, what, 'a Float', value);
  },
  Boolean: (what) => (value, troubles) => {
    if (value === true) return 'true';
    if (value === false) return 'false';
    if (value === null || value === undefined) return null;
    if (typeof value === 'number') return value === 0 ? 'false' : 'true';
    return invalid(troubles, what, 'a Boolean', value);
  },
};

function custom(_type: GraphQLScalarType): Write {
  return (value) => {
    if (value === null || value === undefined) return null;
    return typeof value === 'string' ? quote(value) : JSON.stringify(value);
  };
}
