/**
 * `npm run bench -- overload [--rounds N] [--seconds S] [--save]`: what a gateway still answers, whole and in time, when it is asked for
 * twice and four times as much as it can; with shedding, as it comes, and without (OVERLOAD_MS=0).
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { environmentOf, peers } from '../peers.mjs';
import { published, supergraph } from '../shop.mjs';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const CONNECTIONS = 16;
/** Of those who do not wait; opened before they begin. */
const OPEN = 1_000;
/** Answers that came later are no use to whoever asked. */
const IN_TIME_MS = 2_000;
const TIMES = [2, 4];
const STACKS = {
  sheds: { label: 'Tributary', env: {} },
  waits: { label: 'Tributary, OVERLOAD_MS=0 (control)', env: { OVERLOAD_MS: '0' } },
};

const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export async function benchOverload(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '6' },
      save: { type: 'boolean', default: false },
    },
  });
  const [rounds, ms] = [Number(values.rounds), Number(values.seconds) * 1_000];
  if (!(rounds >= 1 && ms >= 1_000)) throw new Error('--rounds takes 1 or more, --seconds 1 or more');
  const folder = mkdtempSync(join(tmpdir(), 'tributary-overload-'));
  try {
    const services = await told(keep(fork(here('../serve-subgraphs.mjs'), { env: { ...process.env, PORT: '0' } })));
    const file = join(folder, 'supergraph.graphql');
    writeFileSync(
      file,
      supergraph((name) => `http://127.0.0.1:${services.port}/${name}`),
    );
    const client = keep(fork(here('load.mjs')));
    const rows = [];
    for (const [name, { label, env }] of Object.entries(STACKS)) {
      const origin = await startGateway(file, env);
      const ask = (order) => {
        const answered = told(client);
        client.send({ origin, query: published, ...order });
        return answered;
      };
      await ask({ connections: CONNECTIONS, ms: 4_000 });
      const turns = [];
      for (let round = 0; round < rounds; round += 1) {
        const peak = figuresOf(await ask({ connections: CONNECTIONS, ms }), ms);
        const turn = { peak };
        for (const times of TIMES) {
          turn[times] = figuresOf(await ask({ connections: OPEN, perSecond: times * peak.good, ms }), ms);
          console.error(`${label}: ${times} times the peak, turn ${round + 1} of ${rounds}`);
          // What waits from before is not this turn's.
          await new Promise((resolve) => setTimeout(resolve, 2_000));
        }
        turns.push(turn);
      }
      rows.push({ name, label, turns });
    }
    const text = table({ rows, command: ['npm run bench', '--', 'overload', ...args].join(' '), rounds, ms });
    console.log(text);
    if (values.save) writeFileSync(here('table.md'), `${text}\n`);
  } finally {
    children.forEach((child) => child.kill('SIGKILL'));
    rmSync(folder, { recursive: true });
  }
}

function figuresOf({ answers }, ms) {
  const of = (list, share) =>
    list.map((one) => one.ms).sort((a, b) => a - b)[Math.floor(share * (list.length - 1))] ?? 0;
  const good = answers.filter(({ whole, ms: took }) => whole && took <= IN_TIME_MS);
  const shed = answers.filter(({ status }) => status === 503);
  return {
    good: (1_000 * good.length) / ms,
    late: answers.filter(({ whole, ms: took }) => whole && took > IN_TIME_MS).length / answers.length,
    shed: shed.length / answers.length,
    other: answers.filter(({ status, whole }) => status !== 503 && !whole).length / answers.length,
    goodP99: of(good, 0.99),
    shedP50: of(shed, 0.5),
    shedP99: of(shed, 0.99),
    retry: shed.every(({ retry }) => Number(retry) >= 1),
  };
}

function table({ rows, command, rounds, ms }) {
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
  const lines = rows.flatMap(({ label, turns }) =>
    ['peak', ...TIMES].map((load) => {
      const at = (key) => median(turns.map((turn) => turn[load][key]));
      const share = median(turns.map((turn) => turn[load].good / turn.peak.good));
      const percent = (value) => `${(100 * value).toFixed(0)} %`;
      const shed = at('shed') > 0;
      return `| ${label} | ${load === 'peak' ? 'the peak' : `${load} ×`} | ${at('good').toFixed(0)} | ${percent(share)} | ${at('goodP99').toFixed(0)} | ${percent(at('shed'))} | ${shed ? `${at('shedP50').toFixed(0)} / ${at('shedP99').toFixed(0)}` : ''} | ${shed ? (turns.every((turn) => turn[load].retry) ? 'yes' : 'no') : ''} | ${percent(at('late'))} | ${percent(at('other'))} |`;
    }),
  );
  return `# More than it can

\`${command}\`, ${new Date().toISOString()}

Node ${process.version}, ${cpus()[0]?.model.trim()} × ${cpus().length}; the published shape (88 KB), each request with an Authorization
header that reaches the subgraphs; ${rounds} turns of ${ms / 1_000} s, medians. The peak is what ${CONNECTIONS} clients get who each wait for their answer. Then
requests come at twice and four times that rate, whoever has been answered or not, on ${OPEN} connections that are open already. Good is an answer that is whole and no older than ${IN_TIME_MS / 1_000} s. Client, gateway and
subgraphs share two cores, so every request that is refused costs those that are not.

| | asked for | good/s | of the peak | p99 ms of those | shed with 503 | p50 / p99 ms of those | Retry-After | too late | otherwise not whole |
|---|---|--:|--:|--:|--:|--:|---|--:|--:|
${lines.join('\n')}`;
}

async function startGateway(file, env) {
  const port = await freePort();
  const peer = { ...peers.ours, env };
  keep(
    spawn(process.execPath, peer.args, {
      stdio: 'ignore',
      env: environmentOf(peer, { supergraph: file, port, forwarded: true }),
    }),
  );
  for (const until = Date.now() + 60_000; Date.now() < until;) {
    const ready = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    if (ready?.ok) return `http://127.0.0.1:${port}`;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('The gateway did not become ready');
}

function keep(child) {
  children.add(child);
  return child;
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
