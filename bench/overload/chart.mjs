/** Good answers in each window as a share of the peak, before, while and after most is asked for; plain SVG that reads in light and in dark. */
const WIDTH = 860;
const HEIGHT = 300;
const LEFT = 56;
const TOP = 70;
const BOTTOM = 40;
const MOST = 1.2;

export function chart({ command, machine, times, stacks, ms, windowMs }) {
  const index = times.indexOf(Math.max(...times));
  const lines = stacks.map(({ name, label, medians }) => ({ name, label, windows: medians[index].windows }));
  const beforeMs = 3_000;
  const allMs = lines[0].windows.length * windowMs;
  const x = (at) => LEFT + ((WIDTH - LEFT - 20) * at) / allMs;
  const y = (share) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * Math.min(share, MOST)) / MOST;
  const grid = [0, 0.5, 0.8, 1].flatMap((share) => [
    `<line x1="${LEFT}" x2="${WIDTH - 20}" y1="${y(share)}" y2="${y(share)}" class="grid"/>`,
    text(LEFT - 8, y(share) + 4, `${100 * share} %`, 'label'),
  ]);
  const drawn = lines.flatMap(({ name, label, windows }, at) => [
    `<polyline class="${name}" points="${windows.map((share, window) => `${x((window + 0.5) * windowMs).toFixed(1)},${y(share).toFixed(1)}`).join(' ')}"/>`,
    `<line x1="${LEFT + 270 * at}" x2="${LEFT + 24 + 270 * at}" y1="56" y2="56" class="${name}"/>`,
    text(LEFT + 32 + 270 * at, 60, label, 'note'),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Good answers while more is asked for than can be answered">
<style>
svg{background:#fff;font:13px system-ui,sans-serif}text{fill:#1c2430}.title{font-size:17px;font-weight:600}.note{font-size:11px;fill:#667085}.label{font-size:11px;text-anchor:end;fill:#667085}
.grid{stroke:#e4e7ec}.load{fill:#f2f4f7}polyline{fill:none;stroke-width:1.5}.sheds{stroke:#1f7a8c}.door{stroke:#6b5ca5}.waits{stroke:#c4704b}
@media(prefers-color-scheme:dark){svg{background:#12161c}text{fill:#e6e9ee}.note,.label{fill:#98a2b3}.grid{stroke:#2a313c}.load{fill:#1a2029}.sheds{stroke:#3fb3c7}.door{stroke:#a99be0}.waits{stroke:#e09a78}}
</style>
<rect x="${x(beforeMs)}" y="${TOP}" width="${x(ms) - x(0)}" height="${HEIGHT - TOP - BOTTOM}" class="load"/>
${text(20, 26, `Good answers, of the peak, while ${times[index]} times the peak is asked for (shaded) and half of it`, 'title')}
${text(20, 43, `${command} · ${machine}`, 'note')}
${[...grid, ...drawn].join('\n')}
${text(LEFT, HEIGHT - 14, '0 s', 'note')}
${text(x(allMs) - 24, HEIGHT - 14, `${allMs / 1_000} s`, 'note')}
</svg>
`;
}

function text(x, y, content, kind) {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${Number(x).toFixed(1)}" y="${y.toFixed(1)}" class="${kind}">${safe}</text>`;
}
