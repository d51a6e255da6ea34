import { z } from 'zod';
import { EVENTS, LISTENERS } from '#libs/events';

/** docs/events.md: what each service tells the others, printed from the catalogue. */
export function eventsPage(): string {
  const sources = [...new Set(Object.values(EVENTS).map(({ source }) => source))];
  return `# Events

What each service tells the others. An event is recorded in the transaction of its fact, heard exactly once in effect, and
in order within its aggregate (\`libs/outbox/README.md\`). Every event has \`id\` (UUIDv7), \`type\`, \`version\` of the payload's
shape, \`source\`, \`aggregate\` (whose order it keeps), \`aggregateVersion\` (1, 2, 3 … without gaps), \`at\` (RFC 3339, UTC,
milliseconds), \`actor\` (a user's uuid, or null for the system), \`payload\`, and \`trace\` where it
is part of a trace that is kept (W3C's \`traceparent\`). A field may be added to a version, and is \`or absent\` then; every
other change is a new version, and events of those before are still heard. A program that does not know a type or version yet keeps it
in quarantine, and what comes after it in its aggregate; the program that replaces it takes it by itself (docs/running.md). Printed from \`libs/events/catalogue.ts\` by \`npm run docs\`.
${sources.map((source) => section(source)).join('')}`;
}

function section(source: keyof typeof LISTENERS): string {
  const rows = Object.entries(EVENTS)
    .filter(([, event]) => event.source === source)
    .map(([type, event]) => `| \`${type}\` | ${event.version} | ${fields(event.payload)} |`);
  return `
## ${source}

Kept until heard by: ${LISTENERS[source].join(', ')}.

| type | version | payload |
|---|--:|---|
${rows.join('\n')}
`;
}

function fields(payload: z.ZodObject): string {
  const { properties = {}, required = [] } = z.toJSONSchema(payload);
  return Object.entries(properties)
    .map(([name, field]) => `\`${name}\` ${kindOf(field)}${required.includes(name) ? '' : ' or absent'}`)
    .join(', ');
}

function kindOf(field: z.core.JSONSchema._JSONSchema): string {
  if (typeof field === 'boolean') return 'anything';
  if (field.anyOf !== undefined) return field.anyOf.map(kindOf).join(' or ');
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(' or ');
  if (field.format === 'uuid') return 'uuid';
  if (field.format === 'date-time') return 'time';
  return field.type === 'string' ? 'text' : String(field.type);
}
