/** CPU per request as bars, one panel a scenario: gateway, then subgraphs; plain SVG that reads in light and in dark. */
const WIDTH = 860;
const LABEL = 300;
const BAR = 18;
const MARGIN = 20;

export function chart(run) {
  let y = 64;
  const parts = [];
  for (const { title, rows } of run.cells) {
    const most = Math.max(...rows.map(({ median }) => median.nodeMs));
    const scale = (WIDTH - LABEL - 2 * MARGIN - 80) / most;
    parts.push(text(MARGIN, y + 16, title, 'head'));
    y += 34;
    for (const { label, stack, median } of rows) {
      const left = MARGIN + LABEL;
      const gateway = median.gatewayMs * scale;
      const subgraphs = median.subgraphsMs * scale;
      parts.push(
        text(left - 10, y + 13, label, 'label'),
        bar(left, y, gateway, stack === 'stock' ? 'peer' : 'ours'),
        bar(left + gateway, y, subgraphs, stack === 'stock' ? 'peer pale' : 'ours pale'),
        text(left + gateway + subgraphs + 8, y + 13, `${median.nodeMs.toFixed(2)} ms`, 'value'),
      );
      y += BAR + 6;
    }
    y += 14;
  }
  const note = `Node ${run.node} · ${run.machine} · ${run.people.toLocaleString('en')} people · median of ${run.rounds} turns`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}" height="${y + 10}" role="img" aria-label="CPU per request with the entity cache off, cold and hot, beside the stock stack">
<style>
svg{background:#fff;font:13px system-ui,sans-serif}text{fill:#1c2430}.title{font-size:17px;font-weight:600}.note{font-size:11px;fill:#667085}.head{font-weight:600}.label{text-anchor:end}.value{fill:#475467}
.peer{fill:#a9b4c4}.ours{fill:#1f7a8c}.pale{opacity:.55}
@media(prefers-color-scheme:dark){svg{background:#12161c}text{fill:#e6e9ee}.note,.value{fill:#98a2b3}.peer{fill:#56627a}.ours{fill:#3fb3c7}}
</style>
${text(MARGIN, 28, 'CPU per request: the gateway (full) and the subgraphs (pale), milliseconds; shorter is better', 'title')}
${text(MARGIN, 48, note, 'note')}
${parts.join('\n')}
</svg>
`;
}

function bar(x, y, width, kind) {
  return `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, width).toFixed(1)}" height="${BAR}" class="${kind}"/>`;
}

function text(x, y, content, kind) {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" class="${kind}">${safe}</text>`;
}
