/** The table that people read, and the bars of issue and design beside what was measured. */
export function table(run) {
  const lines = [
    '# The entity cache, off, cold and hot, beside the stock NestJS federation stack',
    '',
    `Node ${run.node}, ${run.machine}; ${run.people.toLocaleString('en')} people on PostgreSQL, reads Zipf-distributed; ${run.connections} connections,`,
    `${run.rounds} turns of ${run.seconds} s each, medians. Command and date are at each scenario.`,
    '',
    'CPU is user and system time per answered request: of the gateway, and of the three subgraphs (one process).',
    'Requests per second and core are 1,000 by the CPU of gateway and subgraphs together. `cold`: the turn begins with an empty cache.',
    '`hot`: what a turn asks was asked once just before.',
  ];
  for (const cell of run.cells)
    lines.push(
      '',
      `## ${cell.title[0].toUpperCase()}${cell.title.slice(1)}`,
      '',
      `\`${cell.command}\`, ${cell.date}`,
      '',
      ...rowsOf(cell),
    );
  const bars = barsOf(run.cells);
  if (bars.length > 0) {
    lines.push('', '## Bars', '', '| what | bar | measured | |', '|---|---|--:|---|');
    for (const { what, bar, measured, met } of bars)
      lines.push(`| ${what} | ${bar} | ${measured} | ${met ? 'met' : '**missed**'} |`);
  }
  return `${lines.join('\n')}\n`;
}

function rowsOf({ rows }) {
  const head = [
    'stack',
    'gateway CPU ms',
    'subgraphs CPU ms',
    'requests/s/core',
    'calls/request',
    'requests/s',
    'p50 ms',
    'p99 ms',
  ];
  const body = rows.map(({ label, median }) => [
    label,
    median.gatewayMs.toFixed(2),
    median.subgraphsMs.toFixed(2),
    median.perCore.toFixed(0),
    median.calls.toFixed(2),
    median.perSecond.toFixed(0),
    median.p50.toFixed(1),
    median.p99.toFixed(1),
  ]);
  const widths = head.map((text, column) => Math.max(text.length, ...body.map((cells) => cells[column].length)));
  const line = (cells) =>
    `| ${cells.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join(' | ')} |`;
  return [
    line(head),
    `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`,
    ...body.map(line),
  ];
}

export function barsOf(cells) {
  const of = (scenario, stack) =>
    cells.find((cell) => cell.scenario === scenario)?.rows.find((row) => row.stack === stack)?.median;
  const bars = [];
  const ratio = (what, one, other, least) => {
    if (!one || !other) return;
    const value = one.perCore / other.perCore;
    bars.push({ what, bar: `≥ ${least} ×`, measured: `${value.toFixed(1)} ×`, met: value >= least });
  };
  const calls = (what, one, most) => {
    if (one) bars.push({ what, bar: `≤ ${most}`, measured: one.calls.toFixed(2), met: one.calls <= most + 0.005 });
  };
  ratio(
    'profile page, hot, nobody logged in: requests per second and core beside the stock stack',
    of('anonymous', 'hot'),
    of('anonymous', 'stock'),
    10,
  );
  ratio('the same beside ours with the cache off', of('anonymous', 'hot'), of('anonymous', 'off'), 4);
  calls('profile page, hot, nobody logged in: subgraph calls', of('anonymous', 'hot'), 0.1);
  ratio(
    'profile page, hot, logged in: requests per second and core beside the stock stack',
    of('viewers', 'hot'),
    of('viewers', 'stock'),
    4,
  );
  calls('profile page, hot, logged in: subgraph calls', of('viewers', 'hot'), 2);
  calls('home timeline, hot: subgraph calls', of('home', 'hot'), 1);
  const never = cells.find(({ scenario }) => scenario === 'never');
  if (never) {
    const [off, on] = ['off-unlike', 'on-unlike'].map((stack) => never.rows.find((row) => row.stack === stack).turns);
    // Turn by turn: one after the other they have the same machine.
    const more = on.map(({ gatewayMs }, nth) => 100 * (gatewayMs / off[nth].gatewayMs - 1)).sort((a, b) => a - b);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => more[Math.round(share * (more.length - 1))]);
    bars.push({
      what: `a cache that never hits: CPU of the gateway, the median of ${more.length} pairs of turns`,
      bar: '≤ +10 %',
      measured: `${percent(middle)} (half of them ${percent(low)} … ${percent(high)})`,
      met: middle <= 10,
    });
  }
  return bars;
}

function percent(number) {
  return `${number > 0 ? '+' : ''}${number.toFixed(0)} %`;
}
