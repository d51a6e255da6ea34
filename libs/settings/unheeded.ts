import { editDistance } from './edit-distance.js';
import type { Environment } from './settings.js';

/** A variable that somebody has set and that does nothing here, though it looks as if it did. Never with its value. */
export interface Unheeded {
  readonly variable: string;
  /** What was probably meant; undefined: nothing is near it. */
  readonly meant?: string;
  /** For a person, in one sentence. */
  readonly says: string;
}

/** What a program takes from its environment. */
export interface Heeded {
  /** 'the gateway', 'npm start' */
  readonly program: string;
  readonly names: Iterable<string>;
  /** `SUBGRAPH_URL_`: behind it stands what only a supergraph knows. */
  readonly families?: readonly string[];
  /** `SUBGRAPH_`: nobody else's variables begin so. */
  readonly prefixes?: readonly string[];
  /** Names that would be heeded by another program of ours → what holds here instead. */
  readonly instead?: Readonly<Record<string, string>>;
}

const LIST = 'docs/settings.md';

/**
 * Of an environment, which is full of other people's variables, those that were meant for this program and are not heeded: by a name that
 * is nearly one of its own, lacks or has another unit, or begins as only ours do; in the order in which they came.
 */
export function unheededIn(env: Environment, heeded: Heeded): Unheeded[] {
  const { program, families = [], prefixes = [], instead = {} } = heeded;
  const names = new Set(heeded.names);
  return Object.entries(env).flatMap(([variable, value]): Unheeded[] => {
    if (!value) return [];
    if (Object.hasOwn(instead, variable))
      return [{ variable, says: `${variable} is not heeded by ${program}: ${instead[variable]} (${LIST})` }];
    const isOurs = names.has(variable) || families.some((family) => isOf(family, variable));
    if (isOurs || isOthers(variable, value)) return [];
    const meant = nearest(variable, names) ?? nearestFamily(variable, families);
    if (meant !== undefined || prefixes.some((prefix) => isOf(prefix, variable)))
      return [said(variable, meant, `${variable} is no setting of ${program}, and nothing heeds it`)];
    return [];
  });
}

/** Of an open family, whose members are known later. `known`: those that somebody would heed. `why`: what it means to be none of them. */
export function unheededOf(given: readonly string[], known: readonly string[], why: string): Unheeded[] {
  return given
    .filter((variable) => !known.includes(variable))
    .map((variable) => {
      const meant = nearest(variable, known);
      const there = meant === undefined && known.length > 0 ? `; there ${listed(known)}` : '';
      return said(variable, meant, `${variable}: ${why}${there}`);
    });
}

function said(variable: string, meant: string | undefined, what: string): Unheeded {
  const probably = meant === undefined ? '' : `; probably ${meant} was meant`;
  return { variable, ...(meant === undefined ? {} : { meant }), says: `${what}${probably} (${LIST})` };
}

function isOf(family: string, variable: string): boolean {
  return variable.startsWith(family) && variable.length > family.length;
}

/** What npm, and Kubernetes for each service that there is, put into every environment: `METRIC_PORT=tcp://10.0.0.1:80`. */
function isOthers(variable: string, value: string): boolean {
  if (/^npm_/i.test(variable)) return true;
  if (/_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(variable)) return true;
  return variable.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value);
}

/** Of short names most are near to something that is somebody else's. */
const SHORTEST = 6;
const TWO_FROM = 10;

function nearest(variable: string, names: Iterable<string>): string | undefined {
  const written = variable.toUpperCase();
  let best: { name: string; distance: number } | undefined;
  for (const name of names) {
    if (name.length < SHORTEST) continue;
    const most = name.length < TWO_FROM ? 1 : 2;
    const distance = sameButUnit(written, name) ? 1 : editDistance(written, name.toUpperCase(), most);
    if (distance <= most && distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

/** `SUBGRAPH_TIMEOUT` and `SUBGRAPH_TIMEOUT_MS`; of one word, as `BODY`, nobody knows whose it is. */
function sameButUnit(one: string, other: string): boolean {
  const stem = other.replace(UNIT, '');
  return stem !== other && stem.includes('_') && one.replace(UNIT, '') === stem;
}

const UNIT = /_(MS|S|SECONDS?|MINUTES?|HOURS|DAYS|BYTES|KB|MB)$/;

/** `SUBGRPAH_URL_POSTS` → `SUBGRAPH_URL_POSTS` */
function nearestFamily(variable: string, families: readonly string[]): string | undefined {
  for (const family of families) {
    for (const length of [0, -1, 1, -2, 2].map((more) => family.length + more)) {
      const [head, rest] = [variable.slice(0, length), variable.slice(length)];
      if (head.endsWith('_') && rest !== '' && editDistance(head, family, 2) <= 2) return `${family}${rest}`;
    }
  }
  return undefined;
}

/** Where nothing is near: what there is. */
function listed(known: readonly string[]): string {
  const some = known.slice(0, LISTED_MAX).join(', ');
  return `${known.length === 1 ? 'is' : 'are'} ${some}${known.length > LISTED_MAX ? ` and ${known.length - LISTED_MAX} more` : ''}`;
}

const LISTED_MAX = 5;
