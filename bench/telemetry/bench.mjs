/**
 * `npm run bench -- telemetry [--users N] [--rounds N] [--seconds S] [--save]`: what it costs to be seen. The profile page with
 * everything off; with metrics and logs; with them and a tenth of all traces; and with all traces. In turns, A B C, B C A, …; the client, the
 * people and the servers are those of bench/cache.
 */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, endAll, median, numberOf, openWorld, SCENARIOS, start, stepper, used, whole } from '../cache/bench.mjs';
import { drawn } from '../cache/requests.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const CONNECTIONS = 16;
const PERCENT_MAX = 5;
/** So many of each way take turns: two processes of one program differ by more than what is measured here. */
const COPIES = 6;
/** All of them have one PostgreSQL, which has 200 connections. */
const POOL_MAX = '2';

const counted = { BENCH_LOG: 'info', METRICS_PORT: '0' };
const seen = (url, share) => ({
  ...counted,
  // Sent in the turn that they come from.
  OTEL_BSP_SCHEDULE_DELAY: '500',
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_TRACES_SAMPLER_ARG: share,
});
const WAYS = {
  off: { label: 'everything off', env: () => ({}) },
  counted: { label: 'metrics, logs', env: () => counted },
  tenth: { label: 'metrics, logs, 10 % of traces', env: (url) => seen(url, '0.1') },
  all: { label: 'metrics, logs, all traces', env: (url) => seen(url, '1') },
};

export async function benchTelemetry(args) {
  const { values } = parseArgs({
    args,
    options: {
      users: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '24' },
      seconds: { type: 'string', default: '1' },
      save: { type: 'boolean', default: false },
    },
  });
  const users = numberOf(values.users, 10, 1_000_000, '--users');
  const rounds = numberOf(values.rounds, 1, 50, '--rounds');
  const seconds = numberOf(values.seconds, 0.5, 60, '--seconds');
  const began = new Date();
  const step = stepper();
  try {
    const world = await openWorld(users, step);
    const collector = await start(here('collector.mjs'), process.env);
    const requests = await drawn(world, SCENARIOS.viewers, 1_000);
    const client = await start('load.mjs', process.env, false);
    const rows = [];
    for (const [name, { label, env }] of Object.entries(WAYS)) {
      step(`starting: ${label}`);
      const copies = [];
      for (let nth = 0; nth < COPIES; nth++) copies.push(await startWay(world, env(collector.told.url)));
      rows.push({ name, label, turns: [], copies });
    }
    const turn = ({ gateway }, ms, from) =>
      whole(
        ask(client.child, {
          url: gateway.told.url,
          query: SCENARIOS.viewers.query,
          requests,
          from,
          connections: CONNECTIONS,
          ms,
        }),
      );
    // Compiled, planned and connected before anybody is measured.
    step(`warming up ${COPIES} of each`);
    for (let nth = 0; nth < 2; nth++)
      for (const { copies } of rows) for (const copy of copies) await turn(copy, 2_500, nth * 300);
    for (let round = 0; round < rounds; round++)
      for (let nth = 0; nth < rows.length; nth++) {
        const row = rows[(nth + round) % rows.length];
        const copy = row.copies[round % COPIES];
        const before = await used(copy);
        const { bytes } = await ask(collector.child, {});
        const { count } = await turn(copy, seconds * 1_000, round * 300);
        const after = await used(copy);
        row.turns.push({
          gatewayMs: (after.gateway - before.gateway) / count,
          subgraphsMs: (after.subgraphs - before.subgraphs) / count,
          calls: (after.calls - before.calls) / count,
          bytes: ((await ask(collector.child, {})).bytes - bytes) / count,
        });
        step(`${row.label}, turn ${round + 1} of ${rounds}`);
      }
    const run = {
      command: ['npm run bench', '--', 'telemetry', ...args].join(' '),
      date: began,
      rounds,
      seconds,
      rows,
    };
    const text = table({ ...run, people: world.people.length });
    console.log(text);
    if (values.save) writeFileSync(here('table.md'), text);
    const [off, , tenth] = rows;
    if (more(tenth, off, 'gatewayMs') > PERCENT_MAX) process.exitCode = 1;
  } finally {
    await endAll();
  }
}

/** A gateway and its three services, all of them seen in the same way. */
async function startWay(world, env) {
  const { gatewayEnvironment } = await import(`${ROOT}dist/commands/everything.js`);
  const each = (name, value) =>
    Object.fromEntries(Object.keys(world.urls).map((service) => [name(service), value(service)]));
  const subgraphs = await start('ours-subgraphs.mjs', {
    ...process.env,
    ...env,
    ...each(
      (service) => `${service.toUpperCase()}_DATABASE_URL`,
      (service) => world.urls[service],
    ),
    ...each(
      (service) => `ASSERTION_SECRET_${service}`,
      (service) => world.secrets.of('assertion', service),
    ),
    DATABASE_POOL_MAX: POOL_MAX,
    REDIS_URL: world.redis.url,
    SIGNING_KEY: world.env.SIGNING_KEY,
  });
  const list = Object.entries(subgraphs.told.urls).map(([name, url]) => ({ name, url }));
  const settings = gatewayEnvironment({ ...process.env, ...env, PORT: '0' }, '', world.secrets, list);
  return { subgraphs, gateway: await start('ours-gateway.mjs', settings) };
}

/** Per cent more than with everything off: turn by turn, so what the machine does meanwhile is in both. */
function more(row, off, key) {
  return median(row.turns.map((turn, nth) => 100 * (turn[key] / off.turns[nth][key] - 1)));
}

function table({ command, date, rounds, seconds, people, rows }) {
  const [off] = rows;
  const percent = (row, key) =>
    row === off ? '' : `${more(row, off, key) < 0 ? '' : '+'}${more(row, off, key).toFixed(1)} %`;
  const of = (row, key) => median(row.turns.map((turn) => turn[key]));
  const cells = rows.map((row) => [
    row.label,
    of(row, 'gatewayMs').toFixed(3),
    percent(row, 'gatewayMs'),
    of(row, 'subgraphsMs').toFixed(3),
    percent(row, 'subgraphsMs'),
    of(row, 'calls').toFixed(2),
    (of(row, 'bytes') / 1_024).toFixed(1),
  ]);
  return [
    '# What it costs to be seen',
    '',
    `\`${command}\`, ${date.toISOString()}`,
    '',
    `Node ${process.version}, ${cpus()[0]?.model.trim()} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB; the profile page, logged in, ${people.toLocaleString('en')} people on PostgreSQL,`,
    `services with Redis; ${CONNECTIONS} connections, ${rounds} turns of ${seconds} s each of ${COPIES} gateways and services of each kind, medians. CPU is user and system time per answered request, of the`,
    'gateway and of the three services (one process); per cent are of the same round with everything off.',
    '',
    '| | gateway CPU ms | | services CPU ms | | calls/request | KiB of spans |',
    '|---|--:|--:|--:|--:|--:|--:|',
    ...cells.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n');
}
