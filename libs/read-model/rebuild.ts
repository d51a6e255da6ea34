import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import { StepSize } from './step-size.js';

type Store = Pick<Database, 'query' | 'transaction'>;

/** A read model that is kept in two versions, 1 and 2, filled key by key (a person, a post, a day) in the order of their ids. */
export interface ReadModel {
  /** Its row in `read_models`. */
  readonly name: string;
  /** What its keys are, for people: 'people'. */
  readonly keys: string;
  /** Keys of one step, where nobody waits for its connection. */
  readonly keysPerStep: number;
  /** Keys of one step where others wait for its connection, at most; absent: a fourth of that. */
  readonly keysMax?: number;
  /** How many keys there are, about. */
  total(database: Database): Promise<number>;
  /** Empties a version that nobody reads. */
  clear(tx: Tx, slot: number): Promise<void>;
  /** Fills the next keys behind `after` from the source, `keysMax` at most; undefined: there are no more. */
  fill(tx: Tx, slot: number, after: string, keysMax: number): Promise<Step | undefined>;
  /**
   * By one statement, so at one moment: what the two versions would answer for the next keys, or the one that is built and its source.
   * Those that differ are given back, to be asked again: what was written a moment ago may be in one of them and on its way into the other.
   */
  compare(
    tx: Tx,
    slots: Slots,
    after: string,
    keysMax: number,
  ): Promise<(Step & { readonly differing: readonly string[] }) | undefined>;
  /** Comparing takes several statements, which are to see one moment. */
  readonly oneSnapshot?: boolean;
  /** Of these keys, those that differ; absent where both versions change by one commit, so that what differs once is wrong. */
  differing?(tx: Tx, slots: Slots, keys: readonly string[]): Promise<readonly string[]>;
  /** Brings a version to this moment, in the transaction that switches to it; absent where whoever writes has kept it there. */
  freshen?(tx: Tx, slots: Slots): Promise<void>;
  /** A part of that, in a transaction before it, so that little is left to it; false: there is nothing to be done. */
  freshenSome?(tx: Tx, slots: Slots): Promise<boolean>;
}

export interface Step {
  /** The last key of the step. */
  readonly last: string;
  readonly keys: number;
  readonly rows: number;
  /** Behind it is only what came meanwhile, which is in both versions, or looked for after the switch; else a crowd of writers is run after for good. */
  readonly end?: boolean;
}

export interface Slots {
  readonly serving: number;
  readonly building: number;
}

export interface Progress {
  readonly phase: 'filling' | 'comparing';
  readonly keys: number;
  readonly rows: number;
}

export interface Rebuilt {
  /** The other version answers now. */
  readonly switched: boolean;
  /** Keys whose answer was not the same in both. */
  readonly differing: number;
  /** It went on where another process had been stopped. */
  readonly resumed: boolean;
  /** What answers no more, or was not switched to, was in use until the end, and is not emptied: the next rebuild does it. */
  readonly notEmptied?: true;
}

interface Options {
  /** Called after each step with what it did; the next begins when it is done. */
  readonly onStep?: (progress: Progress) => void | Promise<void>;
  /** Told once, at the beginning, how far an earlier process had come. */
  readonly onResume?: (done: number) => void;
  /** Switch also when the versions differ: the one that answers was wrong. */
  readonly mend: boolean;
  /** How long a step may hold its connection, about, where others wait for it; absent: for as long as `keysPerStep` keys take. */
  readonly stepMs?: number | undefined;
  readonly pause?: (ms: number) => Promise<void>;
}

/**
 * Builds the version that does not answer, while everything that is heard goes into both; compares; and lets it answer instead of
 * the other, by one update of one row. Every step is a transaction that moves the cursor in `read_models`, so whoever is killed is
 * gone on with by whoever calls next, and two at once share the work. No reader waits for it and none sees half of it.
 */
export async function rebuild(database: Store, model: ReadModel, options: Options): Promise<Rebuilt> {
  const { mend, stepMs, onStep, onResume, pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms)) } = options;
  const { resumed, serving } = await begin(database, model, pause);
  if (resumed !== undefined) onResume?.(resumed);
  await writersOfBefore(database, pause);
  const filling = new StepSize(model.keysPerStep, stepMs, model.keysMax);
  for (;;) {
    const step = await fillStep(database, model, filling);
    if (step === undefined) break;
    await onStep?.({ phase: 'filling', ...step });
  }
  const comparing = new StepSize(model.keysPerStep, stepMs, model.keysMax);
  for (;;) {
    const step = await compareStep(database, model, { size: comparing, mend, pause });
    if (step === undefined) break;
    await onStep?.({ phase: 'comparing', ...step });
    if (step.end) break;
  }
  return { ...(await finish(database, model, { mend, pause, serving })), resumed: resumed !== undefined };
}

