import { existsSync, readFileSync } from 'node:fs';
import { endWithParent } from '../commands/parent.mjs';

// kill -9 of what `npm test` runs must not leave Jest behind; who starts Jest alone is not watched.
if (process.env.TEST_SKIPPED_FILE) endWithParent();

/** After everything else: what was not run and why, then one line that counts. */
export default class ClosingLines {
  onRunComplete(_contexts, results) {
    const file = process.env.TEST_SKIPPED_FILE;
    const skipped =
      file && existsSync(file) ? [...new Set(readFileSync(file, 'utf8').split('\n').filter(Boolean))] : [];
    this.lines = skipped.map((line) => `skipped: ${line}`);
    const broken = results.testResults.filter((result) => result.testExecError).length;
    this.lines.push(
      `${results.numPassedTests} passed, ${results.numFailedTests + broken} failed, ${results.numPendingTests + results.numTodoTests} skipped`,
    );
    // Jest prints its own summary after the reporters have run: the exit is the only place behind it.
    process.once('exit', () => process.stdout.write(`\n${this.lines.join('\n')}\n`));
  }

  getLastError() {
    return undefined;
  }
}
