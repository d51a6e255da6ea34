import { documents } from './a-documents.js';
import type { Attack } from './attack.js';
import { audits } from './b-audits.js';
import { envelopes } from './b-envelopes.js';
import { prototypes } from './c-prototypes.js';
import { subgraphs } from './d-subgraphs.js';
import { headers } from './e-headers.js';
import { tokenRows } from './f-tokens.js';
import { abuse } from './g-abuse.js';
import { crowds, sockets, type CrowdSizes } from './h-sockets.js';
import { limits } from './limits.js';
import { budgets } from './s-budgets.js';

/** Beside other tests. */
const FEW: CrowdSizes = { idleMs: 500, connects: 700, slow: true };

/** Everything that is sent, in this order: what a later row finds, an earlier one may have broken. */
export function attacksWith(sizes: CrowdSizes): readonly Attack[] {
  return [
    ...documents,
    ...envelopes,
    ...audits,
    ...prototypes,
    ...subgraphs,
    ...headers,
    ...tokenRows,
    ...abuse,
    ...sockets,
    ...limits,
    ...budgets,
    ...crowds(sizes),
  ];
}

export const ATTACKS = attacksWith(FEW);
