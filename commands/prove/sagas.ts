import { CRASH_POINTS, type CrashPoint } from '#libs/crash-point';
import type { Saga } from '#libs/saga';
import type { Place } from './places.js';
import { eachKilled, wrong, zeros, type Figure, type Proof, type Row, type Setup } from './proof.js';
import type { ActsDone, Outcome } from './saga-compared.js';
import { FOLLOWS_EACH, POSTS_EACH, type Plan, type Untold } from './saga-people.js';
import { run } from './saga-run.js';
import { SIDE_BY_SIDE } from './sagas.worker.js';

/**
 * Accounts are deleted, by both sagas under the same kills, while events come late, twice and in the wrong order; every fifth
 * deletion meets a step that fails for good, and while it is taken back others act, and who comes back. Afterwards each account is either
 * gone everywhere or as it was, but for these acts: its names, its password, its picture, its posts word by word, its likes, since when who
 * follows whom, its block, all counts, and what everybody was notified of, read or not.
 *
 * Not looked at: home timelines; when a like was given, and the history of a post, of which a deletion that was taken back leaves
 * traces. Not done here: two who follow each other and both leave; a second deletion of an account; posts that were edited.
 *
 * Then the same with two processes that decide, one of which is frozen for longer than it may read without a sign of life, and goes on
 * beside the other.
 */
export const sagas: Proof = {
  name: 'sagas',
  hurriedAt: 'servers',
  says: 'kill -9 at every point of both sagas: no deletion is left half done; and what each saga costs',
  run: (setup) =>
    eachKilled(
      setup,
      showsAt,
      ({ plan }) => plan.points.length,
      async (setup, { place, plan, rowOf }, progress) => ({
        place: place.name,
        ...rowOf(await run(setup, place, plan, progress)),
      }),
    ),
};

interface Show {
  readonly isControl?: true;
  readonly plan: Plan;
  readonly rowOf: (outcome: Outcome) => Omit<Row, 'place'>;
}

/** Every point of a saga, and the points of the event path at which a saga can be cut. */
const POINTS = Object.keys(CRASH_POINTS).filter(
  (name) =>
    name.startsWith('saga:') ||
    ['commit:before', 'commit:after', 'relay:published', 'consume:committed'].includes(name),
) as CrashPoint[];
/** Of two processes that decide about deletions: with answers in hand, with its decision made, with nothing left but COMMIT. */
const FROZEN_AT = ['consume:given', 'saga:heard', 'commit:before'] as const satisfies CrashPoint[];
/** Longer than it may read for its group without a sign of life (2 s): then the other does. */
const PAUSED_MS_MIN = 2_500;
const SAGAS = ['orchestrated', 'choreographed'] as const;
const UNTOLD = ['dissolve-follows', 'withdraw-posts'] as const satisfies Untold[];

/** Three databases are opened again after each kill: where there is not time for all of them some points are taken, drawn by the seed. */
const SOME = { embedded: 1, servers: { quick: 1, else: 4 } };

function showsAt({ size, quick, whole, seed, controls, freezeMs }: Setup, place: Place): Show[] {
  const pausedMs = Math.max(freezeMs, PAUSED_MS_MIN);
  const isEmbedded = place.name === 'embedded';
  const each = whole ? POINTS.length : isEmbedded ? SOME.embedded : SOME.servers[quick ? 'quick' : 'else'];
  // The same for both sagas, so that they meet the same faults.
  const points = Array.from({ length: each }, (_, at) => POINTS[(seed + at) % POINTS.length] as CrashPoint);
  // Where ten accounts leave, it is the only one; not by the digit that draws the saga.
  const firstUntold = UNTOLD[Math.floor(seed / POINTS.length / SAGAS.length) % UNTOLD.length]!;
  const accounts = whole ? Math.max(40, Math.round(size / 100)) : quick ? 10 : 20;
  const shows: Show[] = [];
  // Embedded one of the two, and in a hurry the other one on servers; not by the digit that draws the points.
  const nth = (Math.floor(seed / POINTS.length) + (isEmbedded ? 0 : 1)) % 2;
  for (const saga of whole || !(quick || isEmbedded) ? SAGAS : SAGAS.slice(nth, nth + 1)) {
    shows.push({ plan: { saga, accounts, points, firstUntold }, rowOf: (outcome) => killed(saga, outcome, whole) });
    if (whole)
      shows.push({ plan: { saga, accounts: 40, points: [], calm: true }, rowOf: (outcome) => costs(saga, outcome) });
  }
  if (!isEmbedded) {
    const some = whole ? FROZEN_AT : FROZEN_AT.slice(seed % FROZEN_AT.length).slice(0, 1);
    shows.push({ plan: { saga: 'orchestrated', accounts, points: some, firstUntold, pausedMs }, rowOf: paused });
    if (controls && !quick)
      shows.push({
        isControl: true,
        plan: { saga: 'orchestrated', accounts: 10, points: ['consume:given'], pausedMs, stale: true },
        rowOf: pausedStale,
      });
  }
  if (controls && (whole || !isEmbedded))
    shows.push({
      isControl: true,
      plan: { saga: 'orchestrated', accounts: 8, points: ['saga:sliced'], naive: true },
      rowOf: naively,
    });
  return shows;
}

