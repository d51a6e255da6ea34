import { newId } from '#libs/identity';
import { Chance } from './chance.js';
import { sumOf } from './degrees.js';
import type { Graph } from './graph.js';
import { END, type Person } from './people.js';

/** What was written, oldest first, by number of author and number of post; -1: no reply. */
export interface Writings {
  readonly authors: Int32Array;
  readonly times: Float64Array;
  readonly parents: Int32Array;
}

/** So many posts are replies. */
const REPLIES = 0.25;
/** A reply goes to one of so many posts before it, rather to a late one. */
const REMEMBERED = 5_000;
const DAY_MS = 86_400_000;

/** `postCounts`, by rank, written by people by chance, between the day they joined and the end, more in the evening (UTC). */
export function write(postCounts: Int32Array, joinedAt: Float64Array, chance: Chance): Writings {
  const people = postCounts.length;
  const personOf = chance.shuffle(Int32Array.from({ length: people }, (_, index) => index));
  const total = sumOf(postCounts);
  const author = new Int32Array(total);
  const time = new Float64Array(total);
  let at = 0;
  for (let rank = 0; rank < people; rank++) {
    const person = personOf[rank] ?? 0;
    for (let count = postCounts[rank] ?? 0; count > 0; count--, at++) {
      author[at] = person;
      time[at] = momentAfter(joinedAt[person] ?? END, chance);
    }
  }
  const order = Uint32Array.from({ length: total }, (_, index) => index).sort(
    (one, other) => (time[one] ?? 0) - (time[other] ?? 0) || one - other,
  );
  const parents = new Int32Array(total).fill(-1);
  for (let index = 1; index < total; index++) {
    if (chance.fraction() < REPLIES)
      parents[index] = index - 1 - Math.floor(chance.fraction() ** 3 * Math.min(index, REMEMBERED));
  }
  return {
    authors: Int32Array.from(order, (from) => author[from] ?? 0),
    times: Float64Array.from(order, (from) => time[from] ?? 0),
    parents,
  };
}

/** The id of post `index`, computed and not kept: three million texts are 200 MB. */
export function postIdAt(
  seed: number,
  { authors, times }: Writings,
  index: number,
  shardOf: (person: number) => number,
): string {
  const mix = Math.imul((index + 1) ^ (seed << 16), 0x9e3779b1) >>> 0;
  return newId({
    now: times[index] ?? 0,
    shard: shardOf(authors[index] ?? 0),
    random: (bytes) => {
      const random = Buffer.alloc(bytes);
      for (let from = 0; from + 4 <= bytes; from += 4)
        random.writeUInt32BE((Math.imul(mix, from + 1) ^ index) >>> 0, from);
      return random;
    },
  });
}

export function bodyAt(chance: Chance, person: Person): string {
  return chance
    .pick(SENTENCES)
    .replaceAll('{thing}', () => chance.pick(THINGS))
    .replaceAll('{place}', () => chance.pick(PLACES))
    .replaceAll('{me}', () => person.displayName);
}

/** Who likes a post: some of its author's followers, one and a half on the whole and 30 at most. */
export function likersOf({ followers, start }: Graph, author: number, chance: Chance): number[] {
  const from = start[author] ?? 0;
  const count = (start[author + 1] ?? 0) - from;
  const likers = new Set<number>();
  const want = Math.min(count, 30, Math.floor(-Math.log(1 - chance.fraction()) * 2));
  for (let tries = 4 * want; tries > 0 && likers.size < want; tries--)
    likers.add(followers[from + chance.below(count)] ?? 0);
  return [...likers];
}

function momentAfter(joined: number, chance: Chance): number {
  const day = Math.floor((joined + (END - joined) * chance.fraction()) / DAY_MS) * DAY_MS;
  let hours = 24 * chance.fraction();
  while (chance.fraction() > 0.55 + 0.45 * Math.cos(((hours - 20) / 12) * Math.PI)) hours = 24 * chance.fraction();
  return Math.floor(Math.max(joined, Math.min(END - 1, day + hours * 3_600_000)));
}

const SENTENCES = [
  'Today: {thing}, and nothing else.',
  'Does anybody in {place} sell {thing}?',
  'I have carried {thing} to {place} and back. Ask me anything.',
  '{place} at night smells of {thing}.',
  'Unpopular opinion: {thing} is better in {place}.',
  'Three years of {thing} and I still begin every day by looking for it.',
  'If you lend {me} {thing}, expect it back polished.',
  'Somebody left {thing} on the ferry to {place}. It is looked after.',
  'Note to self: {place}, early, with {thing}.',
  'My neighbour in {place} has opinions on {thing} 🙂',
];
const THINGS = [
  'bread',
  'a lantern',
  'a map',
  'two oars',
  'wet paint',
  'an old radio',
  'honey',
  'a ladder',
  'sheet music',
  'green tea',
  'a kite',
  'rye seed',
];
const PLACES = [
  'Lisbon',
  'the harbour',
  'Osaka',
  'the allotments',
  'Gdańsk',
  'the night market',
  'Accra',
  'the library',
  'Trondheim',
  'the upper lock',
];
