import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../../commands/root.js';
import type { Prometheus } from './prometheus.js';

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const RULES_FILE = join(ROOT, 'deploy/alerts.yml');
export const RULES = rulesIn(readFileSync(RULES_FILE, 'utf8'));

export function rulesIn(text: string): Rule[] {
  return (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
}

/** A question of the dashboard, or what an alert compares with its bound. */
export interface Query {
  readonly of: string;
  readonly expr: string;
  /** What names each line, `{{label}}` for what one differs by. */
  readonly legend: string;
}

export function queriesOf(dashboard: Dashboard, rules: readonly Rule[]): Query[] {
  return [
    ...dashboard.panels.flatMap(({ title, targets }) =>
      targets.map(({ expr, legendFormat }) => ({ of: title, expr, legend: legendFormat })),
    ),
    ...rules.map(({ alert, expr, annotations }) => {
      const [, compared] = /^(.+) (?:==|>|<) [\d.]+$/.exec(expr) ?? [];
      if (compared === undefined) throw new Error(`${alert} compares nothing with a number at its end: ${expr}`);
      return { of: alert, expr: compared, legend: annotations['summary']!.replace(/\$labels\./g, '') };
    }),
  ];
}

export interface Dashboard {
  readonly templating: { readonly list: readonly unknown[] };
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

/** What Prometheus has against a query, or is odd about what it answers. */
export async function faultsOf({ expr, legend }: Omit<Query, 'of'>, prometheus: Prometheus): Promise<string[]> {
  const { status, error, warnings = [], infos = [], data } = await prometheus.query(expr);
  if (status !== 'success') return [`is no query: ${error}`];
  const faults = [...warnings, ...infos];
  const { data: types } = await prometheus.get<Record<string, { type: string }[]>>('metadata');
  const typeOf = (metric: string): string | undefined =>
    // That one Prometheus makes itself.
    metric === 'up' ? 'gauge' : (types[metric] ?? types[metric.replace(/_(bucket|sum|count)$/, '')])?.[0]?.type;
  // Prometheus 3 says so itself, but looks at the name only.
  for (const [, called, metric] of expr.matchAll(/\b(rate|irate|increase)\(\s*(\w+)/g)) {
    const type = typeOf(metric!);
    if (type === 'gauge') faults.push(`${called} of ${metric}, which is a gauge`);
  }
  if (data.result.length === 0) {
    const unknown = [...expr.matchAll(/\b(\w+)[{[]/g)].map(([, metric]) => metric!).filter((one) => !typeOf(one));
    return [...faults, unknown.length > 0 ? `nobody tells ${unknown.join(', ')}` : 'is empty'];
  }
  if (!data.result.some(({ value }) => Number.isFinite(Number(value[1])))) faults.push('has no number');
  for (const [, label] of legend.matchAll(/\{\{\s*(\w+)\s*\}\}/g))
    if (!data.result.every(({ metric }) => label! in metric)) faults.push(`has no label ${label}`);
  return faults;
}