function killed(
  saga: Saga,
  { begun, done, reverted, halfDone, astray, kills, seen, miscounted, mistold, acts }: Outcome,
  whole: boolean,
): Omit<Row, 'place'> {
  return {
    claim: `deleted by the ${saga} saga, killed at ${kills} points`,
    over: `${begun} accounts (${done} gone, ${reverted} brought back${acts === undefined ? '' : `; to or by these ${acts.count} acts`})`,
    figures: [
      ...zeros({
        'half done': halfDone,
        'ended the other way': astray,
        'seen across a block': seen,
        miscounted: sumOf(miscounted),
        mistold: sumOf(mistold),
      }),
      ...(acts === undefined ? [] : acting(acts, whole)),
    ],
  };
}

/** Without them the others would be zero for nothing. With a few accounts it may be that nobody acts on the way back, which is a moment. */
function acting({ leastOfAKind, meanwhile, refused }: ActsDone, whole: boolean): Figure[] {
  return [
    ...zeros({ 'acts refused for good': refused }),
    { name: 'acts of the rarest kind', value: leastOfAKind, must: { atLeast: 1 } },
    { name: 'acts on the way back', value: meanwhile, ...(whole ? { must: { atLeast: 1 } } : {}) },
  ];
}

function sumOf(counts: object): number {
  return Object.values(counts).reduce((sum: number, count: number) => sum + count, 0);
}

function paused({ begun, done, reverted, halfDone, astray, twice, kills }: Outcome): Omit<Row, 'place'> {
  return {
    claim: 'two that decide, one paused (SIGSTOP) until the other has its work, then going on',
    over: `${begun} accounts (${done} gone, ${reverted} brought back), ${kills} pauses`,
    figures: zeros({ 'half done': halfDone, 'ended the other way': astray, 'decided twice': twice }),
  };
}

function pausedStale({ begun, twice, kills }: Outcome): Omit<Row, 'place'> {
  return {
    claim: 'control: the same two, deciding by what they had read',
    over: `${begun} accounts, ${kills} pause`,
    figures: wrong({ 'decided twice': twice }, 'decided twice'),
  };
}

/** Nobody is killed, nothing is late: what it costs. */
function costs(saga: Saga, { begun, messages, p50Ms }: Outcome): Omit<Row, 'place'> {
  return {
    claim: `cost, ${saga}: the state lives in ${saga === 'orchestrated' ? 'users, which asks' : 'each service; users only hears'}`,
    over: `${begun} accounts of ${POSTS_EACH} posts and ${FOLLOWS_EACH} follows, ${SIDE_BY_SIDE} at a time`,
    figures: [
      { name: 'messages each', value: messages },
      { name: 'p50', value: p50Ms, unit: 'ms' },
    ],
  };
}

function naively({ begun, halfDone, miscounted, mistold, kills }: Outcome): Omit<Row, 'place'> {
  const counts = {
    'half done': halfDone,
    ...named('miscounted', miscounted),
    ...named('notifications', mistold),
  };
  return {
    claim: 'control: one service after the other, nothing remembered, likes, replies and follows gone by a DELETE',
    over: `${begun} accounts, ${kills} kill`,
    figures: wrong(counts, ...Object.keys(counts)),
  };
}

function named(what: string, counts: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([name, count]: [string, number]) => [`${what} ${name}`, count]),
  );
}
