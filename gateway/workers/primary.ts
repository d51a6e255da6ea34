import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Logger } from '#libs/telemetry';
import type { GatewayConfig } from '../config.js';
import type { Readiness } from '../http/health.controller.js';
import type { SupergraphSource } from '../supergraph/source.js';
import { tellNoteworthy } from '../noteworthy.js';
import { WAITS_SAID_MS } from '../supergraph/served.js';
import { readSupergraph } from '../supergraph/supergraph.js';
import { openSource } from '../supergraph-source.js';
import { tellingStrangers } from '../unheeded.js';
import type { ToPrimary, ToWorker } from './messages.js';

export interface RunningWorkers {
  readonly url: string;
  close(): Promise<void>;
}

/** A worker that does not build a supergraph by then has refused it, and all stay with what they have. */
const PREPARE_MS = 30_000;
/** How often one supergraph is offered anew when workers end over it. */
const TRIES_MAX = 3;
const READ_MS = 5_000;
const RETRY_MS = 200;
const RESTART_MS = 100;
const RESTART_MS_MAX = 10_000;
/** Who has lived that long did not die of its start. */
const STEADY_MS = 10_000;

/**
 * Several gateways on one port (node:cluster gives them one socket to listen on). This process reads the supergraph and
 * keeps the workers alive; no request passes through it.
 */
export async function startWorkers(config: GatewayConfig, logger: Logger): Promise<RunningWorkers> {
  tellNoteworthy(config, logger);
  const workers = new Workers(config, logger);
  const url = await workers.start();
  return { url, close: () => workers.close() };
}

interface Member {
  readonly worker: Worker;
  readonly since: number;
  /** It takes offers. */
  up: boolean;
  /** It takes connections. */
  url: string | undefined;
  readiness: Readiness | undefined;
  /** Told of each offer that it answers. */
  answered: (message: (ToPrimary & { kind: 'prepared' | 'refused' }) | { kind: 'ended' }) => void;
  serves: string | undefined;
  /** It said that it ends: it answers until then, and nothing new is for it. */
  leaving: boolean;
  replaced: boolean;
  ended: boolean;
}

interface Refusal {
  readonly why: string;
  /** The same supergraph may be built the next time. */
  readonly isPassing: boolean;
}

class Workers {
  readonly #config: GatewayConfig;
  readonly #logger: Logger;
  readonly #source: SupergraphSource;
  readonly #tellStrangers: (subgraphs: Iterable<string>) => void;
  readonly #members = new Set<Member>();
  readonly #ending = new AbortController();
  /** What all serve. */
  #served: string | undefined;
  #again: string | undefined;
  #offers = 0;
  /** Offered to all last, and how often in a row. */
  #offered: string | undefined;
  #tries = 0;
  #line: Promise<void> = Promise.resolve();
  #trouble = '';
  #saidAt = Number.NEGATIVE_INFINITY;
  /** Of `#trouble` what the newest text itself is to blame for: it stays until there is another text. */
  #refused = '';
  #failures = 0;
  #restarts = 0;
  #timer: NodeJS.Timeout | undefined;
  #others = '';
  #started: { resolve(url: string): void; reject(error: Error): void } | undefined;

  constructor(config: GatewayConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    this.#source = openSource(config, logger);
    this.#tellStrangers = tellingStrangers(config, logger);
    // Not round robin: a connection that this process hands to a worker just as that is killed stays open and unanswered for
    // ever (seen with one of 24 clients in workers.test.ts). Here the workers take connections from the kernel themselves.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: fileURLToPath(new URL('../main.js', import.meta.url)), args: [] });
  }

