import type { Bars } from './bars.js';
import type { Databases } from './checker.js';
import type { Heard } from './crowd.js';
import type { Town } from './town.js';

/** One line of the fault table. */
export interface Fault extends Bars {
  /** Of the table, and after it what tells it from another of the same number. */
  readonly id: string;
  readonly says: string;
  /** Only when it is asked for by name. */
  readonly control?: boolean;
  /** The databases have to be on a disk of their own: where this machine may mount one. */
  readonly fillsDisk?: boolean;
  /** What it takes that this machine has not, and where to get it: then it does not run. */
  lacks?(): string | undefined;
  /** Before anybody is at work. */
  prepare?(scene: Scene): Promise<void>;
  /** When all has been looked at: what `prepare` made otherwise is as it was. */
  tidy?(scene: Scene): Promise<void>;
  /** Does it, and undoes it `ms` later where it does not undo itself. Resolves when it is healed. */
  strike(scene: Scene): Promise<void>;
}

/** What a fault may reach for; `databases` are past the doors that fail. */
export interface Scene {
  readonly town: Town;
  readonly databases: Databases;
  readonly ms: number;
  /** Bodies of the posts whose publishing was answered since the crowd began. */
  acknowledged(): readonly string[];
  /** `hear` is told of every answer that people get from now on; undefined: nobody is. */
  listen(hear: ((answer: Heard) => void) | undefined): void;
}
