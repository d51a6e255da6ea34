/** The table that people read, and the bars of what Tributary promises beside its peers. */
export function table(run) {
  const lines = [
    '# Tributary beside its peers',
    '',
    `Node ${run.node}, ${run.machine}; ${run.rounds} turns of ${run.seconds} s each, medians; it took ${run.tookS} s. Command and date`,
    'are at each scenario.',
    '',
    "CPU is user and system time of the gateway's process and its children per answered request: the figure to compare, since it",
    'hardly depends on what else the machine does. Resident memory is the highest seen in a turn, and what processes share counts once. `forwarded`: every request has',
    'an Authorization header of its own and it reaches the subgraphs, so no two reads are equal and nothing can be joined;',
    '`not forwarded`: it stays at the gateway.',
  ];
  for (const cell of run.results) {
    lines.push(
      '',
      `## ${cell.title}, ${cell.forwarded ? 'forwarded' : 'not forwarded'} (${cell.connections} connections)`,
      '',
      `\`${cell.command}\`, ${cell.date}`,
      '',
      ...rowsOf(cell),
    );
  }
  const bars = barsOf(run.results);
  if (bars.length > 0) {
    lines.push('', '## Bars', '', '| what | bar | measured | |', '|---|---|--:|---|');
    for (const { what, bar, measured, met } of bars)
      lines.push(`| ${what} | ${bar} | ${measured} | ${met ? 'met' : '**missed**'} |`);
  }
  return `${lines.join('\n')}\n`;
}

function rowsOf({ rows }) {
  const apollo = cpu(rows, 'apollo');
  const head = [
    'gateway',
    'CPU ms/request',
    '× less than @apollo/gateway',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'RSS MiB',
    'calls/request',
    'KB',
  ];
  const body = rows.map(({ label, median, failed }) =>
    median === undefined
      ? [label, `left out: ${String(failed).replaceAll('|', '/').replaceAll('\n', ' ')}`, '', '', '', '', '', '', '']
      : [
          label,
          median.cpuMs.toFixed(3),
          apollo === undefined ? '' : (apollo / median.cpuMs).toFixed(1),
          median.perSecond.toFixed(0),
          median.p50.toFixed(1),
          median.p99.toFixed(1),
          mib(median.residentBytes),
          median.calls.toFixed(2),
          (median.bytes / 1000).toFixed(1),
        ],
  );
  const widths = head.map((text, column) =>
    Math.max(text.length, ...body.map((cells) => (column > 0 && cells[2] === '' ? 0 : cells[column].length))),
  );
  const line = (cells) =>
    `| ${cells.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join(' | ')} |`;
  return [
    line(head),
    `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`,
    ...body.map(line),
  ];
}

export function barsOf(results) {
  const rows = (scenario, forwarded) =>
    results.find((cell) => cell.scenario === scenario && cell.forwarded === forwarded)?.rows ?? [];
  const published = rows('published', true);
  const joined = rows('published', false);
  const ratio = (what, above, below, bar, least) => {
    if (above === undefined || below === undefined) return [];
    const value = above / below;
    return [{ what, bar, measured: `${value.toFixed(2)} ×`, met: least ? value >= least : undefined, value }];
  };
  const least = (what, above, below, limit, aim = '') => ratio(what, above, below, `≥ ${limit} ×${aim}`, limit);
  const most = (what, above, below, limit, aim = '') =>
    ratio(what, above, below, `≤ ${limit} ×${aim}`).map((bar) => ({ ...bar, met: bar.value <= limit }));
  const row = (list, peer) => list.find((one) => one.peer === peer)?.median;
  const plan = row(published, 'ours-merge-plan');
  const crowd = rows('connections-published', true).find((one) => one.peer === 'ours');
  const smallCrowd = rows('connections-small', true).find((one) => one.peer === 'ours');
  return [
    ...least(
      'published shape, nothing joined: less CPU than @apollo/gateway',
      cpu(published, 'apollo'),
      cpu(published, 'ours'),
      12,
      ' (aim 16)',
    ),
    ...most(
      'published shape, nothing joined: CPU beside the floor',
      cpu(published, 'ours'),
      cpu(published, 'floor'),
      2,
      ' (aim 1.5)',
    ),
    ...least(
      'published shape, default settings: less CPU than @apollo/gateway',
      cpu(joined, 'apollo'),
      cpu(joined, 'ours'),
      18,
      ' (aim 25)',
    ),
    ...least(
      'published shape, both at defaults: less CPU than Hive Gateway with its Rust planner',
      cpu(joined, 'hive-rust'),
      cpu(joined, 'ours'),
      3,
    ),
    ...least(
      "published shape, Apollo's planner: less CPU than @apollo/gateway",
      cpu(published, 'apollo'),
      cpu(published, 'ours-planner-apollo'),
      7,
    ),
    ...least(
      'small query: less CPU than @apollo/gateway',
      cpu(rows('small', true), 'apollo'),
      cpu(rows('small', true), 'ours'),
      8,
      ' (aim 12)',
    ),
    ...most(
      'wide list: 10,000 entities beside 1,000',
      cpu(rows('wide-10000', true), 'ours'),
      cpu(rows('wide-1000', true), 'ours'),
      11,
    ),
    ...(plan
      ? [
          {
            what: 'published shape, MERGE=plan: subgraph calls',
            bar: '≤ 7',
            measured: plan.calls.toFixed(2),
            met: plan.calls <= 7.005,
          },
        ]
      : []),
    ...resident('500 connections, small query: resident memory', smallCrowd),
    ...resident('500 connections, published shape: resident memory', crowd),
  ];
}

function resident(what, row) {
  if (!row) return [];
  const bar = '≤ 260 MiB (aim 220)';
  if (!row.median) return [{ what, bar, measured: 'no whole answer', met: false }];
  return [{ what, bar, measured: mib(row.median.residentBytes), met: row.median.residentBytes <= 260 * 2 ** 20 }];
}

function cpu(rows, peer) {
  return rows.find((row) => row.peer === peer)?.median?.cpuMs;
}

export function mib(bytes) {
  return (bytes / 2 ** 20).toFixed(0);
}
