/** node bench/quick.mjs ours,floor [published|small] [seconds]: CPU per request of each gateway's process, in turns. */
import { fork, spawn } from 'node:child_process';
import { readFileSync, writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import * as shop from './shop.mjs';

const [which = 'ours', shape = 'published', seconds = '4'] = process.argv.slice(2);
const here = new URL('.', import.meta.url).pathname;
const tmp = mkdtempSync(join(tmpdir(), 'bench-'));
const children = [];
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
process.on('SIGINT', () => process.exit(1));

const subs = fork(join(here, 'serve-subgraphs.mjs'), { env: { ...process.env, PORT: '0' } });
children.push(subs);
const { port } = await new Promise((resolve) => subs.once('message', resolve));
const base = `http://127.0.0.1:${port}`;
const file = join(tmp, 'supergraph.graphql');
writeFileSync(file, shop.supergraph((name) => `${base}/${name}`));

const env = { ...process.env, SUPERGRAPH: file, SUBGRAPHS: '', LIMIT_DEPTH: '20', LOG_LEVEL: 'error', NODE_ENV: 'production' };
const fw = process.env.FORWARD === 'no' ? {} : { FORWARD: 'authorization', FORWARD_HEADERS: 'authorization' };
const peers = {
  ours: { file: '../dist/gateway/main.js', env: { ENGINE: 'tributary' } },
  'ours-plan': { file: '../dist/gateway/main.js', env: { ENGINE: 'tributary', MERGE: 'plan' } },
  'ours-apollo-planner': { file: '../dist/gateway/main.js', env: { ENGINE: 'tributary', PLANNER: 'apollo' } },
  'ours-stock': { file: '../dist/gateway/main.js', env: { ENGINE: 'apollo' } },
  apollo: { file: 'peers/apollo.mjs', env: {} },
  floor: { file: 'peers/floor.mjs', env: { SUBGRAPHS: base } },
};
const ticks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
};
let next = 5100 + Math.floor(Math.random() * 800);
const running = [];
for (const name of which.split(',')) {
  const peer = peers[name];
  const at = next++;
  const flags = process.env.PROF === name ? ['--cpu-prof', '--cpu-prof-dir=/tmp/eng/prof'] : [];
  const child = spawn(process.execPath, [...flags, join(here, peer.file)], { env: { ...env, ...fw, ...peer.env, SUBGRAPHS: peer.env.SUBGRAPHS ?? undefined, PORT: String(at) }, stdio: ['ignore', 'inherit', 'inherit'] });
  children.push(child);
  running.push({ name, child, origin: `http://127.0.0.1:${at}`, path: name === 'floor' || name === 'apollo' ? '/' : '/graphql' });
}
const body = JSON.stringify({ query: shop[shape] });
let n = 0;
async function load(peer, ms, connections = 16) {
  const pool = new Pool(peer.origin, { connections });
  const until = Date.now() + ms;
  let count = 0, bytes = 0;
  const times = [];
  await Promise.all(Array.from({ length: connections }, async () => {
    while (Date.now() < until) {
      const from = performance.now();
      const answer = await pool.request({ path: peer.path, method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${n++}` }, body });
      const text = await answer.body.text();
      if (answer.statusCode !== 200 || text.startsWith('{"errors"')) throw new Error(`${peer.name}: ${answer.statusCode} ${text.slice(0, 600)}`);
      bytes = text.length; peer.text = text;
      times.push(performance.now() - from);
      count += 1;
    }
  }));
  await pool.close();
  times.sort((a, b) => a - b);
  return { count, bytes, p50: times[times.length >> 1], p99: times[Math.floor(times.length * 0.99)] };
}
for (const peer of running) {
  for (let i = 0; ; i += 1) {
    try { await load(peer, 1, 1); break; } catch (error) { if (i > 100) throw error; await new Promise((resolve) => setTimeout(resolve, 200)); }
  }
  await load(peer, 2500);
}
const totals = new Map();
for (let round = 0; round < 2; round += 1) {
  for (const peer of running) {
    const callsBefore = Number(await (await fetch(`${base}/calls`)).text());
    const before = ticks(peer.child.pid);
    const from = Date.now();
    const { count, bytes, p50, p99 } = await load(peer, Number(seconds) * 1000);
    const cpu = ticks(peer.child.pid) - before;
    const calls = Number(await (await fetch(`${base}/calls`)).text()) - callsBefore;
    const line = { cpuMs: cpu / count, rps: (count * 1000) / (Date.now() - from), calls: calls / count, bytes, p50, p99 };
    console.log(round, peer.name.padEnd(22), Object.entries(line).map(([k, v]) => `${k} ${v.toFixed(2)}`).join('  '));
    totals.set(peer.name, Math.min(totals.get(peer.name) ?? Infinity, line.cpuMs));
  }
}
const floor = totals.get('floor');
for (const [name, cpu] of totals) console.log(name.padEnd(22), cpu.toFixed(2), 'ms', floor ? `${(cpu / floor).toFixed(2)} x floor` : '');
if (running.length > 1) {
  const sort = (v) => Array.isArray(v) ? v.map(sort) : v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).filter(([k]) => k !== '__typename').map(([k, x]) => [k, sort(x)])) : v;
  const same = new Set(running.map((peer) => JSON.stringify(sort(JSON.parse(peer.text).data))));
  console.log(same.size === 1 ? 'all answers equal' : `ANSWERS DIFFER: ${same.size}`);
}
for (const { child } of running) child.kill('SIGTERM');
await new Promise((resolve) => setTimeout(resolve, 1500));
process.exit(0);
