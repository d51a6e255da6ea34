import type { PlanRequest } from './planner.js';

/** `percent(25)` holds for a quarter of all throws; any other label is on or off by name. */
export function isLabelOn(label: string, { labels, percent }: Pick<PlanRequest, 'labels' | 'percent'>): boolean {
  const share = /^percent\((\d+(?:\.\d+)?)\)$/.exec(label)?.[1];
  return labels.includes(label) || percent < Number(share ?? 0);
}
