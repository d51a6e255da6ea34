import { Duplex } from 'node:stream';
import { callbackify } from 'node:util';
import type { PGlite } from '@electric-sql/pglite';
import { messageOf } from '../trouble.js';

/**
 * What `pg` takes for its socket; the far end is an embedded PostgreSQL in this process. Everything above the wire
 * protocol (types, errors, pools, prepared statements) is the ordinary `pg` client, so embedded and server behave alike.
 *
 * One PGlite is one session. A socket therefore holds the session from the first message of an exchange until
 * PostgreSQL says that it is idle and in no transaction; the others wait their turn.
 */
export class PgliteSocket extends Duplex {
  readonly #session: Session;
  #turn: (() => void) | undefined;
  #started = false;
  #received: Buffer = Buffer.alloc(0);

  constructor(session: Session) {
    super();
    this.#session = session;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    callbackify(() => this.#receive(chunk))(done);
  }

  override _read(): void {}

  override _final(done: (error?: Error | null) => void): void {
    callbackify(async () => {
      await this.#leave();
      this.push(null);
    })(done);
  }

  /** Also how an exchange ends that PGlite could not finish: the error destroys the socket, and so the transaction. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    callbackify(async () => {
      await this.#leave();
      if (error !== null) throw error;
    })(done);
  }

  async #receive(chunk: Buffer): Promise<void> {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (!this.#started) {
      const startup = wholeMessages(this.#received, 0, 1);
      if (startup === 0) return;
      this.#started = true;
      const message = this.#received.subarray(0, startup);
      this.#received = this.#received.subarray(startup);
      await this.#exchange(message);
    }
    const end = wholeMessages(this.#received, 1);
    const batch = this.#received.subarray(0, end);
    this.#received = this.#received.subarray(end);
    if (batch.length === 0) return;
    if (batch[0] !== TERMINATE) await this.#exchange(batch);
  }

  async #exchange(messages: Buffer): Promise<void> {
    this.#turn ??= await this.#session.turn();
    const answer = await this.#session.exchange(messages);
    await this.#session.pause();
    if (answer.length > 0) this.push(answer);
    if (isIdle(answer)) this.#release();
  }

  /** Gives the session to the next socket in the state that a new client expects: in no transaction. */
  async #leave(): Promise<void> {
    if (this.#turn === undefined) return;
    try {
      await this.#session.exchange(ROLLBACK);
    } finally {
      this.#release();
    }
  }

  #release(): void {
    this.#turn?.();
    this.#turn = undefined;
  }

  // What `pg` calls on a net.Socket.
  connect(): this {
    process.nextTick(() => this.emit('connect'));
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

/** What is used of PGlite. */
export type Wire = Pick<PGlite, 'execProtocolRawStream'>;

/** One PGlite and the queue before it. */
export class Session {
  readonly #pglite: Wire;
  #last: Promise<void> = Promise.resolve();
  /** When the first exchange of this turn of the event loop ended. */
  #since: number | undefined;

  constructor(pglite: Wire) {
    this.#pglite = pglite;
  }

  /** Resolves when every earlier turn was given back; call what it answers to give this one back. */
  turn(): Promise<() => void> {
    const before = this.#last;
    return new Promise((take) => {
      this.#last = new Promise((giveBack) => {
        void before.then(() => take(giveBack));
      });
    });
  }

  /**
   * A turn of the event loop, where exchanges have kept it waiting for a tenth of a second. PGlite answers in promises alone, so whoever
   * awaits one statement after the other would have timers and sockets wait for all of them: 3,000 took 3.8 s, in which a timer of 5 ms did
   * not fire once.
   */
  pause(): Promise<void> | undefined {
    const now = performance.now();
    if (this.#since === undefined) {
      this.#since = now;
      setImmediate(() => (this.#since = undefined));
    }
    return now - this.#since < TURN_MS ? undefined : new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * The streaming call, although the answer is wanted whole: the plain one also parses every answer and keeps what it
   * parsed, which nobody reads and nothing ever frees.
   */
  async exchange(messages: Uint8Array): Promise<Buffer> {
    const parts: Buffer[] = [];
    try {
      await this.#pglite.execProtocolRawStream(messages, { onRawData: (bytes) => void parts.push(Buffer.from(bytes)) });
    } catch (cause) {
      // Its own stack would make Node print a line of minified source, tens of kilobytes long.
      throw new Error(`The embedded database failed: ${messageOf(cause)}`);
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}

const TURN_MS = 100;
const TERMINATE = 0x58;
const READY_FOR_QUERY = 0x5a;
const IDLE = 0x49;

/** Sync first: after a failed exchange PostgreSQL may be skipping everything up to one. */
const ROLLBACK = Buffer.from('S\0\0\0\x04Q\0\0\0\x0dROLLBACK\0', 'latin1');

/** How many bytes at the start of `bytes` are whole messages: at most `most`, and none from a Terminate on. */
function wholeMessages(bytes: Buffer, typeBytes: 0 | 1, most = Infinity): number {
  let end = 0;
  for (let count = 0; count < most && bytes.length - end >= typeBytes + 4; count++) {
    const next = end + typeBytes + bytes.readInt32BE(end + typeBytes);
    if (next > bytes.length || (typeBytes === 1 && bytes[end] === TERMINATE && end > 0)) break;
    end = next;
  }
  return end;
}

/** ReadyForQuery is the last message of a finished exchange; its one byte says whether a transaction is open. */
function isIdle(answer: Buffer): boolean {
  return answer.length >= 6 && answer[answer.length - 6] === READY_FOR_QUERY && answer[answer.length - 1] === IDLE;
}
