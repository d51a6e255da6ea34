import { Chance } from './chance.js';
import { degreesOf, degreesWithTotal, followerPoints, postPoints, sumOf } from './degrees.js';
import { wire, type Graph } from './graph.js';
import { personAt, type Person } from './people.js';
import { write, type Writings } from './posts.js';

export interface WorldOptions {
  readonly seed: number;
  readonly users: number;
  /** How many follows in all; absent: what the percentiles give, about 24 for each of 50,000 people. */
  readonly follows?: number | undefined;
  /** How many posts in all, about; the shape stays. The percentiles alone give 70 for each. */
  readonly posts: number;
}

/** People by number, who follows whom, and what they wrote. */
export interface GeneratedWorld {
  readonly seed: number;
  readonly people: readonly Person[];
  readonly graph: Graph;
  readonly writings: Writings;
}

/** A social graph by chance, whose distributions are those of a real one: the same for the same options, on every machine. */
export function generateWorld({ seed, users, follows, posts }: WorldOptions): GeneratedWorld {
  const points = followerPoints(users);
  const followerCounts = follows === undefined ? degreesOf(points, users) : degreesWithTotal(points, users, follows);
  const people = Array.from({ length: users }, (_, index) => personAt(seed, index));
  const joinedAt = Float64Array.from(people, (person) => person.joinedAt);
  return {
    seed,
    people,
    graph: wire(followerCounts, new Chance(`${seed} graph`)),
    writings: write(scaled(degreesOf(postPoints(users), users), posts), joinedAt, new Chance(`${seed} posts`)),
  };
}

function scaled(counts: Int32Array, total: number): Int32Array {
  const factor = total / Math.max(1, sumOf(counts));
  return counts.map((count) => Math.round(count * factor));
}
