import { holds, type Figure, type Row } from './proof.js';

export interface Shown {
  readonly proof: string;
  readonly row: Row;
}

/** Every row of every proof as one Markdown table, columns aligned; the last column says whether it is as it must be. */
export function tableOf(shown: readonly Shown[]): string {
  const lines = shown.map(({ proof, row }) => [
    proof,
    row.claim,
    row.place,
    row.over,
    row.figures.map(figure).join(', '),
    row.figures.every(holds)
      ? '✓'
      : `✗ ${row.figures
          .filter((one) => !holds(one))
          .map(demand)
          .join(', ')}`,
  ]);
  const head = ['proof', 'what', 'where', 'over', 'found', 'as it must be'];
  const widths = head.map((_, nth) => Math.max(...[head, ...lines].map((line) => line[nth]?.length ?? 0)));
  const print = (line: readonly string[]): string =>
    `| ${line.map((cell, nth) => cell.padEnd(widths[nth] ?? 0)).join(' | ')} |`;
  return [print(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...lines.map(print)].join('\n');
}

/** What is not as it must be, a sentence each. */
export function failuresOf(shown: readonly Shown[]): string[] {
  return shown.flatMap(({ proof, row }) =>
    row.figures
      .filter((one) => !holds(one))
      .map((one) => `${proof}, ${row.place}: ${row.claim}: ${one.name} is ${one.value}, ${demand(one)}`),
  );
}

function figure({ name, value, unit }: Figure): string {
  return `${name} ${value.toLocaleString('en', { maximumFractionDigits: 1 })}${unit === undefined ? '' : ` ${unit}`}`;
}

function demand({ must }: Figure): string {
  if (must === undefined) return '';
  if ('be' in must) return `must be ${must.be}`;
  return 'atLeast' in must ? `must be at least ${must.atLeast}` : `must be at most ${must.atMost}`;
}
