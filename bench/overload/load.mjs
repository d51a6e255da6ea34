/**
 * Who asks, as a process of its own. `closed`: so many clients, each asks again when it has its answer. `open`: so many a second in each
 * phase, at moments that nobody else's answer moves (an exponential time apart, as of strangers); each answer's time is counted from the
 * moment at which it was to be asked for, also where no connection was free then.
 *
 * On bare sockets: undici took 52 µs of CPU for a question and its refusal, this 32 (busy machine), and who asks shares the machine with who answers.
 */
import { connect } from 'node:net';

/** So long a client waits for its answer, or for a connection. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 100;
/** Who is refused and would wait for its answer comes again when it was told to. */
const RETRY_AFTER_MS = 1_000;
/** It looks each millisecond: later than this, it stood still itself. */
const STOOD_MS = 10;
/** Where all share it, an answer is looked at as it comes and never kept. */
const READ = Buffer.allocUnsafeSlow(256 * 1024);
const KINDS = ['good', 'late', 'shed', 'shedWrong', 'other', 'shedAtDoor'];
const GOOD = 0;
const LATE = 1;
const SHED = 2;
const SHED_WRONG = 3;
const OTHER = 4;
/** As promised, and by a door: a gateway gives each answer an id. */
const SHED_AT_DOOR = 5;

let tokens = 0;

process.on('message', async (order) => {
  const crowd = new Crowd(order);
  // As behind a proxy, which keeps them: libuv takes one new connection in each turn of the event loop, however many there are.
  await crowd.open(order.connections);
  const told = order.phases ? await asTheyCome(crowd, order) : await asAnswered(crowd, order);
  crowd.close();
  process.send({ told });
});

async function asAnswered(crowd, { connections, ms, inTimeMs }) {
  const until = performance.now() + ms;
  const asked = new Asked(inTimeMs);
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (let now = performance.now(); now < until; now = performance.now()) {
        const answer = await new Promise((resolve) => crowd.ask(now, resolve));
        asked.add(0, now, answer);
        if (answer.kind === SHED || answer.kind === SHED_AT_DOOR)
          await new Promise((again) => setTimeout(again, RETRY_AFTER_MS));
      }
    }),
  );
  return asked.figures(0, performance.now() - began);
}

