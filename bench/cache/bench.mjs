/**
 * `npm run bench -- cache [--users N] [--scenario a,b] [--rounds N] [--seconds S] [--save] [--add]`: the entity cache off, cold and hot,
 * beside the stock NestJS federation stack, on the same PostgreSQL, in turns. bench/cache/README.md tells more.
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import { createHash, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { Redis } from 'ioredis';
import { cpuMsOf } from '../process-group.mjs';
import { chart } from './chart.mjs';
import { drawn, peopleOf } from './requests.mjs';
import { barsOf, table } from './report.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
/** Requests that a turn of a warm cache repeats: all that they read was read a moment ago. */
const DRAWN = 1_000;
const CONNECTIONS = 16;
const SECRET = createHash('sha256').update('bench').digest('hex');

const text = (name) => readFileSync(`${ROOT}examples/${name}.graphql`, 'utf8');
const PROFILE = text('profile-page');
const HOME = text('home-timeline');

/**
 * What is asked, by whom, and which stacks take turns at it. Where little is to be told
 * apart, `copies`: so many gateways of each stack take turns, since two processes of one program differ by up to 15 % (what was compiled
 * how in which); and `pieces`: a turn is taken in so many, since the machine is not the same a moment later.
 */
export const SCENARIOS = {
  anonymous: {
    title: 'profile page, nobody logged in',
    query: PROFILE,
    reads: 'profile',
    viewers: false,
    stacks: ['stock', 'off', 'cold', 'hot'],
  },
  viewers: {
    title: 'profile page, logged in',
    query: PROFILE,
    reads: 'profile',
    viewers: true,
    stacks: ['stock', 'off', 'cold', 'hot'],
  },
  home: {
    title: 'home timeline',
    query: HOME,
    reads: 'home',
    viewers: true,
    stacks: ['stock', 'off', 'cold', 'hot'],
  },
  never: {
    title: 'profile page, a cache that never hits',
    query: PROFILE,
    reads: 'profile',
    viewers: false,
    unlike: true,
    stacks: ['off-unlike', 'on-unlike'],
    copies: 3,
    pieces: 4,
  },
};

/** How a stack is named in the tables, which gateway it is, and whether its cache is emptied before a turn or filled by one. */
export const STACKS = {
  stock: { label: 'NestJS, stock', gateway: 'stock' },
  off: { label: 'Tributary, cache off', gateway: 'off' },
  cold: { label: 'Tributary, cold', gateway: 'on', empty: true },
  hot: { label: 'Tributary, hot', gateway: 'on', fill: true },
  // Emptied as well: the services keep something in the same Redis, and theirs is not the cache that is measured here.
  'off-unlike': { label: 'Tributary, cache off', gateway: 'off-unlike', empty: true },
  'on-unlike': { label: 'Tributary, cache on, each request unlike all others', gateway: 'on-unlike', empty: true },
};

