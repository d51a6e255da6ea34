import { afterAll, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { withServer } from '../servers/needs.js';
import { ALERT_STORIES, unitTests } from './alert-stories.js';
import { RULES, RULES_FILE, rulesIn, type Rule } from './queries.js';

it('every alert has a story of when it is on, and each is for a whole number of minutes', () => {
  expect(Object.keys(ALERT_STORIES)).toEqual(RULES.map(({ alert }) => alert));
  for (const { alert, for: lasting } of RULES)
    expect([alert, lasting]).toEqual([alert, expect.stringMatching(/^\d+m$/)]);
});

withServer('prometheus', 'the alerts', (prometheus = '') => {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-alerts-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const promtool = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(join(dirname(prometheus), 'promtool'), args, { encoding: 'utf8' });
    return `${status}\n${stdout}${stderr}`;
  };
  /** Each rule alone: of all of them in each other's worlds, which nobody asks about, it took 21 s of a processor, and so 2.5. */
  const tested = (rules: readonly Rule[]): string => {
    const files = rules.map((rule) => {
      const ruled = join(folder, `${rule.alert}.yml`);
      const file = join(folder, `${rule.alert}.tests.yml`);
      writeFileSync(ruled, JSON.stringify({ groups: [{ name: rule.alert, rules: [rule] }] }));
      writeFileSync(file, unitTests(ruled, rule));
      return file;
    });
    return promtool('test', 'rules', ...files);
  };

  it('are rules as Prometheus understands them', () => {
    expect(promtool('check', 'rules', RULES_FILE)).toMatch(new RegExp(`^0\n[^]*SUCCESS: ${RULES.length} rules found`));
  });

  it('are on when they should be, with the labels that they speak of, and not while all is well', () => {
    expect(tested(RULES)).toMatch(/^0\n/);
  });

  it('control: a parenthesis in the wrong place, labels that do not match and a bound that is too high are found', () => {
    const text = readFileSync(RULES_FILE, 'utf8');
    const planted = (alert: string, from: string | RegExp, to: string): string => {
      const changed = text.replace(from, to);
      expect(changed).not.toBe(text);
      return tested(rulesIn(changed).filter((rule) => rule.alert === alert));
    };
    const notOn = (alert: string) =>
      expect.stringMatching(new RegExp(`^1\n[^]*alertname: ?${alert}[^]*got:\\[\\s*\\]`));
    const onWhileWell = (alert: string) =>
      expect.stringMatching(new RegExp(`^1\n[^]*alertname: ?${alert}[^]*exp:\\[\\s*\\]`));
    expect(planted('RequestsRefused', /(OVERLOADED"\}\[5m\])\)\) \/ (.*?) > 0.01/, '$1) / $2) > 0.01')).toEqual(
      notOn('RequestsRefused'),
    );
    const [sum, byOutcome] = [
      'sum(rate(tributary_graphql_answers_total{outcome="OVER',
      'sum by (outcome) (rate(tributary_graphql_answers_total{outcome="OVER',
    ];
    expect(planted('RequestsRefused', sum, byOutcome)).toEqual(notOn('RequestsRefused'));
    // Of whoever sends slowly it would be on, and amid a flood of refusals not.
    const [ours, requests] = ['tributary_graphql_answer', 'http_server_request'].map(
      (name) => `rate(${name}_duration_seconds_bucket`,
    ) as [string, string];
    const withHealth = `${requests}{service_name="gateway"}`;
    expect(planted('AnswersSlow', ours, withHealth)).toEqual(notOn('AnswersSlow'));
    const asSent = `${requests}{service_name="gateway",http_route="/graphql",http_response_status_code="200"}`;
    expect(planted('AnswersSlow', ours, asSent)).toEqual(onWhileWell('AnswersSlow'));
    // By `up` alone who has another's address is there.
    expect(planted('ProgramDown', /expr: \(\(up\{program!~.* 0 \* up\) == 0/, 'expr: up == 0')).toMatch(
      /^1\n[^]*alertname: ?ProgramDown[^]*program="posts"/,
    );
    // And an exporter of yours, which says nothing of itself, would be down.
    expect(planted('ProgramDown', /up\{program!~".*?"\} == 1 or /, '')).toEqual(onWhileWell('ProgramDown'));
    // By address each start of it is the first one; and of several each start would count as one of the same.
    const byName = /changes\(max by \(program\) \(process_start_time_seconds\)\[15m:15s\]\) \/ .* > 2/;
    const byAddress = 'max by (program) (changes(process_start_time_seconds[15m])) > 2';
    expect(planted('ProgramCrashes', byName, byAddress)).toEqual(notOn('ProgramCrashes'));
    expect(planted('ProgramCrashes', / \/ max_over_time\(count by \(program\) .*\[15m:15s\]\)/, '')).toEqual(
      onWhileWell('ProgramCrashes'),
    );
    // A stranger who floods would wake somebody.
    const fewerAreAnswered = /(outcome="RATE_LIMITED"\}\[5m\].*) \* \(\(.* > 0.3/;
    expect(planted('ManyRateLimited', fewerAreAnswered, '$1) > 0.3')).toEqual(onWhileWell('ManyRateLimited'));
    // When nobody comes at all there is no number of them, and nothing is less than anything.
    expect(planted('WholeAnswersFell', / or vector\(0\)\) \/ \(sum(.*) >= 1\)/, ') / (sum$1 >= 1)')).toEqual(
      notOn('WholeAnswersFell'),
    );
    // Of a small site somebody would be told of two.
    // Whoever is refused in a crowd of strangers would wake somebody.
    const noneHashed = / \* \(sum by \(instance\) \(increase\(tributary_passwords_hashed_total.* == bool 0\)/;
    expect(planted('PasswordsNotHashed', noneHashed, '')).toEqual(onWhileWell('PasswordsNotHashed'));
    const few = { RequestsRefused: 'OVERLOADED', AnswersIncomplete: 'incomplete', ManyRateLimited: 'RATE_LIMITED' };
    for (const [alert, outcome] of Object.entries(few)) {
      const many = new RegExp(`(outcome=~?"${outcome}.*) and sum.* >= \\d+\\)`);
      expect(planted(alert, many, '$1)')).toEqual(onWhileWell(alert));
    }
    expect(planted('WholeAnswersFell', '>= 1) < 0.3', '> 0.2) < 0.3')).toEqual(onWhileWell('WholeAnswersFell'));
    // By so many days alone, certificates of hours would always be about to expire.
    const ofTheirTime = / \/ clamp_max\(tributary_certificate_lifetime_seconds, 2419200\) < 0.25/;
    expect(planted('CertificateNotRenewed', ofTheirTime, ' < 604800')).toEqual(onWhileWell('CertificateNotRenewed'));
    // As it was: the outage that is a ticket, and says that the old one is served.
    expect(planted('SupergraphNotServed', ' + tributary_supergraph_missing', '')).toMatch(
      /^1\n[^]*alertname: ?SupergraphNotServed[^]*exp:\[\s*\]/,
    );
    expect(planted('DatabaseConnectionsWaited', 'pending_requests) > 10', 'pending_requests) > 11')).toEqual(
      notOn('DatabaseConnectionsWaited'),
    );
  });
});
