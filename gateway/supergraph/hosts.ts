import { BlockList } from 'node:net';

/** May the gateway send what clients ask to this address of a supergraph? */
export type HostRule = (address: URL) => boolean;

/** Where the clouds tell a machine its own credentials. */
const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/**
 * Listed hosts and no others: `posts.internal`, `*.internal` for all below, `10.0.0.7:4001` for one port. Without a list every host but
 * link-local addresses. It is the address as written that is looked at: only a list keeps out a name that leads there.
 */
export function hostRule(listed: readonly string[] | undefined): HostRule {
  if (listed === undefined) return ({ hostname }) => !isLinkLocal(hostname);
  const hosts = listed.map((host) => host.toLowerCase());
  return ({ host, hostname }) =>
    hosts.some((one) => one === hostname || one === host || (one.startsWith('*.') && hostname.endsWith(one.slice(1))));
}

/** The URL parser has made one spelling of all that mean the same: 0xa9fea9fe and 2852039166 are 169.254.169.254. */
function isLinkLocal(hostname: string): boolean {
  if (hostname.startsWith('[')) return LINK_LOCAL.check(hostname.slice(1, -1), 'ipv6');
  return /^[\d.]+$/.test(hostname) && LINK_LOCAL.check(hostname, 'ipv4');
}
