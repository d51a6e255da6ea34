import type { ASTNode, DocumentNode, FieldDefinitionNode, InputValueDefinitionNode } from 'graphql';

/** `"User.name"`, `"Query.me(first:)"`, `"User"`; `type Usr` has no quotes. */
const COORDINATE = /"([A-Za-z_]\w*)(?:\.(\w+)(?:\((\w+):\))?)?"/g;

/** Does a composer's message speak of this service? `subgraph "posts"`, `subgraphs "a", "b" and "c"`, `[posts] …`. */
export function namedIn(message: string, service: string): boolean {
  return message.startsWith(`[${service}] `) || message.includes(`"${service}"`);
}

/**
 * Where in this service the first thing is that the message speaks of and that it knows: composers do not always say.
 * Satisfiability speaks of a query first; what is missing comes after.
 */
export function placeOf(message: string, document: DocumentNode): ASTNode | undefined {
  const text = message.includes('cannot be satisfied') ? message.slice(message.indexOf('because:')) : message;
  for (const [, type, field, argument] of text.matchAll(COORDINATE)) {
    const found = definitionOf(document, type!, field, argument);
    if (found) return found;
  }
  return undefined;
}

/** The most exact of argument, field and type that is there. */
function definitionOf(document: DocumentNode, type: string, field?: string, argument?: string): ASTNode | undefined {
  let found: ASTNode | undefined;
  for (const definition of document.definitions) {
    if (!('name' in definition) || definition.name?.value !== type) continue;
    found ??= definition;
    if (field === undefined) return definition;
    const members: readonly (FieldDefinitionNode | InputValueDefinitionNode)[] =
      'fields' in definition ? (definition.fields ?? []) : [];
    const member = members.find(({ name }) => name.value === field);
    if (!member) continue;
    const given = 'arguments' in member ? member.arguments?.find(({ name }) => name.value === argument) : undefined;
    return given ?? member;
  }
  return found;
}

/** Names of a type's fields in one service. */
export function fieldsOf(document: DocumentNode, type: string): string[] {
  return document.definitions.flatMap((definition) =>
    'fields' in definition && definition.name.value === type
      ? (definition.fields ?? []).map(({ name }) => name.value)
      : [],
  );
}

/** Names of the types that a service defines. */
export function typesOf(document: DocumentNode): string[] {
  return document.definitions.flatMap((definition) =>
    'name' in definition && definition.name && /Type(Definition|Extension)$/.test(definition.kind)
      ? [definition.name.value]
      : [],
  );
}
