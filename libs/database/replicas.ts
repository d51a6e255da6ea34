import type pg from 'pg';
import type { Deadline } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import type { Statements } from './database.js';
import { Replica } from './replica.js';
import { lookAtPrimary, openLooks } from './replica-look.js';

/** Whoever reads outside a transaction. */
export interface Asker {
  /** Until when they wait. */
  readonly deadline?: Deadline | undefined;
  /** True: they may be shown what everybody was shown a moment ago. Where nothing is said they may not. */
  readonly mayLag?: boolean | undefined;
  /** Set to true when a replica has answered them: so nobody may keep what they are told. */
  lagged?: boolean;
}

/** Reads for one asker. */
export interface Reader extends Statements {
  /** `onReplica`: told where this statement was answered by a replica. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    onReplica?: () => void,
  ): Promise<Row[]>;
}

export interface ReplicasOptions {
  readonly service: string;
  readonly primaryUrl: string;
  readonly urls: readonly string[];
  readonly poolMax: number;
  readonly lagMaxMs: number;
  readonly logger: Logger;
  readonly onStatement: () => void;
}

/** The replicas of one service's database. None is waited for when they are opened, and none is needed. */
export class Replicas {
  readonly all: readonly Replica[];
  /** Apart: how old replicas are is to be known also while all other connections to the primary are taken. */
  readonly #primary: pg.Pool;
  #next = 0;

  constructor({ urls, primaryUrl, ...options }: ReplicasOptions) {
    this.#primary = openLooks(primaryUrl);
    const primary = () => lookAtPrimary(this.#primary);
    this.all = urls.map((url) => new Replica({ ...options, url, primary }));
  }

  /** Reads from one replica, the same for all statements of this asker, as long as it may be read; else, and where that fails, as `primary` does. */
  reader(asked: Asker, primary: Statements): Reader {
    let replica: Replica | undefined;
    let isChosen = false;
    return {
      query: async <Row>(text: string, values?: readonly unknown[], onReplica?: () => void): Promise<Row[]> => {
        if (!isChosen) replica = this.#choose();
        isChosen = true;
        if (replica?.isUsable) {
          try {
            const rows = await replica.query<Row>(text, values, asked.deadline);
            asked.lagged = true;
            onReplica?.();
            return rows;
          } catch {
            // Two that answer one asker may be of different moments; the primary is of a later one than either.
            replica = undefined;
          }
        }
        return primary.query<Row>(text, values);
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((replica) => replica.close()));
    await this.#primary.end();
  }

  #choose(): Replica | undefined {
    const usable = this.all.filter(({ isUsable }) => isUsable);
    return usable[this.#next++ % usable.length];
  }
}
