/** What a program had at one moment. */
export interface Sample {
  /** Bytes that were left when the garbage was collected. */
  readonly live: number;
  /** Resident bytes that are not V8's heap: buffers, native modules, code. */
  readonly native: number;
  /** As Linux counts, V8's garbage and all: only told. The collector lets it come and go by 130 MB (a gateway of 55 live, seen for five minutes). */
  readonly rss: number;
  readonly handles: number;
}

const MB = 1024 * 1024;
/** Of what is not V8's heap, part is the heap of a thread that checks plans: up to 60 MB, which come and go as well. */
const GROWTH_MAX = { live: { share: 0.05, bytes: 4 * MB }, native: { share: 0.1, bytes: 64 * MB } };
const HANDLES_MAX = 16;

export interface Flat {
  readonly first: Sample;
  readonly last: Sample;
  /** What grows, in words; nothing: it is flat. */
  readonly grows: readonly string[];
}

/**
 * Of samples in the order of time, all of them after the caches had filled up: the medians of the last third beside those of the
 * first. A leak adds a little at every sample; noise, and a collection more or less, do not move a median.
 */
export function flat(samples: readonly Sample[]): Flat {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const [first, last] = [samples.slice(0, third), samples.slice(-third)].map((some) => ({
    live: median(some.map(({ live }) => live)),
    native: median(some.map(({ native }) => native)),
    rss: median(some.map(({ rss }) => rss)),
    handles: median(some.map(({ handles }) => handles)),
  })) as [Sample, Sample];
  const grows: string[] = [];
  for (const what of ['live', 'native'] as const) {
    const { share, bytes } = GROWTH_MAX[what];
    if (last[what] > first[what] * (1 + share) + bytes)
      grows.push(`more and more memory (${what}): ${mb(first[what])} after the warm-up, ${mb(last[what])} at the end`);
  }
  if (last.handles > first.handles + HANDLES_MAX)
    grows.push(`more and more handles: ${first.handles} after the warm-up, ${last.handles} at the end`);
  return { first, last, grows };
}

export function mb(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}
