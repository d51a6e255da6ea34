import { fork, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from '../../commands/machine.js';
import { ROOT } from '../../commands/root.js';
import { showProgress } from '../../commands/seed/progress.js';
import type { Attack } from './attack.js';
import { fuzz, fuzzLine, type Fuzzed } from './fuzz.js';
import type { Programs } from './programs.js';
import type { FromWorker, ToWorker } from './programs.worker.js';
import { attacksWith, MANY } from './rows.js';
import { attack, PROMISED, takesItsTime, withStrain, type Outcome } from './run.js';
import { SEED } from '../seed.js';
import { THREATS } from './threats.js';
import { NO_STRAIN } from './watch.js';

const USAGE = `npm run attack -- [id …] [--fuzz 2000] [--also file] [--without-proto] [--idle 60] [--connects 10000] [--save]

Starts six gateways before small graphs, and the social graph with its gateway, as on the open internet (NODE_ENV=production), in a
process of their own; sends every row of test/attack to them, and after each the question of an ordinary client. Prints what was
sent, what had to come, what came and how long it took, and ends with 1 when anything is not as it must be: status, code, words,
a leak, a service that was asked or heard what its gateway was not to pass on, another process, a socket to another machine, a changed prototype, an answer
after more than ${PROMISED.ms} ms (or what the row says), a next client that waited more than ${PROMISED.nextMs} ms, an event loop that was blocked for more than ${PROMISED.blockedMs} ms, a body
for which the process held more than 32 MB more.

  id      only the rows whose id begins so: A, S4, F17; R5: what is changed by chance
  --fuzz  so many requests are changed by chance (100000 before a release, by hand), by SEED=n, else that of the day
  --also  a module that exports \`rows\`: they are sent last; with one that asks for what does not come it shows that this is told
  --idle  so many seconds five hundred connections are held idle, and questions beside them may not take a fifth longer (S13)
  --connects  so many connect and say nothing (H5)
  --without-proto  what is attacked runs as node --disable-proto=delete
  --save  writes docs/measured/attack.md anew, when all rows are sent
`;

/** What is changed by chance is no row: it is drawn. */
const FUZZ = 'R5';

const { wanted, also, withoutProto, fuzzed: changed, save, ...sizes } = read(process.argv.slice(2));
const everything = attacksWith({ ...MANY, ...sizes, slow: false });
const table = wanted.length === 0 ? everything : everything.filter(({ id }) => wanted.some((one) => belongs(id, one)));
const rows = [...table, ...(await rowsOf(also))];
const fuzzes = wanted.length === 0 || wanted.includes(FUZZ);
const lines: string[] = [];
if (table.length === 0 && !fuzzes) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await run(rows);
  if (save) keep();
}

function say(text: string): void {
  lines.push(text);
  console.log(text);
}

