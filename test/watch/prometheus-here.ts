/**
 * deploy/prometheus.yml as it runs outside Docker: the addresses and the rules' file are those of this machine, and it looks every
 * second. All else stays word for word.
 */
export function prometheusHere(
  config: string,
  here: { readonly addresses: Readonly<Record<string, string>>; readonly rules: string },
): string {
  const substitutions: [string, string][] = [
    ['scrape_interval: 15s', 'scrape_interval: 1s'],
    ['evaluation_interval: 15s', 'evaluation_interval: 1s'],
    ['/etc/prometheus/alerts.yml', here.rules],
    ...Object.entries(here.addresses),
  ];
  return substitutions.reduce((text, [from, to]) => {
    const changed = text.replace(from, to);
    if (changed === text)
      throw new Error(`deploy/prometheus.yml has no ${from}: look at test/watch/prometheus-here.ts`);
    return changed;
  }, config);
}
