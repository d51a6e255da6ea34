import type { Explanation, FetchExplained } from './explanation.js';

const BAR = 40;

/** Where each field came from: `found` that were kept, and why the others had to be loaded. */
export function printCache(cache: NonNullable<Explanation['cache']>): string {
  const width = Math.max(0, ...cache.map(({ field }) => field.length));
  const sorted = [...cache].sort((one, other) => (one.field < other.field ? -1 : 1));
  return sorted
    .map(({ field, found, missing }) => {
      const reasons = Object.entries(missing).map(([reason, times]) => `${times} ${reason}`);
      return `  ${field.padEnd(width)}  ${String(found).padStart(5)} found${reasons.length > 0 ? `; loaded: ${reasons.join(', ')}` : ''}`;
    })
    .join('\n');
}

/**
 * ```
 * 12.4 ms: planned 0.1 (known), run 12.0, written 0.3; 3 fetches in 3 calls, of which 2 decide the time (*)
 *
 *      fetch                         asked  sent  found      out       in  0 ms ······························ 12.0
 * * #0 users query                       1     1      1    210 B   1.2 kB  ██████▒
 *   #1 posts user.posts                 20    10     10    400 B   3.0 kB         ░███████████
 * ```
 */
export function waterfall(explanation: Explanation): string {
  const { us, fetches, requests, criticalPath } = explanation;
  const critical = new Set(criticalPath);
  const names = fetches.map((fetch) => nameOf(fetch));
  const width = Math.min(48, Math.max(12, ...names.map((name) => name.length)));
  const scale = Math.max(1, us.ran);
  const head = `  ${'fetch'.padEnd(width)}  asked   sent  found       out        in  0 ms ${'·'.repeat(BAR - 12)} ${ms(us.ran)}`;
  const rows = fetches.map((fetch, index) => {
    const [out, in_] = ['bytesOut' as const, 'bytesIn' as const].map((which) =>
      bytes(fetch.requests.reduce((sum, at) => sum + requests[at]![which], 0)),
    );
    const count = (number: number) => String(number).padStart(5);
    const name = names[index]!.slice(0, width).padEnd(width);
    const counts = `${count(fetch.asked)}  ${count(fetch.sent)}  ${count(fetch.found)}`;
    return `${critical.has(fetch.id) ? '*' : ' '} ${name}  ${counts}  ${out!.padStart(8)}  ${in_!.padStart(8)}  ${bar(fetch, scale)}${notes(explanation, fetch)}`;
  });
  return [headline(explanation), '', head, ...rows, '', LEGEND].join('\n');
}

const LEGEND =
  '* decides the time   ░ ready, not yet sent   █ on its way   ▒ put into the answer   asked: places, sent: different ones';

function headline({ us, planCached, fetches, requests, criticalPath }: Explanation): string {
  const planned = `planned ${ms(us.planned)}${planCached ? ' (known)' : ''}`;
  const spared = fetches.reduce((sum, { duplicates }) => sum + duplicates, 0);
  return [
    `${ms(us.total)} ms: ${planned}, run ${ms(us.ran - us.planned)}, written ${ms(us.total - us.ran)}`,
    `${fetches.length} fetches in ${requests.length} calls, of which ${criticalPath.length} decide the time`,
    ...(spared > 0 ? [`${spared} duplicates were not asked about`] : []),
  ].join('; ');
}

function nameOf({ id, subgraph, kind, at }: FetchExplained): string {
  return `#${id} ${subgraph} ${at.length === 0 ? kind : at.join(' and ')}`;
}

function bar({ us, kept = 0 }: FetchExplained, scale: number): string {
  if (us.ready === undefined) return 'never ready';
  const column = (at: number) => Math.min(BAR, Math.round((at / scale) * BAR));
  const ready = column(us.ready);
  if (us.sent === undefined) return `${' '.repeat(ready)}${kept > 0 ? 'nobody was asked' : 'nothing to ask'}`;
  const sent = column(us.sent);
  const answered = Math.max(sent + 1, column(us.answered ?? us.sent));
  const ended = Math.max(answered, column(us.ended ?? us.answered ?? us.sent));
  return `${' '.repeat(ready)}${'░'.repeat(sent - ready)}${'█'.repeat(answered - sent)}${'▒'.repeat(ended - answered)} ${ms((us.ended ?? us.sent) - us.ready)}`;
}

function notes({ requests }: Explanation, fetch: FetchExplained): string {
  const told = new Set<string>();
  if (fetch.kept) told.add(`${fetch.kept} from the cache`);
  for (const at of fetch.requests) {
    const { fetches, joined, failed } = requests[at]!;
    const others = fetches.filter((id) => id !== fetch.id).map((id) => `#${id}`);
    if (others.length > 0) told.add(`with ${others.join(' ')}`);
    if (joined) told.add('joined an equal call');
    if (failed !== undefined) told.add(failed);
  }
  if (fetch.requests.length > 1) told.add(`in ${fetch.requests.length} calls`);
  return told.size === 0 ? '' : `  (${[...told].join(', ')})`;
}

function ms(us: number): string {
  return (us / 1_000).toFixed(1);
}

function bytes(count: number): string {
  return count < 1_000
    ? `${count} B`
    : count < 1_000_000
      ? `${(count / 1_000).toFixed(1)} kB`
      : `${(count / 1_000_000).toFixed(1)} MB`;
}
