/**
 * Every peer of a scenario runs at the same time, each in a process of its own; they are asked in turns, A B C, B C A, …,
 * so that whatever else the machine does falls on all of them. The figure of a peer is the median of its turns.
 */
import { fork, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import cliProgress from 'cli-progress';
import { chart } from './chart.mjs';
import { environmentOf, peers } from './peers.mjs';
import { cpuMsOf, residentBytesOf } from './process-group.mjs';
import { table } from './report.mjs';
import { scenarios } from './scenarios.mjs';
import { supergraph } from './shop.mjs';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const START_MS = 60_000;
const CLOSE_MS = 3_000;
const SAMPLE_MS = 100;
/** Warming up: turns until two in a row answer as many within so much, so that nobody is measured while it still compiles. */
const WARM_MS = 1_000;
const WARM_TURNS = { least: 3, most: 15 };
const WARM_SAME = 0.07;
const QUICK = { scenario: 'published,small', peers: 'apollo,hive-rust,floor,ours', rounds: '2', seconds: '1.5' };
const FULL = { rounds: '3', seconds: '4' };

const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export async function bench(given, args) {
  const asked = { ...FULL, ...(given.quick ? QUICK : {}), ...given };
  const seconds = numberOf(asked.seconds, 0.1, 60, '--seconds');
  const rounds = numberOf(asked.rounds, 1, 50, '--rounds');
  const cells = cellsOf(asked);
  const started = new Date();
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'));
  const progress = progressOf(cells.reduce((sum, cell) => sum + cell.names.length * (cell.roundsOf(rounds) + 1), 0));
  const results = [];
  try {
    for (const cell of cells)
      results.push(await measure(cell, { folder, seconds, rounds, progress, quick: given.quick }));
  } finally {
    progress.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const run = {
    command: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    date: started.toISOString(),
    machine: `${cpus()[0]?.model.trim()} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`,
    node: process.version,
    rounds,
    seconds,
    tookS: Math.round((Date.now() - started.getTime()) / 1000),
    results,
  };
  for (const cell of results) Object.assign(cell, { command: run.command, date: run.date });
  console.log(table(run));
  if (given.add) save(addedTo(run));
  else if (given.save) save(run);
  const ours = results.flatMap((cell) => cell.rows.filter((row) => row.peer.startsWith('ours') && row.failed));
  if (ours.length > 0) process.exitCode = 1;
}

function save(run) {
  mkdirSync(here('results'), { recursive: true });
  writeFileSync(here('results/table.md'), table(run));
  writeFileSync(here('results/chart.svg'), chart(run));
  writeFileSync(here('results/figures.json'), `${JSON.stringify(run, null, 1)}\n`);
  console.log('Written: bench/results/table.md, chart.svg, figures.json');
}

/** What was saved before, with the scenarios of this run in the place of the same ones: each is compared within one run. */
function addedTo(run) {
  const file = here('results/figures.json');
  if (!existsSync(file)) return run;
  const before = JSON.parse(readFileSync(file, 'utf8'));
  if (before.machine !== run.machine || before.node !== run.node)
    throw new Error(
      `bench/results is of another machine (${before.machine}, Node ${before.node}); --save begins it anew`,
    );
  const key = ({ scenario, forwarded }) => `${scenario} ${forwarded}`;
  const cells = new Map([...before.results, ...run.results].map((cell) => [key(cell), cell]));
  const order = Object.keys(scenarios);
  const results = [...cells.values()].sort((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario));
  return { ...run, results, tookS: before.tookS + run.tookS };
}

function cellsOf({ scenario, peers: named, forwarded, connections, quick }) {
  const wanted = listOf(scenario, scenarios, '--scenario') ?? Object.keys(scenarios);
  const only = listOf(named, peers, '--peers');
  return wanted.flatMap((name) => {
    const one = scenarios[name];
    const base = Object.keys(peers).filter(
      (peer) => only?.includes(peer) ?? (!/^ours-/.test(peer) || one.variants.includes(peer)),
    );
    const modes = forwarded === undefined ? (quick ? [true] : one.forwarded) : [forwarded === 'yes'];
    return modes.map((mode) => ({
      ...one,
      name,
      forwarded: mode,
      // Where nothing can be joined, joining can be left as it is.
      names: base.filter((peer) => only !== undefined || !mode || peer !== 'ours-join-off'),
      connections: connections === undefined ? one.connections : numberOf(connections, 1, 5_000, '--connections'),
      roundsOf: (rounds) => Math.min(rounds, one.rounds ?? rounds),
    }));
  });
}

async function measure(cell, { folder, seconds, rounds, progress, quick }) {
  const services = await startServices(cell.delayMs ?? 0);
  const file = join(folder, `${cell.name}.graphql`);
  writeFileSync(
    file,
    supergraph((name) => `${services.origin}/${name}`),
  );
  const client = start(here('load.mjs'), [], { env: process.env, ipc: true });
  const running = [];
  const rows = [];
  try {
    let reference;
    for (const name of cell.names) {
      progress.say(`${cell.title}: starting ${name}`);
      const peer = await startPeer(name, { cell, supergraph: file, services: services.origin, folder });
      const row = { peer: name, label: peers[name].label, turns: [], failed: peer.failed };
      rows.push(row);
      if (row.failed === undefined) {
        const answer = canonical(peer.answer.data);
        reference ??= { name, answer };
        if (answer !== reference.answer) row.failed = `answers otherwise than ${reference.name}`;
        else {
          const warm = await warmUp(client, peer, cell, quick);
          if (warm.failed) row.failed = warm.failed;
        }
      }
      if (row.failed === undefined) running.push({ row, peer });
      else await end(peer.child);
      progress.step(`${cell.title}: ${name}${row.failed === undefined ? '' : ` left out: ${row.failed}`}`);
    }
    const count = cell.roundsOf(rounds);
    for (let round = 0; round < count; round += 1) {
      for (let i = 0; i < running.length; i += 1) {
        const { row, peer } = running[(i + round) % running.length];
        if (row.failed !== undefined) continue;
        const turn = await countedTurn(client, peer, cell, services, seconds * 1_000);
        if (turn.failed !== undefined) row.failed = turn.failed;
        else row.turns.push(turn);
        progress.step(`${cell.title}: ${row.peer}, turn ${round + 1} of ${count}`);
      }
    }
  } finally {
    await Promise.all([...running.map(({ peer }) => peer.child), client, services.child].map(end));
  }
  for (const row of rows) if (row.turns.length > 0) row.median = medians(row.turns);
  const { name, title, forwarded, connections, delayMs } = cell;
  return { scenario: name, title, forwarded, connections, delayMs, rows };
}

async function warmUp(client, peer, cell, quick) {
  if (cell.warmUpMs !== undefined) return turnOf(client, peer, cell, cell.warmUpMs);
  const most = quick ? WARM_TURNS.least : WARM_TURNS.most;
  let before = 0;
  for (let turn = 1; ; turn += 1) {
    const warm = await turnOf(client, peer, cell, WARM_MS);
    const perSecond = warm.count / warm.tookMs;
    const same = Math.abs(perSecond - before) <= WARM_SAME * perSecond;
    if (warm.failed || turn >= most || (turn >= WARM_TURNS.least && same)) return warm;
    before = perSecond;
  }
}

async function countedTurn(client, peer, cell, services, ms) {
  let resident = 0;
  const sample = setInterval(() => (resident = Math.max(resident, residentBytesOf(peer.child.pid))), SAMPLE_MS);
  const callsBefore = await services.calls();
  const before = cpuMsOf(peer.child.pid);
  const turn = await turnOf(client, peer, cell, ms);
  const cpuMs = cpuMsOf(peer.child.pid) - before;
  clearInterval(sample);
  if (turn.failed !== undefined) return turn;
  return {
    cpuMs: cpuMs / turn.count,
    perSecond: (turn.count * 1_000) / turn.tookMs,
    p50: turn.p50,
    p99: turn.p99,
    residentBytes: resident,
    calls: ((await services.calls()) - callsBefore) / turn.count,
    bytes: turn.bytes,
    count: turn.count,
  };
}

function turnOf(client, { origin, path }, { query, connections }, ms) {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve({ failed: 'the turn did not end' }), ms + 120_000);
    client.once('message', (turn) => {
      clearTimeout(late);
      resolve(turn);
    });
    client.send({ origin, path, query, connections, ms });
  });
}

