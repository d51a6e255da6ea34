import type { ASTNode, GraphQLError } from 'graphql';
import { adviceFor } from './composition-advice.js';
import { codeFrame } from './code-frame.js';
import { namedIn, placeOf } from './coordinates.js';
import type { Subschema } from './composers.js';

/**
 * Every mistake once: what is wrong, each place it is about, and what to change.
 *
 * ```
 * Type of field "User.name" is incompatible across subgraphs: … (FIELD_TYPE_MISMATCH)
 *   subgraphs/posts/schema.graphql:4:3
 *   …
 *   → Give User.name one type everywhere …
 * ```
 */
export function describeErrors(errors: readonly GraphQLError[], services: readonly Subschema[]): string {
  const mistakes = new Map<string, { readonly error: GraphQLError; count: number }>();
  for (const error of errors) {
    const key = sameAs(error);
    const known = mistakes.get(key);
    if (known) known.count += 1;
    else mistakes.set(key, { error, count: 1 });
  }
  const told = [...mistakes.values()].map(({ error, count }) => mistakeText(error, count, services));
  return `The services do not compose (${told.length} ${told.length === 1 ? 'mistake' : 'mistakes'}).\n\n${told.join('\n\n')}`;
}

function mistakeText(error: GraphQLError, count: number, services: readonly Subschema[]): string {
  const code = codeOf(error);
  const more = count > 1 && code === 'SATISFIABILITY_ERROR' ? `\nand ${count - 1} more for the same reason.` : '';
  const advice = adviceFor(code, error.message, services);
  return [
    `${error.message}${code ? ` (${code})` : ''}${more}`,
    ...placesOf(error, services),
    ...(advice ? [`  → ${advice}`] : []),
  ].join('\n');
}

/**
 * Composers tell one mistake several times: once from each side (the same words in another order), and unreachable fields
 * one by one though one missing key is the reason for all.
 */
function sameAs(error: GraphQLError): string {
  const code = codeOf(error);
  if (code === 'SATISFIABILITY_ERROR') {
    const reasons = error.message.split('because:')[1] ?? error.message;
    return `${code} ${reasons.replaceAll(/cannot find field "\w+\.\w+"/g, '')}`;
  }
  return `${code} ${(error.message.match(/\w+/g) ?? []).sort().join(' ')}`;
}

/** Where composition says it is; and for every service that the message names besides, where its side of it is. */
function placesOf(error: GraphQLError, services: readonly Subschema[]): string[] {
  const nodes = error.nodes ?? [];
  if (nodes.length === 0 && error.source && error.positions) {
    return error.positions.map((position) => codeFrame(error.source!, position));
  }
  const shown = new Set(nodes.map((node) => node.loc?.source.name));
  const others = services.filter(
    ({ name, typeDefs }) => namedIn(error.message, name) && !shown.has(typeDefs.loc?.source.name),
  );
  const inferred = others.flatMap(({ typeDefs }) => placeOf(error.message, typeDefs) ?? []);
  return [...new Set([...nodes, ...inferred].flatMap(frameOf))];
}

function frameOf(node: ASTNode): string[] {
  if (!node.loc) return [];
  // A description is no part of the mistake; the name after it is.
  const named = 'name' in node && node.name && 'description' in node ? node.name.loc : undefined;
  const described = 'description' in node && node.description !== undefined;
  const start = described && named ? named.start : node.loc.start;
  const end = named?.end ?? node.loc.end;
  return [codeFrame(node.loc.source, start, end - start)];
}

function codeOf(error: GraphQLError): string {
  const code = error.extensions['code'];
  return typeof code === 'string' ? code : '';
}
