import type { Code } from '#libs/failure';
import { noticed, type Op } from './crowd.js';

/** What people may see of a fault: of the table the columns "client sees" and "figure", as far as they can be told from outside. */
export interface Bars {
  /** Nobody may notice it: whatever is asked meanwhile is answered whole. */
  readonly unnoticed?: boolean;
  /** Whoever is told something is told one of these; where nothing is said, anything but INTERNAL_SERVER_ERROR. */
  readonly onlyTold?: readonly Code[];
  /** Somebody has to be told this: otherwise the fault never came about. */
  readonly told?: Code;
  /** The longest one request may take, answered or not, ms. */
  readonly requestMsMax?: number;
  /** Half of all requests that end while it lasts may take no longer, ms, where half of those before took `calmMs`. */
  readonly typicalMsMax?: (calmMs: number) => number;
  /** The longest time in which nothing of a kind goes well, ms, of a fault that lasts `ms`. */
  readonly longestMsMax?: (ms: number) => number;
  /** How long after it is healed each kind has to have gone well again, ms. */
  readonly recoverMsMax?: number;
}

/** The gateway waits three seconds for a service, and asks posts once for each thing that people do here; as long again for a busy machine. */
export const REQUEST_MS = 6_000;

export interface Seen {
  readonly ops: readonly Op[];
  readonly ms: number;
  /** What half of all requests took at most: before it, and while it lasted. */
  readonly calmMs: number;
  readonly typicalMs: number;
  readonly longestMs: number;
  readonly recoverMs: number;
}

/** A sentence for each bar that is broken. */
export function brokenBars(bars: Bars, { ops, ms, calmMs, typicalMs, longestMs, recoverMs }: Seen): string[] {
  const broken: string[] = [];
  const bad = noticed(ops);
  if (bars.unnoticed && bad.length > 0)
    broken.push(`somebody noticed it, of ${ops.length} operations in ${bad.length} (${codesOf(bad)})`);
  const may = (code: string): boolean =>
    code !== 'INTERNAL_SERVER_ERROR' && (bars.onlyTold ?? [code]).some((one) => one === code);
  const wrong = ops.filter(({ told = [] }) => !told.every(may));
  if (wrong.length > 0) broken.push(`${wrong.length} operations were told what nobody may be (${codesOf(wrong)})`);
  if (bars.told !== undefined && !ops.some(({ told = [] }) => told.some((code) => code === bars.told)))
    broken.push(`nobody was told ${bars.told}, so it did not come about (${codesOf(bad)})`);
  const slow = (what: string, tookMs: number, maxMs: number | undefined): void => {
    if (maxMs !== undefined && tookMs > maxMs)
      broken.push(`${what} ${seconds(tookMs)}, which may be ${seconds(maxMs)}`);
  };
  slow('one request took', Math.max(0, ...ops.map(({ requestMs }) => requestMs)), bars.requestMsMax);
  slow('half of all requests took', typicalMs, bars.typicalMsMax?.(calmMs));
  slow('the longest without an answered operation was', longestMs, bars.longestMsMax?.(ms));
  slow('healed, all was good again after', recoverMs, bars.recoverMsMax);
  return broken;
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

function codesOf(ops: readonly Op[]): string {
  const counts = new Map<string, number>();
  for (const { told = [] } of ops) for (const code of new Set(told)) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${code} ${n}`).join(', ') || 'nobody noticed anything';
}