async function startServices(delayMs) {
  const child = start(here('serve-subgraphs.mjs'), [], {
    env: { ...process.env, PORT: '0', DELAY_MS: String(delayMs) },
    ipc: true,
  });
  const { port } = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`The subgraphs ended with ${code}`)));
  });
  const origin = `http://127.0.0.1:${port}`;
  return { child, origin, calls: async () => Number(await (await fetch(`${origin}/calls`)).text()) };
}

/** Resolves when the peer has given a whole answer. */
async function startPeer(name, { cell, supergraph: file, services, folder }) {
  const port = await freePort();
  const log = join(folder, `${name}.log`);
  const out = openSync(log, 'w');
  const [program, ...args] = peers[name].args;
  const env = environmentOf(peers[name], {
    supergraph: file,
    services,
    port,
    forwarded: cell.forwarded,
    ours: cell.ours,
  });
  const child = start(program, args, { env, stdio: ['ignore', out, out], cwd: folder });
  const origin = `http://127.0.0.1:${port}`;
  const until = Date.now() + START_MS;
  let trouble = 'did not answer';
  while (Date.now() < until && child.exitCode === null) {
    try {
      const response = await fetch(origin + peers[name].path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', authorization: 'Bearer first' },
        body: JSON.stringify({ query: cell.query }),
        signal: AbortSignal.timeout(20_000),
      });
      const answer = await response.json();
      if (response.status === 200 && answer.errors === undefined)
        return { child, origin, path: peers[name].path, answer };
      trouble = JSON.stringify(answer).slice(0, 200);
      // What is refused will be refused again; what is not there yet may come.
      if (response.status === 400 || response.status === 200) break;
    } catch (error) {
      trouble = error.cause?.code ?? error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const said =
    child.exitCode === null ? trouble : readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' ').slice(0, 200);
  return { child, failed: said };
}

