/**
 * The four steps of a deletion as a workflow of DBOS: what it costs, and what is left after kills. Each step is one row of ours.
 * `npm ci --ignore-scripts` here, then `DATABASE_URL=postgres://… node saga.mjs`; it makes the databases dbos_peer and dbos_peer_sys there.
 * Without DATABASE_URL on the embedded database (after `npm run build`): one session, no LISTEN.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';

const { DATABASE_URL: url, ID, KILL_AT, SLOW_MS = '0', RECOVER, EXECUTOR, N = '1000' } = process.env;
const STEPS = ['freeze', 'withdraw', 'dissolve', 'erase'];
const at = (database) => Object.assign(new URL(url), { pathname: `/${database}` }).href;

let sent = 0;
const query = pg.Client.prototype.query;
pg.Client.prototype.query = function (...args) {
  if (this.connectionParameters.application_name !== 'ours') sent += 1;
  return query.apply(this, args);
};

async function embedded() {
  const { openEmbedded } = await import('../../../dist/libs/database/embedded/open-embedded.js');
  const { stream } = await openEmbedded(mkdtempSync('/tmp/dbos-peer-'), 'users');
  return { stream, ssl: false, user: 'users', database: 'postgres', max: 1 };
}
const place = url ? { connectionString: at('dbos_peer') } : await embedded();
const ours = new pg.Pool({ ...place, application_name: 'ours' });

const deletion = DBOS.registerWorkflow(
  async (account) => {
    const run = (name) => DBOS.runStep(() => effect(account, name), { name });
    const done = [];
    try {
      for (const step of STEPS) done.unshift((await run(step), step));
    } catch {
      for (const step of done) await run(`undo-${step}`);
    }
  },
  { name: 'deletion' },
);
async function effect(account, step) {
  await ours.query('INSERT INTO effects VALUES ($1, $2)', [account, step]);
  if (step === KILL_AT) process.kill(process.pid, 'SIGKILL');
  if (SLOW_MS > 0) await sleep(Number(SLOW_MS));
}
const start = async (id) => (await DBOS.startWorkflow(deletion, { workflowID: id })(id)).getResult();

async function speed(atOnce) {
  const [before, took] = [sent, []];
  let next = 0;
  const worker = async () => {
    for (let nth; (nth = next++) < N;) {
      const from = performance.now();
      await start(`${process.pid}-${atOnce}-${nth}`);
      took.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const [p50, p99] = [0.5, 0.99].map((part) => took.sort((a, b) => a - b)[Math.floor(N * part)].toFixed(1));
  const idle = sent;
  await sleep(10_000);
  console.log(
    `${atOnce} at once: p50 ${p50}, p99 ${p99} ms, ${((idle - before) / N).toFixed(1)} statements of DBOS each; ${(sent - idle) / 10} a second when idle`,
  );
}

/** One deletion in a process of its own, begun there or found begun: how it stands after 15 s at most. */
async function deleteIn(env) {
  const child = spawn(process.execPath, [import.meta.filename], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [said] = await Promise.all([child.stdout.toArray(), once(child, 'close')]);
  return Buffer.concat(said).toString().trim();
}
const ran = async (id) =>
  (await ours.query('SELECT step, count(*) FROM effects WHERE account = $1 GROUP BY 1 ORDER BY 1', [id])).rows;

async function faults() {
  let twice = 0;
  for (let nth = 0; nth < 20; nth++) {
    const [id, step] = [`${process.pid}-killed-${nth}`, STEPS[nth % 4]];
    await deleteIn({ ID: id, KILL_AT: step });
    await deleteIn({ ID: id, RECOVER: '1' });
    if ((await ran(id)).some((row) => row.step === step && row.count > 1)) twice += 1;
  }
  console.log(`killed between effect and checkpoint 20 times: ran twice ${twice} times`);
  const shared = { ID: `${process.pid}-shared`, SLOW_MS: '2000' };
  await Promise.all([deleteIn(shared), sleep(3_000).then(() => deleteIn({ ...shared, RECOVER: '1' }))]);
  console.log('another of the same executor id starts meanwhile:', await ran(shared.ID));
  const left = { ID: `${process.pid}-left` };
  await deleteIn({ ...left, EXECUTOR: 'a', KILL_AT: 'withdraw' });
  console.log(`executor a is killed, b starts: ${await deleteIn({ ...left, EXECUTOR: 'b', RECOVER: '1' })}`);
}

if (url) {
  const server = new pg.Client(at('postgres'));
  await server.connect();
  await server.query('CREATE DATABASE dbos_peer').catch(() => {});
  await server.end();
}
await ours.query('CREATE TABLE IF NOT EXISTS effects (account text, step text)');
const store = url ? { systemDatabaseUrl: at('dbos_peer_sys') } : { systemDatabasePool: new pg.Pool(place) };
DBOS.setConfig({ name: 'peer', logLevel: 'error', executorID: EXECUTOR, useListenNotify: !!url, ...store });
await DBOS.launch();
if (ID) {
  await Promise.race([RECOVER ? DBOS.retrieveWorkflow(ID).getResult() : start(ID), sleep(15_000)]);
  console.log((await DBOS.getWorkflowStatus(ID)).status);
} else {
  for (const atOnce of [1, 32]) await speed(atOnce);
  if (url) await faults();
}
process.exit();
