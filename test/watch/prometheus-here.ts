/**
 * deploy/prometheus.yml as it runs outside Docker: where names would be looked up stand the addresses that they have on this machine, the
 * rules' file is that of this machine, and it looks every second. All else stays word for word, what is made of the names too.
 */
export function prometheusHere(
  config: string,
  here: {
    /** By name and port, as `users:9464`: each that has this name. */
    readonly addresses: Readonly<Record<string, readonly string[]>>;
    readonly rules: string;
  },
): string {
  const asked = new Set<string>();
  const found = (names: string, port: string): string => {
    const targets = names.split(', ').map((name) => {
      const at = `${name}:${port}`;
      asked.add(at);
      return { targets: here.addresses[at] ?? [], labels: { __meta_dns_name: name } };
    });
    return `static_configs: ${JSON.stringify(targets)}`;
  };
  const substitutions: [string | RegExp, string][] = [
    ['scrape_interval: 15s', 'scrape_interval: 1s'],
    ['evaluation_interval: 15s', 'evaluation_interval: 1s'],
    ['/etc/prometheus/alerts.yml', here.rules],
  ];
  const text = substitutions.reduce((text, [from, to]) => {
    const changed = text.replace(from, to);
    if (changed === text)
      throw new Error(`deploy/prometheus.yml has no ${String(from)}: look at test/watch/prometheus-here.ts`);
    return changed;
  }, config);
  const changed = text.replace(LOOKED_UP, (_, names: string, port: string) => found(names, port));
  const left = Object.keys(here.addresses).filter((address) => !asked.has(address));
  if (left.length > 0) throw new Error(`deploy/prometheus.yml asks nobody at ${left.join(', ')}`);
  return changed;
}

/** How deploy/prometheus.yml says whom to ask: names, and the port of each. */
export const LOOKED_UP = /dns_sd_configs: \[\{ names: \[(.*?)\], type: A, port: (\d+), refresh_interval: 15s \}\]/g;