interface Row {
  readonly serving: number;
  readonly building: number | null;
  readonly phase: 'idle' | 'filling' | 'comparing';
  readonly cursor: string;
  readonly done: string;
  readonly differing: string;
  readonly young: boolean;
}

/** Of one that is not too old to be switched to: the version that it builds, writers leave out soon. */
async function underWay(tx: Tx, name: string): Promise<Row> {
  const row = await locked(tx, name);
  if (row.phase === 'idle' || row.young) return row;
  throw new Error(
    `This rebuild of ${name} began more than ${RESUMED_WITHIN_HOURS} hours ago and is given up; begin again`,
  );
}

async function locked(tx: Tx, name: string): Promise<Row> {
  const [row] = await tx.query<Row>(
    `SELECT serving, building, phase, cursor, done::text, differing::text,
       began_at > now() - interval '${RESUMED_WITHIN_HOURS} hours' AS young
     FROM read_models WHERE name = $1 FOR UPDATE`,
    [name],
  );
  if (row === undefined) throw new Error(`There is no read model ${name} here`);
  return row;
}

/** `resumed`: how many keys were done when somebody else stopped; undefined: it begins, also where they began too long ago. */
function begin(
  database: Store,
  model: ReadModel,
  pause: (ms: number) => Promise<void>,
): Promise<{ resumed: number | undefined; serving: number }> {
  return patiently(pause, () =>
    database.transaction(async (tx) => {
      const row = await locked(tx, model.name);
      if (row.phase !== 'idle' && row.young) return { resumed: Number(row.done), serving: row.serving };
      const building = 3 - row.serving;
      // A version that is being built is not emptied where that is told by this row.
      await tx.query('UPDATE read_models SET building = NULL WHERE name = $1', [model.name]);
      await clear(tx, model, building);
      await tx.query(
        `UPDATE read_models SET building = $2, phase = 'filling', cursor = $3, done = 0, differing = 0, began_at = now()
         WHERE name = $1`,
        [model.name, building, NIL],
      );
      return { resumed: undefined, serving: row.serving };
    }),
  );
}

/**
 * Until every transaction that was open when it began is over: it may have looked which versions there are before there was this one, and
 * what it has written is not to be seen yet.
 */
async function writersOfBefore(database: Store, pause: (ms: number) => Promise<void>): Promise<void> {
  const now = await database.transaction(async (tx) => {
    const [row] = await tx.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    return row?.xid;
  });
  for (let tries = 0; tries < WRITERS_TRIES; tries++) {
    const [row] = await database.query<{ over: boolean }>(
      'SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 AS over',
      [now],
    );
    if (row?.over) return;
    await pause(AGAIN_MS);
  }
  throw new Error(
    'A transaction on this server has been open for a minute; end it (pg_stat_activity), and begin again',
  );
}

function fillStep(database: Store, model: ReadModel, size: StepSize): Promise<Step | undefined> {
  return database.transaction(async (tx) => {
    const row = await underWay(tx, model.name);
    if (row.phase !== 'filling' || row.building === null) return undefined;
    const { building, cursor } = row;
    const step = await timed(size, () => model.fill(tx, building, cursor, size.keys));
    crashPoint('project:filled');
    await tx.query(
      step === undefined || step.end
        ? `UPDATE read_models SET phase = 'comparing', cursor = $2, done = done + $3 WHERE name = $1`
        : 'UPDATE read_models SET cursor = $2, done = done + $3 WHERE name = $1',
      [model.name, step === undefined || step.end ? NIL : step.last, step?.keys ?? 0],
    );
    return step;
  });
}

async function compareStep(
  database: Store,
  model: ReadModel,
  { size, mend, pause }: { size: StepSize; mend: boolean; pause: (ms: number) => Promise<void> },
): Promise<Step | undefined> {
  const compared = await patiently(pause, () =>
    database.transaction(async (tx) => {
      if (model.oneSnapshot) await atOneSnapshot(tx);
      const { phase, serving, building, cursor, differing: known } = await underWay(tx, model.name);
      if (phase !== 'comparing' || building === null) return undefined;
      const step = await timed(size, () => model.compare(tx, { serving, building }, cursor, size.keys));
      return step && { step, slots: { serving, building }, cursor, isDecided: mend || Number(known) > 0 };
    }),
  );
  if (compared === undefined) return undefined;
  let { differing } = compared.step;
  // Where it is decided already whether it is switched to, this is only to be told, and what is on its way is told with it: to wait in every
  // step of a version that is wrong everywhere took hours.
  const triesMax = compared.isDecided ? 0 : TRIES;
  for (let tries = 0; model.differing !== undefined && differing.length > 0 && tries < triesMax; tries++) {
    await pause(AGAIN_MS);
    const asked = differing;
    differing = await database.transaction(async (tx) => (await model.differing?.(tx, compared.slots, asked)) ?? asked);
  }
  crashPoint('project:compared');
  // Only where the cursor still is: another process may have compared the same.
  await database.query(
    `UPDATE read_models SET cursor = $2, differing = differing + $3, done = done + $4
     WHERE name = $1 AND phase = 'comparing' AND cursor = $5`,
    [model.name, compared.step.last, differing.length, compared.step.keys, compared.cursor],
  );
  return compared.step;
}

