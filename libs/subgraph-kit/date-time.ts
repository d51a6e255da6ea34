import { GraphQLScalarType } from 'graphql';
import { badInput } from '#libs/failure';

/** RFC 3339, UTC, milliseconds. Rows hold a `Date` or that text. */
export const DateTime = new GraphQLScalarType({
  name: 'DateTime',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  serialize: (value) => (value instanceof Date ? value.toISOString() : instant(value)),
  parseValue: instant,
});

function instant(value: unknown): string {
  if (typeof value === 'string' && INSTANT.test(value)) return value;
  throw badInput('a DateTime looks like 2026-11-20T19:11:00.000Z', value);
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
