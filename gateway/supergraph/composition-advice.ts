import { fieldsOf, typesOf } from './coordinates.js';
import type { Subschema } from './composers.js';

type Advice = (message: string, services: readonly Subschema[]) => string | undefined;

/** What to change, for the mistakes that people make; the names in it are those of the schemas. */
export function adviceFor(code: string, message: string, services: readonly Subschema[]): string | undefined {
  return Object.hasOwn(ADVICE, code) ? ADVICE[code]!(message, services) : undefined;
}

const ADVICE: Readonly<Record<string, Advice>> = {
  INVALID_FIELD_SHARING(message, services) {
    const field = quoted(message);
    const in_ = named(message, services);
    return `If all of ${list(in_)} always answer ${field} alike, write @shareable on it in each of them. Else keep it in one; to move it without a gap, write @override(from: "${in_[1] ?? '…'}") on it in ${in_[0] ?? 'the new owner'}.`;
  },
  FIELD_TYPE_MISMATCH: oneType,
  FIELD_ARGUMENT_TYPE_MISMATCH: oneType,
  INPUT_FIELD_TYPE_MISMATCH: oneType,
  TYPE_KIND_MISMATCH: (message) =>
    `A name is one kind of type in the whole graph: define "${quoted(message)}" alike everywhere, or rename one of them.`,
  KEY_INVALID_FIELDS: selectionAdvice('key'),
  PROVIDES_INVALID_FIELDS: selectionAdvice('provides'),
  REQUIRES_INVALID_FIELDS: selectionAdvice('requires'),
  EXTERNAL_MISSING_ON_BASE: (message) =>
    `Another service has to define ${quoted(message)} without @external. If nobody else does, remove @external here.`,
  EXTERNAL_UNUSED: (message) =>
    `Nothing here needs ${quoted(message)}: remove the field, or only its @external if this service answers it.`,
  OVERRIDE_SOURCE_HAS_OVERRIDE: (message) =>
    `Keep @override only in the service that takes ${quoted(message)} over, and remove it from the one that gives it away.`,
  REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH: (message) => {
    const [, argument, there, missing] =
      /Argument "([^"]+)".* required in subgraphs? (.+) but does not appear in subgraphs? (.+)$/.exec(message) ?? [];
    return `Add ${argument} in ${bare(missing)} too, or make it optional in ${bare(there)}: a nullable type, or a default.`;
  },
  REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH: (message) => {
    const [, field, there, missing] =
      /field "([^"]+)".* required in subgraphs? (.+) but does not appear in subgraphs? (.+)$/.exec(message) ?? [];
    return `Add ${field} in ${bare(missing)} too, or make it optional in ${bare(there)}: a nullable type, or a default.`;
  },
  ENUM_VALUE_MISMATCH: (message) => {
    const [, value, missing] = /value "(\w+)" is not defined.* but not in subgraphs? (.+)$/.exec(message) ?? [];
    return `An enum that clients both send and get has the same values everywhere: add ${value} to ${quoted(message)} in ${bare(missing)}, or mark it @inaccessible where it is.`;
  },
  NO_QUERIES: () => 'At least one service has to have `type Query` with a field.',
  INVALID_GRAPHQL(message, services) {
    const [, type] = /Unknown type "?(\w+)"?/.exec(message) ?? [];
    if (type)
      return `${nearest(
        type,
        services.flatMap(({ typeDefs }) => typesOf(typeDefs)),
        'Did you mean',
      )}Every service declares each type that it speaks of, with the fields that it uses.`;
    const [, directive] = /Unknown directive "(@\w+)"/.exec(message) ?? [];
    if (directive)
      return `If ${directive} is federation's, import it: extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["${directive}", …]).`;
    return undefined;
  },
  SATISFIABILITY_ERROR(message, services) {
    const [, field] = /cannot find field "([^"]+)"/.exec(message) ?? [];
    const [, to, key, type, from] =
      /cannot move to subgraph "([^"]+)" using @key\(fields: "([^"]+)"\) of "(\w+)", the key field\(s\) cannot be resolved from subgraph "([^"]+)"/.exec(
        message,
      ) ?? [];
    if (key) {
      const has = services.find(({ name }) => name === from);
      const instead = has && keysIn(has, type!)[0];
      return `Let ${from} answer "${key}" of ${type}${instead ? `, or let ${to} find a ${type} by what ${from} has: @key(fields: "${instead}") on it in ${to}` : `, or give ${type} a @key in ${to} that ${from} can answer`}.`;
    }
    return field
      ? `Give ${field.split('.')[0]} a @key in the service that has ${field}, so that others can lead to it.`
      : undefined;
  },
};

function oneType(message: string): string {
  const types = [...message.matchAll(/type "([^"]+)" in subgraphs? (.+?)(?= but| and type|$)/g)];
  const said = types.map(([, type, where]) => `${type} in ${bare(where)}`).join(', ');
  return `Give ${quoted(message)} one type everywhere (now ${said}), or another name in one of them.`;
}

function selectionAdvice(directive: 'key' | 'requires' | 'provides'): Advice {
  return (message, services) => {
    const [, service] = /^\[([^\]]+)\]/.exec(message) ?? [];
    const [, field, type] = /Cannot query field "(\w+)" on type "(\w+)"/.exec(message) ?? [];
    const document = services.find(({ name }) => name === service)?.typeDefs;
    if (!field || !type || !document) return undefined;
    const hint = nearest(field, fieldsOf(document, type), 'Did you mean');
    const add = `add ${field} to ${type} in ${service}`;
    if (directive === 'key')
      return `${hint}A key is made of fields that ${service} has: ${add}, or name another field.`;
    return `${hint}${service} has to declare what another service gives it: ${add}, with @external.`;
  };
}

/** The first thing that the message puts in quotes. */
function quoted(message: string): string {
  return /"([^"]+)"/.exec(message)?.[1] ?? 'it';
}

/** `"posts" and "users"` → `posts and users` */
function bare(text: string | undefined): string {
  return (text ?? 'the others').replaceAll('"', '').replace(/[.)]$/, '');
}

function named(message: string, services: readonly Subschema[]): string[] {
  return services.flatMap(({ name }) => (message.includes(`"${name}"`) ? [name] : []));
}

function list(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? 'the services') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`;
}

function keysIn({ typeDefs }: Subschema, type: string): string[] {
  return typeDefs.definitions.flatMap((definition) =>
    'name' in definition && definition.name?.value === type && 'directives' in definition
      ? (definition.directives ?? []).flatMap((directive) => {
          const fields = directive.arguments?.find(({ name }) => name.value === 'fields')?.value;
          return directive.name.value === 'key' && fields?.kind === 'StringValue' ? [fields.value] : [];
        })
      : [],
  );
}

function nearest(name: string, known: readonly string[], say: string): string {
  const near = known
    .map((one) => ({ one, steps: distance(one.toLowerCase(), name.toLowerCase()) }))
    .filter(({ one, steps }) => steps > 0 && steps <= Math.max(1, Math.floor(Math.min(one.length, name.length) / 2)))
    .sort((a, b) => a.steps - b.steps)[0];
  return near ? `${say} ${near.one}? ` : '';
}

/** Letters to change, add or drop. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
