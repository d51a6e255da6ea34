import { writeSync } from 'node:fs';

const STANDARD_ERROR = 2;
/** A pipe whose reader is behind for a moment is waited for so often, and so long, ms. */
const WAITS = 10;
const WAIT_MS = 10;

/**
 * Where the log goes: line by line, each written before its caller goes on. Where it cannot be written (a full disk, a pipe that
 * nobody reads) the program goes on without: lines are lost, none is kept, and the first that can be written again comes after one
 * that says how many there were. (pino's own destination throws then at whoever logs, which is often somebody who handles an error.)
 */
export class LogLines {
  readonly #program: string;
  readonly #sink: (bytes: Uint8Array) => number;
  #lost = 0;
  /** The last thing written was a part of a line. */
  #torn = false;

  constructor(program: string, sink: (bytes: Uint8Array) => number = (bytes) => writeSync(STANDARD_ERROR, bytes)) {
    this.#program = program;
    this.#sink = sink;
  }

  write(line: string): void {
    const before = this.#lost === 0 ? '' : `${this.#torn ? '\n' : ''}${this.#whatWasLost()}\n`;
    try {
      this.#writeWhole(Buffer.from(before + line));
      this.#lost = 0;
    } catch {
      this.#lost += 1;
    }
  }

  #writeWhole(bytes: Uint8Array): void {
    let rest = bytes;
    let waits = this.#lost === 0 ? WAITS : 0;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(this.#sink(rest));
        this.#torn = rest.length > 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || waits === 0) throw error;
        waits -= 1;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      }
    }
  }

  #whatWasLost(): string {
    const fields = { level: 40, time: new Date().toISOString(), name: this.#program, lost: this.#lost };
    return JSON.stringify({ ...fields, msg: 'Lines of the log could not be written; so many are lost' });
  }
}