  /** Resolves when every worker listens. */
  async start(): Promise<string> {
    const started = new Promise<string>((resolve, reject) => (this.#started = { resolve, reject }));
    for (let count = 0; count < this.#config.workers; count += 1) this.#fork();
    try {
      const url = await started;
      void this.#watch();
      return url;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#ending.abort();
    clearTimeout(this.#timer);
    const left = [...this.#members];
    await Promise.all(
      left.map(
        (member) =>
          new Promise<void>((resolve) => {
            if (member.ended) return resolve();
            const kill = setTimeout(
              () => member.worker.process.kill('SIGKILL'),
              this.#config.DRAIN_MS + this.#config.REQUEST_TIMEOUT_MS + 2_000,
            );
            member.worker.once('exit', () => {
              clearTimeout(kill);
              resolve();
            });
            this.#tell(member, { kind: 'close' });
          }),
      ),
    );
  }

  // Workers

  #fork(): void {
    const worker = cluster.fork();
    const member: Member = {
      worker,
      since: performance.now(),
      up: false,
      url: undefined,
      readiness: undefined,
      answered: () => {},
      serves: undefined,
      leaving: false,
      replaced: false,
      ended: false,
    };
    this.#members.add(member);
    worker.on('message', (message: ToPrimary) => this.#hear(member, message));
    worker.once('error', (error) =>
      this.#logger.error({ pid: worker.process.pid, error: String(error) }, 'A worker is in trouble'),
    );
    worker.once('exit', (code, signal) => this.#gone(member, signal ?? `code ${code}`));
  }

  #hear(member: Member, message: ToPrimary): void {
    switch (message.kind) {
      case 'up':
        member.up = true;
        void this.#inTurn(() => this.#welcome(member));
        break;
      case 'listening':
        member.url = message.url;
        if ([...this.#members].filter(({ url }) => url !== undefined).length === this.#config.workers) {
          this.#started?.resolve(message.url);
          this.#started = undefined;
        }
        break;
      case 'readiness':
        member.readiness = message.readiness;
        break;
      case 'leaving':
        member.leaving = true;
        // Each may be there twice, no more: of many errors in a row the later ones wait for the end of those before.
        if (this.#leaving.length <= this.#config.workers) this.#replace(member, 'by itself');
        break;
      default:
        member.answered(message);
    }
    this.#tellOthers();
  }

  #gone(member: Member, how: string): void {
    member.ended = true;
    this.#members.delete(member);
    member.answered({ kind: 'ended' });
    if (this.#ending.signal.aborted) return;
    if (this.#started) {
      // Nothing that a second try would change: a port that is taken, an address that is not ours. It said so itself.
      this.#started.reject(new WorkersError('A worker could not start; see above.'));
      this.#started = undefined;
      return;
    }
    this.#replace(member, how);
    this.#tellOthers();
  }

  /** Once, when it says that it ends, or when it has. */
  #replace(member: Member, how: string): void {
    if (member.replaced || this.#started || this.#ending.signal.aborted) return;
    member.replaced = true;
    const { pid } = member.worker.process;
    this.#restarts = performance.now() - member.since > STEADY_MS ? 0 : this.#restarts + 1;
    const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS * 2 ** Math.min(20, Math.max(0, this.#restarts - 1)));
    setTimeout(() => {
      // Ctrl+C reaches a worker as well, and sometimes before us.
      if (this.#ending.signal.aborted) return;
      this.#logger.error({ pid, how, waitMs }, 'A worker ended, or does; another one is started');
      this.#fork();
    }, waitMs);
  }

  /** Ready is who is ready and whose fellows are: a load balancer sees one gateway, not several. */
  #tellOthers(): void {
    const { workers } = this.#config;
    const up = [...this.#members];
    const ready = up.filter(
      ({ leaving, url, readiness }) => !leaving && url !== undefined && readiness?.ready === true,
    ).length;
    // Who is leaving still answers: nobody is missed until it has gone.
    const enough = Math.max(1, workers - this.#leaving.length);
    const waitingFor = ready >= enough ? [] : [`workers: ${ready} of ${workers} are ready`];
    if (waitingFor.join() === this.#others) return;
    this.#others = waitingFor.join();
    for (const member of up) this.#tell(member, { kind: 'others', waitingFor });
  }

  get #leaving(): Member[] {
    return [...this.#members].filter(({ leaving }) => leaving);
  }

  #tell(member: Member, message: ToWorker): void {
    if (member.worker.isConnected()) member.worker.send(message);
  }

  // The supergraph

  async #watch(): Promise<void> {
    let read: string | undefined;
    try {
      const signal = AbortSignal.any([this.#ending.signal, AbortSignal.timeout(READ_MS)]);
      const sdl = (read = await this.#newest(signal));
      this.#again = undefined;
      if (sdl !== undefined) {
        const { subgraphs } = readSupergraph(sdl, this.#config.addressOf, this.#config.mayAsk);
        this.#tellStrangers(subgraphs.keys());
        await this.#inTurn(() => this.#switch(sdl));
        this.#trouble = this.#refused = '';
      } else if (this.#trouble !== this.#refused) {
        // Where it comes from was away. When it is again, that has to be said again.
        this.#logger.info({ from: this.#source.from }, 'The supergraph can be read again');
        this.#trouble = this.#refused;
      }
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      this.#say(error instanceof Error ? error.message : String(error));
      if (read !== undefined) this.#refused = this.#trouble;
    }
    if (this.#ending.signal.aborted) return;
    const { SUPERGRAPH_POLL_MS } = this.#config;
    const soon = RETRY_MS * 1.5 ** Math.min(this.#failures - 1, 20);
    this.#timer = setTimeout(
      () => void this.#watch(),
      this.#failures === 0 ? SUPERGRAPH_POLL_MS : Math.min(SUPERGRAPH_POLL_MS, soon),
    );
  }

  /** What is tried again waits for what is newer: that may be what mends it. Undefined: nothing is new. */
  async #newest(signal: AbortSignal): Promise<string | undefined> {
    try {
      return (await this.#source.read(signal)) ?? this.#again;
    } catch (error) {
      if (this.#again === undefined) throw error;
      return this.#again;
    }
  }

  /** All or none: each builds it beside what it serves, and only when all have it do they switch. */
  async #switch(sdl: string): Promise<void> {
    const all = [...this.#members].filter(({ up, leaving }) => up && !leaving);
    if (all.length === 0) {
      // Whoever comes next would be given what nobody has built: the last good one stays until somebody can.
      this.#again = sdl;
      throw new WorkersError('no worker is there to build it; it is tried again');
    }
    if (sdl !== this.#offered) [this.#offered, this.#tries] = [sdl, 0];
    this.#tries += 1;
    const refused = await this.#offer(sdl, all);
    if (refused !== undefined) {
      if (refused.isPassing && this.#tries < TRIES_MAX) this.#again = sdl;
      throw new WorkersError(refused.why);
    }
    this.#served = sdl;
    this.#offered = undefined;
    for (const member of all) member.serves = sdl;
    this.#logger.info({ from: this.#source.from, workers: all.length }, 'All workers serve the supergraph');
  }

  /** Who comes later serves what the others serve, and only then takes connections. */
  async #welcome(member: Member): Promise<void> {
    const sdl = this.#served;
    if (sdl !== undefined && member.serves !== sdl && !member.ended) {
      const refused = await this.#offer(sdl, [member]);
      if (refused !== undefined) return void member.worker.process.kill('SIGKILL');
      member.serves = sdl;
    } else if (this.#trouble !== '') this.#tell(member, { kind: 'trouble', why: this.#trouble });
    this.#tell(member, { kind: 'listen' });
  }

  /** One offer at a time, or a worker would be asked about two supergraphs at once. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#line.then(work);
    this.#line = turn.catch(() => undefined);
    return turn;
  }

  /** Why one of them did not build it; undefined when all have switched. */
  async #offer(sdl: string, members: readonly Member[]): Promise<Refusal | undefined> {
    const offer = (this.#offers += 1);
    const answers = await Promise.all(members.map((member) => this.#ask(member, offer, sdl)));
    const refused = answers.find((answer) => answer !== undefined);
    const decision: ToWorker =
      refused === undefined ? { kind: 'switch', offer } : { kind: 'drop', offer, why: refused.why };
    for (const member of members) this.#tell(member, decision);
    return refused;
  }

  #ask(member: Member, offer: number, sdl: string): Promise<Refusal | undefined> {
    return new Promise((resolve) => {
      // Not what a supergraph that is wrong does: a worker was killed, or the machine is busy. Or it is what kills it.
      const failed = (why: string): void => resolve({ why, isPassing: true });
      const late = setTimeout(() => failed(`a worker did not build it within ${PREPARE_MS / 1_000} s`), PREPARE_MS);
      member.answered = (message) => {
        if (message.kind !== 'ended' && message.offer !== offer) return;
        clearTimeout(late);
        member.answered = () => {};
        if (message.kind === 'ended') failed('a worker ended while it built it');
        else resolve(message.kind === 'refused' ? { why: message.why, isPassing: false } : undefined);
      };
      if (member.ended) member.answered({ kind: 'ended' });
      else this.#tell(member, { kind: 'offer', offer, sdl });
    });
  }

  #say(trouble: string): void {
    const now = performance.now();
    const isSaid = this.#served !== undefined || now - this.#saidAt < WAITS_SAID_MS;
    // Said once, not at every look; and again while nobody is answered for it.
    if (trouble === this.#trouble && isSaid) return;
    this.#trouble = trouble;
    this.#saidAt = now;
    const said =
      this.#served === undefined
        ? 'There is no supergraph to serve yet'
        : 'The new supergraph cannot be served; the last good one stays';
    this.#logger.error({ from: this.#source.from, trouble }, said);
    for (const member of this.#members) this.#tell(member, { kind: 'trouble', why: trouble });
  }
}

export class WorkersError extends Error {
  override readonly name = 'WorkersError';
}
