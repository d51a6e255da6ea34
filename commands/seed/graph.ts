import type { Chance } from './chance.js';
import { sumOf } from './degrees.js';

/** Who follows whom, by number of person; the follows of one followee stand together, from `start[followee]` on. */
export interface Graph {
  readonly people: number;
  readonly followers: Int32Array;
  readonly start: Int32Array;
}

/** Most people one follows. */
export const FOLLOWING_MAX = 7_500;
/** So many follows stay inside a community of people who know each other. */
const INSIDE = 0.95;
/** So many follows are returned. */
const RETURNED = 0.25;
const COMMUNITY_PEOPLE = 500;
/** Deviation of the logarithm of how many people one follows. */
const FOLLOWING_SPREAD = 1.3;

/**
 * Wires exactly `followerCounts` (by rank, ascending) to people by chance. Whom one follows is log-normal and goes with how
 * many follow oneself, so that the well known have somebody to follow back.
 */
export function wire(followerCounts: Int32Array, chance: Chance): Graph {
  const people = followerCounts.length;
  // Rank by number of followers → number of person, so that joining early does not mean being known.
  const personOf = chance.shuffle(Int32Array.from({ length: people }, (_, index) => index));
  const wanted = new Int32Array(people);
  const eagerness = new Float64Array(people);
  for (let rank = 0; rank < people; rank++) {
    const person = personOf[rank] ?? 0;
    wanted[person] = Math.min(followerCounts[rank] ?? 0, people - 1);
    const standing = (2 * rank) / people - 1;
    eagerness[person] = Math.exp(FOLLOWING_SPREAD * (0.8 * standing * 1.5 + 0.6 * chance.normal()));
  }

  const communities = Math.max(1, Math.round(people / COMMUNITY_PEOPLE));
  const communityOf = Int32Array.from({ length: people }, () => chance.below(communities));
  const members: number[][] = Array.from({ length: communities }, () => []);
  for (let person = 0; person < people; person++) members[communityOf[person] ?? 0]?.push(person);
  const inside = members.map((numbers) => new Urn(numbers, eagerness, chance));
  const everybody = new Urn(
    Array.from({ length: people }, (_, person) => person),
    eagerness,
    chance,
  );

  const start = new Int32Array(people + 1);
  for (let person = 0; person < people; person++) start[person + 1] = (start[person] ?? 0) + (wanted[person] ?? 0);
  const followers = new Int32Array(sumOf(wanted));
  const following: number[][] = Array.from({ length: people }, () => []);
  let made = 0;
  let returned = 0;

  for (const followee of chance.shuffle(personOf.slice())) {
    const mine = new Set<number>([followee]);
    const follows = new Set(following[followee]);
    const add = (follower: number): boolean => {
      if (mine.has(follower) || (following[follower]?.length ?? 0) >= FOLLOWING_MAX) return false;
      mine.add(follower);
      following[follower]?.push(followee);
      followers[(start[followee] ?? 0) + mine.size - 2] = follower;
      made += 1;
      if (follows.has(follower)) returned += 2;
      return true;
    };
    const want = (wanted[followee] ?? 0) + 1;
    for (const follower of follows) {
      if (mine.size >= want || returned >= RETURNED * made) break;
      add(follower);
    }
    fill(mine, 1 + Math.round((want - 1) * INSIDE), inside[communityOf[followee] ?? 0] ?? everybody, add);
    fill(mine, want, everybody, add);
  }
  return { people, followers, start };
}

/** Draws until `mine` has `want`, or the urn has nobody left who can be added. */
function fill(mine: ReadonlySet<number>, want: number, urn: Urn, add: (person: number) => boolean): void {
  const need = want - mine.size;
  if (need <= 0) return;
  if (need < urn.people.length / 4) {
    for (let tries = 8 * need; tries > 0 && mine.size < want; tries--) add(urn.draw());
  }
  if (mine.size >= want) return;
  for (const person of urn.all()) {
    if (mine.size >= want) return;
    add(person);
  }
}

/** People who are drawn as often as they are eager to follow. */
class Urn {
  readonly people: readonly number[];
  readonly #eagerness: Float64Array;
  readonly #chance: Chance;
  readonly #sums: Float64Array;

  constructor(people: readonly number[], eagerness: Float64Array, chance: Chance) {
    this.people = people;
    this.#eagerness = eagerness;
    this.#chance = chance;
    this.#sums = new Float64Array(people.length);
    let sum = 0;
    for (const [index, person] of people.entries()) this.#sums[index] = sum += eagerness[person] ?? 0;
  }

  draw(): number {
    const at = this.#chance.fraction() * (this.#sums.at(-1) ?? 0);
    let [low, high] = [0, this.#sums.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sums[middle] ?? 0) > at) high = middle;
      else low = middle + 1;
    }
    return this.people[low] ?? 0;
  }

  /** Everybody once, the eager first on the whole (Efraimidis and Spirakis): for who wants a large part of the urn. */
  all(): number[] {
    const keys = new Map(
      this.people.map((person) => [person, -Math.log(1 - this.#chance.fraction()) / (this.#eagerness[person] ?? 1)]),
    );
    return this.people.toSorted((one, other) => (keys.get(one) ?? 0) - (keys.get(other) ?? 0));
  }
}

/** How many follows go both ways, as a share of all. */
export function reciprocity({ people, followers, start }: Graph): number {
  const seen = new Set<number>();
  let both = 0;
  forEachFollow({ people, followers, start }, (follower, followee) => {
    if (seen.has(followee * people + follower)) both += 2;
    seen.add(follower * people + followee);
  });
  return both / Math.max(1, followers.length);
}

export function forEachFollow(
  { people, followers, start }: Graph,
  tell: (follower: number, followee: number) => void,
): void {
  for (let followee = 0; followee < people; followee++) {
    for (let at = start[followee] ?? 0; at < (start[followee + 1] ?? 0); at++) tell(followers[at] ?? 0, followee);
  }
}

/** How many people each follows, ascending. */
export function followingCounts(graph: Graph): Int32Array {
  const counts = new Int32Array(graph.people);
  forEachFollow(graph, (follower) => (counts[follower] = (counts[follower] ?? 0) + 1));
  return counts.toSorted();
}
