import type { Shown } from './table.js';

const WIDTH = 860;
const LABEL = 330;
const BAR = 18;
const GAP = 6;
const MARGIN = 20;
const HEAD = 30;

/** Every figure that has a unit as a bar, a panel for each unit, beside its aim; plain SVG that reads in light and in dark. */
export function chartOf(shown: readonly Shown[], title: string, note: string): string {
  const bars = shown.flatMap(({ row }) =>
    row.figures.flatMap(({ name, value, unit, must }) =>
      unit === undefined ? [] : [{ label: `${row.claim}, ${row.place}: ${name}`, value, unit, aim: aimOf(must) }],
    ),
  );
  const parts = [text(MARGIN, 28, title, 'title'), text(MARGIN, 48, note, 'note')];
  let y = 70;
  for (const unit of new Set(bars.map((bar) => bar.unit))) {
    const panel = bars.filter((bar) => bar.unit === unit);
    const most = Math.max(...panel.flatMap(({ value, aim }) => (aim === undefined ? [value] : [value, aim])));
    const scale = (WIDTH - LABEL - 2 * MARGIN - 110) / most;
    parts.push(text(MARGIN, y + 14, unit, 'head'));
    y += HEAD;
    for (const { label, value, aim } of panel) {
      const x = MARGIN + LABEL;
      parts.push(
        text(x - 10, y + 13, label, 'label'),
        `<rect x="${x}" y="${y}" width="${Math.max(2, value * scale).toFixed(1)}" height="${BAR}" rx="2" class="bar"/>`,
      );
      if (aim !== undefined) {
        const at = (x + aim * scale).toFixed(1);
        parts.push(`<line x1="${at}" x2="${at}" y1="${y - 2}" y2="${y + BAR + 2}" class="aim"/>`);
      }
      const said = `${value.toLocaleString('en', { maximumFractionDigits: 1 })}${aim === undefined ? '' : ` (aim ${aim.toLocaleString('en')})`}`;
      parts.push(text(x + Math.max(value, aim ?? 0) * scale + 8, y + 13, said, 'value'));
      y += BAR + GAP;
    }
    y += 14;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="${title}">
<style>
svg{background:#fff;font:13px system-ui,sans-serif}text{fill:#1c2430}.title{font-size:17px;font-weight:600}.note{font-size:11px;fill:#667085}.head{font-weight:600}.label{text-anchor:end;font-size:11px}.value{fill:#475467}
.bar{fill:#1f7a8c}.aim{stroke:#b54708;stroke-width:2}
@media(prefers-color-scheme:dark){svg{background:#12161c}text{fill:#e6e9ee}.note,.value{fill:#98a2b3}.bar{fill:#3fb3c7}.aim{stroke:#f79009}}
</style>
${parts.join('\n')}
</svg>
`;
}

function aimOf(must: object | undefined): number | undefined {
  return must === undefined ? undefined : (Object.values(must)[0] as number);
}

function text(x: number, y: number, content: string, kind: string): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" class="${kind}">${safe}</text>`;
}
