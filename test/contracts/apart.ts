import {
  Kind,
  parse,
  print,
  stripIgnoredCharacters,
  visit,
  type FieldNode,
  type OperationDefinitionNode,
} from 'graphql';
import type { Call } from './recording.js';

/**
 * Entities that become known in the same turn of the event loop are asked for in one request (`_e0`, `_e1`, …); on a machine that is busy others
 * come together than those that were recorded. So what is compared is what was asked, each for itself: sorted, and with all who send it.
 */
export function apart(recording: string): unknown[] {
  const known = new Map<string, { readonly call: Omit<Call, 'sentBy'>; readonly sentBy: Set<string> }>();
  for (const { sentBy, ...together } of JSON.parse(recording) as Call[]) {
    for (const call of partsOf(together)) {
      const text = JSON.stringify(call);
      const same = known.get(text) ?? { call, sentBy: new Set() };
      known.set(text, same);
      for (const engine of sentBy) same.sentBy.add(engine);
    }
  }
  return [...known]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { call, sentBy }]) => ({ sentBy: [...sentBy].sort(), ...call }));
}

function partsOf(call: Omit<Call, 'sentBy'>): Omit<Call, 'sentBy'>[] {
  const operation = parse(call.query).definitions[0] as OperationDefinitionNode;
  const fields = operation.selectionSet.selections as readonly FieldNode[];
  if (!fields.every(({ alias }) => /^_e\d+$/.test(alias?.value ?? '')))
    return [{ ...call, query: stripIgnoredCharacters(call.query) }];
  return fields.map((field) => {
    const alias = field.alias!.value;
    const own = alias.replace('_e', '_r');
    const variables: Record<string, unknown> = {};
    const named = (name: string): string => (name === own ? 'representations' : name);
    const renamed = visit(field, {
      Field: (node) => (node === field ? { ...node, alias: undefined } : undefined),
      Variable(node) {
        variables[named(node.name.value)] = call.variables[node.name.value];
        return { ...node, name: { ...node.name, value: named(node.name.value) } };
      },
    });
    const definitions = operation.variableDefinitions!.flatMap((definition) => {
      const name = named(definition.variable.name.value);
      if (!(name in variables)) return [];
      const variable = { ...definition.variable, name: { kind: Kind.NAME, value: name } as const };
      return [{ ...definition, variable }];
    });
    const query = stripIgnoredCharacters(
      print({
        ...operation,
        variableDefinitions: definitions,
        selectionSet: { ...operation.selectionSet, selections: [renamed] },
      }),
    );
    const data = call.answer.data as Record<string, unknown>;
    return { ...call, query, variables, answer: { ...call.answer, data: { _entities: data[alias] } } };
  });
}
