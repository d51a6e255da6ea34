import cliProgress from 'cli-progress';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../../commands/root.js';
import { conform, wrongOf, type Result } from './conform.js';
import { tell } from './tell.js';
import { shrink } from './shrink.js';
import { WAYS, type Way } from './world.js';

const USAGE = `npm run conform -- [--operations 10000] [--seed 1] [--per-world 50] [--fields 5] [--ways default,stock] [--shrink 2] [--save]

Makes federated graphs and valid operations over them, asks our engine (as it is by default, with MERGE=plan, and with each planner alone)
and ApolloGateway, and compares data and the places of errors with graphql-js over the whole schema in one process. Prints one table;
exits with 1 when an answer of ours is wrong, after the smallest case that shows it.

  --fields  after how many fields an operation goes no deeper
  --ways    who is asked: some of ${WAYS.join(', ')} (everybody)
  --shrink  how many cases of a kind are made smaller and printed (0: none)
  --save    writes the table to test/federation/generated/results.md
`;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    operations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    'per-world': { type: 'string', default: '50' },
    fields: { type: 'string', default: '5' },
    ways: { type: 'string', default: WAYS.join() },
    shrink: { type: 'string', default: '2' },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const numbers = [values.operations, values.seed, values['per-world'], values.fields, values.shrink].map(Number);
const ways = WAYS.filter((way) => values.ways.split(',').includes(way));
if (values.help || ways.length === 0 || numbers.some((number) => !Number.isInteger(number) || number < 0)) {
  process.stderr.write(USAGE);
  process.exit(values.help ? 0 : 2);
}
const [operations, seed, perWorld, fields, shrinks] = numbers as [number, number, number, number, number];

const started = Date.now();
const bar = new cliProgress.SingleBar({
  format: '{bar} {value}/{total} operations · {worlds} graphs · {wrong} wrong · {eta_formatted} left',
  stopOnComplete: true,
  noTTYOutput: false,
});
bar.start(operations, 0, { worlds: 0, wrong: 0 });
// The planner's process keeps nobody alive.
const alive = setInterval(() => {}, 60_000);
const result = await conform({
  operations,
  seed,
  perWorld,
  fields,
  ways,
  shrinks,
  shrink,
  progress: (so) => bar.update(so.operations, { worlds: so.worlds, wrong: wrongOf(so) }),
});
clearInterval(alive);
bar.stop();

const text = table(result);
process.stdout.write(`\n${text}`);
const wrong = result.cases.filter(({ way }) => way !== 'stock');
for (const found of wrong.slice(0, shrinks)) process.stdout.write(`\n${tell(found)}`);
if (values.save) {
  const folder = join(ROOT, 'test/federation/generated');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.md'), text);
}
process.exitCode = wrongOf(result) > 0 ? 1 : 0;

function table({ verdicts, calls, worlds, failing, moreCalls, ...rest }: Result): string {
  const names: Record<Way, string> = {
    default: 'Tributary',
    batches: 'Tributary, `MERGE=plan`',
    apollo: 'Tributary, `PLANNER=apollo`',
    native: 'Tributary, `PLANNER=native`',
    stock: '`@apollo/gateway`',
  };
  const rows = ways.map((way) => {
    const { right, refused, wrong } = verdicts[way];
    return `| ${names[way]} | ${right} | ${wrong} | ${refused} | ${calls[way]} |`;
  });
  return [
    `# Generated operations, answered`,
    '',
    `\`npm run conform -- --operations ${operations} --seed ${seed} --per-world ${perWorld} --fields ${fields} --ways ${ways.join()}\`: ${rest.operations} operations over ${worlds} graphs`,
    `(${failing} while fields or a whole subgraph failed), each compared with graphql-js over the whole schema: the data, and where errors are.`,
    `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model.trim()}; ${new Date(started).toISOString().slice(0, 10)}; ${Math.round((Date.now() - started) / 1000)} s.`,
    '',
    '| who | right | wrong | refused | subgraph calls |',
    '|---|--:|--:|--:|--:|',
    ...rows,
    '',
    `Tributary made more subgraph calls than \`@apollo/gateway\` for ${moreCalls} operations. Calls are of the operations that all answered rightly.`,
    '',
  ].join('\n');
}
