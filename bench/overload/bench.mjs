/**
 * `npm run bench -- overload [--times 2,4,10] [--seconds S] [--rounds N] [--stacks sheds,door,waits] [--delay MS [--slow NAME]] [--database MS] [--save]`: what a gateway
 * still answers, whole and in time, when it is asked for so many times as much as it can, and how soon all is well when they stop; with
 * shedding, as it comes, behind the door, and without shedding (OVERLOAD_MS=0); `--delay`: services that take so long for each answer, or that one of them; `--database`: all of Tributary on a PostgreSQL that answers so late. Ends with 1 where what is promised of shedding (promises.mjs) did not hold.
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { environmentOf, peers } from '../peers.mjs';
import { cpuMsOf } from '../process-group.mjs';
import { published, supergraph } from '../shop.mjs';
import { chart } from './chart.mjs';
import { brokenPromises, recoveryMsOf, unwellOf } from './promises.mjs';
import { medianOf, page } from './report.mjs';
import { startTown } from './town.mjs';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
/** Clients at the peak, who each wait for their answer: as many as keep a gateway busy, and more where services take long. */
const CONNECTIONS = 16;
const connectionsFor = (delayMs) => Math.min(OPEN, CONNECTIONS + Math.ceil(delayMs * CONNECTIONS_PER_MS));
/** Of those who are waited for, as many more are under way; twice as many are more than so many connections (64) bear, and some are refused. */
const CONNECTIONS_PER_MS = 1.5;
/** Of those who do not wait; opened before they begin. */
const OPEN = 1_000;
/** Answers that came later are no use to whoever asked. */
const IN_TIME_MS = 2_000;
const WINDOW_MS = 250;
/** A gateway counts as young until it has been busy for ten seconds (admission.ts), and its code is compiled by then. */
const WARM_MS = 12_000;
const PEAK_MS_MAX = 10_000;
/** Half the peak, before and after. */
const CALM = 0.5;
const BEFORE_MS = 3_000;
const AFTER_MS = 10_000;
const HEALTH_MS = 500;
const REST_MS = 2_000;
const STACKS = {
  sheds: { label: 'Tributary', env: {} },
  door: { label: 'Tributary behind deploy/haproxy.cfg', env: { TRUSTED_PROXIES: '1' }, behindDoor: true },
  waits: { label: 'Tributary, OVERLOAD_MS=0 (control)', env: { OVERLOAD_MS: '0' } },
};

const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export async function benchOverload(args) {
  const { values } = parseArgs({
    args,
    options: {
      times: { type: 'string', default: '2,4,10' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '6' },
      stacks: { type: 'string', default: Object.keys(STACKS).join() },
      delay: { type: 'string', default: '0' },
      slow: { type: 'string' },
      database: { type: 'string', default: '0' },
      save: { type: 'boolean', default: false },
    },
  });
  const [rounds, ms] = [Number(values.rounds), Number(values.seconds) * 1_000];
  const times = values.times.split(',').map(Number);
  if (!(rounds >= 1 && ms >= 1_000)) throw new Error('--rounds takes 1 or more, --seconds 1 or more');
  const chosen = values.stacks.split(',');
  if (!chosen.every((name) => STACKS[name])) throw new Error(`--stacks takes ${Object.keys(STACKS).join()}`);
  const delayMs = Number(values.delay);
  const databaseMs = Number(values.database);
  if (!(databaseMs >= 0)) throw new Error('--database takes milliseconds, 0 or more');
  if (!(delayMs >= 0)) throw new Error('--delay takes milliseconds, 0 or more');
  if (!times.every((one) => one > 1)) throw new Error('--times takes numbers above 1, for example 2,4,10');
  const run = {
    command: ['npm run bench', '--', 'overload', ...args].join(' '),
    date: new Date().toISOString(),
    machine: `Node ${process.version}, ${cpus()[0]?.model.trim()} × ${cpus().length}`,
    load: loadavg()[0],
    ...{
      rounds,
      ms,
      times,
      delayMs,
      slow: values.slow,
      databaseMs,
      connections: connectionsFor(Math.max(delayMs, databaseMs)),
      open: OPEN,
      inTimeMs: IN_TIME_MS,
      windowMs: WINDOW_MS,
    },
    stacks: [],
    /** Which of them could not be measured here, and why. */
    left: [],
  };
  const folder = mkdtempSync(join(tmpdir(), 'tributary-overload-'));
  try {
    const services = keep(
      fork(here('../serve-subgraphs.mjs'), {
        env: { ...process.env, PORT: '0', DELAY_MS: values.delay, ...(values.slow && { SLOW: values.slow }) },
      }),
    );
    const { port, ports } = await told(services);
    const file = join(folder, 'supergraph.graphql');
    writeFileSync(
      file,
      supergraph((name) => `http://127.0.0.1:${ports[name] ?? port}/${name}`),
    );
    const client = keep(fork(here('load.mjs')));
    for (const name of chosen) {
      const { label, env, behindDoor } = STACKS[name];
      if (behindDoor && spawnSync('haproxy', ['-v']).error) {
        run.left.push(`${label}: there is no haproxy on the PATH`);
        continue;
      }
      const gateway = databaseMs > 0 ? await startTown(databaseMs, env) : await startGateway(file, services, env);
      if (behindDoor) Object.assign(gateway, await startDoor(gateway.origin, folder));
      const turns = await turnsOf({ run, label, gateway, client });
      run.stacks.push({ name, label, turns, medians: times.map((one) => medianOf(turns.map((turn) => turn[one]))) });
      await gateway.end();
      if (gateway.door) end(gateway.door);
    }
  } finally {
    children.forEach(end);
    rmSync(folder, { recursive: true });
  }
  const broken = brokenPromises(run);
  const text = page(run, broken);
  console.log(text);
  if (values.save) {
    writeFileSync(here('table.md'), `${text}\n`);
    writeFileSync(here('chart.svg'), chart(run));
  }
  if (broken.length > 0) process.exitCode = 1;
}

