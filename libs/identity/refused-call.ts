import { Failure } from '#libs/failure';

/** Why a subgraph refuses a call. A label of a figure, so there are these and no others, whatever is sent. */
export const REFUSALS = [
  /** It brought nothing that a gateway sends: a scanner, or somebody who has the address. */
  'unsigned',
  /** Signed by another secret, or changed since: forged, or gateway and service do not have the same secret. */
  'signature',
  /** Of our secret, and for another service, by another signer, or for longer than anybody signs. */
  'audience',
  /** Of another time. Both ways a clock may be wrong. */
  'expired',
  'early',
  /** For every call of its time, as gateways of before sign. */
  'untied',
  /** Taken before by this process. */
  'replayed',
  /** So old that this process no longer knows whether it took it. */
  'forgotten',
  /** Another body, method, query string, key, log-in or client than was signed. */
  'altered',
  /** Of a subject that is nobody we could know. */
  'subject',
  /** What it writes was written by another call, or at another process of the service. */
  'written',
] as const;

export type Refusal = (typeof REFUSALS)[number];

/** Who sent it is told the same whatever it was; the figures know. */
export class RefusedCall extends Failure {
  readonly why: Refusal;

  constructor(why: Refusal, message = 'This service answers the gateway only.', options?: { cause?: unknown }) {
    super('UNAUTHENTICATED', message, options);
    this.why = why;
  }
}
