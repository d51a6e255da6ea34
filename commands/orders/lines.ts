import { createInterface } from 'node:readline';
import type { Socket } from 'node:net';
import type { Screen } from './order.js';

/** The first line that a caller sends. Each one behind it, which is empty, answers a `rest`. */
export interface Asked {
  readonly order: string;
  readonly args: string[];
}

/** A line that comes back, one of these. */
export interface Told {
  /** The first: the process that does it. */
  readonly pid?: number;
  readonly say?: string;
  readonly warn?: string;
  readonly progress?: { readonly total: number; readonly unit?: string | undefined };
  readonly add?: { readonly rows: number; readonly doing: string };
  readonly stop?: true;
  /** Is to be answered: it goes on for as long as somebody is there. */
  readonly rest?: true;
  /** The last: the exit code. */
  readonly end?: number;
}

export function send(socket: Socket, line: Asked | Told): void {
  if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
}

export function answerRest(socket: Socket): void {
  if (socket.writable) socket.write('\n');
}

export interface Lines {
  /** Undefined: there are no more. */
  next(): Promise<string | undefined>;
  /** No more are waited for. */
  close(): void;
}

/** They end when the other side is gone, however it went: of one that was killed a socket may tell an error, and no end. */
export function linesOf(socket: Socket): Lines {
  const lines = createInterface({ input: socket, crlfDelay: Infinity });
  const each = lines[Symbol.asyncIterator]();
  socket.on('error', () => {});
  socket.once('close', () => lines.close());
  return {
    async next() {
      const { value, done } = await each.next().catch(() => ({ value: undefined, done: true }));
      return done ? undefined : value;
    },
    close: () => lines.close(),
  };
}

/** A screen at the other end of the line. */
export function farScreen(socket: Socket): Screen {
  return {
    say: (say) => send(socket, { say }),
    warn: (warn) => send(socket, { warn }),
    progress(total, unit) {
      send(socket, { progress: { total, unit } });
      return {
        add: (rows, doing) => send(socket, { add: { rows, doing } }),
        stop: () => send(socket, { stop: true }),
      };
    },
  };
}

/** Undefined: no order. */
export function readAsked(line: string): Asked | undefined {
  try {
    const { order, args } = JSON.parse(line) as Partial<Record<keyof Asked, unknown>>;
    const isOrder = typeof order === 'string' && Array.isArray(args) && args.every((arg) => typeof arg === 'string');
    return isOrder ? { order, args: args as string[] } : undefined;
  } catch {
    return undefined;
  }
}
