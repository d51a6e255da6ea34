/**
 * deploy/haproxy.cfg as it runs outside Docker: the door's port, Prometheus' and the gateways' addresses are those of this machine, and
 * nobody is asked for names. All else stays word for word.
 */
export function haproxyHere(
  config: string,
  ports: { readonly door: number; readonly watched: number; readonly gateways: Readonly<Record<string, number>> },
): string {
  const substitutions: [string | RegExp, string][] = [
    ['bind :4000', `bind 127.0.0.1:${ports.door}`],
    ['bind :9464', `bind 127.0.0.1:${ports.watched}`],
    [' resolvers docker init-addr last,libc,none', ''],
    [/\nresolvers docker\n( .*\n)*/, '\n'],
    ...Object.entries(ports.gateways).map(([name, port]): [string, string] => [`${name}:4000`, `127.0.0.1:${port}`]),
  ];
  return substitutions.reduce((text, [from, to]) => {
    const changed = text.replace(from, to);
    if (changed === text)
      throw new Error(`deploy/haproxy.cfg has no ${String(from)} any more: look at test/deploy/haproxy-here.ts`);
    return changed;
  }, config);
}
