import { Failure } from '#libs/failure';
import { UnfitAnswer } from './why-not-fetched.js';

/** What users tells of log-ins that have ended before their tokens ran out; times in ms since 1970. */
export interface EndedSessionsPage {
  /** On the clock of users' database. */
  readonly now: number;
  /** One log-in: the `jti` of its token, when that runs out by itself, and whose it is (a users of before does not say). */
  readonly sessions: readonly (readonly [jti: string, until: number, subject?: string])[];
  /** Everything of one person that was begun before: tokens whose `gen` is lower. */
  readonly people: readonly (readonly [subject: string, generation: number, until: number])[];
  /** There is more: asked for with this as `after`. */
  readonly next?: string | undefined;
}

/** How many of them come at a time, to whoever asks for pages (`limit`); a gateway of before gets all at once. */
export const ENDED_SESSIONS_PAGE = 10_000;

/** A transaction that has begun before we looked may end after it; none of ours may take so long. */
const OVERLAP_MS = 60_000;
/** How long the last list is believed while users cannot be reached: as long as its keys. */
const BELIEVED_MS = 3_600_000;
/** Of each page. */
const FETCH_MS = 2_000;
/** Ten million log-ins that ended while their tokens were good: no memory holds that beside everything else. */
const PAGES_MAX = 1_000;

/** A page of what has ended since then, ms; `after`: what the page before said. */
type Read = (since: number, after: string | undefined, signal: AbortSignal) => Promise<EndedSessionsPage>;

interface Session {
  readonly until: number;
  readonly subject: string | undefined;
  /** In which read it was first told. */
  readonly read: number;
}

/**
 * Log-ins that were ended: by logging out, or by another password. Asked of users every few seconds, only for what is new;
 * so a token is refused everywhere within `pollMs` and the time of one answer. Before the first answer nobody's token is taken,
 * and none once the last one is an hour old.
 */
export class EndedSessions {
  readonly #read: Read;
  readonly #clock: () => number;
  readonly #pollMs: number;
  readonly #report: (trouble: string | undefined) => void;
  readonly #sessions = new Map<string, Session>();
  readonly #people = new Map<string, { readonly generation: number; readonly until: number; readonly read: number }>();
  readonly #begun: number;
  /** Reads so far. */
  #reads = 0;
  #since = 0;
  #readAt: number | undefined;
  #reading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trouble: unknown;
  #closed = false;

  constructor(parts: {
    read: Read;
    clock: () => number;
    pollMs: number;
    /** Told when it cannot be read, and with undefined when it can again. */
    report: (trouble: string | undefined) => void;
  }) {
    this.#read = parts.read;
    this.#clock = parts.clock;
    this.#pollMs = parts.pollMs;
    this.#report = parts.report;
    this.#begun = parts.clock();
  }

  /** Begins to ask. */
  start(): void {
    void this.refresh();
  }

  /** How many it knows. */
  get size(): number {
    return this.#sessions.size + this.#people.size;
  }

  /** Since the list last came whole; since it is waited for, where it never has. */
  get ageMs(): number {
    return this.#clock() - (this.#readAt ?? this.#begun);
  }

  /** Throws for a log-in that has ended. Waits only before the first list has come. */
  async require(subject: string, claims: Readonly<Record<string, unknown>>): Promise<void> {
    if (this.#readAt === undefined) await this.refresh();
    this.requireNow(subject, claims);
  }

  /** Has the list come? Then `requireNow` does. */
  get known(): boolean {
    return this.#readAt !== undefined;
  }

  /** What kept it from coming the last time; undefined: nothing did. */
  get trouble(): unknown {
    return this.#trouble;
  }

  requireNow(subject: string, { jti, gen }: Readonly<Record<string, unknown>>): void {
    if (this.#readAt === undefined || this.#clock() - this.#readAt > BELIEVED_MS)
      throw new Failure('SUBGRAPH_UNAVAILABLE', 'Which log-ins have ended could not be asked.');
    const generation = typeof gen === 'number' ? gen : 0;
    const ended =
      (typeof jti === 'string' && this.#sessions.has(jti)) ||
      generation < (this.#people.get(subject)?.generation ?? -Infinity);
    if (ended) throw new Failure('UNAUTHENTICATED', 'This log-in has ended; log in again.');
  }

  /** Asks now, rather than at the next turn. */
  refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = undefined;
      if (!this.#closed) this.#timer = setTimeout(() => void this.refresh(), this.#pollMs).unref();
    });
    return this.#reading;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#reading;
  }

  async #ask(): Promise<void> {
    try {
      const now = await this.#readPages();
      this.#since = Math.max(0, now - OVERLAP_MS);
      this.#readAt = this.#clock();
      for (const [jti, session] of this.#sessions)
        if (session.until < now || this.#isCovered(session)) this.#sessions.delete(jti);
      for (const [subject, { until }] of this.#people) if (until < now) this.#people.delete(subject);
      this.#trouble = undefined;
      this.#report(undefined);
    } catch (error) {
      this.#trouble = error;
      this.#report(String(error));
    }
  }

  /**
   * All of that person's have ended since, so it need not be known by itself: else each that they make and end would be kept here until its
   * token runs out. A log-in that began after all others had ended is told after that, or together with it, and never before.
   */
  #isCovered({ subject, read }: Session): boolean {
    return subject !== undefined && read < (this.#people.get(subject)?.read ?? 0);
  }

  /** Of one generation the longest counts, and when it was told first. */
  #note(subject: string, generation: number, until: number): void {
    const known = this.#people.get(subject);
    if (known === undefined || known.generation < generation)
      this.#people.set(subject, { generation, until, read: this.#reads });
    else if (known.generation === generation && known.until < until) this.#people.set(subject, { ...known, until });
  }

  /** Answers the time of the first page: what ends while we read on is found again from there. */
  async #readPages(): Promise<number> {
    let began: number | undefined;
    let after: string | undefined;
    this.#reads += 1;
    for (let count = 0; count < PAGES_MAX; count += 1) {
      const page = await this.#read(this.#since, after, AbortSignal.timeout(FETCH_MS));
      for (const [jti, until, subject] of page.sessions)
        this.#sessions.set(jti, { until, subject, read: this.#sessions.get(jti)?.read ?? this.#reads });
      for (const [subject, generation, until] of page.people) this.#note(subject, generation, until);
      began ??= page.now;
      after = page.next;
      if (after === undefined) return began;
    }
    throw new UnfitAnswer(`more than ${PAGES_MAX} pages of ended sessions`);
  }
}
