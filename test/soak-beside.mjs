import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';

/** A third of a processor for the operations, half of one for the supergraphs. It goes on until all of it is done. */
const SIZE = '--seconds 120 --operations 10000 --rate 85 --light 15 --reloads 40 --reconnects 67';
const SOAK = [process.execPath, 'commands/run.mjs', 'soak', ...SIZE.split(' ')];
/** Then it hangs. */
const ENDS_MS = 1_500_000;

/**
 * With SOAK=1, as `.ci/run` has it, a soak runs beside all tests and is counted as one. Among them it would hold one of two workers, and do
 * little; here it has what they leave of the processors.
 */
export default class SoakBeside {
  #command;
  #ending;

  constructor(_config, { command = SOAK } = {}) {
    this.#command = command;
  }

  onRunStart() {
    if (process.env.SOAK === '1') this.#ending = endOf(this.#command);
  }

  async onRunComplete(_contexts, results) {
    if (this.#ending === undefined) return;
    const { how, output } = await this.#ending;
    const table = output.search(/^[\d,]+ distinct operations/m);
    const passed = how === 0 && table >= 0;
    results.numTotalTests += 1;
    // Where a test has failed, Jest does.
    if (passed) results.numPassedTests += 1;
    else results.numFailedTests += 1;
    const said = passed ? output.slice(table) : `It ended with ${how}.\n${output}`;
    process.stdout.write(`\n${passed ? 'PASS' : 'FAIL'} npm run soak -- ${SIZE}\n\n${said.trim()}\n`);
  }
}

/** Its exit code, or what else has ended it. */
function endOf([command, ...args]) {
  return new Promise((resolve) => {
    let output = '';
    const soak = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    setTimeout(() => soak.kill(), ENDS_MS).unref();
    for (const stream of [soak.stdout, soak.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    soak.once('error', (error) => resolve({ how: String(error), output }));
    soak.once('close', (code, signal) => resolve({ how: code ?? signal, output }));
    // What it starts takes after it.
    if (soak.pid !== undefined) setPriority(soak.pid, 5);
    process.once('exit', () => soak.kill());
  });
}
