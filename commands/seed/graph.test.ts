import { describe, expect, it } from '@jest/globals';
import { Chance } from './chance.js';
import { degreesOf, degreesWithTotal, followerPoints, percentile, postPoints, sumOf } from './degrees.js';
import { followingCounts, forEachFollow, FOLLOWING_MAX, reciprocity, wire, type Graph } from './graph.js';
import { generateWorld } from './world.js';

describe('how many followers people have', () => {
  it('has the percentiles of Bluesky where there are people enough, to within 2 %', () => {
    const counts = degreesOf(followerPoints(100_000), 100_000);
    expect(percentile(counts, 50)).toBe(1);
    for (const [percent, followers] of [
      [95, 95],
      [99.5, 1_000],
      [99.9, 2_300],
      [100, 5_000],
    ] as const) {
      expect(Math.abs(percentile(counts, percent) / followers - 1)).toBeLessThan(0.02);
    }
  });

  it('can be asked to have a total, and keeps the percentiles', () => {
    const counts = degreesWithTotal(followerPoints(50_000), 50_000, 3_000_000);
    expect(Math.abs(sumOf(counts) / 3_000_000 - 1)).toBeLessThan(0.001);
    expect([50, 95].map((percent) => percentile(counts, percent))).toEqual([1, 95]);
    expect(() => degreesWithTotal(followerPoints(1_000), 1_000, 900_000)).toThrow(/have [\d,]+ to [\d,]+ follows/);
  });
});

describe('a world of 1,000 people', () => {
  const world = generateWorld({ seed: 1, users: 1_000, posts: 20_000 });
  const followers = countsOf(world.graph).toSorted();

  it('has the percentiles of Bluesky as far as 1,000 people can, to within 6 %', () => {
    // p99.5 would be 1,000 and p99.9 2,300: here they are 35 % and 45 % of all people.
    for (const [percent, want] of [
      [50, 1],
      [95, 95],
      [99.5, 350],
      [99.9, 475],
    ] as const) {
      expect(Math.abs(percentile(followers, percent) / want - 1)).toBeLessThan(0.06);
    }
  });

  it('has 20 to 30 % of its follows returned, and nobody follows too many, twice, or themselves', () => {
    expect(reciprocity(world.graph)).toBeGreaterThan(0.2);
    expect(reciprocity(world.graph)).toBeLessThan(0.3);
    const following = followingCounts(world.graph);
    expect(following.at(-1)).toBeLessThanOrEqual(FOLLOWING_MAX);
    const seen = new Set<string>();
    forEachFollow(world.graph, (follower, followee) => {
      expect(follower).not.toBe(followee);
      seen.add(`${follower} ${followee}`);
    });
    expect(seen.size).toBe(world.graph.followers.length);
    // Log-normal: the mean is well above the median.
    expect(world.graph.followers.length / 1_000 / percentile(following, 50)).toBeGreaterThan(1.2);
  });

  it('has posts in the shape of Bluesky’s, each after its author joined and after what it replies to', () => {
    const { authors, times, parents } = world.writings;
    const counts = new Int32Array(1_000);
    authors.forEach((author, index) => {
      counts[author] = (counts[author] ?? 0) + 1;
      expect(times[index]).toBeGreaterThanOrEqual(world.people[author]?.joinedAt ?? 0);
      expect(parents[index]).toBeLessThan(index);
    });
    const factor = 20_000 / sumOf(degreesOf(postPoints(1_000), 1_000));
    const sorted = counts.toSorted();
    for (const [percent, want] of [
      [50, 7],
      [95, 292],
      [99, 1_000],
    ] as const) {
      expect(Math.abs(percentile(sorted, percent) - want * factor)).toBeLessThan(0.05 * want * factor + 1);
    }
    const replies = parents.filter((parent) => parent !== -1).length / parents.length;
    expect(Math.abs(replies - 0.25)).toBeLessThan(0.02);
  });

  it('is the same world for the same seed, another for another, and its people are the first of a bigger one', () => {
    expect(generateWorld({ seed: 1, users: 1_000, posts: 20_000 })).toEqual(world);
    expect(generateWorld({ seed: 2, users: 1_000, posts: 20_000 }).graph).not.toEqual(world.graph);
    expect(generateWorld({ seed: 1, users: 1_100, posts: 100 }).people.slice(0, 1_000)).toEqual(world.people);
  });

  it('with followers by even chance has nobody whom many follow (control)', () => {
    const chance = new Chance('even');
    const counts = new Int32Array(1_000);
    for (let follow = 0; follow < world.graph.followers.length; follow++) {
      const followee = chance.below(1_000);
      counts[followee] = (counts[followee] ?? 0) + 1;
    }
    expect(percentile(counts.toSorted(), 99.5)).toBeLessThan(50);
    expect(percentile(followers, 99.5)).toBeGreaterThan(300);
  });

  it('is wired as it was counted', () => {
    const counts = degreesOf(followerPoints(300), 300);
    expect(countsOf(wire(counts, new Chance('x'))).toSorted()).toEqual(counts);
  });
});

function countsOf({ start }: Graph): Int32Array {
  return start.slice(1).map((end, index) => end - (start[index] ?? 0));
}
