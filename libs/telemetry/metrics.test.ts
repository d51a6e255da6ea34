import { expect, it } from '@jest/globals';
import { Metrics } from './index.js';

it('of two that look at once each sees all that is read, and what only grows counted once', async () => {
  const metrics = await Metrics.open();
  let both = (): void => {};
  const looking = new Promise<void>((resolve) => (both = resolve));
  const of = (service: string) => ({ help: 'what it tells', labels: { service }, read: () => looking.then(() => 7) });
  metrics.gauges(
    ['users', 'posts'].map((service) => ({ ...of(service), name: 'statements_total', grows: true as const })),
  );
  metrics.gauges(['users', 'posts'].map((service) => ({ ...of(service), name: 'waiting' })));
  const texts = [metrics.text(), metrics.text()];
  both();
  for (const text of await Promise.all(texts)) {
    expect(text).toContain('# TYPE statements_total counter\nstatements_total{service="users"} 7\n');
    expect(text).toContain('statements_total{service="posts"} 7\n');
    expect(text).toContain('# TYPE waiting gauge\nwaiting{service="users"} 7\nwaiting{service="posts"} 7\n');
  }
});
