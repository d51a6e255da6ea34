import { withoutCredentials } from '#libs/settings';
import { whyNotAsked } from './fetch/addresses.js';
import type { Service } from './supergraph/source.js';

/** Of SUBGRAPHS: `posts=http://…/graphql,users=…`. Throws a sentence about the first that is none. */
export function servicesOf(list: string): Service[] {
  const services = list.split(',').flatMap((pair) => {
    if (pair.trim() === '') return [];
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    const url = pair.slice(equals + 1).trim();
    if (equals < 1 || !/^[A-Za-z][\w-]*$/.test(name))
      throw new Error(
        `SUBGRAPHS takes name=address pairs separated by commas; came ${JSON.stringify(withoutCredentials(pair))}`,
      );
    const why = whyNoAddress(url);
    if (why !== undefined) throw new Error(`SUBGRAPHS: the address of ${name} ${why}`);
    return [{ name, url }];
  });
  const twice = services.find((service, index) => services.findIndex(({ name }) => name === service.name) !== index);
  if (twice) throw new Error(`SUBGRAPHS names ${twice.name} more than once`);
  return services;
}

/** Of SUBGRAPH_URL_<NAME>, which an operator sets: it may also be a socket of this machine. */
export function whyNoTarget(address: string): string | undefined {
  if (!address.startsWith('unix:')) return whyNoAddress(address);
  const why = whyNotAsked(address);
  return why && `${why}; a socket is written unix:///run/posts.sock?path=/graphql`;
}

function whyNoAddress(url: string): string | undefined {
  if (!URL.canParse(url))
    return `takes an address that begins with http: or https:; came ${JSON.stringify(withoutCredentials(url))}`;
  const { protocol, username, password } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:')
    return `takes an address that begins with http: or https:; came ${protocol}`;
  return username === '' && password === ''
    ? undefined
    : 'carries a user name or password (not shown); identity goes by assertion';
}
