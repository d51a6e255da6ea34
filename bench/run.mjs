/** `npm run bench [-- --quick] [-- --scenario a,b --peers a,b --rounds N --seconds S --save --add]`. bench/README.md tells more; `npm run bench -- cache …`: bench/cache/README.md; `npm run bench -- telemetry …`: bench/telemetry/bench.mjs; `npm run bench -- consistency …`: bench/consistency/bench.mjs; `npm run bench -- overload …`: bench/overload/bench.mjs. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const INSTALL_MS = 600_000;
const here = fileURLToPath(new URL('.', import.meta.url));

if (process.platform !== 'linux') stop('The bench reads /proc, so it needs Linux; in a container it has one.');
if (process.argv[2] === 'cache') {
  // Its peer is made of what we depend on ourselves.
  const { benchCache } = await import('./cache/bench.mjs');
  await benchCache(process.argv.slice(3));
  process.exit();
}
if (process.argv[2] === 'telemetry') {
  const { benchTelemetry } = await import('./telemetry/bench.mjs');
  await benchTelemetry(process.argv.slice(3));
  process.exit();
}
if (process.argv[2] === 'consistency') {
  const { benchConsistency } = await import('./consistency/bench.mjs');
  await benchConsistency(process.argv.slice(3));
  process.exit();
}
if (process.argv[2] === 'overload') {
  install(here);
  const { benchOverload } = await import('./overload/bench.mjs');
  await benchOverload(process.argv.slice(3));
  process.exit();
}
const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    peers: { type: 'string' },
    forwarded: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string' },
    save: { type: 'boolean', default: false },
    add: { type: 'boolean', default: false },
  },
});
for (const folder of [here, `${here}peers/mercurius/`]) install(folder);
const { bench } = await import('./bench.mjs');
await bench(values, process.argv.slice(2));

/** The peers weigh 700 MB, so they come only when somebody asks for the bench. */
function install(folder) {
  const wanted = Object.entries(JSON.parse(readFileSync(`${folder}package.json`, 'utf8')).dependencies);
  if (wanted.every(([name, version]) => installed(folder, name) === version)) return;
  console.error(`Installing the peers into ${folder}node_modules (once; at most ten minutes) …`);
  const { status, error } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: folder,
      stdio: 'inherit',
      timeout: INSTALL_MS,
    },
  );
  if (status !== 0)
    stop(
      `The peers could not be installed (${error?.message ?? `npm ci ended with ${status}`}). They come from the npm registry; ` +
        `look at what npm says above, then run \`npm ci --ignore-scripts\` in ${folder} by hand.`,
    );
}

function installed(folder, name) {
  const file = `${folder}node_modules/${name}/package.json`;
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

function stop(message) {
  console.error(message);
  process.exit(1);
}
