import { getLocation, type Source } from 'graphql';

const WIDTH = 140;
/** How much of a long line is shown before what it is about. */
const BEFORE = 60;

/**
 * ```
 *   subgraphs/users/schema.graphql:5:3
 *     4 | type User @key(fields: "id") {
 *   > 5 |   id: ID!
 *       |   ^^
 *     6 |   handle: String!
 * ```
 */
export function codeFrame(source: Source, position: number, length = 1): string {
  const { line, column } = getLocation(source, position);
  const lines = source.body.split(/\r\n|[\n\r]/);
  const first = Math.max(1, line - 1);
  const last = Math.min(lines.length, line + 1);
  const width = String(last).length;
  // Printed SDL may come as one line of thousands: what is shown moves to where the mistake is.
  const from = column > WIDTH ? column - BEFORE : 0;
  const shown = [`  ${source.name}:${line}:${column}`];
  for (let number = first; number <= last; number += 1) {
    const text = (lines[number - 1] ?? '').slice(from, from + WIDTH);
    shown.push(`${number === line ? '  > ' : '    '}${String(number).padStart(width)} | ${text}`);
    if (number !== line) continue;
    const before = text.slice(0, column - 1 - from);
    // A tab is as wide as the terminal says, so the line below has the same tabs.
    const blank = before.replaceAll(/[^\t]/g, ' ');
    const marked = Math.max(1, Math.min(length, text.length - before.length));
    shown.push(`    ${' '.repeat(width)} | ${blank}${'^'.repeat(marked)}`);
  }
  return shown.join('\n');
}
