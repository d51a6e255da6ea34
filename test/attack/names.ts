import { readFileSync } from 'node:fs';
import { Kind, print } from 'graphql';
import { namedOf, typesOf, type Types } from '../schema-types.js';
import { asks, type Message } from './attack.js';

/** One question for names that are nearly those of fields, and a pattern that the answer must not have. */
export interface Sweep {
  readonly what: string;
  readonly send: Message;
  /** The last of them: if it was looked at, all were. */
  readonly says: RegExp;
  readonly hides: RegExp;
}

/** Validation stops after so many errors. */
const AT_ONCE = 4;

/** Every field of every type of the social graph with one letter changed, the first of one name, the second of the next, and so on. */
export function nearlyFields(): Sweep[] {
  const types = typesOf(readFileSync('schema/supergraph.graphql', 'utf8'));
  const all = new Set([...types.values()].flatMap((fields) => [...fields.keys()]));
  const hides = new RegExp(`did you mean|\\b(${[...all].join('|')})\\b`);
  const ways = waysTo(types);
  let place = 0;
  return [...types].flatMap(([type, fields]) => {
    const way = ways.get(type);
    if (way === undefined) throw new Error(`nothing leads to ${type}`);
    const wrong = [...fields.keys()].map((name) => changed(name, place++, all));
    return Array.from({ length: Math.ceil(wrong.length / AT_ONCE) }, (_, at) => {
      const some = wrong.slice(at * AT_ONCE, (at + 1) * AT_ONCE);
      const last = some.at(-1)!;
      return {
        what: `${type} ${some.join(' ')}`,
        send: asks(way(some.join(' '))),
        says: new RegExp(`Cannot query field \\\\"${last}\\\\" on type \\\\"${type}\\\\"`),
        hides,
      };
    });
  });
}

/** The next letter, for one of its letters. No answer may have the word password, and this one repeats what it was asked. */
function changed(name: string, place: number, taken: ReadonlySet<string>): string {
  for (let tried = 0; ; tried += 1) {
    const at = (place + tried) % name.length;
    const letter = String.fromCharCode(name.charCodeAt(at) + 1);
    const other = name.slice(0, at) + letter + name.slice(at + 1);
    if (/\w/.test(letter) && !taken.has(other) && !/password/i.test(other)) return other;
  }
}

type Way = (selection: string) => string;

/** The shortest question that selects something of a type: from root field to field. What arguments have to be there are variables. */
function waysTo(types: Types): ReadonlyMap<string, Way> {
  const ways = new Map<string, Way>();
  const steps: { type: string; operation: string; defines: string[]; path: string[] }[] = [
    { type: 'Query', operation: 'query', defines: [], path: [] },
    { type: 'Mutation', operation: 'mutation', defines: [], path: [] },
  ];
  for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
    const { type, operation, defines, path } = step;
    if (ways.has(type)) continue;
    const head = defines.length > 0 ? `${operation}(${defines.join(' ')})` : operation;
    ways.set(
      type,
      (selection) => `${head}{${path.map((field) => `${field}{`).join('')}${selection}${'}'.repeat(path.length)}}`,
    );
    for (const field of types.get(type)?.values() ?? []) {
      const next = namedOf(field.type);
      if (!types.has(next)) continue;
      const needed = (field.arguments ?? []).filter(({ type: of }) => of.kind === Kind.NON_NULL_TYPE);
      const names = needed.map((_, at) => `v${defines.length + at}`);
      const given = needed.map(({ name }, at) => `${name.value}:$${names[at]}`);
      steps.push({
        type: next,
        operation,
        defines: [...defines, ...needed.map(({ type: of }, at) => `$${names[at]}:${print(of)}`)],
        path: [...path, given.length > 0 ? `${field.name.value}(${given.join(' ')})` : field.name.value],
      });
    }
  }
  return ways;
}
