import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { Failure, type Deadline } from '#libs/failure';
import type { Gauge } from '#libs/telemetry';

/** OWASP's first choice. Algorithm and version are the library's defaults: argon2id, 0x13; a test reads them off a hash. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/**
 * Who waits keeps a connection of a gateway's, which has 64 to this service and gives mutations half of them: with more that wait here, all
 * others who write would wait too, and in a line that knows no clients. At about 30 ms each, the last one waits for less than a second.
 */
export const WAITING_MAX = 24;
/** Whoever is turned away: by then a line that is full has gone. Each try counts, also one that was not looked at, and of LOG_IN_TRIES there are ten a minute. */
const AGAIN_S = 6;
/** What a hash takes before one was timed, and the most that one counts for: a process that was stopped is no slower for that. */
const HASH_MS = 30;
const HASH_MS_MAX = 1_000;
/** Hashes' time that has to be left behind one's own: for the way back, and for those of a crowd that take longer than most. */
const SPARE = 2;

/** Who asks for a hash: until when they wait, and whose line they stand in. */
export interface Asker {
  readonly deadline?: Deadline | undefined;
  /** A client or a person; whoever says none stands with all the others who say none. */
  readonly line?: string | undefined;
}

interface Waiting {
  readonly go: () => void;
  readonly turnAway: (failure: Failure) => void;
}

/**
 * Hashes passwords, few at a time: each hash keeps a core and a thread of the pool that Node also needs for files and names, so without
 * a line fifty log-ins at once would be felt by everybody who only reads. Each client has a line of its own, and the lines take turns
 * (Nagle, "On Packet Switches with Infinite Storage", RFC 970): whoever sends many waits for themselves. When too many wait, the last
 * of the longest line is turned away. So is whoever would not be hashed before nobody waits for it any more: told at once, they come
 * again in some seconds; told too late, with all else that their request asked for, a log-in of a stranger's crowd would look like a service that fails.
 */
export class Passwords {
  readonly #atOnce: number;
  readonly #waitingMax: number;
  /** By whose they are, the line whose turn is next first. */
  readonly #lines = new Map<string, Waiting[]>();
  readonly #nobodys: Promise<string>;
  readonly #clock: () => number;
  /** Of the last few, what one takes. */
  #hashMs = HASH_MS;
  #waiting = 0;
  #running = 0;
  #work = 0;
  #asked = 0;
  #inTime = 0;

  constructor({
    atOnce,
    waitingMax = WAITING_MAX,
    clock = () => performance.now(),
  }: {
    atOnce: number;
    waitingMax?: number;
    /** For how long a hash takes, ms. */
    clock?: () => number;
  }) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
    this.#clock = clock;
    this.#nobodys = hash(randomBytes(32), COST);
    this.#nobodys.catch(() => {}); // Heard by whoever needs it.
  }

  /** How many hashes were computed: what a log-in costs, counted. */
  get work(): number {
    return this.#work;
  }

  /**
   * Whether anybody can log in at all. Strangers cannot make it look as if nobody could, while a hash takes less than a request may: what they send
   * is hashed as well. Also whoever waits for a hash that does not end has asked.
   */
  gauges(service: string): Gauge[] {
    const counted = (name: string, help: string, read: () => number): Gauge => ({
      name,
      help,
      labels: { service },
      grows: true,
      read: async () => read(),
    });
    const asked = 'Passwords that were to be hashed, those that are refused for want of time too.';
    const hashed = 'Passwords that were hashed while somebody still waited for them.';
    return [
      counted('tributary_passwords_asked_total', asked, () => this.#asked),
      counted('tributary_passwords_hashed_total', hashed, () => this.#inTime),
    ];
  }

  hash(password: string, asker?: Asker): Promise<string> {
    return this.#inLine(() => hash(password, COST), asker);
  }

  /** `kept` is undefined when there is nobody: that takes as much work as a wrong password, and is as wrong. */
  async verify(kept: string | undefined, password: string, asker?: Asker): Promise<boolean> {
    const against = kept ?? (await this.#nobodys);
    const right = await this.#inLine(() => verify(against, password), asker);
    return right && kept !== undefined;
  }

  async #inLine<T>(work: () => Promise<T>, { deadline, line = '' }: Asker = {}): Promise<T> {
    this.#asked += 1;
    // Where nobody is before it, it is tried: a hash that took long is no reason never to time one again.
    if (this.#running > 0) this.#requireTime(deadline, this.#before(line) / this.#atOnce + 1 + SPARE);
    // Whoever finishes hands its place over, so `running` stays as it is.
    const waits = this.#running >= this.#atOnce;
    if (waits) await this.#wait(line);
    else this.#running += 1;
    try {
      // Others may have come before it meanwhile; and whoever asked may have gone before they were in line.
      if (waits) this.#requireTime(deadline, 1);
      else deadline?.require();
      const began = this.#clock();
      this.#work += 1;
      const done = await work();
      this.#hashMs += (Math.min(this.#clock() - began, HASH_MS_MAX) - this.#hashMs) / 4;
      if (deadline === undefined || deadline.leftMs > 0) this.#inTime += 1;
      return done;
    } finally {
      const next = this.#next();
      if (next) next.go();
      else this.#running -= 1;
    }
  }

  /** Hashes that come before the next one of this line: those under way, its own, and of the others as many turns each. */
  #before(line: string): number {
    const own = this.#lines.get(line)?.length ?? 0;
    let before = this.#running + own;
    for (const [whose, waiting] of this.#lines) if (whose !== line) before += Math.min(waiting.length, own + 1);
    return before;
  }

  #requireTime(deadline: Deadline | undefined, hashes: number): void {
    if (deadline === undefined || deadline.leftMs > hashes * this.#hashMs) return;
    throw tooMany();
  }

  #wait(line: string): Promise<void> {
    const own = this.#lines.get(line) ?? [];
    if (this.#waiting >= this.#waitingMax) {
      const [whose, longest] = [...this.#lines].reduce((one, other) => (other[1].length > one[1].length ? other : one));
      if (longest.length <= own.length + 1) throw tooMany();
      longest.pop()!.turnAway(tooMany());
      if (longest.length === 0) this.#lines.delete(whose);
      this.#waiting -= 1;
    }
    return new Promise((go, turnAway) => {
      own.push({ go, turnAway });
      this.#lines.set(line, own);
      this.#waiting += 1;
    });
  }

  #next(): Waiting | undefined {
    for (const [line, waiting] of this.#lines) {
      // The next turn of this line comes after those of all others.
      this.#lines.delete(line);
      if (waiting.length > 1) this.#lines.set(line, waiting);
      this.#waiting -= 1;
      return waiting.shift();
    }
    return undefined;
  }
}

function tooMany(): Failure {
  return new Failure('OVERLOADED', 'Too many passwords wait to be hashed.', { retryAfterS: AGAIN_S });
}
