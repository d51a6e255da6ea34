/**
 * `npm run bench -- telemetry [--users N] [--rounds N] [--seconds S] [--save]`: what it costs to be seen. The profile page with
 * everything off; with metrics and logs; with a collector as well, of whose traces none, a tenth or all are kept. What keeping costs is
 * measured in one process, by what the client says of each trace (the last digits of `traceparent`): two processes of one program differ
 * by more. In turns, A B C, B C A, …; the client, the people and the servers are those of bench/cache.
 */
import { randomBytes } from 'node:crypto';
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
/**
 * So many of each kind of process take turns: two of one program differ by more than what is measured between kinds. With six of each none was
 * warm enough, and the error twice as large.
 */
const COPIES = 3;
/** All of them have one PostgreSQL, which has 200 connections. */
const POOL_MAX = '4';
/** What is recorded in a turn is sent within it. */
const SENT_MS = 700;
/** Each is asked for so long before it is measured. */
const WARM_MS = 500;

const counted = { BENCH_LOG: 'info', METRICS_PORT: '0' };
const KINDS = {
  off: () => ({}),
  counted: () => counted,
  traced: (url) => ({ ...counted, OTEL_BSP_SCHEDULE_DELAY: '500', OTEL_EXPORTER_OTLP_ENDPOINT: url }),
};
/** `than`: the row that its per cent are of. */
const ROWS = [
  { name: 'off', kind: 'off', label: 'everything off' },
  { name: 'counted', kind: 'counted', label: 'metrics, logs', than: 'off' },
  { name: 'none', kind: 'traced', label: 'metrics, logs, traces of which none is kept', kept: 0, than: 'off' },
  { name: 'tenth', kind: 'traced', label: 'a tenth of them is kept', kept: 0.1, than: 'none' },
  { name: 'all', kind: 'traced', label: 'all of them are kept', kept: 1, than: 'none' },
];

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
    const copies = {};
    for (const [kind, env] of Object.entries(KINDS)) {
      step(`starting: ${kind}`);
      copies[kind] = [];
      for (let nth = 0; nth < COPIES; nth++) copies[kind].push(await startWay(world, env(collector.told.url)));
    }
    const rows = ROWS.map((row) => ({ ...row, turns: [], asked: tracedBy(requests, row.kept) }));
    const turn = ({ gateway }, asked, ms, from) =>
      whole(
        ask(client.child, {
          url: gateway.told.url,
          query: SCENARIOS.viewers.query,
          requests: asked,
          from,
          connections: CONNECTIONS,
          ms,
        }),
      );
    // Compiled, planned and connected before anybody is measured; each as long, and with all that will be asked of it.
    step(`warming up ${COPIES} of each`);
    for (let nth = 0; nth < 6; nth++)
      for (const kind of Object.keys(KINDS)) {
        const asked = rows.filter((row) => row.kind === kind);
        for (const copy of copies[kind]) await turn(copy, asked[nth % asked.length].asked, 2_500, nth * 300);
      }
    for (let round = 0; round < rounds; round++)
      for (let nth = 0; nth < rows.length; nth++) {
        const row = rows[(nth + round) % rows.length];
        const copy = copies[row.kind][round % COPIES];
        // Whoever was asked a moment ago is cheaper by a fifth, and of some kinds that is always so.
        await turn(copy, row.asked, WARM_MS, round * 300 + 150);
        await new Promise((resolve) => setTimeout(resolve, SENT_MS));
        const before = await used(copy);
        const { bytes } = await ask(collector.child, {});
        const { count } = await turn(copy, row.asked, seconds * 1_000, round * 300);
        await new Promise((resolve) => setTimeout(resolve, SENT_MS));
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
    if (together(rows).percent > PERCENT_MAX) process.exitCode = 1;
  } finally {
    await endAll();
  }
}

/** A gateway and its three services, all of them told the same. */
export async function startWay(world, env) {
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
    SEALING_KEYS: world.env.SEALING_KEYS,
  });
  const list = Object.entries(subgraphs.told.urls).map(([name, url]) => ({ name, url }));
  const settings = gatewayEnvironment({ ...process.env, ...env, PORT: '0' }, '', world.secrets, list);
  return { subgraphs, gateway: await start('ours-gateway.mjs', settings) };
}

