/**
 * `npm run bench -- consistency [--users N] [--rounds N] [--seconds S] [--save]`: what a read costs that carries what its reader has written, and
 * one that asks for nothing that is kept (`tributary-consistency: monotonic`), beside one that says nothing: of a small query and of the
 * profile page, from warm caches of our services, and of the published shape, where subgraphs answer from memory and only the gateway is measured. Each
 * in the same processes, in turns, A B C, B C A, …; the client, the people and the servers are those of bench/cache.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, endAll, median, numberOf, openWorld, SCENARIOS, start, stepper, used, whole } from '../cache/bench.mjs';
import { drawn } from '../cache/requests.mjs';
import { published, supergraph } from '../shop.mjs';
import { startWay } from '../telemetry/bench.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const CONNECTIONS = 16;
/** People who read; what they have written has been heard everywhere by then. */
const READERS = 10;
/** As many writes as a token holds. */
const FULL = 40;
const WARM_MS = 1_000;

const QUERIES = {
  small: {
    label: 'small query: one person, one call',
    query: 'query($handle: String!) { userByHandle(handle: $handle) { id displayName bio } }',
  },
  profile: { label: 'profile page: five calls', query: SCENARIOS.viewers.query },
  published: { label: 'published shape, the gateway alone', query: published },
};
/** `writes`: how many the reader's token names; undefined: it sends none. */
const WAYS = [
  { name: 'plain', label: 'says nothing' },
  { name: 'one', label: 'a token of one write', writes: 1 },
  { name: 'full', label: `a token of ${FULL} writes, as full as one gets`, writes: FULL },
  { name: 'monotonic', label: 'asks for monotonic reads', headers: { 'tributary-consistency': 'monotonic' } },
];

export async function benchConsistency(args) {
  const { values } = parseArgs({
    args,
    options: {
      users: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '20' },
      seconds: { type: 'string', default: '0.5' },
      save: { type: 'boolean', default: false },
    },
  });
  const users = numberOf(values.users, FULL + READERS, 1_000_000, '--users');
  const rounds = numberOf(values.rounds, 1, 50, '--rounds');
  const seconds = numberOf(values.seconds, 0.5, 60, '--seconds');
  const began = new Date();
  const step = stepper();
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'));
  try {
    const world = await openWorld(users, step);
    step('starting a gateway and the services');
    // Tokens last as long as the bench does.
    const stack = await startWay(world, { CONSISTENCY_TOKEN_S: '86400' });
    const readers = world.people.slice(-READERS);
    step('the readers write');
    const tokens = new Map();
    for (const { id } of readers) tokens.set(id, await written(world, stack, id));
    const alone = await startAlone(folder);
    const requests = await drawn(world, { reads: 'profile', viewers: false }, 1_000);
    const client = await start('load.mjs', process.env, false);
    const rows = [];
    for (const [name, { query, label }] of Object.entries(QUERIES))
      for (const way of WAYS) {
        const isAlone = name === 'published';
        const asked = isAlone ? alone.askedBy(way) : await askedBy(world, requests, readers, tokens, way);
        rows.push({ ...way, query: name, of: label, text: query, stack: isAlone ? alone : stack, asked, turns: [] });
      }
    const turn = ({ text, asked, stack: { gateway } }, ms, from) =>
      whole(
        ask(client.child, { url: gateway.told.url, query: text, requests: asked, from, connections: CONNECTIONS, ms }),
      );
    step('warming up');
    for (let nth = 0; nth < 2; nth++) for (const row of rows) await turn(row, WARM_MS, nth * 300);
    for (let round = 0; round < rounds; round++)
      for (let nth = 0; nth < rows.length; nth++) {
        const row = rows[(nth + round) % rows.length];
        // What is kept is there again, whoever was asked before.
        await turn(row, 200, round * 300);
        const before = await used(row.stack);
        const { count, p50 } = await turn(row, seconds * 1_000, round * 300);
        const after = await used(row.stack);
        row.turns.push({
          gatewayMs: (after.gateway - before.gateway) / count,
          subgraphsMs: (after.subgraphs - before.subgraphs) / count,
          p50,
        });
        step(`${row.of}, ${row.label}, turn ${round + 1} of ${rounds}`);
      }
    const command = ['npm run bench', '--', 'consistency', ...args].join(' ');
    const text = table({ command, date: began, rounds, seconds, people: world.people.length, rows });
    console.log(text);
    if (values.save) writeFileSync(here('table.md'), text);
  } finally {
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The gateway of the other benches; each request has an `authorization` of its own, which is forwarded, so none is joined. */
async function startAlone(folder) {
  const subgraphs = await start(`${ROOT}bench/serve-subgraphs.mjs`, process.env);
  const file = join(folder, 'published.graphql');
  writeFileSync(
    file,
    supergraph((name) => `http://127.0.0.1:${subgraphs.told.port}/${name}`),
  );
  const secret = randomUUID().repeat(2);
  const gateway = await start('ours-gateway.mjs', {
    ...process.env,
    PORT: '0',
    SUPERGRAPH: file,
    FORWARD_HEADERS: 'authorization',
    CONSISTENCY_SECRET: secret,
    MONOTONIC_READS: 'everybody',
  });
  const { ConsistencyTokens } = await import(`${ROOT}dist/libs/consistency/index.js`);
  const tokens = new ConsistencyTokens({ secret, lifetimeS: 300 });
  const tokenOf = (writes) =>
    tokens.make(
      null,
      Array.from({ length: writes }, () => ({
        source: 'products',
        aggregate: `relation:${randomUUID()}:${randomUUID()}`,
        version: 2,
        at: tokens.now(),
      })),
    );
  const askedBy = ({ writes, headers }) =>
    Array.from({ length: 1_000 }, (_, nth) => {
      const token = writes === undefined ? {} : { 'consistency-token': tokenOf(writes) };
      return [{}, { authorization: `Bearer ${nth}`, ...token, ...headers }];
    });
  return { subgraphs, gateway, askedBy };
}

/** The tokens of one write and of as many as there can be. */
async function written(world, { gateway }, reader) {
  const authorization = `Bearer ${await world.tokenOf(reader)}`;
  const tokens = [];
  for (const { id } of world.people.filter((person) => person.id !== reader).slice(0, FULL)) {
    // Who follows them already does not write by following them: it is begun anew.
    for (const name of ['unfollow', 'follow']) {
      const response = await fetch(gateway.told.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization,
          ...(tokens.length > 0 ? { 'consistency-token': tokens.at(-1) } : {}),
        },
        body: JSON.stringify({
          query: `mutation($id: ID!) { ${name}(userId: $id) { id } }`,
          variables: { id: world.globalId('user', id) },
        }),
      });
      const answer = await response.json();
      if (answer.errors) throw new Error(`A reader could not write: ${JSON.stringify(answer.errors)}`);
      const token = response.headers.get('consistency-token');
      if (name === 'follow') tokens.push(token);
    }
  }
  return { 1: tokens[0], [FULL]: tokens.at(-1) };
}