const children = new Set();
const servers = [];
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export async function benchCache(args) {
  const { values } = parseArgs({
    args,
    options: {
      users: { type: 'string', default: '50000' },
      scenario: { type: 'string', default: Object.keys(SCENARIOS).join() },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      'seed-only': { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      add: { type: 'boolean', default: false },
    },
  });
  const users = numberOf(values.users, 10, 1_000_000, '--users');
  const rounds = numberOf(values.rounds, 1, 20, '--rounds');
  const seconds = numberOf(values.seconds, 0.5, 60, '--seconds');
  const names = values.scenario.split(',');
  const strange = names.find((name) => !Object.hasOwn(SCENARIOS, name));
  if (strange !== undefined)
    throw new Error(`--scenario takes some of ${Object.keys(SCENARIOS).join(', ')}; came ${strange}`);
  const began = Date.now();
  const step = stepper();
  try {
    const world = await openWorld(users, step);
    if (values['seed-only']) return;
    const gateways = new Map(
      names.flatMap((name) =>
        SCENARIOS[name].stacks.map((stack) => [STACKS[stack].gateway, SCENARIOS[name].copies ?? 1]),
      ),
    );
    const stacks = await startStacks(world, gateways, step);
    const cells = [];
    for (const name of names) cells.push(await measure(name, { world, stacks, rounds, seconds, step }));
    const run = {
      command: ['npm run bench', '--', 'cache', ...args].join(' '),
      date: new Date(began).toISOString(),
      machine: `${cpus()[0]?.model.trim()} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`,
      node: process.version,
      users,
      people: world.people.length,
      rounds,
      seconds,
      connections: CONNECTIONS,
      tookS: Math.round((Date.now() - began) / 1_000),
      cells,
    };
    for (const cell of cells) Object.assign(cell, { command: run.command, date: run.date });
    console.log(table(run));
    if (values.add || values.save) save(values.add ? addedTo(run) : run);
    if (barsOf(run.cells).some(({ met }) => !met))
      console.log('A bar is missed; bench/cache/README.md says what of that is known.');
  } finally {
    await endAll();
  }
}

export async function endAll() {
  for (const child of children) child.kill('SIGKILL');
  for (const server of servers.reverse()) await server.stop();
}

/** The servers, the people in them, and a token for each. */
export async function openWorld(users, step) {
  const { startPostgres } = await import(`${ROOT}dist/test/servers/postgres.js`);
  const { startRedis } = await import(`${ROOT}dist/test/servers/redis.js`);
  let admin = process.env.BENCH_DATABASE_URL;
  if (!admin) {
    step('starting PostgreSQL');
    const server = await startPostgres({ settings: { shared_buffers: '256MB' } });
    servers.push(server);
    admin = server.url;
  }
  const redis = await startRedis();
  servers.push(redis);
  const env = {
    ...process.env,
    DATABASE_URL: admin,
    ASSERTION_SECRET: SECRET,
    SIGNING_KEY: keyText(),
    SEALING_KEYS: `1:${createHash('sha256').update(SECRET).digest('base64')}`,
    DATA_DIR: `${ROOT}data/bench`,
  };
  const { provisionServices } = await import(`${ROOT}dist/libs/database/index.js`);
  const { secretsFrom } = await import(`${ROOT}dist/commands/databases.js`);
  const secrets = secretsFrom(SECRET);
  const SERVICES = ['users', 'posts', 'followers'];
  const urls = await provisionServices(
    admin,
    SERVICES,
    Object.fromEntries(SERVICES.map((service) => [service, secrets.of('database', service)])),
  );
  if (!(await isSeeded(urls.users, users))) {
    step(`seeding ${users} people`);
    await run(process.execPath, ['commands/run.mjs', 'seed', '--users', String(users)], env);
  }
  const people = await peopleOf(urls, users);
  const { globalId } = await import(`${ROOT}dist/libs/identity/index.js`);
  return { env, urls, redis, people, secrets, globalId, tokenOf: await tokens(env.SIGNING_KEY) };
}

function keyText() {
  const file = `${ROOT}data/bench-key`;
  if (!existsSync(file)) {
    mkdirSync(`${ROOT}data`, { recursive: true });
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'));
  }
  return readFileSync(file, 'utf8');
}

async function isSeeded(url, users) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query('SELECT count(*)::int AS count FROM users');
    return rows[0].count >= users;
  } catch {
    return false;
  } finally {
    await client.end();
  }
}

async function tokens(key) {
  const { signingKeyOf, TokenIssuer } = await import(`${ROOT}dist/libs/identity/index.js`);
  const privateKey = createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' });
  const issuer = new TokenIssuer({
    key: signingKeyOf(privateKey),
    issuer: 'tributary',
    audience: 'tributary',
    lifetimeS: 86_400,
    clock: Date.now,
  });
  const made = new Map();
  return async (id) => {
    if (!made.has(id)) made.set(id, await issuer.issue(id));
    return made.get(id);
  };
}

