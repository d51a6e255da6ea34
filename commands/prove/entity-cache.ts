import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { openRecordCache } from '#libs/cache';
import { silent } from '#libs/telemetry';
import { findRedis } from '../../test/servers/redis.js';
import { drawer } from './draw.js';
import type { Asked, GatewayOrder } from './entity-cache.worker.js';
import { wrong, zeros, type Proof, type Row, type Setup } from './proof.js';
import { KEPT_S, startRegisters, type Registers } from './registers.js';
import { startSwitchedRedis, type Door } from './switched-redis.js';

/**
 * Clients read and write registers through two gateways that share a Redis, while gateways are killed, Redis is failed over, hangs or is
 * cut off from one of them, and the service dies between commit and drop. From what was seen and when it is decided: whoever
 * carries the token of a write is never shown an older version, and nobody is shown one that was replaced longer ago than the bound,
 * or that was dropped a moment ago. A third of the clients never write and ask for one and the same page again and again, which
 * gateways remember whole (gateway/cache/whole-answers.ts).
 */
export const entityCache: Proof = {
  name: 'cache',
  always: false,
  alone: true,
  says: 'two gateways, killed and failed over: no read is older than what its reader wrote, nor than the bound',
  run: async (setup) => {
    if (findRedis() === undefined) throw new Error('There is no redis-server on the PATH');
    // A read costs less than an event: where a size is not given, the proof takes its own.
    const reads = setup.isSizeGiven ? setup.size : setup.quick ? 20_000 : 60_000;
    const few = Math.min(reads, 20_000);
    return [await run(setup, reads, 'ours'), await run(setup, few, 'trusting'), await run(setup, few, 'naive')];
  },
};

const REGISTERS = 50;
const CLIENTS = 24;
const PAGE_READERS = 8;
/** One that everybody writes, and seven that are left in peace for a while. */
const PAGE = Array.from({ length: 8 }, (_, nth) => `r${4 + nth}`);
/** A read may have joined one that began before the drop, and that one may have had to wait. */
const UNDER_WAY_MS = 1_000;
/** Registers of one request; all of them where there is much to read. */
const togetherOf = (reads: number): number => (reads > 100_000 ? REGISTERS : 20);
const WORKER = fileURLToPath(new URL('entity-cache.worker.js', import.meta.url));

interface Counts {
  'own write not seen': number;
  'older than the bound': number;
  'older than a drop': number;
}

const CLAIMS = {
  ours: `kept at most ${KEPT_S} s; every kind of trouble`,
  trusting: 'control: pages remembered, and nobody asked whether they still are right',
  naive: 'control: look, load, keep; write, then delete',
};

