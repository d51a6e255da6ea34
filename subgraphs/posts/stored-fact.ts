import type { PostFact } from './post.js';

/** The shape in which each fact is written now. What was written in an older one stays as it is and is read through `UPCASTS`. */
export const FACT_VERSIONS: Readonly<Record<PostFact['type'], number>> = {
  published: 1,
  edited: 2,
  deleted: 1,
  restored: 1,
};

type Stored = Readonly<Record<string, unknown>>;

/** Each step makes of version n, which stands at n - 1, version n + 1. `golden/` keeps an example of every version. */
const UPCASTS: Readonly<Record<PostFact['type'], readonly ((old: Stored) => Stored)[]>> = {
  published: [],
  // Version 1 did not keep what the author had read. Without it nobody can tell an edit that knew what it replaced from one
  // that wrote over a text its author never saw.
  edited: [(old) => ({ ...old, basedOn: null })],
  deleted: [],
  restored: [],
};

/** A fact as `post_events` keeps it, in the shape of today. */
export function factOf(stored: Stored, version: number): PostFact {
  const type = stored['type'];
  if (typeof type !== 'string' || !Object.hasOwn(FACT_VERSIONS, type)) {
    throw new Error(`No such fact of a post here: ${JSON.stringify(type)}; a newer program wrote it`);
  }
  const known = type as PostFact['type'];
  if (!Number.isInteger(version) || version < 1 || version > FACT_VERSIONS[known]) {
    throw new Error(`'${known}' is version ${FACT_VERSIONS[known]} here; came ${version}`);
  }
  return UPCASTS[known].slice(version - 1).reduce((fact, upcast) => upcast(fact), stored) as unknown as PostFact;
}
