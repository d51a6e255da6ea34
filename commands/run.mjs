// What `npm start`, `npm test`, … run: builds when dist is missing or older than the sources, and never otherwise; then
// the program, in this same process where that is possible. Plain JavaScript, because it runs before anything is built.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { endWithNpm } from './parent.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sources = [
  'gateway',
  'subgraphs',
  'libs',
  'commands',
  'test/servers',
  'package.json',
  '.swcrc',
  'nest-cli.json',
  'tsconfig.json',
];
const stamp = join(root, 'dist', '.built');

const programs = {
  attack,
  start: () => load('dist/commands/start.js'),
  gateway: () => load('dist/gateway/main.js'),
  compose: () => load('dist/commands/compose.js'),
  events: () => load('dist/commands/events.js'),
  reconcile: () => load('dist/commands/reconcile.js'),
  rebuild: () => load('dist/commands/rebuild.js'),
  seed: () => load('dist/commands/seed.js'),
  sbom: () => load('dist/commands/sbom.js'),
  faults: () => load('dist/commands/faults.js'),
  soak: () => load('dist/commands/soak.js'),
  prove: () => load('dist/commands/prove.js'),
  measure: () => load('dist/commands/measure.js'),
  documents: () => load('dist/commands/documents.js'),
  docs: () => load('dist/commands/docs.js'),
  template: () => load('dist/commands/template.js'),
  bench: () => load('bench/run.mjs'),
  cache: () => load('dist/commands/cache.js'),
  explain: () => load('dist/commands/explain.js'),
  conform,
  test,
  check: () => load('dist/commands/check.js'),
};

/** Of those that read no arguments, or few, all that they take: `npm start -- --help` is no wish for a start. */
const takes = {
  start: [],
  gateway: [],
  compose: ['--check', '--accept'],
  sbom: [],
  measure: [],
  docs: ['--check'],
  template: [],
  check: [],
};
const takesSettings = ['start', 'gateway'];

const [name, ...args] = process.argv.slice(2);
const program = programs[name];
if (program === undefined) {
  console.error(`commands/run.mjs takes one of ${Object.keys(programs).join(', ')}; came ${JSON.stringify(name)}`);
  process.exit(2);
}
const strange = args.find((arg) => takes[name]?.includes(arg) === false);
if (strange !== undefined) {
  const command = name === 'start' ? 'npm start' : `npm run ${name}`;
  const what = takes[name].length === 0 ? 'nothing behind it' : takes[name].map((arg) => `-- ${arg}`).join(' or ');
  const settings = takesSettings.includes(name) ? '; settings are variables of the environment (docs/settings.md)' : '';
  console.error(`${command} takes ${what}; came ${JSON.stringify(strange)}${settings}`);
  process.exit(2);
}
endWithNpm();
if (isStale()) await build();
process.argv = [process.argv[0], name, ...args];
await program(args);

function isStale() {
  if (!existsSync(stamp)) return true;
  const built = Number(readFileSync(stamp, 'utf8'));
  return sources.some((source) => newest(join(root, source)) > built);
}

function newest(path) {
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  // The folder's own time tells of files that were removed.
  return Math.max(
    entry.mtimeMs,
    ...readdirSync(path)
      .filter((file) => !file.endsWith('.test.ts'))
      .map((file) => newest(join(path, file))),
  );
}

async function build() {
  const started = Date.now();
  process.stderr.write('Building …');
  await run('node_modules/@nestjs/cli/bin/nest.js', ['build', '--all'], {}, 'pipe');
  await run('commands/assets.mjs', [], {}, 'pipe');
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, String(started));
  process.stderr.write(` done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

async function test(args) {
  const { startServers } = await load('dist/test/servers/all.js');
  const servers = await startServers(process.env);
  // Each file reads all its modules anew, and most of them stay: with room for them they are not copied to and fro, a sixteenth of the time.
  const ours = '--experimental-vm-modules --disable-warning=ExperimentalWarning --max-semi-space-size=32';
  const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} ${ours}`;
  try {
    await run('node_modules/jest/bin/jest.js', args, { ...servers.env, NODE_OPTIONS });
  } finally {
    await servers.stop();
  }
}

/** Proof is built only when it is run by hand. */
async function attack() {
  const fixtures = ['canaries', 'fixture', 'guarded', 'hints'].map((file) => `test/federation/${file}.ts`);
  const others = ['people', 'schema-types', 'seed', 'supply-chain/lockfile'].map((file) => `test/${file}.ts`);
  const proof = ['test/attack', 'test/tiny', ...fixtures, ...others];
  await run('node_modules/@swc/cli/bin/swc.js', [...proof, '-d', 'dist', '--config-file', '.swcrc', '-q']);
  await load('dist/test/attack/main.js');
}

async function conform() {
  await run('node_modules/@swc/cli/bin/swc.js', ['test/federation', '-d', 'dist', '--config-file', '.swcrc', '-q']);
  await load('dist/test/federation/generated/main.js');
}

function load(file) {
  return import(pathToFileURL(join(root, file)).href);
}

function run(file, args, env, stdio = 'inherit') {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, file), ...args], {
      cwd: root,
      stdio,
      env: { ...process.env, ...env },
    });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    const passOn = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, passOn);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      // What comes next ends by a signal again, as if nothing had been built.
      for (const one of ['SIGINT', 'SIGTERM']) process.off(one, passOn);
      if (code === 0) return resolve(undefined);
      if (stdio === 'pipe') process.stderr.write(`\n${output}`);
      process.exitCode = code ?? 1;
      if (stdio === 'pipe' || signal) process.exit(process.exitCode);
      resolve(undefined);
    });
  });
}
