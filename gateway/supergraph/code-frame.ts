import { getLocation, type Source } from 'graphql';

/**
 * ```
 *   subgraphs/users/schema.graphql:5:3
 *     4 | type User @key(fields: "id") {
 *   > 5 |   id: ID!
 *       |   ^
 *     6 |   handle: String!
 * ```
 */
export function codeFrame(source: Source, position: number): string {
  const { line, column } = getLocation(source, position);
  const lines = source.body.split(/\r\n|[\n\r]/);
  const first = Math.max(1, line - 1);
  const last = Math.min(lines.length, line + 1);
  const width = String(last).length;
  const shown = [`  ${source.name}:${line}:${column}`];
  for (let number = first; number <= last; number += 1) {
    const gutter = `${number === line ? '  > ' : '    '}${String(number).padStart(width)} | `;
    shown.push(`${gutter}${(lines[number - 1] ?? '').slice(0, 140)}`);
    if (number === line) shown.push(`    ${' '.repeat(width)} | ${' '.repeat(Math.min(column, 140) - 1)}^`);
  }
  return shown.join('\n');
}