function start(file, args, { env, ipc = false, stdio, cwd }) {
  const child = ipc
    ? fork(file, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    : spawn(process.execPath, [file, ...args], { env, stdio, cwd });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS);
  await gone;
  clearTimeout(late);
}

/** Keys in one order, so that two answers that mean the same are the same text. */
function canonical(value) {
  return JSON.stringify(value, (_, one) =>
    one !== null && typeof one === 'object' && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

function medians(turns) {
  const middle = (key) => {
    const sorted = turns.map((turn) => turn[key]).sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  return Object.fromEntries(Object.keys(turns[0]).map((key) => [key, middle(key)]));
}

function listOf(text, known, option) {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const strange = names.find((name) => !Object.hasOwn(known, name));
  if (strange !== undefined)
    throw new Error(`${option} takes some of ${Object.keys(known).join(', ')}; came ${JSON.stringify(strange)}`);
  return names;
}

function numberOf(text, min, max, option) {
  const value = Number(text);
  if (!(value >= min && value <= max))
    throw new Error(`${option} takes a number from ${min} to ${max}; came ${JSON.stringify(text)}`);
  return value;
}

/** A bar for people, a line a step for logs. */
function progressOf(total) {
  if (!process.stderr.isTTY) {
    let done = 0;
    return { say: () => {}, step: (text) => console.error(`${(done += 1)}/${total} ${text}`), stop: () => {} };
  }
  const bar = new cliProgress.SingleBar({
    format: '{bar} {value}/{total} {eta_formatted} {text}',
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0, { text: '' });
  return { say: (text) => bar.update({ text }), step: (text) => bar.increment(1, { text }), stop: () => bar.stop() };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