async function asTheyCome(crowd, { phases, inTimeMs, windowMs }) {
  const asked = new Asked(inTimeMs);
  let open = 0;
  const began = performance.now();
  let begins = began;
  for (const [phase, { perSecond, ms }] of phases.entries()) {
    process.send({ phase });
    const ends = begins + ms;
    const drawn = () => (-Math.log(1 - Math.random()) * 1_000) / perSecond;
    let due = begins + drawn();
    let before = performance.now();
    while (performance.now() < ends) {
      const turn = performance.now();
      asked.stood(phase, before, turn);
      before = turn;
      for (const now = performance.now(); due <= now && due < ends; due += drawn()) {
        const at = due;
        open += 1;
        crowd.ask(at, (answer) => {
          open -= 1;
          asked.add(phase, at, answer);
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    begins = ends;
  }
  process.send({ phase: phases.length });
  while (open > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  begins = began;
  return phases.map(({ ms }, phase) => {
    const figures = asked.figures(phase, ms);
    const windows = asked.windows(phase, begins, ms, windowMs);
    begins += ms;
    return { ...figures, windows };
  });
}

/** What became of each question; four numbers each, for there are hundreds of thousands. */
class Asked {
  constructor(inTimeMs) {
    this.inTimeMs = inTimeMs;
    this.phase = [];
    this.due = [];
    this.ms = [];
    this.lagMs = [];
    this.kind = [];
    this.errors = [];
    /** By phase: when this process itself did nothing for a while, and how long. */
    this.still = [];
  }

  stood(phase, from, to) {
    if (to - from > STOOD_MS) (this.still[phase] ??= []).push({ from, ms: to - from });
  }

  add(phase, due, { kind, sentAt, why }) {
    const ms = performance.now() - due;
    this.phase.push(phase);
    this.due.push(due);
    this.ms.push(ms);
    this.lagMs.push(sentAt === undefined ? ms : sentAt - due);
    this.kind.push(kind === GOOD && ms > this.inTimeMs ? LATE : kind);
    if (kind !== OTHER) return;
    const errors = (this.errors[phase] ??= {});
    errors[why] = (errors[why] ?? 0) + 1;
  }

  figures(phase, ms) {
    const all = this.#indexes((index) => this.phase[index] === phase);
    const of = (...kinds) => all.filter((index) => kinds.includes(this.kind[index]));
    const times = (indexes, read = (index) => this.ms[index]) => Float64Array.from(indexes, read).sort();
    const at = (sorted, share) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
    const shed = times(of(SHED, SHED_AT_DOOR));
    const atServer = times(of(SHED, SHED_AT_DOOR), (index) => this.ms[index] - this.lagMs[index]);
    const lag = times(all, (index) => this.lagMs[index]);
    const good = times(of(GOOD));
    return {
      asked: all.length,
      perSecond: (1_000 * all.length) / ms,
      goodPerSecond: (1_000 * good.length) / ms,
      ...Object.fromEntries(KINDS.map((kind, index) => [kind, of(index).length])),
      goodP50: at(good, 0.5),
      goodP99: at(good, 0.99),
      shedP50: at(shed, 0.5),
      shedP99: at(shed, 0.99),
      shedMost: at(shed, 1),
      shedAtServerP99: at(atServer, 0.99),
      lagP99: at(lag, 0.99),
      errors: this.errors[phase] ?? {},
    };
  }

  /** By when they were to be asked. */
  windows(phase, begins, ms, windowMs) {
    const found = Array.from({ length: Math.floor(ms / windowMs) }, () => ({
      asked: 0,
      good: 0,
      times: [],
      stoodMs: 0,
    }));
    for (const { from, ms: stoodMs } of this.still[phase] ?? []) {
      const window = found[Math.floor((from - begins) / windowMs)];
      if (window) window.stoodMs = Math.max(window.stoodMs, stoodMs);
    }
    for (const index of this.#indexes((one) => this.phase[one] === phase)) {
      const window = found[Math.floor((this.due[index] - begins) / windowMs)];
      if (!window) continue;
      window.asked += 1;
      if (this.kind[index] === GOOD) window.good += 1;
      window.times.push(this.ms[index]);
    }
    return found.map(({ asked, good, times, stoodMs }) => ({
      asked,
      good,
      stoodMs,
      p50: times.sort((a, b) => a - b)[times.length >> 1] ?? 0,
    }));
  }

  #indexes(holds) {
    const found = [];
    for (let index = 0; index < this.kind.length; index += 1) if (holds(index)) found.push(index);
    return found;
  }
}

/** So many connections that are kept; who finds none free waits in line. */
class Crowd {
  constructor({ origin, query, bytes, named }) {
    const { hostname, port } = new URL(origin);
    this.address = { host: hostname, port: Number(port) };
    this.bytes = bytes;
    const body = JSON.stringify({ query });
    this.head = `POST /graphql HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncontent-type: application/json\r\naccept: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${named ? 'authorization: Bearer' : 'x-visitor:'} `;
    this.rest = `\r\n\r\n${body}`;
    this.idle = [];
    this.line = [];
    this.first = 0;
    this.all = new Set();
    this.closed = false;
    this.timer = setInterval(() => this.giveUp(), LOOK_MS);
  }

  async open(many) {
    this.most = many;
    await Promise.all(Array.from({ length: many }, () => new Promise((resolve) => this.add(resolve))));
  }

  add(opened = () => {}) {
    if (!this.closed) this.all.add(new Connection(this, opened));
  }

  ask(due, told) {
    const connection = this.idle.pop();
    if (connection) return connection.ask(due, told);
    this.line.push({ due, told });
    if (this.all.size < this.most) this.add();
  }

  /** The one that was used last is used next, as proxies do it: the others rest. */
  free(connection) {
    if (this.first === this.line.length) return void this.idle.push(connection);
    const { due, told } = this.line[this.first];
    this.line[this.first] = undefined;
    this.first += 1;
    if (this.first === this.line.length) this.line.length = this.first = 0;
    connection.ask(due, told);
  }

  giveUp() {
    const before = performance.now() - PATIENCE_MS;
    const gone = { kind: OTHER, why: 'no answer' };
    for (const connection of this.all) if (connection.told && connection.due < before) connection.end('no answer');
    while (this.first < this.line.length && this.line[this.first].due < before) {
      this.line[this.first].told(gone);
      this.line[this.first] = undefined;
      this.first += 1;
    }
    if (this.first === this.line.length) this.line.length = this.first = 0;
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    for (const { socket } of this.all) socket.destroy();
  }
}

class Connection {
  constructor(crowd, opened) {
    this.crowd = crowd;
    this.opened = opened;
    this.isOpen = false;
    this.told = undefined;
    this.head = '';
    this.left = 0;
    this.ends = false;
    this.socket = connect({
      ...crowd.address,
      noDelay: true,
      onread: {
        buffer: READ,
        callback: (bytes) => {
          this.read(bytes);
          return true;
        },
      },
    });
    this.socket.once('connect', () => {
      this.isOpen = true;
      opened();
      crowd.free(this);
    });
    this.socket.on('error', (error) => this.end(error.code ?? error.message));
    this.socket.once('close', () => this.end('closed'));
  }

  ask(due, told) {
    [this.due, this.told, this.sentAt] = [due, told, performance.now()];
    this.socket.write(`${this.crowd.head}${(tokens += 1)}${this.crowd.rest}`, 'latin1');
  }

  read(bytes) {
    if (!this.told) return;
    if (this.left > 0) this.left -= bytes;
    else {
      const before = this.head.length;
      this.head += READ.latin1Slice(0, Math.min(bytes, 4_096));
      const end = this.head.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.head.slice(0, end + 2).toLowerCase();
      const length = Number(this.header('content-length'));
      this.kind = this.kindOf(Number(this.head.slice(9, 12)), length);
      this.ends = this.header('connection') === 'close';
      this.left = length - (bytes - (end + 4 - before));
    }
    if (this.left > 0) return;
    const { told, kind, sentAt, head } = this;
    [this.told, this.head, this.left] = [undefined, '', 0];
    told({ kind, sentAt, why: head.slice(9, 12) });
    if (!this.ends) this.crowd.free(this);
  }

  /** All whole answers are as long as the first: one with errors is not. */
  kindOf(status, length) {
    if (status === 200 && length === this.crowd.bytes) return GOOD;
    if (status !== 503) return OTHER;
    const asPromised =
      Number(this.header('retry-after')) >= 1 && this.header('content-type')?.startsWith('application/json');
    if (!asPromised) return SHED_WRONG;
    return this.header('x-request-id') === undefined ? SHED_AT_DOOR : SHED;
  }

  header(name) {
    const from = this.head.indexOf(`\r\n${name}: `);
    return from < 0 ? undefined : this.head.slice(from + name.length + 4, this.head.indexOf('\r\n', from + 2));
  }

  /**
   * Another takes its place, and where none could be had, a moment later. One that nobody used is opened again when somebody needs it: all
   * eight hundred that a door lets go after ten seconds without a request, opened again at once, were a crowd of their own.
   */
  end(why) {
    if (!this.crowd.all.delete(this)) return;
    const { told, sentAt } = this;
    this.told = undefined;
    this.socket.destroy();
    const idle = this.crowd.idle.indexOf(this);
    if (idle >= 0) this.crowd.idle.splice(idle, 1);
    told?.({ kind: OTHER, sentAt, why });
    if (idle >= 0) return;
    if (this.isOpen) this.crowd.add();
    else setTimeout(() => this.crowd.add(this.opened), LOOK_MS);
  }
}