async function askedBy(world, requests, readers, tokens, { writes, headers }) {
  return Promise.all(
    requests.map(async ([variables], nth) => {
      const { id } = readers[nth % readers.length];
      const token = writes === undefined ? {} : { 'consistency-token': tokens.get(id)[writes] };
      return [variables, { authorization: `Bearer ${await world.tokenOf(id)}`, ...token, ...headers }];
    }),
  );
}

function table({ command, date, rounds, seconds, people, rows }) {
  const at = (row, of) => median(row.turns.map(of));
  const gatewayOf = ({ gatewayMs }) => gatewayMs;
  const subgraphsOf = ({ subgraphsMs }) => subgraphsMs;
  const both = ({ gatewayMs, subgraphsMs }) => gatewayMs + subgraphsMs;
  /** Turn by turn, so what the machine does meanwhile is in both. */
  const more = (row, of) => {
    const plain = rows.find(({ query, name }) => query === row.query && name === 'plain');
    if (plain === row || (row.query === 'published' && of !== gatewayOf)) return '';
    const percent = median(row.turns.map((turn, nth) => 100 * (of(turn) / of(plain.turns[nth]) - 1)));
    return `${percent < 0 ? '' : '+'}${percent.toFixed(1)} %`;
  };
  const cells = rows.map((row) => [
    row.of,
    row.label,
    at(row, gatewayOf).toFixed(3),
    more(row, gatewayOf),
    row.query === 'published' ? '' : at(row, subgraphsOf).toFixed(3),
    more(row, subgraphsOf),
    more(row, both),
    at(row, ({ p50 }) => p50).toFixed(1),
  ]);
  return [
    '# What it costs to be shown nothing older',
    '',
    `\`${command}\`, ${date.toISOString()}`,
    '',
    `Node ${process.version}, ${cpus()[0]?.model.trim()} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB; logged in, ${people.toLocaleString('en')} people on PostgreSQL, services with Redis, the`,
    `gateway without an entity cache; ${CONNECTIONS} connections, ${rounds} turns of ${seconds} s each, medians. CPU is user and system time per answered request, of the`,
    'gateway and of the three services (one process); that of PostgreSQL, which only the last row of each asks, is not counted. Per cent: more than who says',
    'nothing, turn by turn; what is below a tenth says nothing on a machine that does something else as well.',
    '',
    '| what is asked | the reader | gateway CPU ms | | services CPU ms | | both | p50 ms |',
    '|---|---|--:|--:|--:|--:|--:|--:|',
    ...cells.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n');
}