function keep(): void {
  const command = ['npm run attack', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
  const note = `${command} · ${new Date().toISOString().slice(0, 10)} · ${machine()}`;
  writeFileSync(join(ROOT, 'docs/measured/attack.md'), `# attack\n\n\`${note}\`\n\n${lines.join('\n').trim()}\n`);
}

/** What parseArgs does not know is no row either: the usage is printed. */
function read(args: string[]): {
  wanted: readonly string[];
  also: string | undefined;
  withoutProto: boolean;
  fuzzed: number;
  save: boolean;
  idleMs: number;
  connects: number;
} {
  const options = {
    fuzz: { type: 'string', default: '2000' },
    save: { type: 'boolean', default: false },
    also: { type: 'string' },
    'without-proto': { type: 'boolean', default: false },
    idle: { type: 'string', default: '60' },
    connects: { type: 'string', default: '10000' },
  } as const;
  try {
    const { positionals, values } = parseArgs({ args, allowPositionals: true, options });
    const [idleMs, connects] = [1_000 * Number(values.idle), Number(values.connects)];
    const fuzzed = Number(values.fuzz);
    if (![idleMs, connects, fuzzed].every(Number.isInteger)) throw new TypeError('whole numbers');
    const { also: more, 'without-proto': without, save: keeps } = values;
    if (keeps && positionals.length > 0) throw new TypeError('a page of some rows would be taken for all of them');
    return { wanted: positionals, also: more, withoutProto: without, fuzzed, save: keeps, idleMs, connects };
  } catch {
    return {
      wanted: ['?'],
      also: undefined,
      withoutProto: false,
      fuzzed: 0,
      save: false,
      idleMs: 0,
      connects: 0,
    };
  }
}

async function rowsOf(file: string | undefined): Promise<readonly Attack[]> {
  if (file === undefined) return [];
  return ((await import(pathToFileURL(file).href)) as { rows: readonly Attack[] }).rows;
}

function belongs(id: string, wanted: string): boolean {
  return id === wanted || (/^[A-Z]$/.test(wanted) && id.startsWith(wanted));
}

async function run(attacks: readonly Attack[]): Promise<number> {
  process.stderr.write('Starting what is attacked …\n');
  const programs = await startWorker();
  const outcomes: Outcome[] = [];
  let chance: Fuzzed | undefined;
  const bar = showProgress(attacks.length, process.stderr, 'attacks');
  try {
    // Those that take their time go beside the others, which are taken the time of.
    const slow = attacks
      .filter((row) => row.slow)
      .map((row) => attack(row, programs, undefined).finally(() => bar.add(1, row.id)));
    for (const row of attacks) {
      if (row.slow) continue;
      bar.add(1, row.id);
      outcomes.push(await attack(row, programs, PROMISED));
    }
    // What they block while others are sent is told of those; from here on they are alone.
    await programs.state();
    const slowly = await Promise.all(slow);
    const { blockedMs } = await programs.state();
    outcomes.push(...slowly.map((outcome) => withStrain(outcome, blockedMs, PROMISED)));
    if (fuzzes) chance = await fuzz(programs, { count: changed, seed: SEED }, PROMISED);
  } finally {
    bar.stop();
    await programs.close();
  }
  return report(outcomes, chance, programs);
}

function report(outcomes: readonly Outcome[], chance: Fuzzed | undefined, programs: Worker): number {
  const ended = programs.ended();
  const bad = outcomes.filter(({ violations }) => violations.length > 0);
  if (outcomes.length > 0) sayRows(outcomes, bad.length);
  if (chance) say(fuzzLine(chance));
  for (const wrong of chance?.violations ?? []) say(`  ${wrong}`);
  if (!programs.proto) say('What was attacked ran without __proto__.');
  for (const { attack: row, violations } of bad) say(`  ${row.id} ${row.what} → ${row.to}: ${violations.join('; ')}`);
  if (ended !== undefined) say(`  The process that was attacked has ended: ${ended}.`);
  return bad.length === 0 && !chance?.violations.length && ended === undefined ? 0 : 1;
}

/** Row for row for whoever looks; what is kept is the sum of it. */
function sayRows(outcomes: readonly Outcome[], bad: number): void {
  console.log(
    tableOf(
      ['id', 'to', 'sent', 'must come', 'came', 'ms', 'as it must be'],
      outcomes.map(({ attack: row, seen, ms, violations }) => [
        row.id,
        row.to,
        row.what,
        [[row.come.status].flat().join('/'), [row.come.code ?? []].flat().join('/')].filter(Boolean).join(' '),
        [seen.status, codeOf(seen.text), p99Of(seen)].filter((part) => part !== '').join(' '),
        ms.toFixed(0),
        violations.length === 0 ? '✓' : `✗ ${violations.join('; ')}`,
      ]),
    ),
  );
  if (wanted.length === 0) sayThreats(outcomes);
  const quick = outcomes.filter(({ attack: row }) => !row.slow);
  const longest = (of: (outcome: Outcome) => number, among = quick): string =>
    `${Math.max(0, ...among.map(of)).toFixed(0)} ms`;
  const atOnce = quick.filter(({ attack: row }) => !takesItsTime(row));
  say(
    `\n${outcomes.length} attacks, ${new Set(outcomes.map(({ attack: row }) => row.id)).size} ids: ${bad} violations. Longest: answer ${longest(({ ms }) => ms, atOnce)}, next client ${longest(({ nextMs }) => nextMs)}, event loop blocked ${longest(({ blockedMs }) => blockedMs)}. Most memory for a body: ${(Math.max(...outcomes.map(({ moreBytes }) => moreBytes)) / 1e6).toFixed(0)} MB.`,
  );
}

function p99Of({ p99Ms }: Outcome['seen']): string {
  return p99Ms ? `p99 ${p99Ms.alone.toFixed(1)} → ${p99Ms.beside.toFixed(1)} ms` : '';
}

/** Each threat, how much was sent for it, and what else looks after it. */
function sayThreats(outcomes: readonly Outcome[]): void {
  console.log('');
  say(
    tableOf(
      ['threat', 'what', 'sent', 'violations', 'and by'],
      THREATS.map(({ id, what, rows = [], tests = [], missing, besides = [] }) => {
        const sent = outcomes.filter(({ attack: row }) => rows.some((one) => belongs(row.id, one)));
        return [
          id,
          what,
          String(sent.length),
          String(sent.filter(({ violations }) => violations.length > 0).length),
          [...tests, ...(missing === undefined ? [] : [`not built: ${missing}`]), ...[besides].flat()].join(', '),
        ];
      }),
    ),
  );
}

function tableOf(head: readonly string[], cells: readonly (readonly string[])[]): string {
  const widths = head.map((_, at) => Math.min(60, Math.max(...[head, ...cells].map((line) => line[at]!.length))));
  const write = (line: readonly string[]): string =>
    `| ${line.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`;
  return [write(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...cells.map(write)].join('\n');
}

function codeOf(text: string): string {
  return /"code":"(\w+)"/.exec(text)?.[1] ?? '';
}

interface Worker extends Programs {
  readonly proto: boolean;
  ended(): string | undefined;
}

async function startWorker(): Promise<Worker> {
  const child = fork(fileURLToPath(new URL('./programs.worker.js', import.meta.url)), {
    execArgv: withoutProto ? ['--disable-proto=delete'] : [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let over = false;
  let ended: string | undefined;
  child.on('exit', (code, signal) => {
    if (!over) ended = `${signal ?? code}`;
  });
  const { ready, proto } = await hear(child, (message) => ('ready' in message ? message : undefined));
  let asked = 0;
  const say = (message: ToWorker): void => void child.send(message);
  return {
    ...ready,
    proto,
    async state(how = {}) {
      if (ended !== undefined) return { ...NOTHING, polluted: `the process ended by ${ended}` };
      // Slow attacks ask beside others.
      const own = (asked += 1);
      const answer = hear(child, (message) =>
        'state' in message && message.asked === own ? message.state : undefined,
      );
      say({ asked: own, how });
      return answer;
    },
    ended: () => ended,
    async close() {
      over = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      say('close');
      await gone;
    },
  };
}

const NOTHING = {
  calls: 0,
  statements: { users: 0, posts: 0, followers: 0 },
  ...NO_STRAIN,
  logged: 0,
  wrong: [],
};

/** The first that it says of which `meant` makes something; rejects when it ends before that. */
function hear<T>(child: ChildProcess, meant: (message: FromWorker) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      child.off('message', listen);
      child.off('exit', gone);
    };
    const listen = (message: unknown): void => {
      const found = meant(message as FromWorker);
      if (found === undefined) return;
      settle();
      resolve(found);
    };
    const gone = (code: number | null, signal: string | null): void => {
      settle();
      reject(new Error(`what was to be attacked has ended (${signal ?? code})`));
    };
    child.on('message', listen).on('exit', gone);
  });
}
