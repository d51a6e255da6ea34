import type { Setting } from './settings.js';
import { whyWeak } from './weak-secret.js';

interface Common<T> {
  why: string;
  default?: T;
  secret?: boolean;
}

type Kind<T, O extends Common<T>> = O extends { default: T } ? Setting<T> & { default: T } : Setting<T>;

function setting<T, O extends Common<T>>(
  takes: string,
  options: O,
  parse: (text: string) => T | undefined,
): Kind<T, O> {
  const made: Setting<T> = {
    takes,
    why: options.why,
    parse,
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(options.secret ? { secret: true } : {}),
  };
  return made as Kind<T, O>;
}

/** A whole number from `min` to `max`; `unit` is part of the words ('ms', 'bytes'). */
export function whole<O extends Common<number> & { min: number; max: number; unit?: string }>(
  options: O,
): Kind<number, O> {
  const unit = options.unit ? ` ${options.unit}` : '';
  return setting(`a whole number, ${options.min} to ${options.max}${unit}`, options, (text) => {
    const value = Number(text);
    return /^-?\d+$/.test(text) && value >= options.min && value <= options.max ? value : undefined;
  });
}

export function port<O extends Common<number>>(options: O): Kind<number, O> {
  const made = setting<number, O>('a port, 0 to 65535 (0: any free one)', options, (text) =>
    /^\d+$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined,
  );
  return { ...made, hint: whatKubernetesSays };
}

/** Of each service that there is Kubernetes tells every pod where it is, by <NAME>_PORT, unless the pod itself says something by that name. */
function whatKubernetesSays(text: string, name: string): string | undefined {
  if (!/^(tcp|udp|sctp):\/\//.test(text)) return undefined;
  const service = /^(\w+)_PORT$/.exec(name)?.[1]?.toLowerCase().replaceAll('_', '-');
  const [whose, other] = service === undefined ? ['', ''] : [` called ${service}`, ', or call that service otherwise'];
  return `, as Kubernetes sets it for a service${whose}: say enableServiceLinks: false in the pod, or set ${name} there${other}`;
}

export function text<O extends Common<string> & { takes?: string }>(options: O): Kind<string, O> {
  return setting(options.takes ?? 'a text', options, (value) => value);
}

export function choice<const C extends readonly string[], O extends Common<C[number]>>(
  of: C,
  options: O,
): Kind<C[number], O> {
  return setting<C[number], O>(`one of ${of.join(', ')}`, options, (value) => (of.includes(value) ? value : undefined));
}

/** Some of these, separated by commas; one at the least. */
export function choices<const C extends readonly string[], O extends Common<readonly C[number][]>>(
  of: C,
  options: O,
): Kind<readonly C[number][], O> {
  return setting<readonly C[number][], O>(`of ${of.join(', ')}, separated by commas`, options, (value) => {
    const chosen = value
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    return chosen.length > 0 && chosen.every((name) => of.includes(name)) ? chosen : undefined;
  });
}

export function flag<O extends Common<boolean>>(options: O): Kind<boolean, O> {
  return setting('true or false', options, (value) =>
    value === 'true' ? true : value === 'false' ? false : undefined,
  );
}

/** A comma-separated list; blanks around the names are dropped. */
export function names<O extends Common<readonly string[]>>(options: O): Kind<readonly string[], O> {
  return setting<readonly string[], O>('names separated by commas', options, (value) =>
    value
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  );
}

export function address<O extends Common<string> & { protocols: readonly string[] }>(options: O): Kind<string, O> {
  const made = setting<string, O>(`an address that begins with ${options.protocols.join(' or ')}`, options, (value) => {
    if (!URL.canParse(value)) return undefined;
    return options.protocols.some((protocol) => value.startsWith(protocol)) ? value : undefined;
  });
  return { ...made, show: withoutCredentials };
}

/** Some of these, separated by commas, each once. */
export function addresses<O extends Common<readonly string[]> & { protocols: readonly string[] }>(
  options: O,
): Kind<readonly string[], O> {
  const { parse } = address({ protocols: options.protocols, why: options.why });
  const takes = `addresses that begin with ${options.protocols.join(' or ')}, separated by commas, each once`;
  const made = setting<readonly string[], O>(takes, options, (value) => {
    const all = value.split(',').map((one) => one.trim());
    const isEach = all.every((one) => parse(one) !== undefined) && new Set(all.map(placeOf)).size === all.length;
    return isEach ? all : undefined;
  });
  return { ...made, show: withoutCredentials };
}

function placeOf(text: string): string {
  const { host, pathname } = new URL(text);
  return `${host}${pathname}`;
}

/**
 * An address, also a broken one, without what may be a user name or a password in it. By the text, since what came may be no
 * address at all: up to the last @, and whatever stands behind a question mark.
 */
export function withoutCredentials(address: string): string {
  return address.replace(/^([a-z][\w+.-]*:\/{1,2})?[^]*@/i, '$1***@').replace(/\?[^]+$/, '?***');
}

/** At least 32 bytes, so that it cannot be guessed; never printed. */
export function secret<O extends Common<string>>(options: O): Kind<string, O & { secret: true }> {
  const made = setting(
    'at least 32 characters that nobody can guess (openssl rand -hex 32)',
    { ...options, secret: true as const },
    (value) => (Buffer.byteLength(value) >= 32 ? value : undefined),
  );
  return { ...made, weak: whyWeak };
}