/** By `times`: the peak before and after, and the three phases between them. */
async function turnsOf({ run, label, gateway, client }) {
  const { rounds, ms, times } = run;
  const { origin, query, bytes } = gateway;
  const order = { origin, query, bytes, inTimeMs: IN_TIME_MS, named: query === published };
  const used = () => ({
    gateway: cpuMsOf(gateway.pid),
    door: gateway.door ? cpuMsOf(gateway.door.pid) : 0,
    services: gateway.services.reduce((sum, pid) => sum + cpuMsOf(pid), 0),
    client: cpuMsOf(client.pid),
    idle: cpus().reduce((sum, one) => sum + one.times.idle, 0),
    at: performance.now(),
  });
  const peakOf = async (forMs) => {
    const before = used();
    const peak = await askedBy(client, { ...order, connections: run.connections, ms: forMs });
    return { ...peak, cpu: since(before, used()) };
  };
  await peakOf(WARM_MS);
  const turns = [];
  for (let round = 1; round <= rounds; round += 1) {
    const turn = {};
    for (const one of times) {
      const peak = await peakOf(Math.min(ms, PEAK_MS_MAX));
      const calm = { perSecond: CALM * peak.goodPerSecond };
      const phases = [
        { ...calm, ms: BEFORE_MS },
        { perSecond: one * peak.goodPerSecond, ms },
        { ...calm, ms: AFTER_MS },
      ];
      const marks = [];
      const health = watchHealth(gateway.origin);
      const all = await askedBy(
        client,
        { ...order, connections: OPEN, phases, windowMs: WINDOW_MS },
        { begins: () => marks.push(used()) },
      );
      const { slowestMs, failed } = await health.end();
      // What waits from before is not the next turn's.
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
      const after = await peakOf(Math.min(ms, PEAK_MS_MAX));
      turn[one] = figuresOf({ peak, after, phases, all, marks, slowestMs, failed });
      const { share, shedP99, recoveryMs, unwell } = turn[one];
      console.error(
        `${label}: ${one} times the peak, turn ${round} of ${rounds}: ${(100 * share).toFixed(0)} % of ${peak.goodPerSecond.toFixed(0)}/s, refused p99 ${shedP99.toFixed(0)} ms, well after ${recoveryMs} ms${unwell.map((why) => `\n  ${why}`).join('')}`,
      );
    }
    turns.push(turn);
  }
  return turns;
}

function figuresOf({ peak, after, phases, all, marks, slowestMs, failed }) {
  const [calm, load, later] = all;
  const recoveryMs = recoveryMsOf(calm.windows, later.windows, WINDOW_MS);
  const cpu = since(marks[1], marks[2]);
  const top = peak.goodPerSecond >= after.goodPerSecond ? peak : after;
  const perAnswerMs = top.cpu.ms.gateway / top.good;
  const share = (kind) => load[kind] / load.asked;
  return {
    peak: top.goodPerSecond,
    asked: load.perSecond,
    /** Of what was to be asked for, how much was. */
    reached: load.perSecond / phases[1].perSecond,
    good: load.goodPerSecond,
    share: load.goodPerSecond / top.goodPerSecond,
    goodP99: load.goodP99,
    shed: share('shed') + share('shedAtDoor') + share('shedWrong'),
    /** Of those refused, how many cost the gateway nothing. */
    shedAtDoor: load.shedAtDoor / Math.max(1, load.shed + load.shedAtDoor + load.shedWrong),
    shedWrong: load.shedWrong,
    ...{ shedP50: load.shedP50, shedP99: load.shedP99, shedMost: load.shedMost },
    ...{ shedAtServerP99: load.shedAtServerP99, lagP99: load.lagP99 },
    late: share('late'),
    other: share('other'),
    errors: load.errors,
    recoveryMs,
    unwell: unwellOf(calm.windows, later.windows, WINDOW_MS),
    unwellLater: unwellOf(calm.windows, later.windows.slice(recoveryMs / WINDOW_MS), WINDOW_MS).length,
    healthMs: slowestMs,
    healthFailed: failed,
    cores: cpu.cores,
    peakCores: top.cpu.cores,
    answerMs: perAnswerMs,
    /** What is left of the gateway's CPU when each whole answer has cost what it did at the peak. */
    refusalMs:
      load.shed + load.shedWrong > 0
        ? (cpu.ms.gateway - load.good * perAnswerMs) / (load.shed + load.shedWrong)
        : undefined,
    askMs: cpu.ms.client / load.asked,
    /** Good answers for each second of the gateway's CPU, of those at the peak: whatever else the machine does. */
    perCpu: load.good / cpu.ms.gateway / (top.good / top.cpu.ms.gateway),
    windows: [calm, load, later].flatMap(({ windows }) =>
      windows.map(({ good }) => (1_000 * good) / WINDOW_MS / top.goodPerSecond),
    ),
  };
}