/** Both stacks of subgraphs, and the gateways before them. */
async function startStacks(world, wanted, step) {
  const databases = Object.fromEntries(
    Object.entries(world.urls).map(([service, url]) => [`${service.toUpperCase()}_DATABASE_URL`, url]),
  );
  const { gatewayEnvironment } = await import(`${ROOT}dist/commands/everything.js`);
  const stacks = {};
  step('starting our subgraphs');
  const base = { ...process.env, ...databases, REDIS_URL: world.redis.url, ENTITY_CACHE: 'on' };
  const ours = await start('ours-subgraphs.mjs', {
    ...base,
    SIGNING_KEY: world.env.SIGNING_KEY,
    SEALING_KEYS: world.env.SEALING_KEYS,
    ...Object.fromEntries(
      Object.keys(world.urls).map((service) => [`ASSERTION_SECRET_${service}`, world.secrets.of('assertion', service)]),
    ),
  });
  const list = Object.entries(ours.told.urls).map(([name, url]) => ({ name, url }));
  const settings = {
    off: {},
    on: { ENTITY_CACHE: 'on', REDIS_URL: world.redis.url },
    'off-unlike': { FORWARD_HEADERS: 'x-nonce' },
    'on-unlike': { FORWARD_HEADERS: 'x-nonce', ENTITY_CACHE: 'on', REDIS_URL: world.redis.url },
  };
  for (const [name, own] of Object.entries(settings)) {
    if (!wanted.has(name)) continue;
    step(`starting our gateway, ${name}`);
    const env = gatewayEnvironment({ ...process.env, ...own, PORT: '0' }, '', world.secrets, list);
    stacks[name] = [];
    for (let copy = 0; copy < wanted.get(name); copy++)
      stacks[name].push({ gateway: await start('ours-gateway.mjs', env), subgraphs: ours });
  }
  if (wanted.has('stock')) {
    step('starting the stock stack');
    execFileSync(
      process.execPath,
      ['node_modules/@swc/cli/bin/swc.js', 'bench/cache/stock', '-d', 'dist', '--config-file', '.swcrc', '-q'],
      { cwd: ROOT },
    );
    const subgraphs = await start(`${ROOT}dist/bench/cache/stock/subgraphs.js`, { ...process.env, ...databases });
    const gateway = await start(`${ROOT}dist/bench/cache/stock/gateway.js`, {
      ...process.env,
      SUBGRAPH_URLS: JSON.stringify(subgraphs.told.urls),
      APOLLO_TELEMETRY_DISABLED: '1',
    });
    stacks.stock = [{ gateway, subgraphs }];
  }
  return stacks;
}

async function measure(name, { world, stacks, rounds, seconds, step }) {
  const scenario = SCENARIOS[name];
  const requests = await drawn(world, scenario, DRAWN);
  await sameAnswers(scenario, stacks, requests);
  const client = await start('load.mjs', process.env, false);
  const redis = new Redis(world.redis.url);
  const rows = scenario.stacks.map((stack) => ({ stack, label: STACKS[stack].label, turns: [] }));
  const gatewayOf = (stack, round) => {
    const copies = stacks[STACKS[stack].gateway];
    return copies[round % copies.length];
  };
  const turn = (stack, round, more) => {
    const { url } = gatewayOf(stack, round).gateway.told;
    return ask(client.child, {
      url,
      query: scenario.query,
      requests,
      from: 0,
      connections: CONNECTIONS,
      ms: (seconds * 1_000) / (scenario.pieces ?? 1),
      unlike: scenario.unlike === true,
      ...more,
    });
  };
  let at = 0;
  try {
    // Compiled, planned and connected before anybody is measured.
    for (const { stack } of rows)
      for (let nth = 0; nth < 2 * stacks[STACKS[stack].gateway].length; nth++)
        await whole(turn(stack, nth, { ms: 2_500, from: (at += 500) }));
    const pieces = scenario.pieces ?? 1;
    for (let round = 0; round < rounds * pieces; round++) {
      for (let nth = 0; nth < rows.length; nth++) {
        const row = rows[(nth + round) % rows.length];
        const { empty, fill } = STACKS[row.stack];
        if (empty) await redis.flushall();
        if (fill) await whole(turn(row.stack, round, { once: true }));
        const stack = gatewayOf(row.stack, round);
        const before = await used(stack);
        const shown = await whole(turn(row.stack, round, { from: fill ? 0 : (at += 500) }));
        const after = await used(stack);
        const each = (key) => (after[key] - before[key]) / shown.count;
        row.turns.push({
          gatewayMs: each('gateway'),
          subgraphsMs: each('subgraphs'),
          nodeMs: each('gateway') + each('subgraphs'),
          perCore: 1_000 / (each('gateway') + each('subgraphs')),
          calls: each('calls'),
          perSecond: (1_000 * shown.count) / shown.tookMs,
          p50: shown.p50,
          p99: shown.p99,
          count: shown.count,
        });
        step(`${scenario.title}: ${row.label}, turn ${round + 1} of ${rounds * pieces}`);
      }
    }
  } finally {
    redis.disconnect();
    client.child.kill('SIGKILL');
  }
  for (const row of rows) row.median = medians(row.turns);
  return { scenario: name, title: scenario.title, rows };
}

