import { createLogger, type Logger } from '#libs/telemetry';

/** What must stand in no log, whoever wrote it into a request. Node's packages have an @ in their paths, but nothing before it. */
const PRIVATE: Readonly<Record<string, RegExp>> = {
  'a token': /eyJ[\w-]+\.eyJ[\w-]+/,
  'a hash of a password': /\$argon2/,
  'a password': /(correct|wrong) horse|password\\*"?\s*:\s*\\*"/,
  'an e-mail address': /[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}/i,
};

/** What is wrong with a line of a log; none: it is one line of JSON that says nothing of people. */
export function wrongInLine(line: string, secrets: readonly string[] = []): string[] {
  const found = Object.entries(PRIVATE).flatMap(([what, pattern]) => (pattern.test(line) ? [what] : []));
  if (secrets.some((secret) => line.includes(secret))) found.push('a secret');
  if (!isOneObject(line)) found.push('something else than one line of JSON');
  return found.map((what) => `its log has ${what}: ${line.slice(0, 300)}`);
}

function isOneObject(line: string): boolean {
  if (line.indexOf('\n') !== line.length - 1) return false;
  try {
    const entry = JSON.parse(line) as unknown;
    return typeof entry === 'object' && entry !== null && 'msg' in entry;
  } catch {
    return false;
  }
}

const WRONG_MAX = 20;

/** The log of the programs that are attacked: each line is looked at as it is written, and what is wrong with it is kept until it is asked for. */
export class WatchedLog {
  readonly #secrets: readonly string[];
  #wrong: string[] = [];
  #lines = 0;

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  logger(program: string): Logger {
    return createLogger(program, 'debug', {
      write: (line) => {
        this.#lines += 1;
        if (this.#wrong.length < WRONG_MAX) this.#wrong.push(...wrongInLine(line, this.#secrets));
      },
    });
  }

  /** How many there were. */
  get lines(): number {
    return this.#lines;
  }

  /** Since this was asked last. */
  wrong(): string[] {
    const wrong = this.#wrong;
    this.#wrong = [];
    return wrong;
  }
}