async function run(setup: Setup, reads: number, way: keyof typeof CLAIMS): Promise<Row> {
  const naive = way === 'naive';
  const draw = drawer(setup.seed);
  const redis = await startSwitchedRedis();
  const ownDoor = await redis.door();
  const records = naive ? undefined : openRecordCache({ redisUrl: ownDoor.url, logger: silent });
  const registers = await startRegisters({ records, draw, count: REGISTERS });
  const doors = [await redis.door(), await redis.door()];
  const gateways = doors.map((door) => new Gateway({ sdl: registers.sdl, redisUrl: door.url, way }));
  const progress = setup.progress(reads, way === 'ours' ? 'reads' : `reads, ${way}`);
  const seen = new Seen(registers);
  try {
    await Promise.all(gateways.map((gateway) => gateway.start()));
    const stop = new AbortController();
    const faults = trouble({
      gateways,
      doors,
      ownDoor,
      failOver: () => redis.failOver(),
      reads: () => seen.reads,
      // Ten troubles in a small run; in a large one each leaves enough to read until the next.
      every: Math.min(8_000, Math.max(300, Math.round(reads / 10))),
      draw,
      signal: stop.signal,
    });
    // A control is over when it has failed, which is a matter of chance.
    const most = way === 'ours' ? reads : 10 * reads;
    const failed = (): number => (naive ? seen.ownMissed : way === 'trusting' ? seen.afterDrop : 0);
    const isOver = (): boolean => seen.reads >= most || (seen.reads > 1_000 && failed() > 2);
    await Promise.all(
      Array.from({ length: CLIENTS }, (_, nth) =>
        client({
          page: nth < PAGE_READERS ? PAGE : undefined,
          gateways,
          seen,
          draw,
          together: togetherOf(reads),
          isOver,
          progress,
        }),
      ),
    );
    stop.abort();
    const happened = await faults;
    const share = 100 * (1 - registers.loads / seen.reads);
    const counts: Counts = {
      'own write not seen': seen.ownMissed,
      'older than the bound': seen.tooOld,
      'older than a drop': seen.afterDrop,
    };
    const shown = gateways.reduce((sum, gateway) => sum + gateway.shown, 0);
    return {
      claim: CLAIMS[way],
      place: 'servers',
      over: `${seen.reads.toLocaleString('en')} reads, ${seen.writes.toLocaleString('en')} writes, ${happened}`,
      figures: [
        ...(way === 'ours'
          ? zeros({ ...counts })
          : wrong({ ...counts }, naive ? 'own write not seen' : 'older than a drop')),
        ...(naive ? [] : [{ name: 'pages remembered whole', value: shown, must: { atLeast: 1 } }]),
        {
          name: 'read without asking the service',
          value: share,
          unit: '%',
          ...(naive ? {} : { must: { atLeast: 1 } }),
        },
        { name: 'others saw an older one for at most', value: seen.worstMs, unit: 'ms' },
        { name: 'not answered', value: seen.failed },
      ],
    };
  } finally {
    progress.stop();
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await records?.close();
    await registers.close();
    await redis.close();
  }
}

/** Decides about each read, from when it began and what had been acknowledged by then. */
class Seen {
  reads = 0;
  writes = 0;
  failed = 0;
  ownMissed = 0;
  tooOld = 0;
  afterDrop = 0;
  worstMs = 0;

  constructor(private readonly registers: Registers) {}

  read(id: string, value: number, begunAt: number, own: number): void {
    this.reads += 1;
    if (value < own) this.ownMissed += 1;
    const next = this.registers.history.get(id)![value + 1];
    if (next !== undefined && begunAt > next.droppedAt + UNDER_WAY_MS) this.afterDrop += 1;
    if (next === undefined || next.ackedAt > begunAt) return;
    const staleMs = begunAt - next.ackedAt;
    this.worstMs = Math.max(this.worstMs, staleMs);
    // A load may take a moment, and its lifetime counts from its beginning.
    if (staleMs > KEPT_S * 1_000 + 100) this.tooOld += 1;
  }

  wrote(id: string, version: number): void {
    this.writes += 1;
    const committed = this.registers.history.get(id)![version]!;
    committed.ackedAt = Math.min(committed.ackedAt, performance.now());
  }
}

