import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { ROOT } from '../../commands/root.js';
import { withServer } from '../servers/needs.js';
import { ALERT_STORIES } from './alert-stories.js';
import { prometheusHere } from './prometheus-here.js';
import { startPrometheus, type Prometheus } from './prometheus.js';
import { faultsOf, queriesOf, RULES, RULES_FILE, type Dashboard } from './queries.js';

interface Watched {
  /** By the address that deploy/prometheus.yml has: the port here. */
  metrics(): ReadonlyMap<string, number>;
  /** Some requests to every program. */
  ask(): Promise<void>;
}

/** Programs that run as docker-compose.yml says, as a real Prometheus and the dashboard see them. */
export function watchedByPrometheus({ metrics, ask }: Watched): void {
  withServer('prometheus', 'watched by Prometheus as deploy/ says', (binary = '') => {
    const config = readFileSync(join(ROOT, 'deploy/prometheus.yml'), 'utf8');
    const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/tributary.json'), 'utf8')) as Dashboard;
    const queries = queriesOf(dashboard, RULES);
    let prometheus: Prometheus;

    beforeAll(async () => {
      const addresses = Object.fromEntries([...metrics()].map(([address, port]) => [address, [`127.0.0.1:${port}`]]));
      prometheus = await startPrometheus(binary, prometheusHere(config, { addresses, rules: RULES_FILE }));
    });
    afterAll(() => prometheus?.stop());

    it('answers every query of the dashboard and the alerts with numbers, once it has looked a few times', async () => {
      // No call was lost, nobody is gone, and there is no hour before this: there is nothing to count. The alerts' stories say what then.
      const many = ['Unauthenticated', 'Forbidden', 'RateLimited', 'NotUnderstood'].map((what) => `Many${what}`);
      // Nor has anybody a replica, and no service was behind.
      const panels = ['Calls sent twice', 'Reads whose service was behind their writer', 'Replicas that are read'];
      const nothing = [...panels, 'ProgramGone', 'WholeAnswersFell', ...many, 'ReplicaNotRead'];
      const silent = nothing.map((of) => `${of}: is empty`);
      // A machine that is busy with others may have refused or failed some.
      const maybe = ['RequestsRefused', 'RequestsRefusedAtDoor', 'AnswersIncomplete'].map((of) => `${of}: is empty`);
      let faults: string[] = [];
      for (let tries = 0; tries < 90; tries++) {
        await ask();
        const each = queries.map(async (query) =>
          (await faultsOf(query, prometheus)).map((fault) => `${query.of}: ${fault}`),
        );
        faults = (await Promise.all(each)).flat().filter((fault) => !maybe.includes(fault));
        if (isDeepStrictEqual(faults, silent)) break;
        await sleep(500);
      }
      expect(faults).toEqual(silent);
      expect(queries.length).toBeGreaterThan(40);
    }, 180_000);

    it('control: a query that is wrong is found', async () => {
      const [answers, statements] = ['tributary_graphql_answers_total', 'tributary_sql_statements_total'];
      const found = async (expr: string, legend = ''): Promise<string> =>
        (await faultsOf({ expr, legend }, prometheus)).join();
      expect(await found(`sum by (outcome) (rate(${answers}[1m]))`, '{{outcome}}')).toBe('');
      // A parenthesis in the wrong place; the second can still be read.
      expect(await found(`sum by (outcome) (rate(${answers})[1m])`)).toMatch(/^is no query: /);
      expect(await found(`sum(rate(${answers}[1m]) / sum(rate(${answers}[1m])))`)).toBe('is empty');
      const byOther = `sum by (outcome) (rate(${answers}[1m])) / sum by (service) (rate(${statements}[1m]))`;
      expect(await found(byOther)).toBe('is empty');
      expect(await found('rate(tributary_outbox_age_seconds[1m])')).toContain('which is a gauge');
      expect(await found('rate(tributary_graphql_answer_total[1m])')).toBe(
        'nobody tells tributary_graphql_answer_total',
      );
      expect(await found(`0 * sum(${answers}) / 0`)).toBe('has no number');
      expect(await found(`sum(${answers})`, '{{outcome}}')).toBe('has no label outcome');
    });

    it('looks at every program, often enough for every rate', async () => {
      const { data } = await prometheus.get<{ activeTargets: { health: string; lastError: string }[] }>('targets');
      expect(data.activeTargets.map(({ health, lastError }) => [health, lastError])).toEqual(
        [...metrics()].map(() => ['up', '']),
      );
      const seconds = Number(/scrape_interval: (\d+)s/.exec(config)![1]);
      const ranges = queries.flatMap(({ expr }) => [...expr.matchAll(/\[(\w+)\]/g)].map(([, range]) => range!));
      expect(ranges.filter((range) => !/^\d+m$/.test(range))).toEqual([]);
      // As Grafana advises: one scrape may be late and one lost.
      expect(Math.min(...ranges.map((range) => Number.parseInt(range) * 60))).toBeGreaterThanOrEqual(4 * seconds);
    });

    it('asks what Grafana would: there are no variables to be filled in', () => {
      expect(dashboard.templating.list).toEqual([]);
      expect(queries.filter(({ expr }) => expr.includes('$'))).toEqual([]);
    });

    it('follows every alert without an error, and none is on but the one that always is', async () => {
      interface Followed {
        readonly name: string;
        readonly health: string;
        readonly lastError?: string;
        readonly state: string;
      }
      const followed = async (): Promise<Followed[]> =>
        (await prometheus.get<{ groups: { rules: Followed[] }[] }>('rules')).data.groups.flatMap(({ rules }) => rules);
      while ((await followed()).some(({ health }) => health === 'unknown')) await sleep(100);
      // One whose time has not come may be pending, on a machine that is busy.
      expect(
        (await followed()).map(({ name, health, lastError, state }) => [name, health, lastError, state === 'firing']),
      ).toEqual(RULES.map(({ alert }) => [alert, 'ok', undefined, !ALERT_STORIES[alert]!.well]));
    });

    it('scrapes what the stories of the alerts are made of: the same names, with the same labels', async () => {
      // Nobody has a replica here; libs/database/replica.test.ts reads what is told where there is one.
      const stories = Object.entries(ALERT_STORIES).flatMap(([alert, story]) =>
        alert === 'ReplicaNotRead' ? [] : [story],
      );
      const named = stories.flatMap(({ well, bad }) => Object.keys({ ...well, ...bad }));
      const scraped = new Set(named.map((one) => one.replace(/="[^"]*"/g, '!=""')));
      for (const expr of scraped) expect([expr, await faultsOf({ expr, legend: '' }, prometheus)]).toEqual([expr, []]);
    });
  });
}
