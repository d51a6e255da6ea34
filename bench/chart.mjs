/** CPU per request as bars, one panel a scenario; plain SVG that reads in light and in dark. */
const WIDTH = 860;
const LABEL = 250;
const BAR = 18;
const GAP = 6;
const PANEL_HEAD = 50;
const MARGIN = 20;

export function chart(run) {
  const panels = run.results.filter((cell) => cell.rows.some((row) => row.median));
  let y = 64;
  const parts = [];
  for (const cell of panels) {
    const rows = cell.rows.filter((row) => row.median);
    const most = Math.max(...rows.map((row) => row.median.cpuMs));
    parts.push(text(MARGIN, y + 16, `${cell.title}, ${cell.forwarded ? 'forwarded' : 'not forwarded'}`, 'head'));
    // Scenarios come from several runs, when some were added.
    const turns = Math.max(...rows.map((row) => row.turns.length));
    const from = `${cell.command} · ${cell.date.slice(0, 10)} · median of ${turns} ${turns === 1 ? 'turn' : 'turns'}`;
    parts.push(text(MARGIN, y + 32, from, 'note'));
    y += PANEL_HEAD;
    for (const row of rows) {
      const width = Math.max(2, ((WIDTH - LABEL - 2 * MARGIN - 90) * row.median.cpuMs) / most);
      parts.push(
        text(MARGIN + LABEL - 10, y + 13, row.label, 'label'),
        `<rect x="${MARGIN + LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" class="${row.peer === 'floor' ? 'floor' : row.peer.startsWith('ours') ? 'ours' : 'peer'}"/>`,
        text(
          MARGIN + LABEL + width + 8,
          y + 13,
          `${row.median.cpuMs.toFixed(row.median.cpuMs < 1 ? 3 : 2)} ms`,
          'value',
        ),
      );
      y += BAR + GAP;
    }
    y += 14;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}" height="${y + 10}" role="img" aria-label="CPU per request of each gateway">
<style>
svg{background:#fff;font:13px system-ui,sans-serif}text{fill:#1c2430}.title{font-size:17px;font-weight:600}.note{font-size:11px;fill:#667085}.head{font-weight:600}.label{text-anchor:end}.value{fill:#475467}
.peer{fill:#a9b4c4}.floor{fill:#d8c48f}.ours{fill:#1f7a8c}
@media(prefers-color-scheme:dark){svg{background:#12161c}text{fill:#e6e9ee}.note,.value{fill:#98a2b3}.peer{fill:#56627a}.floor{fill:#8f7d48}.ours{fill:#3fb3c7}}
</style>
${text(MARGIN, 28, 'CPU per request of the gateway, milliseconds (shorter is better)', 'title')}
${text(MARGIN, 48, `Node ${run.node} · ${run.machine}`, 'note')}
${parts.join('\n')}
</svg>
`;
}

function text(x, y, content, kind) {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${Number(x).toFixed(1)}" y="${y}" class="${kind}">${safe}</text>`;
}
