/** Where a subgraph is asked. */
export interface Address {
  /** 'http://posts:4001'; of a socket 'http://localhost' */
  readonly origin: string;
  /** '/graphql' */
  readonly path: string;
  /** A name that may stand for several machines; undefined: an IP address or a socket. */
  readonly host: string | undefined;
  /** '/run/posts.sock' */
  readonly socketPath?: string;
}

/**
 * One address, or several with commas between them: `http://10.0.0.1:4001/graphql, http://10.0.0.2:4001/graphql`. A socket of this
 * machine is written as Apollo Router does: `unix:///run/posts.sock?path=/graphql` (without path: /graphql).
 */
export function addressesOf(text: string): Address[] {
  return splitAddresses(text).map((one) => {
    const url = new URL(one);
    if (url.protocol === 'unix:') {
      const path = url.searchParams.get('path') ?? '/graphql';
      return { origin: 'http://localhost', path, host: undefined, socketPath: decodeURIComponent(url.pathname) };
    }
    const { origin, pathname, search, hostname } = url;
    return { origin, path: pathname + search, host: /^[\d.]+$|^\[/.test(hostname) ? undefined : hostname };
  });
}

/** A comma may be part of an address; one in front of a scheme is not. */
export function splitAddresses(text: string): string[] {
  return text
    .split(/,(?=\s*[a-z][a-z0-9+.-]*:)/i)
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** Why one address cannot be asked, as the end of a sentence that begins with what it is; undefined: it can. */
export function whyNotAsked(address: string): string | undefined {
  if (!URL.canParse(address)) return 'is no address';
  const { protocol, username, password, pathname, searchParams } = new URL(address);
  if (protocol === 'unix:') {
    if (pathname.length < 2) return 'is a unix: address without a file';
    return (searchParams.get('path') ?? '/').startsWith('/') ? undefined : 'has a path that does not begin with /';
  }
  if (protocol !== 'http:' && protocol !== 'https:') return `begins with ${protocol}`;
  return username === '' && password === '' ? undefined : 'carries a user name or password';
}
