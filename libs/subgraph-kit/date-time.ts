import { GraphQLScalarType } from 'graphql';
import { badInput } from '#libs/failure';

/**
 * RFC 3339. What comes in may be of any offset, with nine digits behind the second or none; what goes out, and what resolvers are given, is UTC and
 * in milliseconds. Rows hold a `Date` or that text.
 */
export const DateTime = new GraphQLScalarType({
  name: 'DateTime',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  serialize: (value) => {
    if (value instanceof Date) return value.toISOString();
    return typeof value === 'string' && UTC.test(value) ? value : instant(value);
  },
  parseValue: instant,
});

function instant(value: unknown): string {
  const [, local = '', fraction = '', offset = ''] = (typeof value === 'string' && INSTANT.exec(value)) || [];
  const time = `${local}.${fraction.slice(0, 3).padEnd(3, '0')}`;
  // The 30th of February has the form, too.
  const isOfCalendar = isoOf(`${time}Z`) === `${time}Z`;
  const utc = isOfCalendar ? isoOf(time + offset) : undefined;
  if (utc?.length === LENGTH) return utc;
  throw badInput('a DateTime looks like 2026-11-20T19:11:00.000Z and is in the calendar', value);
}

function isoOf(text: string): string | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

/** Years before 0 and after 9999 are longer. */
const LENGTH = '2026-11-20T19:11:00.000Z'.length;
/** Of rows, where nobody has to look for the 30th of February. */
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const INSTANT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;
