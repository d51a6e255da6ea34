import type { Case } from './conform.js';
import type { World } from './world.js';

/** Something that an engine is known to answer otherwise than the monolith, and why that is not ours to mend. */
export interface Known {
  readonly name: string;
  readonly why: string;
  is(found: Case, world: World): boolean;
}

export const KNOWN: readonly Known[] = [];
