import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** So often in the time that a client may take nothing it is looked at. */
const LOOKS = 4;
/** Who goes on taking, however slowly, has so many times as long for one answer. */
const SLOW = 10;
/** What a request and its response are beside what is sent: measured 2.4 kB with one header each. */
const RESPONSE_BYTES = 4 * 1024;

/**
 * Answers that clients have not taken yet. Whoever asks and does not read keeps each answer here for as long as the connection lasts, and
 * takes no place of those who ask (admission.ts): 64 answers of 16 MiB, or as many requests one behind another on one connection, are all
 * the memory there is. Who takes nothing for `ms` is cut, and so is who takes ten times as long for one answer; beyond `bytesMax` it is
 * who has been still for longest, and of those who has most.
 *
 * What the kernel has taken is not here, so nearly no answer is ever added.
 */
export class Untaken {
  readonly #options: { readonly bytesMax: number; readonly ms: number; readonly told?: (bytes: number) => void };
  readonly #connections = new Map<Socket, Connection>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `told`: somebody who has left so much was cut. */
  constructor(options: { readonly bytesMax: number; readonly ms: number; readonly told?: (bytes: number) => void }) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whose answers wait. */
  get many(): number {
    return this.#connections.size;
  }

  /** This answer waits to be taken, or will as soon as it is written: its time begins when it has ended and those before it are gone. */
  add(response: ServerResponse): void {
    const { socket } = response.req;
    // Of a connection that is closed nothing is told any more, neither of what was behind another answer.
    if (socket.destroyed) return;
    const connection = this.#connections.get(socket) ?? this.#begin(socket);
    const before = connection.answers.get(response);
    if (before === undefined) response.once('finish', () => this.#taken(connection, response));
    const bytes = response.writableLength + RESPONSE_BYTES;
    connection.answers.set(response, bytes);
    this.#count(connection, bytes - (before ?? 0));
    while (this.#bytes > this.#options.bytesMax) this.#cut(this.#first());
  }

  #begin(socket: Socket): Connection {
    const connection: Connection = {
      socket,
      answers: new Map(),
      bytes: 0,
      head: undefined,
      left: 0,
      looks: 0,
      still: 0,
      gone: () => this.#forget(connection),
    };
    this.#connections.set(socket, connection);
    socket.once('close', connection.gone);
    this.#timer ??= setInterval(() => this.#look(), this.#options.ms / LOOKS).unref();
    return connection;
  }

  #taken(connection: Connection, response: ServerResponse): void {
    // Of one that was cut this is told as well.
    if (this.#connections.get(connection.socket) !== connection) return;
    this.#count(connection, -connection.answers.get(response)!);
    connection.answers.delete(response);
    if (connection.answers.size === 0) this.#forget(connection);
  }

  #count(connection: Connection, bytes: number): void {
    connection.bytes += bytes;
    this.#bytes += bytes;
  }

  /** Counts looks, not time: a process that was kept from its work did not look, and did not send either. */
  #look(): void {
    for (const connection of this.#connections.values()) {
      const head = headOf(connection);
      const left = leftOf(connection.socket);
      const goesOn = head !== undefined && head === connection.head;
      connection.looks = goesOn ? connection.looks + 1 : 0;
      connection.still = goesOn && left === connection.left ? connection.still + 1 : 0;
      connection.head = head;
      connection.left = left;
      if (connection.still >= LOOKS || connection.looks >= SLOW * LOOKS) this.#cut(connection);
    }
  }

  #first(): Connection {
    let first: Connection | undefined;
    for (const one of this.#connections.values())
      if (!first || one.still > first.still || (one.still === first.still && one.bytes > first.bytes)) first = one;
    return first!;
  }

  #cut(connection: Connection): void {
    this.#forget(connection);
    // Closed the usual way the kernel would keep what it has, and count it as ours, for as long as the client likes.
    connection.socket.resetAndDestroy();
    this.#options.told?.(connection.bytes);
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection.socket);
    this.#bytes -= connection.bytes;
    connection.socket.off('close', connection.gone);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface Connection {
  readonly socket: Socket;
  readonly answers: Map<ServerResponse, number>;
  bytes: number;
  /** Which answer was being taken at the last look, and how much of it was left. */
  head: ServerResponse | undefined;
  left: number;
  /** How often that answer was looked at, and how often in a row nothing had been taken. */
  looks: number;
  still: number;
  readonly gone: () => void;
}

/** The answer that is being taken: those behind it have no socket yet. None: it is still being worked on. */
function headOf({ answers }: Connection): ServerResponse | undefined {
  for (const response of answers.keys()) if (response.socket !== null && response.writableEnded) return response;
  return undefined;
}

/** `writableLength` stays what it was until the last byte of a buffer is gone; Node's own timeouts look at the handle for that, too. */
function leftOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return socket.writableLength + (handle?.writeQueueSize ?? 0);
}
