import { documents } from './a-documents.js';
import type { Attack } from './attack.js';
import { audits } from './b-audits.js';
import { envelopes } from './b-envelopes.js';
import { prototypes } from './c-prototypes.js';
import { subgraphs } from './d-subgraphs.js';
import { headers } from './e-headers.js';
import { sessions } from './f-sessions.js';
import { tokenRows } from './f-tokens.js';
import { abuse } from './g-abuse.js';
import { races } from './g-races.js';
import { crowds, sockets, type CrowdSizes } from './h-sockets.js';
import { limits } from './limits.js';
import { budgets } from './s-budgets.js';
import { elsewhere } from './s-elsewhere.js';
import { guardedFields } from './s-guarded.js';
import { inputs } from './s-inputs.js';
import { packages } from './s-packages.js';
import { passwords, type PasswordSizes } from './s-passwords.js';
import { viewers, type ViewerSizes } from './s-viewers.js';

/** How much is sent of what is sent again and again. */
export interface Sizes extends CrowdSizes, ViewerSizes, PasswordSizes {}

/** Beside other tests. */
const FEW: Sizes = { idleMs: 500, connects: 700, slow: true, interleaved: 1_000, tries: 4 };
/** By themselves, where it is asked how long things take. */
export const MANY = { interleaved: 10_000, tries: 200 };

/** Everything that is sent, in this order: what a later row finds, an earlier one may have broken. */
export function attacksWith(sizes: Sizes): readonly Attack[] {
  return [
    ...documents,
    ...envelopes,
    ...audits,
    ...prototypes,
    ...subgraphs,
    ...headers,
    ...tokenRows,
    ...sessions,
    ...abuse,
    ...races,
    ...inputs,
    ...sockets,
    ...limits,
    ...viewers(sizes),
    ...guardedFields,
    ...elsewhere,
    ...packages,
    ...passwords(sizes),
    ...budgets,
    ...crowds(sizes),
  ];
}

export const ATTACKS = attacksWith(FEW);
