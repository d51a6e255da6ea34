import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';

/** It goes on until all of it is done. */
const SIZE = '--seconds 120 --operations 10000 --rate 85 --light 15 --reloads 40 --reconnects 67';
/** Then it hangs. */
const ENDS_MS = 1_500_000;

/**
 * What `.ci/run` has run beside all tests, by a variable that is 1 where it is wanted. Among them each would hold one of their workers, and do
 * little; here it has what they leave of the processors. `shows`: where begins what is to be seen of it.
 */
const WORKS = [
  { wanted: 'SOAK', name: 'soak', args: SIZE.split(' '), nice: 5, shows: /^[\d,]+ distinct operations/m },
  { wanted: 'CHECK', name: 'check', args: [], nice: 19, shows: /^✓ /m },
].map(({ name, args, ...work }) => ({
  ...work,
  title: ['npm run', name, ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
  command: [process.execPath, 'commands/run.mjs', name, ...args],
}));

/** Each is counted as one test. */
export default class Beside {
  #works;
  #underWay = [];

  constructor(_config, { works = WORKS } = {}) {
    this.#works = works;
  }

  onRunStart() {
    const wanted = this.#works.filter(({ wanted }) => process.env[wanted] === '1');
    this.#underWay = wanted.map((work) => ({ ...work, ending: endOf(work) }));
  }

  async onRunComplete(_contexts, results) {
    for (const { ending, title, shows } of this.#underWay) {
      const { how, output } = await ending;
      const from = output.search(shows);
      const passed = how === 0 && from >= 0;
      results.numTotalTests += 1;
      // Where a test has failed, Jest does.
      if (passed) results.numPassedTests += 1;
      else results.numFailedTests += 1;
      const said = passed ? output.slice(from) : `It ended with ${how}.\n${output}`;
      process.stdout.write(`\n${passed ? 'PASS' : 'FAIL'} ${title}\n\n${said.trim()}\n`);
    }
  }
}

/** Its exit code, or what else has ended it. */
function endOf({ command: [command, ...args], nice }) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    setTimeout(() => child.kill(), ENDS_MS).unref();
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => resolve({ how: String(error), output }));
    child.once('close', (code, signal) => resolve({ how: code ?? signal, output }));
    // What it starts takes after it.
    if (child.pid !== undefined) setPriority(child.pid, nice);
    process.once('exit', () => child.kill());
  });
}
