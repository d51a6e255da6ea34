import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CrashPoint, Signal } from '#libs/crash-point';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
const REACHED_MS_MAX = 120_000;
const ENDED_MS_MAX = 120_000;

interface Options {
  /** The module beside `worker.ts` that exports `work`. */
  readonly job: string;
  /** What `work` is given; asked for at every start. */
  readonly order: () => object;
  readonly env?: Readonly<Record<string, string>>;
  /** Node's own arguments, `--import …` for example. */
  readonly execArgv?: readonly string[];
}

/**
 * One worker process, started again whenever a kill that was ordered has hit it. A process that ends in any other way is
 * trouble, which `dismiss` and the next order throw.
 */
export class Member {
  /** Kills that hit, by point. */
  readonly kills = new Map<string, number>();
  readonly #options: Options;
  readonly #listeners: ((message: Record<string, unknown>) => void)[] = [];
  #child: ChildProcess;
  #ended: Promise<Ending>;
  #ready: Promise<void>;
  #trouble: Error | undefined;
  #isExpected = false;

  constructor(options: Options) {
    this.#options = options;
    [this.#child, this.#ended, this.#ready] = this.#start();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  heard(listener: (message: Record<string, unknown>) => void): void {
    this.#listeners.push(listener);
  }

  tell(message: object): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** Resolves when the worker has told that it is ready. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Tells it something, and waits until it has answered; throws when it ends before. */
  async answers(answer: string, message: object): Promise<void> {
    await this.#ready;
    const answered = new Promise<boolean>((resolve) => {
      this.heard((heard) => heard[answer] === true && resolve(true));
    });
    this.tell(message);
    const isAnswered = await Promise.race([answered, this.#ended.then(() => false)]);
    this.#fine();
    if (!isAnswered) throw new Error(`${this.#named()} ended before it answered`);
  }

  /** Kills it wherever it is, and starts the next one. */
  async kill(): Promise<void> {
    await this.#ready;
    this.#fine();
    this.#isExpected = true;
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.replace('anywhere');
  }

  /** From now on it is killed, or frozen, when it passes the point for the nth time. */
  async arm(point: CrashPoint, nth: number, signal: Signal = 'SIGKILL'): Promise<void> {
    await this.#ready;
    this.#fine();
    this.#isExpected = signal === 'SIGKILL';
    this.tell({ arm: point, nth, signal });
  }

  /** False: too late, it is dead. */
  async disarm(): Promise<boolean> {
    const disarmed = new Promise<boolean>((resolve) => {
      this.heard((message) => message['disarmed'] === true && resolve(true));
    });
    this.tell({ disarm: true });
    const alive = await within(REACHED_MS_MAX, Promise.race([disarmed, this.#ended.then(() => false)]));
    if (alive === undefined) throw new Error(`${this.#named()} does not answer`);
    if (alive) this.#isExpected = false;
    return alive;
  }

  dies(): Promise<unknown> {
    return this.#ended;
  }

  /** After a kill at the point: counts it, and starts the next one. */
  replace(point: string): void {
    this.kills.set(point, 1 + (this.kills.get(point) ?? 0));
    this.#isExpected = false;
    [this.#child, this.#ended, this.#ready] = this.#start();
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name);
  }

  /** Tells it to finish what there is; throws when it did not end by itself, with 0. Once it has ended, nothing. */
  async dismiss(): Promise<void> {
    if (this.#child.exitCode === 0) return;
    await this.#ready;
    this.#fine();
    this.#isExpected = true;
    this.tell({ finish: true });
    const ending = await within(ENDED_MS_MAX, this.#ended);
    if (ending?.code !== 0) throw new Error(`${this.#named()} did not finish: ${ending?.says ?? 'it still runs'}`);
  }

  /** For the end of a proof that failed: nothing stays behind. */
  async destroy(): Promise<void> {
    this.#isExpected = true;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #start(): [ChildProcess, Promise<Ending>, Promise<void>] {
    const { job, order, env = {}, execArgv = [] } = this.#options;
    const child = fork(WORKER, [job, JSON.stringify(order())], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      execArgv: [...execArgv],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2_000);
    });
    let isReady = (): void => undefined;
    const ready = new Promise<void>((resolve) => {
      isReady = resolve;
    });
    child.on('message', (message: Record<string, unknown>) => {
      if (message['ready'] === true) isReady();
      for (const listener of this.#listeners) listener(message);
    });
    const ended = new Promise<Ending>((resolve) => {
      child.once('error', (error) => resolve({ code: -1, signal: null, says: String(error) }));
      child.once('exit', (code, signal) => {
        const ending = { code, signal, says: `${signal ?? `exit code ${code}`} ${said}` };
        if (!this.#isExpected || (code !== 0 && signal !== 'SIGKILL'))
          this.#trouble = new Error(`${this.#named()} ended: ${ending.says}`);
        isReady();
        resolve(ending);
      });
    });
    return [child, ended, ready];
  }

  #fine(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  #named(): string {
    return `the worker of ${this.#options.job} (${this.pid})`;
  }
}

/** Kills whichever of them is the first to pass the point for the nth time; another takes over, and a new one is started. */
export async function killOneAt(members: readonly Member[], point: CrashPoint, nth = 1): Promise<void> {
  for (const member of members) await member.arm(point, nth);
  const died = Promise.race(members.map((member) => member.dies()));
  if (
    (await within(
      REACHED_MS_MAX,
      died.then(() => true),
    )) === undefined
  ) {
    throw new Error(`Nobody was killed at ${point} within ${REACHED_MS_MAX / 1_000} s: nobody came there`);
  }
  for (const member of members) if (!(await member.disarm())) member.replace(point);
}

/** Freezes whichever of them is the first to pass the point, until it is sent SIGCONT. */
export async function freezeOneAt(members: readonly Member[], point: CrashPoint): Promise<Member> {
  for (const member of members) await member.arm(point, 1, 'SIGSTOP');
  for (const until = performance.now() + REACHED_MS_MAX; performance.now() < until;) {
    const frozen = members.find(({ pid }) => standsStill(pid));
    if (frozen !== undefined) {
      for (const member of members) if (member !== frozen) await disarmedAwake(member);
      return frozen;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Nobody was frozen at ${point} within ${REACHED_MS_MAX / 1_000} s: nobody came there`);
}

/** It may come to the point before it hears that it need not stand still there, and would then hear nothing more. */
async function disarmedAwake(member: Member): Promise<void> {
  const wake = setInterval(() => member.signal('SIGCONT'), 20);
  try {
    await member.disarm();
  } finally {
    clearInterval(wake);
  }
}

/**
 * Calls `more` again and again until `work` is done: who is to come to a point always finds something more to do. Not while one of them
 * starts: on a busy machine there would be three times as much to do as was asked for when it has started.
 */
export async function givenMore(members: readonly Member[], work: Promise<void>, more: () => void): Promise<void> {
  let haveStarted = false;
  void Promise.all(members.map((member) => member.ready())).then(() => (haveStarted = true));
  const giving = setInterval(() => haveStarted && more(), MORE_MS);
  try {
    await work;
  } finally {
    clearInterval(giving);
  }
}

const MORE_MS = 250;

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly says: string;
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** State `T` of the process, on Linux; elsewhere what ps says. */
function standsStill(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  if (existsSync(stat)) return readFileSync(stat, 'utf8').split(') ').at(-1)?.startsWith('T') === true;
  return spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .startsWith('T');
}
