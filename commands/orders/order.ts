import type { Database } from '#libs/database';
import type { Environment } from '#libs/settings';
import type { Service } from '../databases.js';
import type { Progress } from '../seed/progress.js';

/**
 * What a command does on stores that somebody may be using: on servers and in a folder that nobody holds the command does it itself, in a
 * folder that a running `npm start` holds that one does it on its own databases (take.ts), and the command shows what it is told (give.ts).
 */
export interface Order {
  readonly name: string;
  readonly usage: string;
  /** What is asked for, from the command's arguments; a RangeError or TypeError says what is wrong with them. */
  read(args: string[]): Job;
}

export interface Job {
  readonly services: readonly Service[];
  /** It cannot be done in slices, so not on a connection for which people wait. */
  readonly isOneSlice?: boolean;
  /** Its exit code. */
  run(work: Work): Promise<number>;
}

export interface Work {
  /** Those of the job's services. */
  readonly databases: Readonly<Partial<Record<Service, Database>>>;
  readonly screen: Screen;
  /** The settings of whoever has the databases. */
  readonly env: Environment;
  /** How long a slice may take, about, where people wait for the same connection. */
  readonly sliceMs?: number;
  /**
   * Between two slices, for at least so many ms. Who does it beside people's requests leaves them as much time as it took, and ends it by an
   * error when nobody waits for it any more.
   */
  rest(ms?: number): Promise<void>;
}

/** What whoever has called the command is shown. */
export interface Screen {
  /** A line of the result. */
  say(line: string): void;
  /** A line beside the result. */
  warn(line: string): void;
  /** One at a time; `total` and what is added to it are `unit`s. */
  progress(total: number, unit?: string): Progress;
}