/** CPU in ms, and in cores; `idle`: of the whole machine, what nobody used. */
function since(before, now) {
  const wallMs = now.at - before.at;
  const parts = ['gateway', 'door', 'services', 'client', 'idle'].map((name) => [name, now[name] - before[name]]);
  return {
    ms: Object.fromEntries(parts),
    cores: Object.fromEntries(parts.map(([name, ms]) => [name, ms / wallMs])),
  };
}

/** Whoever keeps the gateway up asks it meanwhile. */
function watchHealth(origin) {
  let [slowestMs, failed, isOver] = [0, 0, false];
  const watching = (async () => {
    while (!isOver) {
      const asked = performance.now();
      const ok = await fetch(`${origin}/health/live`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) })
        .then(async (response) => (await response.text()) !== '' && response.ok)
        .catch(() => false);
      slowestMs = Math.max(slowestMs, performance.now() - asked);
      if (!ok) failed += 1;
      await new Promise((resolve) => setTimeout(resolve, HEALTH_MS));
    }
  })();
  return {
    async end() {
      isOver = true;
      await watching;
      return { slowestMs, failed };
    },
  };
}

/** As the door waits (deploy/haproxy.cfg: check inter 2s). */
const HEALTH_TIMEOUT_MS = 2_000;

function askedBy(client, order, { begins = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const gone = (code) => reject(new Error(`A process of the bench ended with ${code}`));
    const hear = (message) => {
      if (message.told === undefined) return begins();
      client.off('message', hear).off('exit', gone);
      resolve(message.told);
    };
    client.on('message', hear).once('exit', gone);
    client.send(order);
  });
}

async function startGateway(file, services, env) {
  const port = await freePort();
  const peer = { ...peers.ours, env };
  const child = keep(
    spawn(process.execPath, peer.args, {
      stdio: 'ignore',
      env: environmentOf(peer, { supergraph: file, port, forwarded: true }),
    }),
  );
  child.once('exit', (code, signal) => {
    if (children.has(child)) stop(`The gateway ended with ${code ?? signal}`);
  });
  const origin = `http://127.0.0.1:${port}`;
  await answering(origin, 'The gateway');
  const { pid } = child;
  return {
    origin,
    query: published,
    bytes: await bytesOf(origin),
    pid,
    services: [services.pid],
    end: () => end(child),
  };
}

async function answering(origin, who) {
  for (const until = Date.now() + 60_000; Date.now() < until;) {
    const ready = await fetch(`${origin}/health/ready`).catch(() => undefined);
    if (ready?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${who} did not become ready`);
}

/** The door of the compose file, with one of its two gateways: there are two cores. */
async function startDoor(gateway, folder) {
  const port = await freePort();
  const config = readFileSync(here('../../deploy/haproxy.cfg'), 'utf8')
    .replace('bind :4000', `bind 127.0.0.1:${port}`)
    .replace('bind :9464', `bind 127.0.0.1:${await freePort()}`)
    .replace(' resolvers docker init-addr last,libc,none', '')
    .replace(/\nresolvers docker\n( .*\n)*/, '\n')
    .replace('server gateway-2 gateway-2:4000', 'server gateway-2 127.0.0.1:1 disabled')
    .replace('gateway-1:4000', new URL(gateway).host);
  writeFileSync(join(folder, 'haproxy.cfg'), config);
  const door = keep(spawn('haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' }));
  door.once('exit', (code) => {
    if (children.has(door)) stop(`The door ended with ${code}`);
  });
  const origin = `http://127.0.0.1:${port}`;
  await answering(origin, 'The door');
  return { door, origin };
}

/** How long a whole answer is. */
async function bytesOf(origin) {
  const response = await fetch(`${origin}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', authorization: 'Bearer first' },
    body: JSON.stringify({ query: published }),
  });
  const text = await response.text();
  if (!text.startsWith('{"data":')) throw new Error(`The gateway answered ${text.slice(0, 200)}`);
  return Buffer.byteLength(text);
}

function keep(child) {
  children.add(child);
  return child;
}

function end(child) {
  children.delete(child);
  child.kill('SIGKILL');
}

function stop(why) {
  console.error(why);
  process.exit(1);
}

function told(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`A process of the bench ended with ${code}`)));
  });
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
