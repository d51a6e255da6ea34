/** A point of a distribution: `share` of all have more than `value`. */
export interface Point {
  readonly share: number;
  readonly value: number;
}

/**
 * How many followers people have: Bluesky's percentiles of July 2024 (5.95 million people), p50 1, p95 95, p99.5 1,000 and
 * p99.9 2,300, and at the top one who has 5 % of all. Where so many people are not there, a bounded share of them.
 */
export function followerPoints(people: number): Point[] {
  return [
    { share: 0.5, value: 1 },
    { share: 0.05, value: Math.min(95, 0.2 * people) },
    { share: 0.005, value: Math.min(1_000, 0.35 * people) },
    { share: 0.001, value: Math.min(2_300, 0.45 * people) },
    { share: 0.5 / people, value: Math.max(0.05 * people, Math.min(2_300, 0.5 * people)) },
  ];
}

/** How many posts people wrote, from the same source: p50 7, p95 292, p99 1,000, p99.9 8,800; 10,000 at most. */
export function postPoints(people: number): Point[] {
  return [
    { share: 0.5, value: 7 },
    { share: 0.05, value: 292 },
    { share: 0.01, value: 1_000 },
    { share: 0.001, value: 8_800 },
    { share: 0.5 / people, value: 10_000 },
  ];
}

/**
 * `people` whole numbers whose percentiles are the points, ascending. Between two points it is a straight line of the
 * logarithms; `bend` below 1 lifts what is between them (and so the total) and leaves the points where they are.
 */
export function degreesOf(points: readonly Point[], people: number, bend = 1): Int32Array {
  return Int32Array.from({ length: people }, (_, rank) => Math.round(valueAt(points, 1 - (rank + 0.5) / people, bend)));
}

function valueAt(points: readonly Point[], share: number, bend: number): number {
  const [median] = points;
  // Below the median nothing was published: evenly down to 0.
  if (median === undefined || share > median.share) return (median?.value ?? 0) * 2 * (1 - share);
  const at = points.findIndex((point) => share > point.share);
  const [from, to] = at === -1 ? points.slice(-2) : points.slice(at - 1);
  if (from === undefined || to === undefined) return median.value;
  const way = Math.min(1, Math.log(from.share / share) / Math.log(from.share / to.share));
  return from.value * (to.value / from.value) ** (way ** bend);
}

/** The same with the total that is asked, to within a thousandth. */
export function degreesWithTotal(points: readonly Point[], people: number, total: number): Int32Array {
  let [low, high] = BENDS;
  for (let step = 0; step < 40; step++) {
    const bend = Math.sqrt(low * high);
    const degrees = degreesOf(points, people, bend);
    const sum = sumOf(degrees);
    if (Math.abs(sum - total) <= total / 1_000) return degrees;
    if (sum > total) low = bend;
    else high = bend;
  }
  const [most, least] = BENDS.map((bend) => sumOf(degreesOf(points, people, bend)).toLocaleString('en'));
  throw new RangeError(
    `${people.toLocaleString('en')} people with these percentiles have ${least} to ${most} follows; asked for ${total.toLocaleString('en')}.`,
  );
}

const BENDS: readonly [number, number] = [0.05, 20];

export function sumOf(numbers: Int32Array): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

/** The value that `percent` % of the ascending numbers do not exceed. */
export function percentile(ascending: Int32Array, percent: number): number {
  return ascending[Math.max(0, Math.ceil((percent / 100) * ascending.length) - 1)] ?? 0;
}
