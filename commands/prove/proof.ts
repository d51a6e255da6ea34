import type { Progress } from '../seed/progress.js';
import type { Place } from './places.js';

/** One thing that `npm run prove` shows. A file of its own exports one; `proofs.ts` lists them. */
export interface Proof {
  /** `npm run prove -- <name>` runs it alone. */
  readonly name: string;
  /** One sentence: what is shown. */
  readonly says: string;
  /** False: only when it is asked for by name, because it takes long or wants the machine for itself. */
  readonly always?: boolean;
  /** It measures, or starts servers of its own: nothing else runs meanwhile, and it runs once, for all places. */
  readonly alone?: boolean;
  /** It mostly waits: it runs beside the others. */
  readonly waits?: boolean;
  /** Where it is shown when all are, in a hurry: each start of a process costs a second of both cores, of several databases two. */
  readonly hurriedAt?: Place['name'];
  /** A PostgreSQL that is started for it waits for the disk, as in production. */
  readonly wantsDurableServers?: boolean;
  run(setup: Setup): Promise<readonly Row[]>;
}

export interface Setup {
  /** How much: the number of events where nothing else is said. */
  readonly size: number;
  /** Whether it was said on the command line: a proof that counts something cheaper takes a size of its own where it was not. */
  readonly isSizeGiven: boolean;
  /** Asked to end within a minute: proofs with several rounds run one. */
  readonly quick: boolean;
  /** Asked for by name, and not in a hurry: whoever takes long shows all of it, and else a part, drawn by the seed. */
  readonly whole: boolean;
  /** How long a process is frozen. */
  readonly freezeMs: number;
  /** What is random follows from it, so that a failure can be seen again. */
  readonly seed: number;
  /** Of a proof that is not `alone` one: the places have nothing in common, so it runs in all of them at once. */
  readonly places: readonly Place[];
  /** Whether the naive ways are shown here: everywhere where it was asked for by name, else in one place. */
  readonly controls: boolean;
  /** A bar on a terminal, lines elsewhere. `unit`: what is counted. */
  progress(total: number, unit: string): Progress;
}

/** One line of the table. */
export interface Row {
  /** What was done, and for a control: how it is naive. */
  readonly claim: string;
  readonly place: string;
  /** In how many events, kills, …: a few words. */
  readonly over: string;
  readonly figures: readonly Figure[];
}

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit?: string;
  /** Absent: only told. */
  readonly must?: Must;
}

export type Must = { readonly be: number } | { readonly atLeast: number } | { readonly atMost: number };

export function holds({ value, must }: Figure): boolean {
  if (must === undefined) return true;
  if ('be' in must) return value === must.be;
  return 'atLeast' in must ? value >= must.atLeast : value <= must.atMost;
}

/**
 * A row of what is run at each place, one after the other, with a bar over the kills of all; the last step of each is its comparison.
 * A control is given other seeds until it has failed.
 */
export async function eachKilled<One extends { readonly isControl?: boolean }>(
  setup: Setup,
  runsAt: (setup: Setup, place: Place) => readonly One[],
  killsOf: (one: One) => number,
  rowOf: (setup: Setup, one: One & { readonly place: Place }, progress: Progress) => Promise<Row>,
): Promise<Row[]> {
  const all = setup.places.flatMap((place) => runsAt(setup, place).map((one) => ({ ...one, place })));
  const progress = setup.progress(
    all.reduce((sum, one) => sum + killsOf(one) + 1, 0),
    'kills',
  );
  const rows: Row[] = [];
  try {
    for (const one of all)
      rows.push(
        one.isControl === true
          ? await untilItFails(setup, (setup) => rowOf(setup, one, progress))
          : await rowOf(setup, one, progress),
      );
    return rows;
  } finally {
    progress.stop();
  }
}

const CONTROLS_MAX = 5;

/** What goes wrong by chance only: a naive way is shown with one seed after the other until it has, at most five times. */
export async function untilItFails(setup: Setup, show: (setup: Setup) => Promise<Row>): Promise<Row> {
  for (let nth = 1; ; nth++) {
    const row = await show({ ...setup, seed: setup.seed + nth - 1 });
    if (nth === CONTROLS_MAX || row.figures.every(holds))
      return nth === 1 ? row : { ...row, over: `${row.over}, run ${nth} times` };
  }
}

/** For a guarantee: every one of these is zero. */
export function zeros(counts: Readonly<Record<string, number>>): Figure[] {
  return Object.entries(counts).map(([name, value]) => ({ name, value, must: { be: 0 } }));
}

/** For a control: what the naive way gets wrong at least once; the other counts are only told. */
export function wrong(counts: Readonly<Record<string, number>>, ...names: string[]): Figure[] {
  return Object.entries(counts).map(([name, value]) =>
    names.includes(name) ? { name, value, must: { atLeast: 1 } } : { name, value },
  );
}

/** Events per run where nothing is said, and in a hurry. */
export const SIZE = 10_000;
export const QUICK_SIZE = 1_000;
