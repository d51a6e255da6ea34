import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { Failure, type Deadline } from '#libs/failure';

/** OWASP's first choice. Algorithm and version are the library's defaults: argon2id, 0x13; a test reads them off a hash. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** At about 30 ms each, whoever is last in line waits three seconds: as long as the gateway waits for a service. */
const WAITING_MAX = 100;

/**
 * Hashes passwords, few at a time: each hash keeps a core and a thread of the pool that Node also needs for files and names, so without
 * a line fifty log-ins at once would be felt by everybody who only reads.
 */
export class Passwords {
  readonly #atOnce: number;
  readonly #waiting: (() => void)[] = [];
  readonly #nobodys: Promise<string>;
  #running = 0;
  #work = 0;

  constructor({ atOnce }: { atOnce: number }) {
    this.#atOnce = atOnce;
    this.#nobodys = hash(randomBytes(32), COST);
    this.#nobodys.catch(() => {}); // Heard by whoever needs it.
  }

  /** How many hashes were computed: what a log-in costs, counted. */
  get work(): number {
    return this.#work;
  }

  hash(password: string, deadline?: Deadline): Promise<string> {
    return this.#inLine(() => hash(password, COST), deadline);
  }

  /** `kept` is undefined when there is nobody: that takes as much work as a wrong password, and is as wrong. */
  async verify(kept: string | undefined, password: string, deadline?: Deadline): Promise<boolean> {
    const against = kept ?? (await this.#nobodys);
    const right = await this.#inLine(() => verify(against, password), deadline);
    return right && kept !== undefined;
  }

  async #inLine<T>(work: () => Promise<T>, deadline: Deadline | undefined): Promise<T> {
    if (this.#running >= this.#atOnce) {
      if (this.#waiting.length >= WAITING_MAX) throw new Failure('OVERLOADED');
      // Whoever finishes hands its place over, so `running` stays as it is.
      await new Promise<void>((go) => this.#waiting.push(go));
    } else {
      this.#running += 1;
    }
    try {
      // Whoever asked may have gone while this stood in line.
      deadline?.require();
      this.#work += 1;
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