async function timed<T extends Step>(size: StepSize, work: () => Promise<T | undefined>): Promise<T | undefined> {
  const since = performance.now();
  const step = await work();
  size.took(performance.now() - since, step?.keys ?? 0);
  return step;
}

/** Whoever compares at once waits before there is a snapshot: of one from before it could write nothing that the other has written. */
async function atOneSnapshot(tx: Tx): Promise<void> {
  await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  await tx.query('LOCK TABLE read_models IN SHARE UPDATE EXCLUSIVE MODE');
}

async function finish(
  database: Store,
  model: ReadModel,
  { mend, pause, serving }: { mend: boolean; pause: (ms: number) => Promise<void>; serving: number },
): Promise<Omit<Rebuilt, 'resumed'>> {
  await freshenBefore(database, model, { mend, pause });
  const end = await database.transaction(async (tx) => {
    const row = await underWay(tx, model.name);
    const differing = Number(row.differing);
    // Another process was faster, and may have left the old one.
    if (row.phase !== 'comparing' || row.building === null)
      return { switched: row.serving !== serving, differing, left: undefined };
    const switched = mend || differing === 0;
    const left = switched ? row.serving : row.building;
    if (switched) await model.freshen?.(tx, { serving: row.serving, building: row.building });
    await tx.query(`UPDATE read_models SET serving = 3 - $2, building = NULL, phase = 'idle' WHERE name = $1`, [
      model.name,
      left,
    ]);
    crashPoint('project:switching');
    return { switched, differing, left };
  });
  const { left, ...outcome } = end;
  crashPoint('project:switched');
  if (left === undefined) return outcome;
  try {
    await patiently(pause, () =>
      database.transaction(async (tx) => {
        const row = await locked(tx, model.name);
        if (row.serving !== left && row.building === null) await clear(tx, model, left);
      }),
    );
  } catch (error) {
    // What was decided is decided.
    if (!isBusy(error)) throw error;
    return { ...outcome, notEmptied: true };
  }
  return outcome;
}

/** What is refreshed meanwhile, behind its back, is caught up with too; there is an end, because the transaction that switches does what is left. */
async function freshenBefore(
  database: Store,
  model: ReadModel,
  { mend, pause }: { mend: boolean; pause: (ms: number) => Promise<void> },
): Promise<void> {
  if (model.freshenSome === undefined) return;
  for (let parts = 0; parts < FRESHEN_MAX; parts++) {
    const isDone = await database.transaction(async (tx) => {
      const { phase, serving, building, differing } = await underWay(tx, model.name);
      const switches = phase === 'comparing' && building !== null && (mend || Number(differing) === 0);
      return !switches || !(await model.freshenSome?.(tx, { serving, building }));
    });
    if (isDone) return;
    await pause(0);
  }
}

/** Readers come first: whoever plans a read holds both versions for a moment, and would wait behind whoever waits for it. */
async function clear(tx: Tx, model: ReadModel, slot: number): Promise<void> {
  await tx.query(`SET LOCAL lock_timeout = '100ms'`);
  await model.clear(tx, slot);
  await tx.query('SET LOCAL lock_timeout TO DEFAULT');
}

async function patiently<T>(pause: (ms: number) => Promise<void>, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!isBusy(error) || tries >= TRIES) throw error;
    }
    await pause(AGAIN_MS);
  }
}

function isBusy(error: unknown): boolean {
  return BUSY.has(error instanceof Error ? (error.cause as { code?: unknown } | undefined)?.code : undefined);
}

/** A lock that was not to be had, and a row that was changed since the snapshot. */
const BUSY: ReadonlySet<unknown> = new Set(['55P03', '40001']);
const NIL = '00000000-0000-0000-0000-000000000000';
/** What was compared longer ago says nothing of what would be switched to now. */
const RESUMED_WITHIN_HOURS = 24;

/**
 * The version that is written beside the one that answers, as SQL over `read_models`; NULL: there is none. One that was begun so long ago
 * that nobody may switch to it is written no more, an hour later: a step may be under way.
 */
export const BUILDING = `CASE WHEN began_at > now() - interval '${RESUMED_WITHIN_HOURS + 1} hours' THEN building END`;

const AGAIN_MS = 250;
const TRIES = 40;
const FRESHEN_MAX = 40;
const WRITERS_TRIES = 240;