/** With a `traceparent` of its own each, of which so large a share says that it is kept. */
function tracedBy(requests, kept) {
  if (kept === undefined) return requests;
  const id = (bytes) => randomBytes(bytes).toString('hex');
  return requests.map(([variables, headers], nth) => {
    const flag = Math.floor((nth + 1) * kept) > Math.floor(nth * kept) ? '01' : '00';
    return [variables, { ...headers, traceparent: `00-${id(16)}-${id(8)}-${flag}` }];
  });
}

/**
 * Per cent more than the row that it is compared with, and its standard error. In the same processes turn by turn, so what the machine does
 * meanwhile is in both; so it is in others, of which each pair of processes is a median of its own, and the spread of these is the error.
 */
function more(row, than, of) {
  const each = row.turns.map((turn, nth) => 100 * (of(turn) / of(than.turns[nth]) - 1));
  // Of a median of so many, as if they were normal.
  if (row.kind === than.kind) return { percent: median(each), error: 1.25 * standardError(each) };
  const pairs = Array.from({ length: COPIES }, (_, copy) => median(each.filter((_, nth) => nth % COPIES === copy)));
  return { percent: mean(pairs), error: standardError(pairs) };
}

function mean(numbers) {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}

function standardError(numbers) {
  const middle = mean(numbers);
  const squares = numbers.reduce((sum, one) => sum + (one - middle) ** 2, 0);
  return Math.sqrt(squares / (numbers.length - 1) / numbers.length);
}

const gatewayOf = ({ gatewayMs }) => gatewayMs;
const subgraphsOf = ({ subgraphsMs }) => subgraphsMs;
const allOf = ({ gatewayMs, subgraphsMs }) => gatewayMs + subgraphsMs;

/** Per cent that metrics, logs and a tenth of all traces cost of the CPU of all processes. */
function together(rows) {
  const [off, , none, tenth] = rows;
  const [seen, kept] = [more(none, off, allOf), more(tenth, none, allOf)];
  return {
    percent: 100 * ((1 + seen.percent / 100) * (1 + kept.percent / 100) - 1),
    error: Math.hypot(seen.error, kept.error),
  };
}

function table({ command, date, rounds, seconds, people, rows }) {
  const percent = (row, of) => {
    const than = rows.find(({ name }) => name === row.than);
    return than === undefined ? '' : signed(more(row, than, of));
  };
  const at = (row, of) => median(row.turns.map(of));
  const cells = rows.map((row) => [
    row.label,
    at(row, gatewayOf).toFixed(3),
    percent(row, gatewayOf),
    at(row, subgraphsOf).toFixed(3),
    percent(row, subgraphsOf),
    percent(row, allOf),
    at(row, ({ calls }) => calls).toFixed(2),
    (at(row, ({ bytes }) => bytes) / 1_024).toFixed(1),
  ]);
  return [
    '# What it costs to be seen',
    '',
    `\`${command}\`, ${date.toISOString()}`,
    '',
    `Node ${process.version}, ${cpus()[0]?.model.trim()} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB; the profile page, logged in, ${people.toLocaleString('en')} people on PostgreSQL,`,
    `services with Redis; ${CONNECTIONS} connections, ${rounds} turns of ${seconds} s each, of ${COPIES} gateways and services of each kind, medians. CPU is user and system time per answered`,
    'request, of the gateway and of the three services (one process). Per cent, ± one standard error. Of metrics and logs, and of traces of which none',
    'is kept: more than with everything off, in other processes, which differ by themselves as well. Of those that are kept: more than where none is, in',
    'the same processes.',
    '',
    '| | gateway CPU ms | | services CPU ms | | both | calls/request | KiB of spans |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...cells.map((row) => `| ${row.join(' | ')} |`),
    '',
    `Metrics, logs and a tenth of all traces together: ${signed(together(rows))} of the CPU of all processes (at most ${PERCENT_MAX} is asked).`,
    '',
  ].join('\n');
}

function signed({ percent, error }) {
  return `${percent < 0 ? '' : '+'}${percent.toFixed(1)} ± ${error.toFixed(1)} %`;
}
