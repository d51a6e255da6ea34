import { resolve } from 'node:path';
import type { IncomingHttpHeaders } from 'node:http';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { SettingsError } from '#libs/settings';
import type { Logger } from '#libs/telemetry';
import { nobody, type Grants } from './grants.js';

/** What the default export of a POLICY_MODULE is told. */
export interface PolicyQuestion {
  /** The policies that the operation names, each once. */
  readonly policies: readonly string[];
  /** The global id of who asks; null for nobody. */
  readonly subject: string | null;
  /** Of the token, which was found good; null without one. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly headers: IncomingHttpHeaders;
}

/** Those of the policies that hold: as a list or set of their names, or as an object that says `true` of them. */
export type PolicyAnswer = Iterable<string> | Readonly<Record<string, boolean>>;

export type Policies = (question: PolicyQuestion) => PolicyAnswer | Promise<PolicyAnswer>;

export async function loadPolicies(file: string): Promise<Policies> {
  const wrong = (why: string) =>
    new SettingsError([`POLICY_MODULE takes a module whose default export is a function; ${file} ${why}`]);
  const module = await import(pathToFileURL(resolve(file)).href).catch((error: unknown) => {
    throw wrong(`cannot be loaded: ${String((error as Error)?.message ?? error)}`);
  });
  const { default: policies } = module as { default?: unknown };
  if (typeof policies !== 'function') throw wrong('has none');
  return policies as Policies;
}

/** Where the module fails, no policy holds: a mistake there must not open a door. */
export function grantsByModule(
  policies: Policies,
  grants: Grants | undefined,
  about: Omit<PolicyQuestion, 'policies'>,
  logger: Logger,
): Grants {
  return {
    ...(grants ?? nobody),
    async policies(asked) {
      try {
        return namesOf(await policies({ ...about, policies: asked }));
      } catch (error) {
        logger.error({ policies: asked, detail: inspect(error) }, 'POLICY_MODULE failed; no policy holds');
        return new Set();
      }
    },
  };
}

function namesOf(answer: PolicyAnswer): Set<string> {
  if (typeof answer === 'object' && Symbol.iterator in answer) return new Set(answer as Iterable<string>);
  if (typeof answer !== 'object' || answer === null) throw new TypeError('neither a list nor an object came of it');
  return new Set(Object.entries(answer).flatMap(([name, holds]) => (holds === true ? [name] : [])));
}