/** The same data, so the same answers; cursors are each stack's own. */
async function sameAnswers(scenario, stacks, requests) {
  const answers = {};
  for (const [name, [{ gateway }]] of Object.entries(stacks)) {
    answers[name] = [];
    for (const [variables, headers] of requests.slice(0, 20)) {
      const response = await fetch(gateway.told.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query: scenario.query, variables }),
      });
      answers[name].push(JSON.stringify(await response.json()).replaceAll(/"(endCursor|cursor)":("[^"]*"|null)/g, ''));
    }
  }
  const [[first, expected], ...others] = Object.entries(answers);
  for (const [name, list] of others)
    list.forEach((answer, nth) => {
      if (answer !== expected[nth])
        throw new Error(
          `${name} answers otherwise than ${first}:\n${answer.slice(0, 3_000)}\n${expected[nth].slice(0, 3_000)}`,
        );
    });
  if (/"errors":/.test(expected.join()))
    throw new Error(`An answer with errors: ${expected.find((one) => one.includes('errors')).slice(0, 500)}`);
}

export async function used({ gateway, subgraphs }) {
  const { calls } = await ask(gateway.child, {});
  return {
    calls,
    gateway: cpuMsOf(gateway.child.pid),
    subgraphs: cpuMsOf(subgraphs.child.pid),
  };
}

export function start(file, env, tells = true) {
  const child = fork(file.startsWith('/') ? file : here(file), [], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  if (!tells) return Promise.resolve({ child });
  return new Promise((resolve, reject) => {
    child.once('message', (told) => resolve({ child, told }));
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
  });
}

export function ask(child, message) {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('a process of the bench ended'));
    child.once('exit', gone);
    child.once('message', (answer) => {
      child.off('exit', gone);
      resolve(answer);
    });
    child.send(message);
  });
}

export async function whole(turn) {
  const shown = await turn;
  if (shown.failed) throw new Error(shown.failed);
  return shown;
}

function run(program, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
    children.add(child);
    child.once('exit', (code) => {
      children.delete(child);
      if (code === 0) resolve();
      else reject(new Error(`${args.join(' ')} ended with ${code}`));
    });
  });
}

function medians(turns) {
  return Object.fromEntries(Object.keys(turns[0]).map((key) => [key, median(turns.map((turn) => turn[key]))]));
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function save(run) {
  writeFileSync(here('results/table.md'), table(run));
  writeFileSync(here('results/chart.svg'), chart(run));
  writeFileSync(here('results/figures.json'), `${JSON.stringify(run, null, 1)}\n`);
  console.log('Written: bench/cache/results/table.md, chart.svg, figures.json');
}

/** What was saved before, with the scenarios of this run in the place of the same ones. */
function addedTo(run) {
  const file = here('results/figures.json');
  if (!existsSync(file)) return run;
  const before = JSON.parse(readFileSync(file, 'utf8'));
  const cells = new Map([...before.cells, ...run.cells].map((cell) => [cell.scenario, cell]));
  return {
    ...run,
    cells: Object.keys(SCENARIOS).flatMap((name) => cells.get(name) ?? []),
    tookS: before.tookS + run.tookS,
  };
}

export function stepper() {
  const began = Date.now();
  return (doing) => process.stderr.write(`${((Date.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${doing}\n`);
}

export function numberOf(value, min, max, option) {
  const number = Number(value);
  if (!(number >= min && number <= max))
    throw new Error(`${option} takes a number from ${min} to ${max}; came ${value}`);
  return number;
}