async function client(parts: {
  /** It only reads, and always this. */
  page: readonly string[] | undefined;
  gateways: readonly Gateway[];
  seen: Seen;
  draw: (below: number) => number;
  together: number;
  isOver: () => boolean;
  progress: { add(count: number, doing: string): void };
}): Promise<void> {
  const { gateways, seen, draw } = parts;
  const token = new Map<string, Asked['writes'][number]>();
  while (!parts.isOver()) {
    const gateway = gateways[draw(gateways.length)]!;
    // As the token itself: nothing is carried longer than anything is kept.
    const now = Math.floor(Date.now() / 1_000);
    for (const [id, { at }] of token) if (at < now - 60) token.delete(id);
    const writes = [...token.values()];
    try {
      if (!parts.page && draw(3) === 0) {
        // Half of all registers are hot, and written while they are read.
        const id = `r${draw(draw(2) === 0 ? 5 : REGISTERS)}`;
        const answer = await gateway.ask({ write: id, writes });
        const version = answer[id]!;
        seen.wrote(id, version);
        token.delete(id);
        token.set(id, {
          source: 'registers',
          aggregate: `register:${id}`,
          version,
          at: Math.floor(Date.now() / 1_000),
        });
        continue;
      }
      const drawn = (_: unknown, nth: number): string =>
        `r${parts.together === REGISTERS ? nth : draw(draw(2) === 0 ? 5 : REGISTERS)}`;
      const read = parts.page ?? [...new Set(Array.from({ length: parts.together }, drawn))];
      const own = new Map(read.map((id) => [id, token.get(id)?.version ?? 0]));
      const begunAt = performance.now();
      const answer = await gateway.ask({ read, writes });
      for (const id of read) seen.read(id, answer[id]!, begunAt, own.get(id)!);
      parts.progress.add(read.length, '');
    } catch {
      // Its gateway was killed; whether a write is done is not known then, and it is not in the token.
      seen.failed += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** One kind of trouble after the other, until it is over; says what there was. */
async function trouble(parts: {
  gateways: readonly Gateway[];
  doors: readonly Door[];
  ownDoor: Door;
  failOver: () => Promise<void>;
  reads: () => number;
  /** Reads from one trouble to the next. */
  every: number;
  draw: (below: number) => number;
  signal: AbortSignal;
}): Promise<string> {
  const { gateways, doors, draw, signal } = parts;
  const counts = { kills: 0, failovers: 0, hangs: 0 };
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);
  for (let turn = 0; !signal.aborted; turn += 1) {
    // By reads, not by time: on a slow machine there is as much to read between two troubles as on a fast one.
    const next = parts.reads() + parts.every / 2 + draw(parts.every);
    while (!signal.aborted && parts.reads() < next) await pause(20);
    if (signal.aborted) break;
    if (turn % 3 === 0) {
      counts.failovers += 1;
      await parts.failOver();
    } else if (turn % 3 === 1) {
      counts.kills += 1;
      await gateways[draw(gateways.length)]!.kill();
    } else {
      counts.hangs += 1;
      // One gateway cannot reach Redis, or the service cannot, or nobody.
      const shut = [[doors[0]!], [doors[1]!], [parts.ownDoor], [...doors, parts.ownDoor]][draw(4)]!;
      for (const door of shut) door.shut(true);
      await pause(300 + draw(500));
      for (const door of shut) door.shut(false);
    }
  }
  return `${counts.kills} kills, ${counts.failovers} failovers, ${counts.hangs} hangs`;
}

class Gateway {
  #child: ChildProcess | undefined;
  #pool: Pool | undefined;
  #isClosed = false;
  /** Answers that were remembered whole, of processes that are gone too. */
  shown = 0;
  #shownBefore = 0;

  constructor(private readonly order: GatewayOrder) {}

  async start(): Promise<void> {
    this.#shownBefore = this.shown;
    const child = fork(WORKER, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child = child;
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message) => resolve((message as { port: number }).port));
      child.once('exit', (code, signal) => reject(new Error(`A gateway ended by itself: ${code ?? signal}`)));
      child.send(this.order);
    });
    this.#pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64 });
  }

  async ask(asked: Asked): Promise<Record<string, number>> {
    if (!this.#pool) throw new Error('it starts');
    const { statusCode, headers, body } = await this.#pool.request({
      path: '/',
      method: 'POST',
      body: JSON.stringify(asked),
    });
    this.shown = Math.max(this.shown, this.#shownBefore + Number(headers['x-shown'] ?? 0));
    const text = await body.text();
    if (statusCode !== 200) throw new Error(text);
    return JSON.parse(text) as Record<string, number>;
  }

  /** Ends it wherever it is, and starts the next one. */
  async kill(): Promise<void> {
    await this.#end();
    if (!this.#isClosed) await this.start();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#end();
  }

  async #end(): Promise<void> {
    const [child, pool] = [this.#child, this.#pool];
    this.#pool = undefined;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await pool?.destroy();
  }
}
